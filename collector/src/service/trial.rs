//! A connection tried step by step: the way to a session, then each section once. Reads, and keeps nothing.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::test_step::Outcome as WireOutcome;
use tokio::time::Instant;

use super::Options;
use crate::api::section::Data;
use crate::api::{Section, SectionFailure, SectionRead};
use crate::connection::Settings;
use crate::session::diagnose::{Diagnosis, Outcome, Step, StepName, diagnose};
use crate::session::{Session, SessionOptions};
use crate::target::reader::{Limits, Lost, Reader};
use crate::transport::Endpoint;

/// Somebody waits: no step of a test may take longer.
const STEP_MAX: Duration = Duration::from_secs(10);

/// Always a result: that a NAS cannot be reached is one too.
pub(super) async fn run(settings: &Settings, options: &Options) -> pb::TestConnectionResponse {
    let deadline = Instant::now() + options.test_deadline;
    let endpoint = Endpoint::from(settings);
    let session_options = hurried(&options.session);
    let walk = diagnose(&endpoint, &settings.credential, &session_options);
    let (mut diagnosis, session) = match tokio::time::timeout_at(deadline, walk).await {
        Ok(outcome) => outcome,
        Err(_) => (unfinished(options.test_deadline), None),
    };
    let reached = diagnosis.success();
    let mut sections = match session {
        Some(session) => {
            let session = Arc::new(session);
            let steps = read_all(settings, &session, hurried_limits(options.limits), deadline).await;
            session.close().await;
            steps
        }
        None => Section::ALL.map(|section| skipped(section, "an earlier step failed")).to_vec(),
    };
    let success = reached && !sections.iter().any(|step| step.outcome.is_bad());
    diagnosis.steps.append(&mut sections);
    let clean = |text: &str| settings.credential.redact(text);
    pb::TestConnectionResponse {
        success,
        steps: diagnosis.steps.iter().map(|step| to_wire(step, clean)).collect(),
        appliance_version: clean(&diagnosis.appliance_version),
        auth_mechanism: diagnosis.mechanism.map(|mechanism| mechanism.label().to_owned()).unwrap_or_default(),
        observed_fingerprint: diagnosis.observed.map(|seen| seen.to_string()).unwrap_or_default(),
    }
}

fn hurried(options: &SessionOptions) -> SessionOptions {
    let mut options = options.clone();
    for limit in [
        &mut options.deadlines.resolve,
        &mut options.deadlines.connect,
        &mut options.deadlines.tls,
        &mut options.deadlines.http,
        &mut options.login,
        &mut options.call,
    ] {
        *limit = STEP_MAX.min(*limit);
    }
    options
}

fn hurried_limits(limits: Limits) -> Limits {
    Limits { call: STEP_MAX.min(limits.call), large_call: limits.large_call }
}

/// One after the other, so that each latency is the section's own.
async fn read_all(
    settings: &Settings,
    session: &Arc<Session>,
    limits: Limits,
    deadline: Instant,
) -> Vec<Step> {
    let reader = Reader::new(Arc::clone(session), settings.credential.clone(), limits);
    let mut steps = Vec::with_capacity(Section::ALL.len());
    let mut lost = false;
    for section in Section::ALL {
        if lost {
            steps.push(skipped(section, "the session was lost"));
            continue;
        }
        let started = Instant::now();
        let read = tokio::time::timeout_at(deadline, reader.read(section)).await;
        let latency = started.elapsed();
        steps.push(match read {
            Ok(Ok(outcome)) => judged(section, outcome, latency),
            Ok(Err(Lost(why))) => {
                lost = true;
                failed(section, why, "try again; when it stays, look at the NAS's own log", latency)
            }
            Err(_) => failed(
                section,
                "the time for this test is over".to_owned(),
                "the NAS answers slowly; look at its load",
                latency,
            ),
        });
    }
    steps
}

fn judged(section: Section, outcome: Result<SectionRead, SectionFailure>, latency: Duration) -> Step {
    let step = blank(section, latency);
    match outcome {
        Ok(read) if read.skipped.is_empty() => {
            Step { outcome: Outcome::Ok, detail: count(&read.data), ..step }
        }
        Ok(read) => Step {
            outcome: Outcome::Warning,
            detail: format!("{}; {} more could not be understood", count(&read.data), read.skipped.len()),
            remedy: "report it with the collector's log".to_owned(),
            ..step
        },
        Err(SectionFailure::Forbidden) => Step {
            outcome: Outcome::Forbidden,
            error: "this login may not read it".to_owned(),
            remedy: format!("give the user a role with {}, or READONLY_ADMIN", section.role()),
            ..step
        },
        Err(SectionFailure::Unsupported) => {
            Step { outcome: Outcome::Unsupported, detail: "this release does not have it".to_owned(), ..step }
        }
        Err(SectionFailure::Failed(why)) => {
            failed(section, why, "try again; when it stays, look at the NAS's own log", latency)
        }
    }
}

fn count(data: &Data) -> String {
    let (count, what) = match data {
        Data::System { info, .. } => return format!("{} with version {}", info.hostname, info.version),
        Data::Pools { pools, .. } => (pools.len(), "pools"),
        Data::Datasets { datasets, .. } => (datasets.len(), "datasets"),
        Data::Disks(disks) => (disks.len(), "disks"),
        Data::Alerts(alerts) => (alerts.len(), "alerts"),
    };
    format!("{count} {what}")
}

fn blank(section: Section, latency: Duration) -> Step {
    Step {
        name: format!("section:{}", section.token()),
        outcome: Outcome::Skipped,
        latency,
        detail: String::new(),
        error: String::new(),
        remedy: String::new(),
    }
}

fn skipped(section: Section, why: &str) -> Step {
    Step { detail: why.to_owned(), ..blank(section, Duration::ZERO) }
}

fn failed(section: Section, error: String, remedy: &str, latency: Duration) -> Step {
    Step { outcome: Outcome::Failed, error, remedy: remedy.to_owned(), ..blank(section, latency) }
}

/// Which step it was is not known any more.
fn unfinished(limit: Duration) -> Diagnosis {
    let steps = StepName::ALL.map(|name| Step {
        name: name.label().to_owned(),
        outcome: Outcome::Skipped,
        latency: Duration::ZERO,
        detail: "the time for this test is over".to_owned(),
        error: String::new(),
        remedy: String::new(),
    });
    let mut diagnosis = Diagnosis { steps: steps.to_vec(), ..Diagnosis::default() };
    if let Some(step) = diagnosis.steps.iter_mut().find(|step| step.name == StepName::Connect.label()) {
        step.outcome = Outcome::Failed;
        step.latency = limit;
        step.error = format!("no session within {} s", limit.as_secs());
        "the NAS or what stands before it answers too slowly".clone_into(&mut step.remedy);
    }
    diagnosis
}

fn to_wire(step: &Step, clean: impl Fn(&str) -> String) -> pb::TestStep {
    let outcome = match step.outcome {
        Outcome::Ok => WireOutcome::Ok,
        Outcome::Failed => WireOutcome::Failed,
        Outcome::Skipped => WireOutcome::Skipped,
        Outcome::Forbidden => WireOutcome::Forbidden,
        Outcome::Unsupported => WireOutcome::Unsupported,
        Outcome::Warning => WireOutcome::Warning,
    };
    pb::TestStep {
        name: step.name.clone(),
        outcome: outcome.into(),
        latency: prost_types::Duration::try_from(step.latency).ok(),
        detail: clean(&step.detail),
        error: clean(&step.error),
        remedy: clean(&step.remedy),
    }
}
