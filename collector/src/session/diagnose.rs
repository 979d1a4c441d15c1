//! The way to a session, one step at a time, each with what happened, how long it took and what to do.
//!
//! Tries what `connect` does, in the same order and with the same functions. Decides nothing for a live connection.

use std::time::Duration;

use tokio::time::Instant;

use super::connect::{self, Attempt};
use super::error::{ConnectError, FailureClass};
use super::login::Mechanism;
use super::negotiate::{self, Way};
use super::role::{self, Judgement};
use super::version::{self, CURRENT};
use super::{Mode, Session, SessionOptions};
use crate::rpc::CallError;
use crate::secret::Credential;
use crate::transport::{Certificate, Endpoint, Fingerprint, Security, Trust, dial};

/// What the names of steps that read a section begin with.
pub const SECTION_PREFIX: &str = "section:";
/// Versions named in a detail.
const VERSIONS_SHOWN_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepName {
    Resolve,
    Connect,
    Tls,
    Http,
    Upgrade,
    Version,
    Login,
    Role,
}

impl StepName {
    pub const ALL: [Self; 8] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Http,
        Self::Upgrade,
        Self::Version,
        Self::Login,
        Self::Role,
    ];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Upgrade => "upgrade",
            Self::Version => "version",
            Self::Login => "login",
            Self::Role => "role",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    Failed,
    /// Not tried, because an earlier step failed or it does not apply.
    Skipped,
    Forbidden,
    Unsupported,
    /// Works, but something should be looked at.
    Warning,
}

impl Outcome {
    /// Nothing after it can work.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Forbidden | Self::Unsupported)
    }
}

/// One step. No text in it holds the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A `StepName`'s label, or `section:<name>`.
    pub name: String,
    pub outcome: Outcome,
    pub latency: Duration,
    pub detail: String,
    pub error: String,
    pub remedy: String,
}

#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    pub steps: Vec<Step>,
    pub appliance_version: String,
    pub mechanism: Option<Mechanism>,
    /// The certificate that the server showed, trusted or not.
    pub observed: Option<Fingerprint>,
    /// All that it showed, its own certificate first.
    pub chain: Vec<Certificate>,
}

impl Diagnosis {
    /// Every step that matters succeeded: the whole way to the session, and one section at least. Sections that the login
    /// may not read, or that the release does not have, leave the others useful.
    pub fn success(&self) -> bool {
        let (sections, way): (Vec<&Step>, Vec<&Step>) =
            self.steps.iter().partition(|step| step.name.starts_with(SECTION_PREFIX));
        !way.is_empty()
            && !way.iter().any(|step| step.outcome.is_bad())
            && !sections.iter().any(|step| step.outcome == Outcome::Failed)
            && (sections.is_empty() || sections.iter().any(|step| !step.outcome.is_bad()))
    }

    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Takes the steps that were not reached as skipped.
    fn skip_rest(&mut self, detail: &str) {
        for name in StepName::ALL {
            if self.step(name.label()).is_none() {
                self.push(name, Outcome::Skipped, Duration::ZERO, detail);
            }
        }
    }

    fn push(&mut self, name: StepName, outcome: Outcome, latency: Duration, detail: impl Into<String>) {
        self.steps.push(Step {
            name: name.label().to_owned(),
            outcome,
            latency,
            detail: detail.into(),
            error: String::new(),
            remedy: String::new(),
        });
    }

    fn advise(&mut self, remedy: impl Into<String>) {
        if let Some(step) = self.steps.last_mut() {
            step.remedy = remedy.into();
        }
    }

    fn fail(&mut self, name: StepName, latency: Duration, error: &ConnectError) {
        self.observed = self.observed.or(error.observed());
        let outcome = match error.class() {
            FailureClass::Forbidden => Outcome::Forbidden,
            FailureClass::Unsupported => Outcome::Unsupported,
            FailureClass::Unreachable
            | FailureClass::Tls
            | FailureClass::Protocol
            | FailureClass::Untrusted
            | FailureClass::RefusedCredentials
            | FailureClass::ExpiredCredentials
            | FailureClass::SecondFactor
            | FailureClass::Busy
            | FailureClass::PlaintextRefused => Outcome::Failed,
        };
        self.steps.push(Step {
            name: name.label().to_owned(),
            outcome,
            latency,
            detail: String::new(),
            error: error.to_string(),
            remedy: error.remedy(),
        });
    }
}

