//! What Kubernetes and Prometheus ask: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

/// The type that Prometheus expects.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether requests should come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    Starting,
    Yes,
    Draining,
    /// Not now, and why.
    No(String),
}

/// Shared by whoever knows and whoever asks.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Ready>);

impl Default for Readiness {
    fn default() -> Self {
        Self(watch::Sender::new(Ready::Starting))
    }
}

impl Readiness {
    /// Draining is for good.
    pub fn set(&self, ready: Ready) {
        self.0.send_if_modified(|now| {
            let changes = *now != ready && *now != Ready::Draining;
            if changes {
                *now = ready;
            }
            changes
        });
    }

    pub fn get(&self) -> Ready {
        self.0.borrow().clone()
    }
}

/// Brings gauges up to date before they are read.
pub type Refresh = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone)]
struct Shared {
    metrics: Arc<Registry>,
    refresh: Refresh,
    readiness: Readiness,
}

/// The three routes.
pub fn router(metrics: Arc<Registry>, refresh: Refresh, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Shared { metrics, refresh, readiness })
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    match shared.readiness.get() {
        Ready::Yes => (StatusCode::OK, "ready\n".to_owned()),
        Ready::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
        Ready::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
        Ready::No(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn scrape(State(shared): State<Shared>) -> Response {
    (shared.refresh)();
    let mut text = String::new();
    match encode(&mut text, &shared.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve;
    use anyhow::Context as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn probes_tell_where_the_process_is_in_its_life() -> anyhow::Result<()> {
        let listener = serve::listen(([127, 0, 0, 1], 0).into(), "http.listen").await?;
        let addr = listener.local_addr()?;
        let readiness = Readiness::default();
        let router = router(Arc::default(), Arc::new(|| ()), readiness.clone());
        tokio::spawn(serve::http(listener, serve::Entrance::default(), router, CancellationToken::new()));
        let ask = async |path: &str| {
            let mut stream = tokio::net::TcpStream::connect(addr).await?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
            let status: u16 = head.split(' ').nth(1).context("a status")?.parse()?;
            Ok::<_, anyhow::Error>((status, body.to_owned()))
        };
        assert_eq!(ask("/healthz").await?.0, 200);
        assert_eq!(ask("/readyz").await?, (503, "starting\n".to_owned()));
        readiness.set(Ready::Yes);
        assert_eq!(ask("/readyz").await?.0, 200);
        readiness.set(Ready::Draining);
        readiness.set(Ready::Yes);
        assert_eq!(ask("/readyz").await?, (503, "draining\n".to_owned()));
        assert_eq!(ask("/metrics").await?, (200, "# EOF\n".to_owned()));
        assert_eq!(ask("/").await?.0, 404);
        Ok(())
    }
}
