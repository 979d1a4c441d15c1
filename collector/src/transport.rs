//! Bytes in, bytes out: where a NAS is reached and how far it is trusted.
//!
//! Owns name resolution, TCP, TLS, HTTP and the WebSocket upgrade. Knows no JSON-RPC and no login.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

pub mod certificate;
pub mod dial;
pub mod error;
mod framewise;
pub mod http;
pub mod outbound;
pub mod redirect;
pub mod tls;
pub mod verify;
pub mod ws;

pub use crate::connection::fingerprint::{self, Fingerprint};
pub use certificate::Certificate;
pub use error::{TlsCause, TlsFailure, TransportError};
pub use outbound::Outbound;

/// One address of a NAS and how it is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub security: Security,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Security {
    Plaintext,
    Tls(Trust),
}

/// One end of a connection to the other: what a NAS tells its clients apart by, and which NAS it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub from: IpAddr,
    /// With its port: behind a router several appliances may share an address.
    pub to: SocketAddr,
}

/// What makes a server certificate acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The roots of this machine, read again at each connect.
    SystemRoots,
    /// PEM text with the only roots that count.
    CustomCa(String),
    /// This leaf and no other; names, dates and issuers do not matter.
    Pinned(Fingerprint),
    /// Anything. Visible in the status of the connection.
    Insecure,
}

impl Endpoint {
    pub fn is_tls(&self) -> bool {
        matches!(self.security, Security::Tls(_))
    }

    /// Host and port as a URL wants them, the port left out when it is the default one.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.is_tls() { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }

    pub fn http_url(&self, path: &str) -> String {
        let scheme = if self.is_tls() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.authority())
    }

    pub fn ws_url(&self, path: &str) -> String {
        let scheme = if self.is_tls() { "wss" } else { "ws" };
        format!("{scheme}://{}{path}", self.authority())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.http_url(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let mut endpoint =
            Endpoint { host: "nas".into(), port: 443, security: Security::Tls(Trust::Insecure) };
        assert_eq!(endpoint.ws_url("/api/current"), "wss://nas/api/current");
        endpoint.port = 8443;
        assert_eq!(endpoint.http_url("/x"), "https://nas:8443/x");
        endpoint = Endpoint { host: "fe80::1".into(), port: 80, security: Security::Plaintext };
        assert_eq!(endpoint.to_string(), "http://[fe80::1]");
    }
}
