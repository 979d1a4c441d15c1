//! MCP over HTTP beside the probes: there from the first moment on, and of use
//! as soon as there is a registry to ask.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio_util::sync::CancellationToken;

use crate::config::Mcp;
use crate::service::mcp::{Registry, Tools};

/// Longest request: what is asked is short.
const BODY_BYTES_MAX: usize = 64 * 1024;
const RETRY_AFTER_SECONDS: &str = "2";
/// What JSON-RPC says to what is none.
const NO_JSON: &str = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: the body is no JSON-RPC message"}}"#;

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
    let mut request = request;
    if is_of_own_origin(request.headers()) {
        // Whether that host is one of ours is asked of the host below.
        request.headers_mut().remove(header::ORIGIN);
    }
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(is_json);
    let tools = move || Ok(Tools::new(registry.clone(), "mcp"));
    let service = StreamableHttpService::new(tools, Arc::new(NeverSessionManager::default()), shared.config);
    let answer = service.handle(request).await;
    if is_json && answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], NO_JSON)
            .into_response();
    }
    answer.map(axum::body::Body::new)
}

fn is_json(media_type: &HeaderValue) -> bool {
    media_type.as_bytes().starts_with(b"application/json")
}

/// Whether a page of this very server asks.
fn is_of_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(header::ORIGIN), text(header::HOST)) else { return false };
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    own.is_some_and(|own| own.eq_ignore_ascii_case(host))
}
