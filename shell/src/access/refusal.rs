//! Why a call is not let through, as gRPC and as HTTP say it. Never says more
//! about a credential than its holder knows.

use std::collections::HashMap;
use std::time::Duration;

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::Role;

/// Whose reasons these are.
const DOMAIN: &str = "pulse.access";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing answers there.
    NoSuchPath,
    NoCredential,
    BadCredential,
    Expired,
    /// Known by name, without a grant.
    NoGrant(String),
    Role {
        has: Role,
        needs: Role,
    },
    /// The credential sees only some labels, and the method cannot keep to that.
    Scoped,
    /// It is limited by a label that keeps nothing apart.
    ScopeNotKept(String),
    TooFast(Duration),
    /// Nobody is asked who he is, and a browser was led here by a name that is not known.
    UnknownHost,
}

impl Refusal {
    /// Nothing is wrong but that nobody knows who it is.
    pub(super) const fn asks_to_sign_in(&self) -> bool {
        matches!(self, Self::NoCredential | Self::BadCredential | Self::Expired)
    }

    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::NoSuchPath => "NO_SUCH_METHOD",
            Self::NoCredential => "NO_CREDENTIAL",
            Self::BadCredential => "BAD_CREDENTIAL",
            Self::Expired => "CREDENTIAL_EXPIRED",
            Self::NoGrant(_) => "NO_GRANT",
            Self::Role { .. } => "ROLE_MISSING",
            Self::Scoped => "CREDENTIAL_IS_SCOPED",
            Self::ScopeNotKept(_) => "SCOPE_NOT_KEPT",
            Self::TooFast(_) => "TOO_FAST",
            Self::UnknownHost => "UNKNOWN_HOST",
        }
    }

    const fn codes(&self) -> (Code, StatusCode) {
        match self {
            Self::NoSuchPath => (Code::Unimplemented, StatusCode::NOT_FOUND),
            Self::NoCredential | Self::BadCredential | Self::Expired => {
                (Code::Unauthenticated, StatusCode::UNAUTHORIZED)
            }
            Self::NoGrant(_) | Self::Role { .. } | Self::Scoped | Self::ScopeNotKept(_) => {
                (Code::PermissionDenied, StatusCode::FORBIDDEN)
            }
            Self::UnknownHost => (Code::PermissionDenied, StatusCode::MISDIRECTED_REQUEST),
            Self::TooFast(_) => (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS),
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::NoSuchPath => "nothing answers here".to_owned(),
            Self::NoCredential => {
                "show a bearer token or a client certificate; an administrator makes a token \
                                   with `tokens create`"
                    .to_owned()
            }
            Self::BadCredential => "the credential is not known here, or was revoked".to_owned(),
            Self::Expired => "the credential has expired; ask for a new one".to_owned(),
            Self::NoGrant(name) => {
                format!("{name} may do nothing here; an administrator allows it with `grants add`")
            }
            Self::Role { has, needs } => {
                format!("this needs the role {}, and the credential has {}", needs.token(), has.token())
            }
            Self::Scoped => {
                "the credential sees only what carries its labels, and this shows more".to_owned()
            }
            Self::ScopeNotKept(label) => {
                format!(
                    "the credential is limited by the label {label:?}, which keeps nothing apart here; an \
                     administrator names it in merge.boundary_labels, or limits the credential by a label which \
                     stands there"
                )
            }
            Self::UnknownHost => {
                "nobody is asked who he is here, so this answers by address and as localhost only; allow another name \
                 with the setting console.allowed_hosts of the registry or http.allowed_hosts of the collector, or make a token with `tokens create`"
                    .to_owned()
            }
            Self::TooFast(after) => format!("too many calls from this address; try again in {after:?}"),
        }
    }

    pub(super) fn status(&self) -> Status {
        let mut details = ErrorDetails::with_error_info(self.reason(), DOMAIN, HashMap::new());
        if let Self::TooFast(after) = self {
            details.set_retry_info(Some(*after));
        }
        Status::with_error_details(self.codes().0, self.message(), details)
    }

    pub(super) fn http<B: From<String>>(&self) -> http::Response<B> {
        let mut response = http::Response::new(B::from(format!("{}\n", self.message())));
        *response.status_mut() = self.codes().1;
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Self::TooFast(after) = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        response
    }
}
