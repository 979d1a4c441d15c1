//! The ladder of login mechanisms over an open link: SCRAM, plain with TLS, legacy with TLS; and the two that 24.x has.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::budget::Budget;
use super::error::{ConnectError, Refusal};
use super::scram::{self, ChannelBinding, ScramError};
use super::version::{FIRST_SCRAM_LINE, Line};
use crate::rpc::{CallError, Link, Reply};
use crate::secret::{Credential, Secret, split_key};
use crate::transport::Route;

/// Logins that hash at the same time; each costs half a second of a core.
const HASHES_MAX: usize = 4;
static HASHES: Semaphore = Semaphore::const_new(HASHES_MAX);
/// Controllers that a standby may name.
pub(super) const REDIRECT_URLS_MAX: usize = 4;
/// EOPNOTSUPP: the mechanism is switched off by the NAS's security level.
const EOPNOTSUPP: i64 = 95;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Scram,
    ApiKeyPlain,
    ApiKeyLegacy,
    PasswordPlain,
    PasswordLegacy,
    RestBearer,
    RestBasic,
}

impl Mechanism {
    /// How 24.x is logged in to with this credential.
    fn legacy(credential: &Credential) -> Self {
        match credential {
            Credential::ApiKey { .. } => Self::ApiKeyLegacy,
            Credential::Password { .. } => Self::PasswordLegacy,
        }
    }

    pub fn label(self) -> &'static str {
        match self {
            Self::Scram => "scram-sha-512",
            Self::ApiKeyPlain => "api-key-plain",
            Self::ApiKeyLegacy => "legacy-api-key",
            Self::PasswordPlain => "password-plain",
            Self::PasswordLegacy => "legacy-password",
            Self::RestBearer => "rest-bearer-api-key",
            Self::RestBasic => "rest-basic-password",
        }
    }
}

/// What the login must know of the connection it happens on.
pub(super) struct Context {
    pub(super) tls: bool,
    pub(super) binding: Option<ChannelBinding>,
    pub(super) require_scram: bool,
    /// The newest line that the server says to speak; `None` when it does not say.
    pub(super) line: Option<Line>,
    pub(super) limit: Duration,
    pub(super) budget: Arc<Budget>,
    pub(super) route: Option<Route>,
}

impl Context {
    /// The line has SCRAM: a server of it that does not offer it is not one to show a key to.
    fn has_scram(&self) -> Option<Line> {
        self.line.filter(|line| *line >= FIRST_SCRAM_LINE)
    }

    /// Before each call that the NAS counts as a login.
    fn spend(&self) -> Result<(), ConnectError> {
        let Some(route) = self.route else { return Ok(()) };
        self.budget.spend(route, Instant::now()).map_err(|wait| ConnectError::LoginsSpent { wait })
    }

    /// Sorts how such a call failed. That there were too many holds for every connection that takes the same way.
    fn failed(&self, error: CallError) -> ConnectError {
        match error {
            CallError::Call { errno: Some(EOPNOTSUPP), reason, .. } => {
                ConnectError::Refused(Refusal::NotPermitted(reason))
            }
            CallError::Busy { reason } => {
                if let Some(route) = self.route {
                    self.budget.exhaust(route, Instant::now());
                }
                ConnectError::Login(CallError::Busy { reason })
            }
            other => ConnectError::Login(other),
        }
    }
}

#[derive(Debug)]
pub(super) enum Outcome {
    In(Mechanism),
    /// A standby controller: log in at one of these instead.
    Elsewhere(Vec<String>),
}

