//! Calls over REST v2.0, for the appliances that speak nothing better.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::login::Mechanism;
use crate::rpc::frame::without_nan;
use crate::rpc::{CallError, CloseReason, Reply};
use crate::secret::Credential;
use crate::transport::http::{Answer, Authorization, Client, Request};
use crate::transport::redirect::Redirect;
use crate::transport::ws::Closed;
use crate::transport::{Fingerprint, TransportError};

const BASE: &str = "/api/v2.0";
/// What is kept of a server's message.
const TEXT_CHARS_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct Rest {
    client: Client,
    authorization: Authorization,
    credential: Credential,
}

impl Rest {
    pub(super) fn new(client: Client, credential: &Credential) -> Self {
        let authorization = match credential {
            Credential::ApiKey { key, .. } => Authorization::Bearer(key.clone()),
            Credential::Password { username, password } => {
                Authorization::Basic { username: username.clone(), password: password.clone() }
            }
        };
        Self { client, authorization, credential: credential.clone() }
    }

    pub(super) async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: Duration,
    ) -> Result<Reply, CallError> {
        let path = format!("{BASE}{path}");
        self.exchange(Request::Get { path: &path, query }, limit).await
    }

    pub(super) async fn post(
        &self,
        path: &str,
        body: &serde_json::Value,
        limit: Duration,
    ) -> Result<Reply, CallError> {
        let path = format!("{BASE}{path}");
        self.exchange(Request::Post { path: &path, body }, limit).await
    }

    pub(super) fn observed(&self) -> Option<Fingerprint> {
        self.client.observed()
    }

    async fn exchange(&self, request: Request<'_>, limit: Duration) -> Result<Reply, CallError> {
        let outcome = match self.client.send(request, &self.authorization, limit).await {
            Ok(answer) => sort(&answer),
            Err(TransportError::Deadline { limit, .. }) => Err(CallError::Deadline { limit }),
            Err(error @ TransportError::TooLarge { .. }) => {
                Err(CallError::Malformed { reason: error.to_string() })
            }
            // Whatever is not there is led to another path. Who leads elsewhere is not the NAS, and says nothing of what it has.
            Err(TransportError::Redirect(redirect @ Redirect::SamePlace { .. })) => {
                Err(CallError::NoMethod { reason: redirect.to_string() })
            }
            Err(TransportError::Redirect(redirect)) => {
                Err(CallError::Closed(CloseReason::Garbage(redirect.to_string())))
            }
            Err(other) => Err(CallError::Closed(CloseReason::Socket(Closed::Lost(other.to_string())))),
        };
        outcome.map_err(|error| super::error::redact_call(error, &self.credential))
    }
}

pub(super) fn mechanism(credential: &Credential) -> Mechanism {
    match credential {
        Credential::ApiKey { .. } => Mechanism::RestBearer,
        Credential::Password { .. } => Mechanism::RestBasic,
    }
}

/// Status and body to an outcome. Tracebacks in the body are not read.
fn sort(answer: &Answer) -> Result<Reply, CallError> {
    match answer.status {
        200..=299 => raw(&answer.body).map(Reply),
        401 => Err(CallError::NotAuthenticated { reason: "status 401".to_owned() }),
        403 => Err(CallError::NotAuthorized { reason: "status 403".to_owned() }),
        404 | 405 => Err(CallError::NoMethod { reason: format!("status {}", answer.status) }),
        422 => Err(CallError::Invalid { reason: message(&answer.body, 422), extra: None }),
        429 => Err(CallError::Busy { reason: message(&answer.body, 429) }),
        502..=504 => Err(CallError::Unavailable { reason: message(&answer.body, answer.status) }),
        status => Err(CallError::Call {
            errno: None,
            errname: String::new(),
            reason: message(&answer.body, status),
        }),
    }
}

fn raw(body: &[u8]) -> Result<Box<RawValue>, CallError> {
    let malformed = |reason: String| CallError::Malformed { reason };
    let text = std::str::from_utf8(body).map_err(|_| malformed("text that is not UTF-8".to_owned()))?;
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => Ok(raw.to_owned()),
        Err(error) => {
            let clean = without_nan(text).into_owned();
            RawValue::from_string(clean).map_err(|_| malformed(error.to_string()))
        }
    }
}

#[derive(Deserialize)]
struct Failure {
    message: String,
}

fn message(body: &[u8], status: u16) -> String {
    match serde_json::from_slice::<Failure>(body) {
        Ok(Failure { message }) => {
            format!("status {status}: {}", message.chars().take(TEXT_CHARS_MAX).collect::<String>())
        }
        Err(_) => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        for (status, body, want) in [
            (200, "[1, NaN]", "Ok(Reply(RawValue([1, null])))"),
            (200, "<html>", "Err(Malformed"),
            (200, "{\"a\":", "Err(Malformed"),
            (401, "", "Err(NotAuthenticated"),
            (403, "", "Err(NotAuthorized"),
            (404, "", "Err(NoMethod"),
            (
                422,
                "{\"message\":\"bad filter\",\"errno\":22}",
                "Err(Invalid { reason: \"status 422: bad filter\"",
            ),
            (429, "{\"message\":\"slow down\"}", "Err(Busy { reason: \"status 429: slow down\""),
            (502, "<html>", "Err(Unavailable"),
            (503, "<html>", "Err(Unavailable"),
            (504, "", "Err(Unavailable { reason: \"status 504\""),
            (500, "{\"message\":\"boom\",\"traceback\":\"planted\"}", "Err(Call"),
        ] {
            let got = format!("{:?}", sort(&Answer { status, body: body.into() }));
            assert!(got.starts_with(want), "{status} {body}: {got}");
            assert!(!got.contains("planted"));
        }
    }
}
