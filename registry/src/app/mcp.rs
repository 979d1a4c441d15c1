//! MCP over HTTP beside the probes: there from the first moment on, and of use
//! as soon as there is a registry to ask.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::config::Mcp;
use crate::service::mcp::{Registry, Tools};

/// Longest request: what is asked is short.
const BODY_BYTES_MAX: usize = 64 * 1024;
const RETRY_AFTER_SECONDS: &str = "2";

/// Filled when the registry answers.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<OnceLock<Registry>>);

impl Slot {
    pub(super) fn fill(&self, registry: Registry) {
        drop(self.0.set(registry));
    }
}

#[derive(Clone)]
struct Shared {
    slot: Slot,
    config: StreamableHttpServerConfig,
}

/// The route `/mcp`; none where it is switched off.
pub(super) fn router(config: &Mcp, slot: Slot, stop: &CancellationToken) -> Router {
    if !config.enabled {
        return Router::new();
    }
    // No sessions: a request has all it needs, whichever replica it reaches, and nothing is kept of it.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES_MAX)
        .with_allowed_hosts(config.allowed_hosts.clone())
        .enforce_origin_validation()
        .with_cancellation_token(stop.child_token());
    Router::new().route("/mcp", axum::routing::any(answer)).with_state(Shared { slot, config })
}

async fn answer(State(shared): State<Shared>, request: Request) -> Response {
    let Some(registry) = shared.slot.0.get().cloned() else {
        let retry = [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, "starting\n").into_response();
    };
    let tools = move || Ok(Tools::new(registry.clone(), "mcp"));
    let service = StreamableHttpService::new(tools, Arc::new(NeverSessionManager::default()), shared.config);
    service.handle(request).await.map(axum::body::Body::new)
}