/// Goes step by step as far as it gets. The session is handed out when there is one, for whoever wants to read with it;
/// it is the caller's to close.
pub async fn diagnose(
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
) -> (Diagnosis, Option<Session>) {
    let mut diagnosis = Diagnosis::default();
    let session = walk(&mut diagnosis, endpoint, credential, options).await.ok();
    if session.is_none() {
        diagnosis.skip_rest("an earlier step failed");
    }
    for step in &mut diagnosis.steps {
        for text in [&mut step.detail, &mut step.error, &mut step.remedy] {
            *text = credential.redact(text);
        }
    }
    (diagnosis, session)
}

/// A step failed, and is noted.
struct Stop;

async fn walk(
    diagnosis: &mut Diagnosis,
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
) -> Result<Session, Stop> {
    stream(diagnosis, endpoint, options).await?;
    let started = Instant::now();
    let listed = note(
        diagnosis,
        StepName::Http,
        started,
        negotiate::listed_versions(endpoint, options).await.map_err(Into::into),
    )?;
    diagnosis.push(StepName::Http, Outcome::Ok, started.elapsed(), listed_detail(&listed));

    let started = Instant::now();
    let way = note(
        diagnosis,
        StepName::Upgrade,
        started,
        negotiate::negotiate(endpoint, options, &listed).await.map_err(Into::into),
    )?;
    way_steps(diagnosis, &listed, &way, started.elapsed());
    let started = Instant::now();
    let attempt = (started, connect::log_in(endpoint, credential, options, way).await);
    let session = login_step(diagnosis, endpoint, credential, options, attempt).await?;
    role_step(diagnosis, &session).await;
    Ok(session)
}

/// Resolve, connect and TLS, on a connection of their own.
async fn stream(
    diagnosis: &mut Diagnosis,
    endpoint: &Endpoint,
    options: &SessionOptions,
) -> Result<(), Stop> {
    let deadlines = &options.deadlines;
    let started = Instant::now();
    let resolved: Result<_, ConnectError> =
        dial::resolve(endpoint, deadlines.resolve, &options.outbound).await.map_err(Into::into);
    let addresses = note(diagnosis, StepName::Resolve, started, resolved)?;
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    diagnosis.push(StepName::Resolve, Outcome::Ok, started.elapsed(), shown.join(", "));

    let started = Instant::now();
    let connected = dial::connect(&addresses, deadlines.connect).await.map_err(Into::into);
    let (tcp, address) = note(diagnosis, StepName::Connect, started, connected)?;
    diagnosis.push(StepName::Connect, Outcome::Ok, started.elapsed(), address.to_string());

    let Security::Tls(trust) = &endpoint.security else {
        diagnosis.push(StepName::Tls, Outcome::Skipped, Duration::ZERO, "this connection does not use TLS");
        return Ok(());
    };
    let started = Instant::now();
    let secured = dial::secure_showing(tcp, endpoint, deadlines.tls, &mut diagnosis.chain).await;
    let secured = secured.map_err(Into::into);
    let stream = note(diagnosis, StepName::Tls, started, secured)?;
    diagnosis.observed = stream.peer.map(|peer| peer.fingerprint);
    let (outcome, detail) = match trust {
        Trust::SystemRoots => (Outcome::Ok, "trusted by this machine's authorities"),
        Trust::CustomCa(_) => (Outcome::Ok, "trusted by the configured authority"),
        Trust::Pinned(_) => (Outcome::Ok, "the certificate is the pinned one"),
        Trust::Insecure => (Outcome::Warning, "the certificate is not checked"),
    };
    diagnosis.push(StepName::Tls, outcome, started.elapsed(), detail);
    if *trust == Trust::Insecure {
        let seen = diagnosis.observed.map(|seen| format!(" ({seen})")).unwrap_or_default();
        diagnosis.advise(format!("check the certificate's fingerprint on the NAS and pin it{seen}"));
    }
    Ok(())
}

/// What was negotiated, as two steps.
fn way_steps(diagnosis: &mut Diagnosis, listed: &[String], way: &Way, took: Duration) {
    let version = |diagnosis: &mut Diagnosis, detail: &str| {
        diagnosis.push(StepName::Version, Outcome::Ok, Duration::ZERO, detail);
    };
    match way {
        Way::JsonRpc { api_version, .. } => {
            diagnosis.push(StepName::Upgrade, Outcome::Ok, took, format!("/api/{api_version}"));
            version_step(diagnosis, listed, api_version);
        }
        Way::LegacyWebsocket { status, .. } => {
            let detail = format!("no JSON-RPC websocket (status {status}); /websocket instead");
            diagnosis.push(StepName::Upgrade, Outcome::Ok, took, detail);
            version(diagnosis, "the legacy websocket");
        }
        Way::Rest { status } => {
            let detail = format!("no websocket (status {status}); REST v2.0 is tried");
            diagnosis.push(StepName::Upgrade, Outcome::Skipped, took, detail);
            version(diagnosis, "REST v2.0");
        }
        // The login says why it goes no further.
        Way::Hidden { status, .. } => {
            let detail = format!("no JSON-RPC websocket (status {status})");
            diagnosis.push(StepName::Upgrade, Outcome::Skipped, took, detail);
            version(diagnosis, "the server lists versions that have one");
        }
    }
}