pub(super) async fn login(
    link: &Link,
    credential: &Credential,
    context: &Context,
) -> Result<Outcome, ConnectError> {
    match credential {
        Credential::Password { username, password } => {
            refuse_plaintext(context, Mechanism::PasswordPlain)?;
            context.spend()?;
            let request = json!([{
                "mechanism": "PASSWORD_PLAIN", "username": username, "password": password.expose(),
                "login_options": {"user_info": false},
            }]);
            login_ex(link, &request, context, Mechanism::PasswordPlain).await
        }
        Credential::ApiKey { username, key } => {
            context.spend()?;
            match (username, split_key(key.expose())) {
                (Some(username), Some((id, part))) if offers_scram(link, context).await? => {
                    scram_login(link, username, id, &Secret::new(part), context).await
                }
                (None, _) if context.has_scram().is_some() => Err(ConnectError::UsernameNeeded),
                (Some(_), None) if context.has_scram().is_some() => Err(ConnectError::KeyForm),
                _ if context.require_scram => Err(ConnectError::ScramStripped),
                (Some(username), _) => match context.has_scram() {
                    Some(line) => Err(ConnectError::ScramNotOffered { line }),
                    None => plain_key(link, username, key, context).await,
                },
                (None, _) => legacy_key(link, key, context).await,
            }
        }
    }
}

fn refuse_plaintext(context: &Context, mechanism: Mechanism) -> Result<(), ConnectError> {
    if context.tls { Ok(()) } else { Err(ConnectError::PlaintextRefused { mechanism: mechanism.label() }) }
}

/// Some releases of 25.04 and 25.10 answer this with an error to callers that are not logged in: then there is no SCRAM. A server that is
/// busy, or gone, has not said so.
async fn offers_scram(link: &Link, context: &Context) -> Result<bool, ConnectError> {
    let raw = match link.call("auth.mechanism_choices", &json!([]), context.limit).await {
        Ok(Reply(raw)) => raw,
        Err(
            error @ (CallError::Busy { .. }
            | CallError::Unavailable { .. }
            | CallError::Closed(_)
            | CallError::Deadline { .. }),
        ) => return Err(context.failed(error)),
        Err(_) => return Ok(false),
    };
    let choices: Vec<serde_json::Value> = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut choices = choices.iter().filter_map(serde_json::Value::as_str);
    Ok(choices.any(|choice| choice.eq_ignore_ascii_case("SCRAM")))
}

async fn plain_key(
    link: &Link,
    username: &str,
    key: &Secret,
    context: &Context,
) -> Result<Outcome, ConnectError> {
    refuse_plaintext(context, Mechanism::ApiKeyPlain)?;
    let request = json!([{
        "mechanism": "API_KEY_PLAIN", "username": username, "api_key": key.expose(),
        "login_options": {"user_info": false},
    }]);
    login_ex(link, &request, context, Mechanism::ApiKeyPlain).await
}

async fn legacy_key(link: &Link, key: &Secret, context: &Context) -> Result<Outcome, ConnectError> {
    let request = json!([key.expose()]);
    match legacy_call(link, "auth.login_with_api_key", &request, Mechanism::ApiKeyLegacy, context).await {
        // Gone from the newest lines, where a key has an owner.
        Err(ConnectError::Login(CallError::NoMethod { .. })) => Err(ConnectError::UsernameNeeded),
        other => other,
    }
}

/// The login of the lines that know neither mechanisms nor owners of keys.
pub(super) async fn legacy_login(
    link: &Link,
    credential: &Credential,
    context: &Context,
) -> Result<Outcome, ConnectError> {
    refuse_plaintext(context, Mechanism::legacy(credential))?;
    context.spend()?;
    match credential {
        Credential::ApiKey { key, .. } => legacy_key(link, key, context).await,
        Credential::Password { username, password } => {
            let request = json!([username, password.expose()]);
            legacy_call(link, "auth.login", &request, Mechanism::PasswordLegacy, context).await
        }
    }
}

/// Yes or no is all that these methods say.
async fn legacy_call(
    link: &Link,
    method: &str,
    request: &serde_json::Value,
    mechanism: Mechanism,
    context: &Context,
) -> Result<Outcome, ConnectError> {
    refuse_plaintext(context, mechanism)?;
    match link.call(method, request, context.limit).await {
        Ok(Reply(raw)) if raw.get() == "true" => Ok(Outcome::In(mechanism)),
        Ok(Reply(raw)) if raw.get() == "false" => Err(ConnectError::Refused(Refusal::Wrong)),
        Ok(_) => {
            Err(ConnectError::Login(CallError::Malformed { reason: "neither true nor false".to_owned() }))
        }
        Err(error) => Err(context.failed(error)),
    }
}

