//! Why a session could not be made, sorted for the supervisor and worded for people.

use std::time::Duration;

use crate::rpc::CallError;
use crate::secret::Credential;
use crate::transport::TransportError;
use crate::transport::redirect::Redirect;

use super::scram::ScramError;
use super::version::Line;

#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("{mechanism} would send the secret over a connection without TLS")]
    PlaintextRefused { mechanism: &'static str },
    #[error("the NAS refused the credential: {0}")]
    Refused(Refusal),
    #[error("the login could not be finished: {0}")]
    Login(CallError),
    #[error("enough logins left for this NAS within a minute; it takes the next in {} s", wait.as_secs() + 1)]
    LoginsSpent { wait: Duration },
    #[error("the SCRAM login failed: {0}")]
    Scram(#[from] ScramError),
    #[error("the server no longer offers SCRAM although it did before")]
    ScramStripped,
    #[error("a server of {line} has SCRAM, and this one does not offer it: the API key was not sent")]
    ScramNotOffered { line: Line },
    #[error("the server passed for one older than {line} until it was shown the API key")]
    LineHidden { line: Line },
    #[error("the API key is not of the form <number>-<text>, so it cannot be proven without being shown")]
    KeyForm,
    #[error("the server wants this API key together with the name of its owner")]
    UsernameNeeded,
    #[error("the NAS sends us to another controller, and none of {tried} led to a login")]
    RedirectLoop { tried: usize },
    #[error(
        "no JSON-RPC websocket (status {status}), and the version {version:?} is not one that is read without"
    )]
    DowngradeRefused { status: u16, version: String },
    #[error("no websocket (status {status}), and the REST API does not answer: {reason}")]
    NoApi { status: u16, reason: String },
}

/// How the NAS said no to a credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("wrong or revoked")]
    Wrong,
    #[error("expired or revoked")]
    Expired,
    #[error("a one-time password is asked for")]
    OtpRequired,
    #[error("correct, but without any API privilege")]
    Denied,
    #[error("correct, but its own list of what it may call leaves out all that is needed")]
    AllowList,
    #[error("not permitted: {0}")]
    NotPermitted(String),
    #[error("an answer that is not known here: {0}")]
    Unknown(String),
}

/// What the supervisor does next depends on this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Try again with backoff.
    Unreachable,
    /// Try again slowly: somebody has to change trust or certificate.
    Tls,
    /// What answers is not what it should be; try again with backoff.
    Protocol,
    /// Try again slowly: what answers failed to prove that it is the NAS, or asks for less proof than the NAS would.
    Untrusted,
    /// Stop: each try is audited and may lock the account.
    RefusedCredentials,
    /// Stop: it was good once, and a new one has to be made.
    ExpiredCredentials,
    /// Stop: a program has no second factor.
    SecondFactor,
    /// Try again after a minute at least.
    Busy,
    /// Stop: the credential is good but not enough.
    Forbidden,
    /// Stop: this appliance or this combination cannot be served.
    Unsupported,
    /// Stop: nothing was sent.
    PlaintextRefused,
}

