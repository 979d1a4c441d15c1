//! Runs the calls of one section over a session. Remembers what this release or this login does not have.
//!
//! Knows which failures end a session; decides nothing about when to read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::cost::Meter;
use crate::api::dataset::ZFS_RESOURCE_QUERY;
use crate::api::plan::{self, Call, Request};
use crate::api::pool::{Pool, decode_pools};
use crate::api::section::assemble;
use crate::api::snapshots::SNAPSHOT_COUNT;
use crate::api::{CallFailure, Dialect, Line, Section, SectionFailure, SectionRead, Tag, Transport};
use crate::rpc::{CallError, Reply};
use crate::secret::Credential;
use crate::session::error::redact_call;
use crate::session::{Mode, Session, SessionInfo};

/// Calls in flight per NAS. A section makes one after another.
pub const IN_FLIGHT_MAX: usize = 5;
/// Of those, for sections that are not urgent: a slow one never keeps pools and alerts waiting.
const PATIENT_MAX: usize = 3;
/// Plans of one read: the first, and those in which a call that is not there was replaced.
const PLANS_MAX: usize = 3;
/// A method that is not there, or not permitted, is asked for again after that: roles change, and appliances are upgraded.
const BELIEVED: Duration = Duration::from_hours(6);
/// The probe is meant to be cheap; when it is not, it is given up.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// How long one call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub call: Duration,
    /// For the sections that grow with the NAS.
    pub large_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_secs(30), large_call: Duration::from_mins(2) }
    }
}

impl Limits {
    fn of(self, section: Section) -> Duration {
        if section.spec().large { self.large_call } else { self.call }
    }
}

/// The session is of no further use, and a new one has to be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Lost(pub String);

/// How a call that changes the NAS ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Made,
    Forbidden,
    Unsupported,
    Failed(String),
}

/// Methods that are not there or not permitted, and until when that is believed: over every session with one release.
#[derive(Debug, Default)]
pub struct Lacking(Mutex<BTreeMap<String, Instant>>);

impl Lacking {
    fn add(&self, method: &str, until: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(method.to_owned(), until);
    }

