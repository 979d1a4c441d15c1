//! What can go wrong between here and the NAS's door, each cause by name.

use std::time::Duration;

use super::Fingerprint;
use super::redirect::Redirect;

#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    #[error("cannot resolve {host}: {cause}")]
    Resolve { host: String, cause: String },
    #[error("cannot connect to {address}: {cause}")]
    Connect { address: String, cause: String },
    #[error("{address} may not be reached from here: {why}")]
    Forbidden { address: std::net::IpAddr, why: String },
    #[error("no answer within {} s: {step}", limit.as_secs_f32())]
    Deadline { step: &'static str, limit: Duration },
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    #[error("http exchange failed: {cause}")]
    Http { cause: String },
    #[error("the reply is too large: more than the limit of {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("{0}")]
    Redirect(Redirect),
    #[error("no JSON-RPC websocket here, as on TrueNAS before 25.04, whose logins need https")]
    OldOverPlaintext,
    #[error("the websocket upgrade was refused with status {status}")]
    UpgradeRefused { status: u16 },
    #[error("the websocket upgrade failed: {cause}")]
    Upgrade { cause: String },
}

/// A TLS handshake that did not end well, with the certificate that was seen, when one was.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct TlsFailure {
    pub cause: TlsCause,
    pub observed: Option<Fingerprint>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsCause {
    #[error("the certificate is not signed by an authority that is trusted here")]
    UnknownCa,
    #[error("the certificate has expired")]
    Expired,
    #[error("the certificate is not valid yet")]
    NotYetValid,
    #[error("the certificate is for another name than {expected} (it names {})", names(presented))]
    NameMismatch { expected: String, presented: Vec<String> },
    #[error("the certificate is not the pinned one: expected {expected}, observed {observed}")]
    PinMismatch { expected: Fingerprint, observed: Fingerprint },
    #[error("the server does not speak TLS on this port")]
    NotTls,
    #[error("the server closed the connection during the TLS handshake")]
    ClosedInHandshake,
    #[error("the server offers no protocol version or cipher that is accepted here (TLS 1.2 or later)")]
    Incompatible,
    #[error("the configured CA bundle cannot be used: {0}")]
    BadCa(String),
    #[error("the trusted roots of this machine cannot be read: {0}")]
    NoRoots(String),
    #[error("the host name cannot be used for TLS")]
    BadName,
    #[error("the TLS handshake failed: {0}")]
    Other(String),
}

fn names(presented: &[String]) -> String {
    if presented.is_empty() { "nothing".to_owned() } else { presented.join(", ") }
}

impl TransportError {
    /// The certificate the server showed, when the failure came after that.
    pub fn observed(&self) -> Option<Fingerprint> {
        match self {
            Self::Tls(failure) => failure.observed,
            _ => None,
        }
    }

    pub fn remedy(&self) -> String {
        match self {
            Self::Resolve { .. } => "check the host name and this machine's name servers".to_owned(),
            Self::Connect { .. } => {
                "check the address, the port, the firewall, and that the NAS is running".to_owned()
            }
            Self::Forbidden { .. } => {
                "check where the name points to; if the NAS really is there, change outbound.allow or outbound.deny of the collector"
                    .to_owned()
            }
            Self::Deadline { .. } => "check that the NAS is responsive and reachable; try again later".to_owned(),
            Self::Tls(failure) => failure.remedy(),
            Self::Http { .. } | Self::Upgrade { .. } => {
                "check that the port is the one of the TrueNAS web interface and that no proxy stands in between"
                    .to_owned()
            }
            Self::TooLarge { .. } => "raise the limit for replies, or look at why the NAS sends so much".to_owned(),
            Self::Redirect(redirect) => redirect.remedy(),
            Self::OldOverPlaintext => {
                "use https for this connection: without TLS, a NAS of this age would get the secret in the clear"
                    .to_owned()
            }
            Self::UpgradeRefused { status: 502..=504 } => {
                "the NAS is starting or restarting its services; it is tried again".to_owned()
            }
            Self::UpgradeRefused { .. } => {
                "check that this is a TrueNAS and that a reverse proxy in front of it passes websockets".to_owned()
            }
        }
    }
}

impl TlsFailure {
    pub fn remedy(&self) -> String {
        let pin = self.observed.map_or_else(String::new, |seen| format!("; its fingerprint is {seen}"));
        match &self.cause {
            TlsCause::UnknownCa => {
                format!("pin the certificate after checking it on the NAS, or give its CA{pin}")
            }
            TlsCause::Expired | TlsCause::NotYetValid => {
                format!("renew the certificate on the NAS, check both clocks, or pin it{pin}")
            }
            TlsCause::NameMismatch { .. } => {
                format!("use a name that the certificate carries, or pin the certificate{pin}")
            }
            TlsCause::PinMismatch { .. } => {
                "if the certificate was renewed on purpose, pin the observed fingerprint; otherwise somebody may be in between".to_owned()
            }
            TlsCause::NotTls => "use the https port of the NAS, or switch TLS off for a plain port".to_owned(),
            TlsCause::ClosedInHandshake => "check that the port is the https port of the NAS".to_owned(),
            TlsCause::Incompatible => "enable TLS 1.2 or 1.3 on the NAS".to_owned(),
            TlsCause::BadCa(_) => "give the CA as PEM text with at least one certificate".to_owned(),
            TlsCause::NoRoots(_) => "install the CA certificates package, or give a CA or a pin".to_owned(),
            TlsCause::BadName => "use a plain host name or address".to_owned(),
            TlsCause::Other(_) => "check the TLS settings of the NAS".to_owned(),
        }
    }
}