impl ConnectError {
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Transport(error) => transport_class(error),
            Self::PlaintextRefused { .. } => FailureClass::PlaintextRefused,
            Self::Refused(Refusal::Denied | Refusal::AllowList | Refusal::NotPermitted(_)) => {
                FailureClass::Forbidden
            }
            Self::Refused(Refusal::Expired) => FailureClass::ExpiredCredentials,
            Self::Refused(Refusal::OtpRequired) => FailureClass::SecondFactor,
            Self::Refused(Refusal::Wrong | Refusal::Unknown(_)) | Self::Scram(ScramError::Refused(_)) => {
                FailureClass::RefusedCredentials
            }
            Self::LoginsSpent { .. } => FailureClass::Busy,
            Self::Login(error) => login_class(error),
            Self::Scram(_) | Self::ScramStripped | Self::ScramNotOffered { .. } | Self::LineHidden { .. } => {
                FailureClass::Untrusted
            }
            Self::NoApi { .. } => FailureClass::Protocol,
            Self::UsernameNeeded | Self::KeyForm | Self::DowngradeRefused { .. } => FailureClass::Unsupported,
            Self::RedirectLoop { .. } => FailureClass::Unreachable,
        }
    }

    pub fn remedy(&self) -> String {
        match self {
            Self::Transport(error) => error.remedy(),
            Self::PlaintextRefused { .. } => {
                "use https for this connection; TrueNAS revokes API keys that it sees without TLS".to_owned()
            }
            Self::Refused(refusal) => refusal.remedy().to_owned(),
            Self::Login(error) => match error {
                CallError::Busy { .. } => "too many logins from this address; it is tried again after a minute".to_owned(),
                CallError::Unavailable { .. } => {
                    "the NAS is starting or restarting its services; it is tried again".to_owned()
                }
                CallError::NotAuthorized { .. } => Refusal::Denied.remedy().to_owned(),
                _ => "check that the NAS is up and its middleware answers; it is tried again".to_owned(),
            },
            Self::LoginsSpent { .. } => {
                "it is tried again after a minute; look for connections to the same NAS that keep logging in".to_owned()
            }
            Self::Scram(ScramError::Refused(_)) => Refusal::Wrong.remedy().to_owned(),
            Self::Scram(ScramError::Iterations(_)) => {
                "the NAS itself asks for a number in between: check that nothing stands between here and the NAS, and make a new API key if it was changed there"
                    .to_owned()
            }
            Self::Scram(_) => {
                "the server did not prove that it knows the key: check that nothing stands between here and the NAS"
                    .to_owned()
            }
            Self::ScramStripped => {
                "check that nothing stands between here and the NAS; if the NAS was really downgraded, delete the connection and add it again"
                    .to_owned()
            }
            Self::ScramNotOffered { .. } => {
                "check that nothing stands between here and the NAS, and that its security level allows API keys"
                    .to_owned()
            }
            Self::LineHidden { .. } => {
                "check what stands between here and the NAS and hides its API versions; then make a new API key, since this one was shown"
                    .to_owned()
            }
            Self::KeyForm => "give the whole API key, as TrueNAS showed it once".to_owned(),
            Self::UsernameNeeded => "add the user name of the key's owner to the connection".to_owned(),
            Self::RedirectLoop { .. } => "connect to the virtual address of the pair".to_owned(),
            Self::DowngradeRefused { .. } => {
                "if a reverse proxy stands in front of the NAS, let it pass websockets on /api; anything else is used for 24.x and CORE only".to_owned()
            }
            Self::NoApi { .. } => {
                "check that host and port are those of a TrueNAS web interface".to_owned()
            }
        }
    }

    /// The fingerprint of the certificate that was seen, to offer it for pinning.
    pub fn observed(&self) -> Option<crate::transport::Fingerprint> {
        match self {
            Self::Transport(error) => error.observed(),
            _ => None,
        }
    }

    /// The same error with every text cleaned of the credential.
    #[must_use]
    pub fn redacted(self, credential: &Credential) -> Self {
        let clean = |text: String| credential.redact(&text);
        match self {
            Self::Transport(error) => Self::Transport(redact_transport(error, credential)),
            Self::Login(error) => Self::Login(redact_call(error, credential)),
            Self::Refused(Refusal::Unknown(text)) => Self::Refused(Refusal::Unknown(clean(text))),
            Self::Refused(Refusal::NotPermitted(text)) => Self::Refused(Refusal::NotPermitted(clean(text))),
            Self::Scram(ScramError::Refused(text)) => Self::Scram(ScramError::Refused(clean(text))),
            Self::DowngradeRefused { status, version } => {
                Self::DowngradeRefused { status, version: clean(version) }
            }
            Self::NoApi { status, reason } => Self::NoApi { status, reason: clean(reason) },
            other => other,
        }
    }
}

impl Refusal {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Wrong => {
                "check the key or password, and that the key was not revoked, then save the connection again"
            }
            Self::Expired => "make a new API key on the NAS and save it in the connection",
            Self::OtpRequired => {
                "this account uses two factors: use an API key, which is not asked for a second one"
            }
            Self::AllowList => {
                "make a key on the NAS whose list allows the method CALL and SUBSCRIBE on every resource (*)"
            }
            Self::Denied => "give the user a privilege with the role READONLY_ADMIN",
            Self::NotPermitted(_) => {
                "allow this kind of login for the user (API keys are off in high security mode), and give it READONLY_ADMIN"
            }
            Self::Unknown(_) => {
                "look at the audit log of the NAS; this release may be newer than what is known here"
            }
        }
    }
}

