//! From an endpoint and a credential to a session: negotiate, upgrade, log in.
//!
//! Falls back to REST only when the server has no websocket API and says it is old enough; never after a failure of
//! TLS, login or permission.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::error::{ConnectError, Refusal};
use super::login::{self, Context, Mechanism, Outcome};
use super::rest::{self, Rest};
use super::scram::ChannelBinding;
use super::version;
use super::{Channel, Mode, Session, SessionInfo, SessionOptions};
use crate::rpc::{CallError, Link, Notice, Reply};
use crate::secret::Credential;
use crate::transport::http::{self, Answer};
use crate::transport::redirect::Redirect;
use crate::transport::ws::{self, Socket};
use crate::transport::{Endpoint, TransportError, dial};

/// The version list is short.
const VERSIONS_BYTES_MAX: usize = 64 * 1024;
/// Versions looked at in one list.
const VERSIONS_MAX: usize = 256;
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
    let api_version = version::pick(&listed_versions(endpoint, options).await?);
    match open_socket(endpoint, &api_version, options).await {
        Ok(socket) => {
            on_login();
            rpc_session(endpoint, credential, options, socket, api_version).await
        }
        Err(error) => match no_websocket_status(endpoint, &error) {
            Some(status) => {
                on_login();
                rest_session(endpoint, credential, options, status).await
            }
            None => Err(error.into()),
        },
    }
}

/// The version list, empty when this server has none. Unauthenticated.
pub(super) async fn listed_versions(
    endpoint: &Endpoint,
    options: &SessionOptions,
) -> Result<Vec<String>, TransportError> {
    match http::get_once(endpoint, "/api/versions", &options.deadlines, VERSIONS_BYTES_MAX).await {
        Ok(Answer { status: 200, body }) => {
            let mut listed: Vec<String> = serde_json::from_slice(&body).unwrap_or_default();
            listed.truncate(VERSIONS_MAX);
            Ok(listed)
        }
        // A front end without its middleware has no websocket to offer either.
        Ok(Answer { status: status @ 502..=504, .. }) => Err(TransportError::UpgradeRefused { status }),
        Ok(_)
        | Err(TransportError::Redirect(Redirect::SamePlace { .. }) | TransportError::TooLarge { .. }) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn open_socket(
    endpoint: &Endpoint,
    api_version: &str,
    options: &SessionOptions,
) -> Result<Socket, TransportError> {
    let stream = dial::dial(endpoint, &options.deadlines).await?;
    let limits = ws::Limits { message_bytes_max: options.body_bytes_max };
    ws::upgrade(stream, endpoint, &format!("/api/{api_version}"), limits, options.deadlines.http).await
}

/// Does this failed upgrade mean that there is no websocket API at all?
pub(super) fn no_websocket_status(endpoint: &Endpoint, error: &TransportError) -> Option<u16> {
    match error {
        TransportError::UpgradeRefused { status: status @ (404 | 405 | 410 | 501) } => Some(*status),
        TransportError::Redirect(Redirect::SamePlace { .. }) if endpoint.is_tls() => Some(302),
        _ => None,
    }
}

pub(super) async fn rpc_session(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    socket: Socket,
    api_version: String,
) -> Result<Attempt, ConnectError> {
    let peer = socket.peer.clone();
    let (link, notices) = Link::spawn(socket, options.rpc);
    let context = Context {
        tls: endpoint.is_tls(),
        binding: peer
            .as_ref()
            .filter(|_| options.channel_binding)
            .and_then(|peer| ChannelBinding::of_certificate(&peer.der)),
        require_scram: options.require_scram,
        limit: options.login,
    };
    let mechanism = match login::login(&link, credential, &context).await {
        Ok(Outcome::In(mechanism)) => mechanism,
        Ok(Outcome::Elsewhere(urls)) => {
            link.close().await;
            return Ok(Attempt::Elsewhere(urls));
        }
        Err(error) => {
            link.close().await;
            return Err(error);
        }
    };
    let appliance_version = appliance_version(&link, options).await?;
    let info = SessionInfo {
        mode: Mode::JsonRpcWebsocket,
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

#[derive(Deserialize)]
struct SystemInfo {
    version: String,
}

pub(super) async fn rest_session(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    status: u16,
) -> Result<Attempt, ConnectError> {
    let mechanism: Mechanism = rest::mechanism(credential);
    if !endpoint.is_tls() {
        return Err(ConnectError::PlaintextRefused { mechanism: mechanism.label() });
    }
    let client = http::Client::new(endpoint, &options.deadlines, options.body_bytes_max).await?;
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
        Err(error @ (CallError::Busy { .. } | CallError::Deadline { .. } | CallError::Closed(_))) => {
            return Err(ConnectError::Login(error));
        }
        Err(error) => return Err(no_api(error.to_string())),
    };
    if !version::is_legacy(&appliance_version) {
        let version = appliance_version.chars().take(100).collect();
        return Err(ConnectError::DowngradeRefused { status, version });
    }
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
    fn only_an_absent_websocket_leads_to_rest() {
        let plain = Endpoint { host: "nas".into(), port: 80, security: Security::Plaintext };
        let ui = || TransportError::Redirect(Redirect::SamePlace { location: "/ui/".into() });
        for status in [404, 405, 410, 501] {
            assert_eq!(no_websocket_status(&tls(), &TransportError::UpgradeRefused { status }), Some(status));
        }
        for status in [200, 400, 401, 403, 429, 500, 502, 503] {
            assert_eq!(no_websocket_status(&tls(), &TransportError::UpgradeRefused { status }), None);
        }
        assert_eq!(no_websocket_status(&tls(), &ui()), Some(302));
        assert_eq!(no_websocket_status(&plain, &ui()), None);
        let away = TransportError::Redirect(Redirect::Elsewhere { location: "https://x/".into() });
        assert_eq!(no_websocket_status(&tls(), &away), None);
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
