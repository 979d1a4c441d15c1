//! What stands around the services in real life: a receiver that is told of alerts, and a hand at the spare appliance. One HTTP
//! listener on loopback, which believes whoever calls: it knows no signatures.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::routing::post;
use axum::{Json, Router};
use pulse_registry::notify::Receivers;
use pulse_shell::table::printable;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::fleet::Member;

/// News that wait to be shown; beyond it the registry waits for its answers.
const NEWS_MAX: usize = 64;

pub(crate) struct Outside {
    pub(crate) addr: SocketAddr,
    /// A line for each piece of news.
    pub(crate) news: mpsc::Receiver<String>,
}

impl Outside {
    pub(crate) async fn start(spare: Arc<Member>) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen for notifications")?;
        let addr = listener.local_addr()?;
        let (told, news) = mpsc::channel(NEWS_MAX);
        let hook = async move |Json(body): Json<Value>| {
            // Nobody shows it any more: the demo is stopping.
            drop(told.send(line(&body)).await);
        };
        let disk = async move || format!("{}\n", spare.swap_disk());
        let router = Router::new().route("/hook", post(hook)).route("/disk", post(disk));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { addr, news })
    }

    pub(crate) fn receivers(&self) -> anyhow::Result<Receivers> {
        let file = format!(
            "[[webhook]]\nname = \"demo\"\nurl = \"http://{}/hook\"\nsecret_env = \"SECRET\"\nmin_severity = \"critical\"\n",
            self.addr
        );
        // Signed as every request is, and looked at by nobody.
        let secret = |_: &str| Some("simulated-and-no-secret".to_owned());
        Receivers::parse(&file, &secret).map_err(|problems| anyhow::anyhow!(problems.join("; ")))
    }
}

/// When, what, and of which system; of a summary that has several lines the first.
fn line(body: &Value) -> String {
    let word =
        |value: &Value| printable(value.as_str().unwrap_or_default().lines().next().unwrap_or_default());
    let time = word(&body["timestamp"]).get(11..19).unwrap_or_default().to_owned();
    let alert = &body["data"]["alert"];
    match body["type"].as_str() {
        Some("alert.firing" | "alert.resolved") => format!(
            "{time}  webhook: {} {}, {}: {}",
            word(&alert["state"]),
            word(&alert["severity"]),
            word(&alert["resource"]["connection_name"]),
            word(&alert["summary"])
        ),
        kind => format!("{time}  webhook: {}", kind.unwrap_or("something unknown")),
    }
}