fn transport_class(error: &TransportError) -> FailureClass {
    match error {
        TransportError::Resolve { .. } | TransportError::Connect { .. } | TransportError::Deadline { .. } => {
            FailureClass::Unreachable
        }
        TransportError::Forbidden { .. } => FailureClass::Unreachable,
        TransportError::Tls(_) => FailureClass::Tls,
        TransportError::Redirect(Redirect::ToTls { .. }) | TransportError::OldOverPlaintext => {
            FailureClass::PlaintextRefused
        }
        TransportError::Redirect(_)
        | TransportError::Http { .. }
        | TransportError::Upgrade { .. }
        | TransportError::TooLarge { .. } => FailureClass::Protocol,
        TransportError::UpgradeRefused { status } => match status {
            502..=504 => FailureClass::Unreachable,
            429 => FailureClass::Busy,
            401 | 403 => FailureClass::Forbidden,
            _ => FailureClass::Protocol,
        },
    }
}

fn login_class(error: &CallError) -> FailureClass {
    match error {
        CallError::Busy { .. } | CallError::TooManyConcurrent => FailureClass::Busy,
        CallError::Deadline { .. } | CallError::Unavailable { .. } => FailureClass::Unreachable,
        CallError::Closed(reason) => match reason {
            crate::rpc::CloseReason::Socket(crate::transport::ws::Closed::ByServer {
                code: 1008, ..
            }) => FailureClass::Forbidden,
            crate::rpc::CloseReason::Unwelcome | crate::rpc::CloseReason::Garbage(_) => {
                FailureClass::Protocol
            }
            _ => FailureClass::Unreachable,
        },
        CallError::NotAuthorized { .. } => FailureClass::Forbidden,
        CallError::NotAuthenticated { .. } => FailureClass::RefusedCredentials,
        CallError::NoMethod { .. } => FailureClass::Unsupported,
        CallError::Invalid { .. }
        | CallError::Call { .. }
        | CallError::Malformed { .. }
        | CallError::TooLong { .. }
        | CallError::QueueFull { .. } => FailureClass::Protocol,
    }
}

fn redact_transport(error: TransportError, credential: &Credential) -> TransportError {
    let clean = |text: String| credential.redact(&text);
    match error {
        TransportError::Resolve { host, cause } => {
            TransportError::Resolve { host: clean(host), cause: clean(cause) }
        }
        TransportError::Connect { address, cause } => {
            TransportError::Connect { address, cause: clean(cause) }
        }
        TransportError::Http { cause } => TransportError::Http { cause: clean(cause) },
        TransportError::Upgrade { cause } => TransportError::Upgrade { cause: clean(cause) },
        TransportError::Redirect(Redirect::Elsewhere { location }) => {
            TransportError::Redirect(Redirect::Elsewhere { location: clean(location) })
        }
        TransportError::Redirect(Redirect::SamePlace { location }) => {
            TransportError::Redirect(Redirect::SamePlace { location: clean(location) })
        }
        other => other,
    }
}

/// A failed call with every text cleaned of the credential.
pub fn redact_call(error: CallError, credential: &Credential) -> CallError {
    let clean = |text: String| credential.redact(&text);
    match error {
        CallError::NotAuthenticated { reason } => CallError::NotAuthenticated { reason: clean(reason) },
        CallError::NotAuthorized { reason } => CallError::NotAuthorized { reason: clean(reason) },
        CallError::NoMethod { reason } => CallError::NoMethod { reason: clean(reason) },
        // What the server quotes of our parameters is not kept.
        CallError::Invalid { reason, extra: _ } => CallError::Invalid { reason: clean(reason), extra: None },
        CallError::Busy { reason } => CallError::Busy { reason: clean(reason) },
        CallError::Unavailable { reason } => CallError::Unavailable { reason: clean(reason) },
        CallError::Call { errno, errname, reason } => {
            CallError::Call { errno, errname: clean(errname), reason: clean(reason) }
        }
        CallError::Malformed { reason } => CallError::Malformed { reason: clean(reason) },
        CallError::Closed(reason) => CallError::Closed(redact_close(reason, credential)),
        other => other,
    }
}

fn redact_close(reason: crate::rpc::CloseReason, credential: &Credential) -> crate::rpc::CloseReason {
    use crate::rpc::CloseReason;
    use crate::transport::ws::Closed;
    let clean = |text: String| credential.redact(&text);
    match reason {
        CloseReason::Socket(Closed::ByServer { code, reason }) => {
            CloseReason::Socket(Closed::ByServer { code, reason: clean(reason) })
        }
        CloseReason::Socket(Closed::Lost(text)) => CloseReason::Socket(Closed::Lost(clean(text))),
        CloseReason::Socket(Closed::Protocol(text)) => CloseReason::Socket(Closed::Protocol(clean(text))),
        CloseReason::Garbage(text) => CloseReason::Garbage(clean(text)),
        other => other,
    }
}
