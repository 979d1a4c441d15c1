//! A client that follows WatchAlerts and keeps what it was told.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use pulse_proto::pb::registry::v1::alert_service_client::AlertServiceClient;
use pulse_proto::pb::registry::v1::{Alert, AlertState, WatchAlertsRequest, WatchAlertsResponse};
use tokio::time::timeout;
use tonic::Streaming;
use tonic::transport::Channel;

use super::PATIENCE;

/// Connects to the registry.
pub async fn client(addr: SocketAddr) -> anyhow::Result<AlertServiceClient<Channel>> {
    AlertServiceClient::connect(format!("http://{addr}")).await.context("connect to the registry")
}

/// Alerts as a watcher knows them.
#[derive(Debug)]
pub struct AlertMirror {
    stream: Streaming<WatchAlertsResponse>,
    pub alerts: BTreeMap<String, Alert>,
    /// Every version of every alert, as they came.
    pub told: Vec<Alert>,
    pub resume_token: String,
    pub listed: bool,
}

impl AlertMirror {
    pub async fn open(addr: SocketAddr, filter: &str, resume_token: &str) -> anyhow::Result<Self> {
        let request = WatchAlertsRequest { filter: filter.to_owned(), resume_token: resume_token.to_owned() };
        let stream = client(addr).await?.watch_alerts(request).await?.into_inner();
        Ok(Self {
            stream,
            alerts: BTreeMap::new(),
            told: Vec::new(),
            resume_token: resume_token.to_owned(),
            listed: false,
        })
    }

    /// Applies one message of the stream.
    pub async fn step(&mut self) -> anyhow::Result<()> {
        let Some(message) = self.stream.message().await? else { bail!("the watch ended") };
        for alert in message.alerts {
            self.told.push(alert.clone());
            self.alerts.insert(alert.id.clone(), alert);
        }
        self.listed |= message.initial_list_end;
        if !message.resume_token.is_empty() {
            self.resume_token = message.resume_token;
        }
        Ok(())
    }

    /// Follows the stream until `holds`, or fails the test.
    pub async fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let all = async {
            while !holds(self) {
                self.step().await?;
            }
            anyhow::Ok(())
        };
        let followed = timeout(PATIENCE, all).await.context("it did not come");
        followed.flatten().with_context(|| {
            let last = self.told.last().map(brief);
            format!(
                "while waiting {PATIENCE:?} for {what}; the list was {}; last told: {last:?}; known: {:#?}",
                if self.listed { "whole" } else { "not whole yet" },
                self.alerts.values().map(brief).collect::<Vec<_>>()
            )
        })
    }

    /// The newest alert of a rule or native class on the resource of that name.
    pub fn of(&self, origin: &str, resource: &str) -> Option<&Alert> {
        let fits = |alert: &&Alert| {
            (alert.rule_id == origin || alert.native_klass == origin) && alert.resource_name == resource
        };
        self.alerts.values().filter(fits).max_by_key(|alert| alert.revision)
    }

    /// Its state, when there is such an alert.
    pub fn state(&self, origin: &str, resource: &str) -> Option<AlertState> {
        self.of(origin, resource).map(Alert::state)
    }
}

fn brief(alert: &Alert) -> String {
    let origin = if alert.rule_id.is_empty() { &alert.native_klass } else { &alert.rule_id };
    format!("{origin} {} {:?}: {}", alert.resource_name, alert.state(), alert.summary)
}