#[derive(Deserialize)]
struct Answer {
    response_type: String,
    #[serde(default)]
    urls: Option<Vec<String>>,
    #[serde(default)]
    scram_type: Option<String>,
    #[serde(default)]
    rfc_str: Option<String>,
}

async fn login_ex(
    link: &Link,
    request: &serde_json::Value,
    context: &Context,
    mechanism: Mechanism,
) -> Result<Outcome, ConnectError> {
    let answer = ask(link, request, context).await?;
    if answer.response_type == "SUCCESS" { Ok(Outcome::In(mechanism)) } else { other_answer(answer) }
}

async fn ask(link: &Link, request: &serde_json::Value, context: &Context) -> Result<Answer, ConnectError> {
    let Reply(raw) =
        link.call("auth.login_ex", request, context.limit).await.map_err(|error| context.failed(error))?;
    serde_json::from_str(raw.get()).map_err(|_| {
        ConnectError::Login(CallError::Malformed { reason: "not an answer to a login".to_owned() })
    })
}

/// Every answer that is not the one hoped for.
fn other_answer(answer: Answer) -> Result<Outcome, ConnectError> {
    let refusal = match answer.response_type.as_str() {
        "REDIRECT" => {
            let urls = answer.urls.unwrap_or_default().into_iter().take(REDIRECT_URLS_MAX).collect();
            return Ok(Outcome::Elsewhere(urls));
        }
        "AUTH_ERR" => Refusal::Wrong,
        "EXPIRED" => Refusal::Expired,
        "OTP_REQUIRED" => Refusal::OtpRequired,
        "DENIED" => Refusal::Denied,
        other => Refusal::Unknown(other.chars().take(64).collect()),
    };
    Err(ConnectError::Refused(refusal))
}

async fn scram_login(
    link: &Link,
    username: &str,
    key_id: &str,
    key_part: &Secret,
    context: &Context,
) -> Result<Outcome, ConnectError> {
    // Taken before the exchange begins, so that no server waits in the middle of it. Never closed: this cannot fail.
    let _place = HASHES.acquire().await;
    // Both messages are counted, and the first is taken already.
    context.spend()?;
    let client = scram::Client::new(username, key_id, rand::random(), context.binding.clone());
    let first = scram_request("CLIENT_FIRST_MESSAGE", &client.first_message());
    let answer = ask(link, &first, context).await?;
    let server_first = match scram_text(answer, "SERVER_FIRST_RESPONSE")? {
        Ok(text) => text,
        Err(outcome) => return Ok(outcome),
    };

    // Half a second of hashing has no place on a thread that serves other appliances.
    let part = key_part.clone();
    let proven =
        tokio::task::spawn_blocking(move || client.final_message(part.expose(), &server_first)).await;
    let (message, expectation) = proven.map_err(|_| ScramError::Unreadable)??;

    let answer = ask(link, &scram_request("CLIENT_FINAL_MESSAGE", &message), context).await?;
    match scram_text(answer, "SERVER_FINAL_RESPONSE")? {
        Ok(text) => expectation.verify(&text)?,
        Err(outcome) => return Ok(outcome),
    }
    Ok(Outcome::In(Mechanism::Scram))
}

fn scram_request(kind: &str, message: &str) -> serde_json::Value {
    json!([{
        "mechanism": "SCRAM", "scram_type": kind, "rfc_str": message, "login_options": {"user_info": false},
    }])
}

/// The text of the expected SCRAM answer, or what came instead. Success without a proof is no success.
fn scram_text(answer: Answer, kind: &str) -> Result<Result<String, Outcome>, ConnectError> {
    match answer {
        Answer { response_type, rfc_str: Some(text), scram_type, .. }
            if response_type == "SCRAM_RESPONSE" && scram_type.as_deref().is_none_or(|got| got == kind) =>
        {
            Ok(Ok(text))
        }
        Answer { response_type, .. } if response_type == "SUCCESS" => Err(ScramError::ServerProof.into()),
        Answer { response_type, .. } if response_type == "SCRAM_RESPONSE" => {
            Err(ScramError::Unreadable.into())
        }
        other => other_answer(other).map(Err),
    }
}