    fn at(&self, now: Instant) -> BTreeSet<String> {
        let mut lacking = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.retain(|_, until| *until > now);
        lacking.keys().cloned().collect()
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[derive(Debug)]
pub struct Reader {
    session: Arc<Session>,
    /// Keeps it out of what is told of failures.
    credential: Credential,
    dialect: Dialect,
    limits: Limits,
    places: Semaphore,
    patient_places: Semaphore,
    lacking: Arc<Lacking>,
    meter: Arc<Mutex<Meter>>,
}

impl Reader {
    pub fn new(
        session: Arc<Session>,
        credential: Credential,
        limits: Limits,
        meter: Arc<Mutex<Meter>>,
        lacking: Arc<Lacking>,
    ) -> Self {
        let dialect = dialect(session.info());
        Self {
            session,
            credential,
            dialect,
            limits,
            places: Semaphore::new(IN_FLIGHT_MAX),
            patient_places: Semaphore::new(PATIENT_MAX),
            lacking,
            meter,
        }
    }

    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Reads a section with one call after another.
    pub async fn read(&self, section: Section) -> Result<Result<SectionRead, SectionFailure>, Lost> {
        let limit = self.limits.of(section);
        let _patience = if section.is_urgent() { None } else { self.patient_places.acquire().await.ok() };
        let mut replies = Vec::new();
        for _ in 0..PLANS_MAX {
            let plan = plan::requests(section, self.dialect, &self.unavailable());
            if plan.is_empty() {
                return Ok(Err(SectionFailure::Unsupported));
            }
            let (read, lacking) = self.run(plan, limit).await?;
            replies = read;
            let Some(lacking) = lacking else { break };
            // Known not to be there, and still in the plan: there is no other way.
            let again = plan::requests(section, self.dialect, &self.unavailable());
            if again.iter().any(|request| request.required && request.method == lacking) {
                break;
            }
        }
        Ok(assemble(section, &replies))
    }

    /// The cheap look at pool states, on lines that have one and while the session has a place free.
    pub async fn probe(&self) -> Result<Option<Vec<Pool>>, Lost> {
        let Some(request) = plan::pool_probe(self.dialect) else { return Ok(None) };
        if self.unavailable().contains(request.method) {
            return Ok(None);
        }
        let reply = self.call(&request, PROBE_LIMIT).await?;
        Ok(reply.ok().and_then(|reply| decode_pools(reply.as_bytes()).ok()).map(|pools| pools.rows))
    }

    /// Asks again for what was not there, as after a change of role.
    pub fn forget_unavailable(&self) {
        self.lacking.clear();
    }

    /// The replies, and the first required method that is not available. What follows such a one is not asked for.
    async fn run(
        &self,
        plan: Vec<Request>,
        limit: Duration,
    ) -> Result<(Replies, Option<&'static str>), Lost> {
        let mut replies = Vec::with_capacity(plan.len());
        for request in plan {
            let reply = self.call(&request, limit).await?;
            let lacking = matches!(reply, Err(CallFailure::Forbidden | CallFailure::Unsupported));
            let failed = reply.is_err();
            replies.push((request.tag, reply));
            if request.required && failed {
                return Ok((replies, lacking.then_some(request.method)));
            }
        }
        Ok((replies, None))
    }

    /// Makes a call that changes the NAS. A refusal is not remembered: who asks again wants it asked again.
    pub async fn change(&self, call: &Call) -> Result<Change, Lost> {
        Ok(match self.exchange(call, self.limits.call).await? {
            Ok(_reply) => Change::Made,
            Err(CallError::NotAuthorized { .. }) => Change::Forbidden,
            Err(CallError::NoMethod { .. }) => Change::Unsupported,
            Err(other) => Change::Failed(other.to_string()),
        })
    }

    async fn call(&self, request: &Request, limit: Duration) -> Result<Result<String, CallFailure>, Lost> {
        let failure = match self.exchange(&request.call, limit).await? {
            Ok(reply) => return Ok(Ok(reply)),
            Err(error) => failure(request.method, &error),
        };
        if !matches!(failure, CallFailure::Failed(_)) {
            self.lacking.add(request.method, Instant::now() + BELIEVED);
        }
        Ok(Err(failure))
    }

    /// One call, in its turn and counted. Its failure is free of the credential.
    async fn exchange(&self, call: &Call, limit: Duration) -> Result<Result<String, CallError>, Lost> {
        let Ok(_place) = self.places.acquire().await else { return Err(Lost("closed by us".to_owned())) };
        let began = Instant::now();
        let outcome = match call {
            Call::Rpc { method, params } => self.session.call_within(method, params, limit).await,
            Call::Rest { path, query } => {
                let query: Vec<(&str, &str)> =
                    query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                self.session.rest_get_within(path, &query, limit).await
            }
            Call::RestPost { path, body } => self.session.rest_post_within(path, body, limit).await,
        };
        let now = Instant::now();
        let bytes = outcome.as_ref().map_or(0, |Reply(raw)| raw.get().len());
        self.meter.lock().unwrap_or_else(PoisonError::into_inner).call(bytes, now.duration_since(began), now);
        match outcome {
            Ok(Reply(raw)) => Ok(Ok(Box::<str>::from(raw).into_string())),
            Err(error) if error.is_fatal() => Err(Lost(self.credential.redact(&error.to_string()))),
            Err(CallError::NotAuthorized { .. }) if self.has_expired(limit).await => {
                Err(Lost("the session has expired".to_owned()))
            }
            Err(error) => Ok(Err(redact_call(error, &self.credential))),
        }
    }

    /// An expired session is refused with the same code as a missing role; but this call needs no role.
    async fn has_expired(&self, limit: Duration) -> bool {
        let outcome = match self.dialect.transport {
            Transport::JsonRpc => self.session.call_within("auth.me", &serde_json::json!([]), limit).await,
            // Nothing expires on these lines, and over REST each call carries the credential.
            Transport::LegacyWebsocket | Transport::LegacyRest => return false,
        };
        matches!(outcome, Err(CallError::NotAuthorized { .. } | CallError::NotAuthenticated { .. }))
    }

    fn unavailable(&self) -> BTreeSet<String> {
        self.lacking.at(Instant::now())
    }
}

type Replies = Vec<(Tag, Result<String, CallFailure>)>;

fn failure(method: &str, error: &CallError) -> CallFailure {
    match error {
        CallError::NotAuthorized { .. } => CallFailure::Forbidden,
        CallError::NoMethod { .. } => CallFailure::Unsupported,
        // Young methods whose parameters still change; the older ones serve then.
        CallError::Invalid { .. } if [ZFS_RESOURCE_QUERY, SNAPSHOT_COUNT].contains(&method) => {
            CallFailure::Unsupported
        }
        other => CallFailure::Failed(format!("{method}: {other}")),
    }
}

/// The shapes to expect: those of the pinned API, else of the appliance, else the newest known.
pub fn dialect(info: &SessionInfo) -> Dialect {
    let transport = match info.mode {
        Mode::JsonRpcWebsocket => Transport::JsonRpc,
        Mode::LegacyWebsocket => Transport::LegacyWebsocket,
        Mode::LegacyRest => Transport::LegacyRest,
    };
    let line = info.dialect().and_then(|line| Line::from_version(&line.to_string()));
    Dialect { line: line.unwrap_or(Line::Newer), transport }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_sorted() {
        let invalid = || CallError::Invalid { reason: "extra fields".to_owned(), extra: None };
        for (method, error, want) in [
            ("pool.query", CallError::NotAuthorized { reason: String::new() }, Some(CallFailure::Forbidden)),
            ("pool.query", CallError::NoMethod { reason: String::new() }, Some(CallFailure::Unsupported)),
            (ZFS_RESOURCE_QUERY, invalid(), Some(CallFailure::Unsupported)),
            (SNAPSHOT_COUNT, invalid(), Some(CallFailure::Unsupported)),
            ("pool.query", invalid(), None),
            ("pool.query", CallError::Deadline { limit: Duration::from_secs(1) }, None),
            ("pool.query", CallError::Busy { reason: String::new() }, None),
            ("pool.query", CallError::Unavailable { reason: String::new() }, None),
        ] {
            let got = failure(method, &error);
            match want {
                Some(want) => assert_eq!(got, want, "{method} {error}"),
                None => {
                    assert!(matches!(&got, CallFailure::Failed(why) if why.starts_with(method)), "{got:?}");
                }
            }
        }
    }
}
