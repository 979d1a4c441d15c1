//! Which of its APIs a server is spoken to by. Sends no credential.
//!
//! JSON-RPC where there is any; the legacy websocket where there is none; REST where there is no websocket at all. Never
//! a step down because of TLS, a permission or a server that is busy starting.

use super::{Line, SessionOptions, version};
use crate::transport::http::{self, Answer};
use crate::transport::redirect::Redirect;
use crate::transport::ws::{self, Socket};
use crate::transport::{Endpoint, TransportError, dial};

/// The version list is short.
const VERSIONS_BYTES_MAX: usize = 64 * 1024;
/// Versions looked at in one list.
const VERSIONS_MAX: usize = 256;
const LEGACY_PATH: &str = "/websocket";

/// What was found. `status` is what the JSON-RPC endpoint answered instead of an upgrade.
pub(super) enum Way {
    JsonRpc {
        socket: Socket,
        api_version: String,
        /// The newest that the server lists; `None` when it lists nothing.
        line: Option<Line>,
    },
    LegacyWebsocket {
        socket: Socket,
        status: u16,
    },
    Rest {
        status: u16,
    },
    /// No JSON-RPC websocket, on a server that lists versions which have one.
    Hidden {
        status: u16,
        version: String,
    },
}

/// The version list, empty when this server has none. Unauthenticated.
pub(super) async fn listed_versions(
    endpoint: &Endpoint,
    options: &SessionOptions,
) -> Result<Vec<String>, TransportError> {
    match http::get_once(endpoint, "/api/versions", &options.deadlines, VERSIONS_BYTES_MAX, &options.outbound)
        .await
    {
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

/// From the version list to an open socket, or to the word that there is none.
pub(super) async fn negotiate(
    endpoint: &Endpoint,
    options: &SessionOptions,
    listed: &[String],
) -> Result<Way, TransportError> {
    let api_version = version::pick(listed);
    let status = match open_socket(endpoint, &format!("/api/{api_version}"), options).await {
        Ok(socket) => {
            let line = version::newest_line(listed);
            return Ok(Way::JsonRpc { socket, api_version, line });
        }
        Err(TransportError::Redirect(Redirect::SamePlace { .. }))
            if !endpoint.is_tls() && listed.is_empty() =>
        {
            return Err(TransportError::OldOverPlaintext);
        }
        Err(error) => no_jsonrpc(endpoint, &error).ok_or(error)?,
    };
    if let Some(newest) = listed.iter().rev().find(|text| version::api_line(text).is_some()) {
        return Ok(Way::Hidden { status, version: newest.clone() });
    }
    match open_socket(endpoint, LEGACY_PATH, options).await {
        Ok(socket) => Ok(Way::LegacyWebsocket { socket, status }),
        Err(error) if no_websocket(endpoint, &error) => Ok(Way::Rest { status }),
        Err(error) => Err(error),
    }
}

async fn open_socket(
    endpoint: &Endpoint,
    path: &str,
    options: &SessionOptions,
) -> Result<Socket, TransportError> {
    let stream = dial::dial(endpoint, &options.deadlines, &options.outbound).await?;
    let limits = ws::Limits { message_bytes_max: options.body_bytes_max };
    ws::upgrade(stream, endpoint, path, limits, options.deadlines.http).await
}

/// Does this failed upgrade mean that there is no JSON-RPC websocket? Then with which status.
fn no_jsonrpc(endpoint: &Endpoint, error: &TransportError) -> Option<u16> {
    match error {
        TransportError::UpgradeRefused { status: status @ (404 | 405 | 410 | 501) } => Some(*status),
        TransportError::Redirect(Redirect::SamePlace { .. }) if endpoint.is_tls() => Some(302),
        _ => None,
    }
}

/// Does this failed upgrade mean that there is no legacy websocket either? Any answer of HTTP does, but one that tells
/// of permission or of a server that is busy or on its way up.
fn no_websocket(endpoint: &Endpoint, error: &TransportError) -> bool {
    match error {
        TransportError::UpgradeRefused { status } => !matches!(status, 401 | 403 | 429 | 502..=504),
        TransportError::Redirect(Redirect::SamePlace { .. }) => endpoint.is_tls(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Security, Trust};

    #[test]
    fn only_an_absent_websocket_leads_further_down() {
        let tls = Endpoint { host: "nas".into(), port: 443, security: Security::Tls(Trust::Insecure) };
        let plain = Endpoint { host: "nas".into(), port: 80, security: Security::Plaintext };
        let refused = |status| TransportError::UpgradeRefused { status };
        for (status, jsonrpc, legacy) in [
            (200, false, true),
            (400, false, true),
            (401, false, false),
            (403, false, false),
            (404, true, true),
            (405, true, true),
            (410, true, true),
            (429, false, false),
            (500, false, true),
            (501, true, true),
            (502, false, false),
            (503, false, false),
            (504, false, false),
        ] {
            assert_eq!(no_jsonrpc(&tls, &refused(status)), jsonrpc.then_some(status), "{status}");
            assert_eq!(no_websocket(&tls, &refused(status)), legacy, "{status}");
        }
        let ui = TransportError::Redirect(Redirect::SamePlace { location: "/ui/".into() });
        assert_eq!((no_jsonrpc(&tls, &ui), no_jsonrpc(&plain, &ui)), (Some(302), None));
        assert!(no_websocket(&tls, &ui) && !no_websocket(&plain, &ui));
        let away = TransportError::Redirect(Redirect::Elsewhere { location: "https://x/".into() });
        let late = TransportError::Deadline { step: "x", limit: std::time::Duration::ZERO };
        for error in [away, late] {
            assert!(no_jsonrpc(&tls, &error).is_none() && !no_websocket(&tls, &error), "{error}");
        }
    }
}
