//! A logged-in session with one NAS: over JSON-RPC or, for older lines, over the legacy websocket or REST.
//!
//! Owns negotiation and login. Knows no method beyond those and no shape of what is read.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

pub mod budget;
pub mod connect;
pub mod diagnose;
pub mod error;
mod login;
mod negotiate;
mod rest;
pub mod role;
pub mod scram;
pub mod version;

pub use budget::Budget;
pub use connect::{connect, connect_telling};
pub use error::{ConnectError, FailureClass, Refusal};
pub use login::Mechanism;
pub use version::Line;

use crate::rpc::{self, CallError, CloseReason, Link, Notice, Reply};
use crate::transport::dial::Deadlines;
use crate::transport::{Endpoint, Fingerprint, Outbound, http};

/// How a session is made and kept; defaults suit one NAS on a LAN or a WAN.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    pub deadlines: Deadlines,
    /// Which addresses may be dialled.
    pub outbound: Outbound,
    /// For one call of the login.
    pub login: Duration,
    /// For one call when the caller names no other limit.
    pub call: Duration,
    pub body_bytes_max: usize,
    pub rpc: rpc::core::Options,
    /// Set once a server has offered SCRAM: taking it away again is then refused.
    pub require_scram: bool,
    /// Ties SCRAM to the certificate seen. Off only behind a proxy that ends TLS.
    pub channel_binding: bool,
    /// What logins are taken from.
    pub budget: Arc<Budget>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            deadlines: Deadlines::default(),
            outbound: Outbound::default(),
            login: Duration::from_secs(30),
            call: Duration::from_secs(30),
            body_bytes_max: http::BODY_BYTES_MAX,
            rpc: rpc::core::Options::default(),
            require_scram: false,
            channel_binding: true,
            budget: Budget::shared(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    JsonRpcWebsocket,
    /// 24.x, and CORE where it has one.
    LegacyWebsocket,
    /// What is left when there is no websocket at all. Tells no events.
    LegacyRest,
}

impl Mode {
    pub fn label(self) -> &'static str {
        match self {
            Self::JsonRpcWebsocket => "jsonrpc-websocket",
            Self::LegacyWebsocket => "legacy-websocket",
            Self::LegacyRest => "legacy-rest",
        }
    }
}

/// What was negotiated. Nothing in it is secret.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    pub mode: Mode,
    /// `v25.10.5`, `current`, `websocket` for the legacy one, or `v2.0` for REST.
    pub api_version: String,
    /// As the NAS words it; empty when it would not say.
    pub appliance_version: String,
    /// The line of the appliance itself: the shape of its events.
    pub line: Option<Line>,
    pub auth_mechanism: Mechanism,
    pub tls: bool,
    pub peer_fingerprint: Option<Fingerprint>,
    pub endpoint: Endpoint,
}

impl SessionInfo {
    /// The line whose shapes the replies have: that of the pinned API, else that of the appliance.
    pub fn dialect(&self) -> Option<Line> {
        version::api_line(&self.api_version).or(self.line)
    }
}

#[derive(Debug)]
pub struct Session {
    info: SessionInfo,
    call_limit: Duration,
    channel: Channel,
    notices: Option<mpsc::Receiver<Notice>>,
}

#[derive(Debug)]
enum Channel {
    Rpc(Link),
    Rest {
        rest: rest::Rest,
        open: tokio::sync::watch::Sender<bool>,
        /// Kept so that the stream of notices stays open, and silent.
        _silent: mpsc::Sender<Notice>,
    },
}

impl Session {
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Calls a method with the default limit.
    pub async fn call(&self, method: &str, params: &Value) -> Result<Reply, CallError> {
        self.call_within(method, params, self.call_limit).await
    }

    pub async fn call_within(
        &self,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        match &self.channel {
            Channel::Rpc(link) => link.call(method, params, limit).await,
            Channel::Rest { .. } => {
                Err(CallError::NoMethod { reason: "this appliance speaks REST".to_owned() })
            }
        }
    }

    /// `path` below `/api/v2.0`, as in `/pool`.
    pub async fn rest_get(&self, path: &str, query: &[(&str, &str)]) -> Result<Reply, CallError> {
        self.rest_get_within(path, query, self.call_limit).await
    }

    pub async fn rest_get_within(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Reply, CallError> {
        match &self.channel {
            Channel::Rest { rest, .. } => rest.get(path, query, limit).await,
            Channel::Rpc(_) => Err(no_rest()),
        }
    }

    /// A method with arguments: `body` is the only one, or an object of named ones.
    pub async fn rest_post(&self, path: &str, body: &Value) -> Result<Reply, CallError> {
        self.rest_post_within(path, body, self.call_limit).await
    }

    pub async fn rest_post_within(
        &self,
        path: &str,
        body: &Value,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        match &self.channel {
            Channel::Rest { rest, .. } => rest.post(path, body, limit).await,
            Channel::Rpc(_) => Err(no_rest()),
        }
    }

    /// Asks for the events of a collection. Over REST there are none.
    pub async fn subscribe(&self, collection: &str) -> Result<(), CallError> {
        self.call("core.subscribe", &json!([collection])).await.map(|_uuid| ())
    }

    /// The stream of what the server tells on its own; there is one, and it is handed out once.
    /// Over REST it never yields.
    pub fn take_notices(&mut self) -> Option<mpsc::Receiver<Notice>> {
        self.notices.take()
    }

    /// Resolves when the session has ended. Over REST that is when it is closed here.
    pub async fn closed(&self) -> CloseReason {
        match &self.channel {
            Channel::Rpc(link) => link.closed().await,
            Channel::Rest { open, .. } => {
                let mut open = open.subscribe();
                let _sender_gone = open.wait_for(|open| !open).await.is_err();
                CloseReason::Ours
            }
        }
    }

    pub async fn close(&self) {
        match &self.channel {
            Channel::Rpc(link) => {
                link.close().await;
            }
            Channel::Rest { open, .. } => {
                open.send_replace(false);
            }
        }
    }
}

fn no_rest() -> CallError {
    CallError::NoMethod { reason: "this session is one of calls over a websocket".to_owned() }
}
