//! The whole diagnosis of a connection: the way to a session, then each section read once.
//!
//! Touches no live connection: it makes a session of its own and closes it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::reader::{Lost, Reader};
use super::task::disabled;
use super::{Options, endpoint, figures};
use crate::api::section::Data;
use crate::api::{Section, SectionFailure, SectionRead};
use crate::connection::Settings;
use crate::session::diagnose::{self, Diagnosis, Outcome, SECTION_PREFIX, Step};
use crate::session::{Session, SessionOptions};

/// A diagnosis is waited for: sections that take longer are told so.
const SECTION_LIMIT: Duration = Duration::from_secs(20);

/// Never fails: what does not work is in the answer.
pub async fn diagnose(settings: &Settings, options: &Options) -> Diagnosis {
    let endpoint = endpoint(settings);
    let way = SessionOptions { require_scram: settings.scram_seen, ..options.session.clone() };
    let (mut diagnosis, session) = diagnose::diagnose(&endpoint, &settings.credential, &way).await;
    match session {
        Some(session) => diagnosis.steps.extend(sections(settings, options, session).await),
        None => diagnosis.steps.extend(Section::ALL.map(|section| {
            step(section, Outcome::Skipped, Duration::ZERO, "an earlier step failed".to_owned())
        })),
    }
    diagnosis
}

async fn sections(settings: &Settings, options: &Options, session: Session) -> Vec<Step> {
    let session = Arc::new(session);
    let (credential, limits) = (settings.credential.clone(), options.limits);
    let reader = Reader::new(Arc::clone(&session), credential, limits, Arc::default(), Arc::default());
    let (pushes, reader, session) = (reader.dialect().transport.is_rpc(), &reader, &session);
    let disabled = &disabled(settings);
    let steps = join_all(Section::ALL.map(|section| async move {
        if disabled.contains(&section) {
            let detail = "switched off for this connection".to_owned();
            return step(section, Outcome::Skipped, Duration::ZERO, detail);
        }
        // Figures are pushed to whoever subscribes; where nothing is pushed, reading says so.
        if section == Section::Metrics && pushes {
            pushed(session).await
        } else {
            read(reader, section).await
        }
    }))
    .await;
    session.close().await;
    steps
}

async fn pushed(session: &Session) -> Step {
    let started = Instant::now();
    match figures::offered(session, SECTION_LIMIT).await {
        Ok(()) => step(Section::Metrics, Outcome::Ok, started.elapsed(), "pushed by the NAS".to_owned()),
        Err(failure) => judge(Section::Metrics, Err(failure), started.elapsed()),
    }
}

async fn read(reader: &Reader, section: Section) -> Step {
    let started = Instant::now();
    let result = tokio::time::timeout(SECTION_LIMIT, reader.read(section)).await;
    let took = started.elapsed();
    let result = match result {
        Ok(Ok(result)) => result,
        Ok(Err(Lost(why))) => Err(SectionFailure::Failed(format!("the session ended: {why}"))),
        Err(_) => Err(SectionFailure::Failed(format!("not read within {} s", SECTION_LIMIT.as_secs()))),
    };
    judge(section, result, took)
}

fn judge(section: Section, result: Result<SectionRead, SectionFailure>, took: Duration) -> Step {
    match result {
        Ok(read) if read.skipped.is_empty() => step(section, Outcome::Ok, took, found(section, &read.data)),
        Ok(read) => {
            let (lost, first) = (read.skipped.len(), read.skipped.first().map(|row| row.why.as_str()));
            let detail = found(section, &read.data);
            let error =
                format!("{lost} rows cannot be read, the first because: {}", first.unwrap_or_default());
            Step { error, ..step(section, Outcome::Warning, took, detail) }
        }
        Err(SectionFailure::Forbidden) => Step {
            error: "the login may not read it".to_owned(),
            remedy: lacking(section.role()),
            ..step(section, Outcome::Forbidden, took, String::new())
        },
        Err(SectionFailure::Unsupported) => Step {
            error: "this release has no such method".to_owned(),
            ..step(section, Outcome::Unsupported, took, String::new())
        },
        Err(SectionFailure::Failed(error)) => Step {
            error,
            remedy: "look at the NAS's load and its middleware log".to_owned(),
            ..step(section, Outcome::Failed, took, String::new())
        },
    }
}

fn lacking(role: &str) -> String {
    match role {
        "READONLY_ADMIN" => "give the user the role READONLY_ADMIN".to_owned(),
        role => format!("give the user the role {role} or READONLY_ADMIN"),
    }
}

fn step(section: Section, outcome: Outcome, latency: Duration, detail: String) -> Step {
    Step {
        name: format!("{SECTION_PREFIX}{}", section.token()),
        outcome,
        latency,
        detail,
        error: String::new(),
        remedy: String::new(),
    }
}

fn found(section: Section, data: &Data) -> String {
    match (data, data.count()) {
        (Data::System { info, .. }, _) => format!("{} with {}", info.hostname, info.version),
        (Data::Update(update), _) if update.available == Some(true) => {
            format!("{} is offered", update.version)
        }
        (_, Some(count)) => format!("{count} {}", section.token()),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::SkippedRow;

    fn diagnosis(results: [Result<SectionRead, SectionFailure>; 2]) -> Diagnosis {
        let login = Step {
            name: "login".to_owned(),
            ..step(Section::Pools, Outcome::Ok, Duration::ZERO, String::new())
        };
        let mut steps = vec![login];
        let judged = Section::ALL.into_iter().zip(results);
        steps.extend(judged.map(|(section, result)| judge(section, result, Duration::ZERO)));
        Diagnosis { steps, ..Diagnosis::default() }
    }

    #[test]
    fn success_is_when_something_can_be_read_and_nothing_is_broken() {
        let read = |skipped: Vec<SkippedRow>| {
            Ok(SectionRead { data: Data::Disks(Vec::new()), skipped, notes: Vec::new() })
        };
        let odd = || vec![SkippedRow { index: 0, name: None, why: "no name".to_owned() }];
        let failed = || Err(SectionFailure::Failed("late".to_owned()));
        for (results, success, outcome) in [
            ([read(Vec::new()), read(odd())], true, Outcome::Warning),
            ([read(Vec::new()), Err(SectionFailure::Forbidden)], true, Outcome::Forbidden),
            ([read(Vec::new()), failed()], false, Outcome::Failed),
            ([Err(SectionFailure::Forbidden), Err(SectionFailure::Unsupported)], false, Outcome::Unsupported),
        ] {
            let diagnosis = diagnosis(results);
            assert_eq!(diagnosis.success(), success, "{diagnosis:#?}");
            assert_eq!(diagnosis.steps.last().map(|step| step.outcome), Some(outcome));
        }
        assert!(!Diagnosis::default().success());
    }
}
