//! From what was negotiated, and a credential, to a session: log in, and look whom it is with.
//!
//! What is not JSON-RPC is kept only when the server says that it is old enough to have nothing better.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::error::{ConnectError, Refusal};
use super::login::{self, Context, Mechanism, Outcome};
use super::negotiate::{self, Way};
use super::rest::{self, Rest};
use super::scram::ChannelBinding;
use super::version;
use super::{Channel, Line, Mode, Session, SessionInfo, SessionOptions};
use crate::rpc::{CallError, Framing, Link, Notice, Reply};
use crate::secret::Credential;
use crate::transport::ws::Socket;
use crate::transport::{Endpoint, http};

/// What a version text of a server is cut to before it is shown.
const VERSION_CHARS_MAX: usize = 100;
/// What a legacy websocket has instead of an API version.
const LEGACY_API: &str = "websocket";
/// Controllers tried after one another when standbys point elsewhere.
const ENDPOINTS_MAX: usize = login::REDIRECT_URLS_MAX + 1;

/// Told when a server is reached and the login begins; once per controller that is tried.
pub type OnLogin<'a> = &'a (dyn Fn() + Send + Sync);

/// Makes a session. Every text of an error is free of the credential.
pub async fn connect(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
) -> Result<Session, ConnectError> {
    connect_telling(endpoint, credential, options, &|| {}).await
}

/// The same, for who wants to show how far it is.
pub async fn connect_telling(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    on_login: OnLogin<'_>,
) -> Result<Session, ConnectError> {
    connect_somewhere(endpoint, credential, options, on_login)
        .await
        .map_err(|error| error.redacted(credential))
}