fn listed_detail(listed: &[String]) -> String {
    if listed.is_empty() {
        return "the server lists no API versions".to_owned();
    }
    let newest: Vec<&str> = listed.iter().rev().take(VERSIONS_SHOWN_MAX).map(String::as_str).collect();
    format!("{} API versions are listed, among them {}", listed.len(), newest.join(", "))
}

fn version_step(diagnosis: &mut Diagnosis, listed: &[String], api_version: &str) {
    let unknown = listed
        .iter()
        .filter_map(|text| version::api_line(text))
        .max()
        .filter(|line| version::is_unknown(*line));
    match unknown {
        Some(line) => {
            let detail =
                format!("{api_version} is spoken; the server knows {line}, which is newer than this program");
            diagnosis.push(StepName::Version, Outcome::Warning, Duration::ZERO, detail);
            diagnosis.advise("update this program");
        }
        None if api_version == CURRENT => {
            diagnosis.push(StepName::Version, Outcome::Ok, Duration::ZERO, "the server's current version");
        }
        None => diagnosis.push(StepName::Version, Outcome::Ok, Duration::ZERO, api_version),
    }
}

async fn login_step(
    diagnosis: &mut Diagnosis,
    endpoint: &Endpoint,
    credential: &Credential,
    options: &SessionOptions,
    (started, attempt): (Instant, Result<Attempt, ConnectError>),
) -> Result<Session, Stop> {
    let session = match note(diagnosis, StepName::Login, started, attempt)? {
        Attempt::In(session) => *session,
        // A standby names others: from here on `connect` knows the way.
        Attempt::Elsewhere(_) => {
            let elsewhere = connect::connect(endpoint, credential, options).await;
            note(diagnosis, StepName::Login, started, elsewhere)?
        }
    };
    let info = session.info();
    diagnosis.appliance_version.clone_from(&info.appliance_version);
    diagnosis.mechanism = Some(info.auth_mechanism);
    let moved = if info.endpoint == *endpoint { String::new() } else { format!(" at {}", info.endpoint) };
    let detail = format!("{}{moved}", info.auth_mechanism.label());
    diagnosis.push(StepName::Login, Outcome::Ok, started.elapsed(), detail);
    Ok(session)
}

async fn role_step(diagnosis: &mut Diagnosis, session: &Session) {
    if matches!(session.info().mode, Mode::LegacyWebsocket | Mode::LegacyRest) {
        let detail = "keys of this release carry their own list of what they may read";
        diagnosis.push(StepName::Role, Outcome::Skipped, Duration::ZERO, detail);
        return;
    }
    let started = Instant::now();
    let judgement = match session.call("auth.me", &serde_json::json!([])).await {
        Ok(reply) => role::judge(reply.0.get()),
        Err(error @ (CallError::NotAuthorized { .. } | CallError::NoMethod { .. })) => {
            Judgement::Unknown(error.to_string())
        }
        Err(error) => {
            let error = ConnectError::Login(error);
            diagnosis.fail(StepName::Role, started.elapsed(), &error);
            return;
        }
    };
    let outcome = match &judgement {
        Judgement::ReadOnly => Outcome::Ok,
        Judgement::TooMuch { .. } | Judgement::Partial { .. } | Judgement::Unknown(_) => Outcome::Warning,
        Judgement::Nothing => Outcome::Forbidden,
    };
    diagnosis.push(StepName::Role, outcome, started.elapsed(), judgement.to_string());
    diagnosis.advise(judgement.remedy());
}

/// The value, or the step as failed.
fn note<T>(
    diagnosis: &mut Diagnosis,
    name: StepName,
    started: Instant,
    result: Result<T, ConnectError>,
) -> Result<T, Stop> {
    result.or_else(|error| stop(diagnosis, name, started, &error))
}

fn stop<T>(
    diagnosis: &mut Diagnosis,
    name: StepName,
    started: Instant,
    error: &ConnectError,
) -> Result<T, Stop> {
    diagnosis.fail(name, started.elapsed(), error);
    Err(Stop)
}
