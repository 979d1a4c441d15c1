//! A connection tried step by step while somebody waits: the diagnosis in a hurry, in the words of the API.

use std::time::Duration;

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::test_step::Outcome as WireOutcome;

use super::Options;
use crate::api::Section;
use crate::connection::Settings;
use crate::session::diagnose::{Diagnosis, Outcome, SECTION_PREFIX, Step, StepName};
use crate::target;
use crate::target::diagnose::diagnose;
use crate::transport::Certificate;

/// No step on the way to a session may take longer.
const STEP_MAX: Duration = Duration::from_secs(10);

/// Always a result: that a NAS cannot be reached is one too.
pub(super) async fn run(settings: &Settings, options: &Options) -> pb::TestConnectionResponse {
    let hurried = hurried(&options.target);
    let walk = diagnose(settings, &hurried);
    let diagnosis = match tokio::time::timeout(options.test_deadline, walk).await {
        Ok(diagnosis) => diagnosis,
        Err(_) => unfinished(options.test_deadline),
    };
    let clean = |text: &str| settings.credential.redact(text);
    pb::TestConnectionResponse {
        success: diagnosis.success(),
        steps: diagnosis.steps.iter().map(|step| to_wire(step, clean)).collect(),
        appliance_version: clean(&diagnosis.appliance_version),
        auth_mechanism: diagnosis.mechanism.map(|mechanism| mechanism.label().to_owned()).unwrap_or_default(),
        observed_fingerprint: diagnosis.observed.map(|seen| seen.to_string()).unwrap_or_default(),
        observed_chain: diagnosis.chain.iter().map(|certificate| shown(certificate, clean)).collect(),
    }
}

fn shown(certificate: &Certificate, clean: impl Fn(&str) -> String) -> pb::ObservedCertificate {
    let Certificate { subject, issuer, not_before, not_after, alternative_names, fingerprint } = certificate;
    pb::ObservedCertificate {
        subject: clean(subject),
        issuer: clean(issuer),
        not_before: not_before.map(timestamp_to_wire),
        not_after: not_after.map(timestamp_to_wire),
        alternative_names: alternative_names.iter().map(|name| clean(name)).collect(),
        fingerprint: fingerprint.to_string(),
    }
}

fn hurried(options: &target::Options) -> target::Options {
    let mut options = options.clone();
    let session = &mut options.session;
    for limit in [
        &mut session.deadlines.resolve,
        &mut session.deadlines.connect,
        &mut session.deadlines.tls,
        &mut session.deadlines.http,
        &mut session.login,
        &mut session.call,
    ] {
        *limit = STEP_MAX.min(*limit);
    }
    options
}

/// Which step it was is not known any more.
fn unfinished(limit: Duration) -> Diagnosis {
    let way = StepName::ALL.map(|name| name.label().to_owned());
    let sections = Section::ALL.map(|section| format!("{SECTION_PREFIX}{}", section.token()));
    let skipped = |name| Step {
        name,
        outcome: Outcome::Skipped,
        latency: Duration::ZERO,
        detail: "the time for this test is over".to_owned(),
        error: String::new(),
        remedy: String::new(),
    };
    let mut steps: Vec<Step> = way.into_iter().chain(sections).map(skipped).collect();
    if let Some(step) = steps.iter_mut().find(|step| step.name == StepName::Connect.label()) {
        step.outcome = Outcome::Failed;
        step.latency = limit;
        step.error = format!("the whole test was not done within {} s", limit.as_secs_f32());
        "the NAS, or what stands before it, answers too slowly".clone_into(&mut step.remedy);
    }
    Diagnosis { steps, ..Diagnosis::default() }
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