async fn connect_somewhere(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    on_login: OnLogin<'_>,
) -> Result<Session, ConnectError> {
    let mut ahead = VecDeque::from([endpoint.clone()]);
    let mut tried: Vec<Endpoint> = Vec::new();
    let mut last = None;
    while let Some(next) = ahead.pop_front() {
        if tried.len() == ENDPOINTS_MAX || tried.contains(&next) {
            continue;
        }
        let outcome = connect_once(&next, credential, options, on_login).await;
        tried.push(next);
        match outcome {
            Ok(Attempt::In(session)) => return Ok(*session),
            Ok(Attempt::Elsewhere(urls)) => {
                ahead.extend(urls.iter().filter_map(|url| other_controller(endpoint, url)));
            }
            // Only a peer that cannot be reached lets the next one try; a refusal is a refusal.
            Err(ConnectError::Transport(error)) if tried.len() > 1 => last = Some(error.into()),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or(ConnectError::RedirectLoop { tried: tried.len() }))
}

pub(super) enum Attempt {
    In(Box<Session>),
    Elsewhere(Vec<String>),
}

async fn connect_once(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    on_login: OnLogin<'_>,
) -> Result<Attempt, ConnectError> {
    let listed = negotiate::listed_versions(endpoint, options).await?;
    let way = negotiate::negotiate(endpoint, options, &listed).await?;
    on_login();
    log_in(endpoint, credential, options, way).await
}

/// From what was negotiated to a session.
pub(super) async fn log_in(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    way: Way,
) -> Result<Attempt, ConnectError> {
    match way {
        Way::JsonRpc { socket, api_version, line } => {
            let speech = Speech::JsonRpc { api_version, line };
            socket_session(endpoint, credential, options, socket, speech).await
        }
        Way::LegacyWebsocket { socket, status } => {
            socket_session(endpoint, credential, options, socket, Speech::Legacy { status }).await
        }
        Way::Rest { status } => rest_session(endpoint, credential, options, status).await,
        Way::Hidden { status, version } => Err(ConnectError::DowngradeRefused { status, version }),
    }
}

/// What is spoken over a socket.
enum Speech {
    JsonRpc {
        api_version: String,
        line: Option<Line>,
    },
    /// The status is that of the missing JSON-RPC endpoint.
    Legacy {
        status: u16,
    },
}

async fn socket_session(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    socket: Socket,
    speech: Speech,
) -> Result<Attempt, ConnectError> {
    let (peer, route) = (socket.peer.clone(), socket.route);
    let framing = match speech {
        Speech::JsonRpc { .. } => Framing::JsonRpc,
        Speech::Legacy { .. } => Framing::Legacy,
    };
    let (link, notices) = Link::spawn(socket, options.rpc, framing);
    let context = Context {
        tls: endpoint.is_tls(),
        binding: peer
            .as_ref()
            .filter(|_| options.channel_binding)
            .and_then(|peer| ChannelBinding::of_certificate(&peer.der)),
        require_scram: options.require_scram,
        line: match speech {
            Speech::JsonRpc { line, .. } => line,
            Speech::Legacy { .. } => None,
        },
        limit: options.login,
        budget: Arc::clone(&options.budget),
        route,
    };
    let (mechanism, appliance_version) = match converse(&link, credential, options, &context, &speech).await {
        Ok(Conversed::In(mechanism, version)) => (mechanism, version),
        Ok(Conversed::Elsewhere(urls)) => {
            link.close().await;
            return Ok(Attempt::Elsewhere(urls));
        }
        Err(error) => {
            link.close().await;
            return Err(error);
        }
    };
    let (mode, api_version) = match speech {
        Speech::JsonRpc { api_version, .. } => (Mode::JsonRpcWebsocket, api_version),
        Speech::Legacy { .. } => (Mode::LegacyWebsocket, LEGACY_API.to_owned()),
    };
    let info = SessionInfo {
        mode,
        api_version,
        line: version::line_of(&appliance_version),
        appliance_version,
        auth_mechanism: mechanism,
        tls: endpoint.is_tls(),
        peer_fingerprint: peer.map(|peer| peer.fingerprint),
        endpoint: endpoint.clone(),
    };
    Ok(Attempt::In(Box::new(Session {
        info,
        call_limit: options.call,
        channel: Channel::Rpc(link),
        notices: Some(notices),
    })))
}

enum Conversed {
    In(Mechanism, String),
    Elsewhere(Vec<String>),
}

/// Logs in and asks for the version.
async fn converse(
    link: &Link,
    credential: &Credential,
    options: &SessionOptions,
    context: &Context,
    speech: &Speech,
) -> Result<Conversed, ConnectError> {
    let outcome = match speech {
        Speech::JsonRpc { .. } => login::login(link, credential, context).await?,
        Speech::Legacy { .. } => login::legacy_login(link, credential, context).await?,
    };
    let mechanism = match outcome {
        Outcome::In(mechanism) => mechanism,
        Outcome::Elsewhere(urls) => return Ok(Conversed::Elsewhere(urls)),
    };
    let version = match speech {
        Speech::JsonRpc { .. } => {
            let version = appliance_version(link, options).await?;
            refuse_hidden_line(mechanism, &version)?;
            version
        }
        Speech::Legacy { status } => {
            let version = legacy_version(link, options).await?;
            refuse_downgrade(*status, &version)?;
            version
        }
    };
    Ok(Conversed::In(mechanism, version))
}

/// Any logged-in user may ask; a server that will not say is read with the newest shapes.
async fn appliance_version(link: &Link, options: &SessionOptions) -> Result<String, ConnectError> {
    for method in ["system.version", "system.version_short"] {
        match link.call(method, &json!([]), options.login).await {
            Ok(Reply(raw)) => {
                if let Ok(version) = serde_json::from_str::<String>(raw.get()) {
                    return Ok(version);
                }
            }
            Err(error @ (CallError::Closed(_) | CallError::Deadline { .. })) => {
                return Err(ConnectError::Login(error));
            }
            Err(_) => {}
        }
    }
    Ok(String::new())
}

/// The full name, since only that tells an old line for sure. A key of these lines lists what it may call.
async fn legacy_version(link: &Link, options: &SessionOptions) -> Result<String, ConnectError> {
    match link.call("system.version", &json!([]), options.login).await {
        Ok(Reply(raw)) => return Ok(serde_json::from_str(raw.get()).unwrap_or_default()),
        Err(CallError::NotAuthorized { .. } | CallError::NoMethod { .. }) => {}
        Err(error) => return Err(ConnectError::Login(error)),
    }
    match link.call("system.info", &json!([]), options.login).await {
        Ok(Reply(raw)) => {
            Ok(serde_json::from_str(raw.get())
                .map_or_else(|_| String::new(), |info: SystemInfo| info.version))
        }
        Err(CallError::NotAuthorized { .. }) => Err(ConnectError::Refused(Refusal::AllowList)),
        Err(error) => Err(ConnectError::Login(error)),
    }
}

/// A server that was shown a key because it passed for an older line, and is of one that would not ask for that.
fn refuse_hidden_line(mechanism: Mechanism, version: &str) -> Result<(), ConnectError> {
    let shown = matches!(mechanism, Mechanism::ApiKeyPlain | Mechanism::ApiKeyLegacy);
    match version::line_of(version) {
        Some(line) if shown && line >= version::FIRST_SCRAM_LINE => Err(ConnectError::LineHidden { line }),
        _ => Ok(()),
    }
}

/// What is older than JSON-RPC says so in full; anything else has been robbed of it on the way.
fn refuse_downgrade(status: u16, version: &str) -> Result<(), ConnectError> {
    if version::is_legacy(version) {
        return Ok(());
    }
    let version = version.chars().take(VERSION_CHARS_MAX).collect();
    Err(ConnectError::DowngradeRefused { status, version })
}

#[derive(Deserialize)]
struct SystemInfo {
    version: String,
}

async fn rest_session(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    status: u16,
) -> Result<Attempt, ConnectError> {
    let mechanism: Mechanism = rest::mechanism(credential);
    if !endpoint.is_tls() {
        return Err(ConnectError::PlaintextRefused { mechanism: mechanism.label() });
    }
    let client =
        http::Client::new(endpoint, &options.deadlines, options.body_bytes_max, &options.outbound).await?;
    let rest = Rest::new(client, credential);
    let no_api = |reason: String| ConnectError::NoApi { status, reason };
    let appliance_version = match rest.get("/system/info", &[], options.login).await {
        Ok(Reply(raw)) => {
            serde_json::from_str::<SystemInfo>(raw.get())
                .map_err(|_| no_api("no version in the system information".to_owned()))?
                .version
        }
        Err(CallError::NotAuthenticated { .. }) => return Err(ConnectError::Refused(Refusal::Wrong)),
        Err(CallError::NotAuthorized { .. }) => return Err(ConnectError::Refused(Refusal::Denied)),
        Err(
            error @ (CallError::Busy { .. }
            | CallError::Unavailable { .. }
            | CallError::Deadline { .. }
            | CallError::Closed(_)),
        ) => return Err(ConnectError::Login(error)),
        Err(error) => return Err(no_api(error.to_string())),
    };
    refuse_downgrade(status, &appliance_version)?;
    let info = SessionInfo {
        mode: Mode::LegacyRest,
        api_version: "v2.0".to_owned(),
        line: version::line_of(&appliance_version),
        appliance_version,
        auth_mechanism: mechanism,
        tls: true,
        peer_fingerprint: rest.observed(),
        endpoint: endpoint.clone(),
    };
    let (sender, notices) = mpsc::channel::<Notice>(1);
    let (open, _) = watch::channel(true);
    Ok(Attempt::In(Box::new(Session {
        info,
        call_limit: options.call,
        channel: Channel::Rest { rest, open, _silent: sender },
        notices: Some(notices),
    })))
}

/// The endpoint behind a URL that a standby names: same trust, and never less secure.
fn other_controller(from: &Endpoint, url: &str) -> Option<Endpoint> {
    let (scheme, rest) = url.split_once("://")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" => true,
        "http" | "ws" => false,
        _ => return None,
    };
    if tls != from.is_tls() {
        return None;
    }
    let (host, port) = crate::transport::redirect::split_authority(rest, tls)?;
    Some(Endpoint { host: host.to_owned(), port, security: from.security.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Security, Trust};

    fn tls() -> Endpoint {
        Endpoint { host: "nas".into(), port: 443, security: Security::Tls(Trust::Insecure) }
    }

    #[test]
    fn a_standby_never_lowers_security() {
        let other = other_controller(&tls(), "https://nas-b:8443/ui").unwrap();
        assert_eq!((other.host.as_str(), other.port), ("nas-b", 8443));
        assert_eq!(other.security, tls().security);
        for url in ["http://nas-b", "nas-b", "file://x", "https://u@x/"] {
            assert!(other_controller(&tls(), url).is_none(), "{url}");
        }
    }
}
