//! Whole connections under their supervisor: what becomes of them when the appliance does well and when it does not.

use std::collections::BTreeMap;
use std::time::Duration;

use pulse_collector::api::Section;
use pulse_collector::connection::Settings;
use pulse_collector::session::diagnose::Outcome;
use pulse_collector::target::Options;
use pulse_collector::target::diagnose::diagnose;
use pulse_collector::target::reader::Limits;
use pulse_fixtures::fault::{Effect, Failure, Target};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::{Event, EventKind};
use pulse_proto::model::{ConnectionState, SectionOutcome};
use serde_json::json;

use crate::crew::{Crew, PATIENCE, id, nothing, outcome, readable, readable_but, settings};
use crate::support::{key, wrong_key};

#[tokio::test]
async fn every_line_is_live_after_one_login() {
    for (line, mode, mechanism) in [
        (ApiLine::V24_10, "legacy-websocket", "legacy-api-key"),
        (ApiLine::V25_04, "jsonrpc-websocket", "api-key-plain"),
        (ApiLine::V25_10, "jsonrpc-websocket", "api-key-plain"),
        (ApiLine::V26_0, "jsonrpc-websocket", "scram-sha-512"),
    ] {
        let nas = readable(line).await;
        let crew = Crew::start(Options::default());
        crew.add(settings("one", &nas, key(&nas))).await;
        let health = crew.until_all_fresh("one").await;
        assert_eq!((health.transport.mode, health.transport.auth_mechanism), (mode, mechanism), "{line}");
        assert!(health.transport.connected && health.transport.tls && !health.transport.insecure);
        assert_eq!((health.reason.as_str(), health.remedy.as_str()), ("", ""));
        assert_eq!(health.observed.hostname, "nas");
        assert_eq!(health.poll.consecutive_failures, 0);
        assert_eq!(crew.board.get(&id("one")).as_deref(), Some(&health));
        let stats = nas.stats();
        assert_eq!((stats.logins, stats.sessions_opened), (1, 1), "{line}");
        assert!(stats.in_flight_max <= 5, "{line}: {}", stats.in_flight_max);
        crew.stop().await;
        nas.wait_for(|stats| stats.sessions_open == 0).await;
    }
}

#[tokio::test]
async fn a_hung_section_delays_no_other() {
    let nas = readable(ApiLine::V25_10).await;
    let hung = nas.faults().on_method("disk.query", Effect::Hang);
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    let health = crew
        .until("one", "the other four", |health| {
            ["system", "pools", "datasets", "alerts"]
                .iter()
                .all(|section| outcome(health, section) == Some(SectionOutcome::Fresh))
        })
        .await;
    assert_eq!(health.state, ConnectionState::Live);
    assert!(!matches!(outcome(&health, "disks"), Some(SectionOutcome::Fresh)));
    assert!(nas.stats().in_flight >= 1, "disks are still being waited for");
    nas.faults().clear(hung);
    crew.until_all_fresh("one").await;
}

#[tokio::test]
async fn a_section_that_fails_degrades_until_it_is_read_again() {
    let nas = readable_but(ApiLine::V25_10, &["disk.query"]).await;
    let fault =
        nas.faults().on_method("disk.query", Effect::Fail(Failure::call(5, "EIO", "input/output error")));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    let health = crew.until_state("one", ConnectionState::Degraded).await;
    assert!(health.reason.contains("disks") && health.reason.contains("input/output"), "{}", health.reason);
    assert!(!health.remedy.is_empty() && health.poll.consecutive_failures >= 1);
    assert_eq!(outcome(&health, "disks"), Some(SectionOutcome::Failed));
    nas.faults().clear(fault);
    nas.faults().on_method("disk.query", nothing());
    crew.refresh("one").await;
    crew.until_all_fresh("one").await;
    assert_eq!(nas.stats().logins, 1, "no new session was needed");
}

#[tokio::test]
async fn a_section_that_never_answers_ends_at_its_deadline() {
    let nas = readable(ApiLine::V25_10).await;
    nas.faults().on_method("alert.list", Effect::Hang);
    let limit = Duration::from_millis(300);
    let options = Options { limits: Limits { call: limit, large_call: limit }, ..Options::default() };
    let crew = Crew::start(options);
    crew.add(settings("one", &nas, key(&nas))).await;
    let health = crew.until_state("one", ConnectionState::Degraded).await;
    assert_eq!(outcome(&health, "alerts"), Some(SectionOutcome::Failed));
    assert!(health.reason.contains("alert.list"), "{}", health.reason);
}

#[tokio::test]
async fn what_may_not_be_read_is_told_and_harms_nothing() {
    let nas = readable_but(ApiLine::V25_10, &["disk.query", "alert.list"]).await;
    let denied = nas.faults().on_method("disk.query", Effect::Fail(Failure::NotAuthorized));
    let gone = nas.faults().on_method("alert.list", Effect::Fail(Failure::MethodNotFound));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    let health = crew
        .until("one", "told", |health| {
            outcome(health, "pools").is_some_and(SectionOutcome::is_complete)
                && outcome(health, "disks") == Some(SectionOutcome::Forbidden)
                && outcome(health, "alerts") == Some(SectionOutcome::Unsupported)
        })
        .await;
    assert_eq!(health.state, ConnectionState::Live);
    assert_eq!(health.reason, "the login may not read disks");
    assert!(health.remedy.contains("DISK_READ"), "{}", health.remedy);
    nas.faults().clear(denied);
    nas.faults().clear(gone);
    nas.faults().on_method("disk.query", nothing());
    nas.faults().on_method("alert.list", nothing());
    crew.refresh("one").await;
    crew.until_all_fresh("one").await;
}

#[tokio::test]
async fn a_young_method_that_is_not_there_is_replaced_and_not_asked_again() {
    let young = "zfs.resource.query";
    let nas = readable_but(ApiLine::V25_10, &[young]).await;
    nas.faults().on_method(young, Effect::Fail(Failure::no_such_method(young)));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let (asked, served) =
        (nas.stats().calls_of("zfs.resource.query"), nas.stats().calls_of("pool.dataset.query"));
    assert_eq!((asked, served), (1, 2), "for datasets, and for their snapshots");
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_until_somebody_acts() {
    let nas = readable(ApiLine::V25_10).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, wrong_key(&nas))).await;
    let health = crew.until_state("one", ConnectionState::Refused).await;
    let wait = health.next_attempt_at.expect("looks again one day").since(health.since);
    assert!(wait >= Duration::from_mins(15), "{wait:?}");
    assert!(health.reason.contains("wrong or revoked") && !health.remedy.is_empty(), "{health:?}");
    assert!(!format!("{health:?}").contains("xxxxxxxx"));
    assert_eq!((nas.stats().logins_refused, nas.stats().sessions_opened), (1, 1));

    crew.refresh("one").await;
    assert_eq!(nas.stats().logins_refused, 2, "an operator asked");
    crew.until_state("one", ConnectionState::Refused).await;

    crew.change("one", |settings| settings.credential = key(&nas)).await;
    crew.until_all_fresh("one").await;
    assert_eq!((nas.stats().logins, nas.stats().logins_refused), (1, 2));
}

#[tokio::test]
async fn a_restarted_appliance_is_live_again_with_what_was_known() {
    let nas = readable(ApiLine::V25_10).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    nas.restart();
    let lost = crew.until_state("one", ConnectionState::BackingOff).await;
    assert!(lost.next_attempt_at.is_some());
    assert!(lost.reason.contains("unexpected end of the TLS connection"), "{}", lost.reason);
    assert!(lost.sections.len() >= Section::ALL.len() - 1, "what was read is still known");
    let health = crew.until_all_fresh("one").await;
    assert_eq!(health.transport.reconnects, 1);
    assert!(health.transport.last_error.contains("session ended"), "{}", health.transport.last_error);
    assert_eq!(nas.stats().logins, 2);
}

#[tokio::test]
async fn an_expired_session_is_made_anew() {
    let nas = readable_but(ApiLine::V25_10, &["pool.query"]).await;
    let fault = nas.faults().on_method("pool.query", nothing());
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    nas.faults().clear(fault);
    for method in ["pool.query", "auth.me"] {
        let expired = Effect::Fail(Failure::SessionExpired);
        nas.faults().set_next(1, Target::Method(method.to_owned()), expired);
    }
    nas.faults().on_method("pool.query", nothing());
    // The session is lost while this is served.
    crew.refresh("one").await;
    crew.until("one", "connected again", |health| health.transport.reconnects == 1).await;
    crew.until_all_fresh("one").await;
}

#[tokio::test]
async fn an_unreachable_appliance_is_found_when_it_comes() {
    let nas = readable(ApiLine::V25_10).await;
    nas.stop().await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    let health = crew.until_state("one", ConnectionState::BackingOff).await;
    assert!(health.reason.contains("cannot connect"), "{}", health.reason);
    assert!(!health.transport.connected);
    nas.start_again().await;
    crew.refresh("one").await;
    crew.until_all_fresh("one").await;
}

#[tokio::test]
async fn an_event_has_its_section_read_again() {
    for (line, collection, method) in [
        (ApiLine::V24_10, "pool.query", "pool.query"),
        (ApiLine::V25_04, "pool.query", "pool.query"),
        (ApiLine::V25_10, "alert.list", "alert.list"),
        (ApiLine::V26_0, "disk.query", "disk.query"),
    ] {
        let nas = readable(line).await;
        let crew = Crew::start(Options::default());
        crew.add(settings("one", &nas, key(&nas))).await;
        crew.until_all_fresh("one").await;
        let before = nas.stats();
        nas.mutate(|_, _| {
            let (id, fields) = (Some(json!(1)), Some(json!({ "id": 1 })));
            vec![Event { collection: collection.to_owned(), kind: EventKind::Changed, id, fields }]
        });
        nas.wait_for(|stats| stats.calls_of(method) > before.calls_of(method)).await;
        assert_eq!(nas.stats().calls_of("system.info"), before.calls_of("system.info"), "and only that one");
    }
}

#[tokio::test]
async fn a_pool_state_that_no_event_tells_is_found_by_looking() {
    let nas = readable_but(ApiLine::V26_0, &["pool.query"]).await;
    let pool = |status: &str| json!([{ "name": "tank", "guid": "1", "status": status, "healthy": true }]);
    let rows = [("pool.query", pool("ONLINE")), ("zpool.query", pool("ONLINE"))]
        .map(|(method, rows)| (method, nas.faults().on_method(method, Effect::Answer(rows))));
    let options = Options { probe_every: Duration::from_millis(50), ..Options::default() };
    let crew = Crew::start(options);
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let looks = nas.wait_for(|stats| stats.calls_of("zpool.query") >= 3).await;
    assert_eq!(looks.calls_of("pool.query"), 1, "nothing changed, nothing to read");
    for (method, fault) in rows {
        nas.faults().clear(fault);
        nas.faults().on_method(method, Effect::Answer(pool("DEGRADED")));
    }
    nas.wait_for(|stats| stats.calls_of("pool.query") >= 2).await;
}

#[tokio::test]
async fn scram_once_seen_is_asked_for_ever_after() {
    let nas = readable(ApiLine::V26_0).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let logins = nas.stats().calls_of("auth.login_ex");
    nas.faults().on_method("auth.mechanism_choices", Effect::Answer(json!(["API_KEY_PLAIN"])));
    nas.restart();
    crew.until("one", "a refusal to log in", |health| {
        health.transport.last_error.contains("no longer offers SCRAM")
    })
    .await;
    let health = crew.until_state("one", ConnectionState::Refused).await;
    assert!(!health.remedy.is_empty());
    assert_eq!(nas.stats().calls_of("auth.login_ex"), logins, "the key was not sent");
}

#[tokio::test]
async fn scram_once_seen_is_written_down_and_holds_after_a_restart() {
    let nas = readable(ApiLine::V26_0).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    let etag = crew.roster.get(&id("one")).expect("stored").etag();
    crew.until_all_fresh("one").await;
    let stored = crew.roster.get(&id("one")).expect("stored");
    assert!(stored.scram_seen && stored.etag() == etag, "{stored:?}");
    assert_eq!(nas.stats().logins, 1, "noting it restarts nothing");
    crew.stop().await;

    // Somebody who passes for an older server.
    let older = readable(ApiLine::V25_10).await;
    let seen = Settings { scram_seen: true, ..settings("one", &older, key(&older)) };
    let found = diagnose(&seen, &Options::default()).await;
    let login = found.step("login").expect("was tried");
    assert!(login.outcome == Outcome::Failed && login.error.contains("no longer offers SCRAM"), "{login:?}");
    let crew = Crew::start(Options::default());
    crew.add(seen).await;
    let health = crew.until_state("one", ConnectionState::Refused).await;
    assert!(health.reason.contains("no longer offers SCRAM"), "{}", health.reason);
    assert_eq!(older.stats().calls_of("auth.login_ex"), 0, "the key was not sent");
}

#[tokio::test]
async fn settings_and_removal_are_followed() {
    let nas = readable(ApiLine::V25_10).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;

    crew.change("one", |settings| settings.enabled = false).await;
    let health = crew.until_state("one", ConnectionState::Disabled).await;
    assert!(health.sections.len() >= Section::ALL.len() - 1, "what was read is still known");
    nas.wait_for(|stats| stats.sessions_open == 0).await;

    crew.change("one", |settings| settings.enabled = true).await;
    crew.until_all_fresh("one").await;
    assert_eq!(nas.stats().logins, 2);

    let other = readable(ApiLine::V25_10).await;
    crew.change("one", |settings| {
        *settings = Settings { labels: BTreeMap::new(), ..crate::crew::settings("one", &other, key(&other)) };
    })
    .await;
    nas.wait_for(|stats| stats.sessions_open == 0).await;
    other.wait_for(|stats| stats.logins == 1).await;
    crew.until_all_fresh("one").await;

    crew.roster.delete(&id("one"), "").await.expect("it is there");
    let mut seen = crew.probe.seen.subscribe();
    let gone = seen.wait_for(|seen| seen.removed.contains(&id("one")));
    tokio::time::timeout(PATIENCE, gone).await.expect("in time").expect("the sender is held here");
    assert!(crew.board.get(&id("one")).is_none());
    other.wait_for(|stats| stats.sessions_open == 0).await;
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_only() {
    let nas = readable(ApiLine::V25_10).await;
    let crew = Crew::start_allergic(Options::default(), Some(id("bad")));
    let mut bad = settings("bad", &nas, key(&nas));
    bad.host = "localhost".to_owned();
    crew.add(bad).await;
    crew.add(settings("good", &nas, key(&nas))).await;
    crew.until_all_fresh("good").await;
    crew.roster.delete(&id("bad"), "").await.expect("it is there");
    let mut seen = crew.probe.seen.subscribe();
    let gone = seen.wait_for(|seen| seen.removed.contains(&id("bad")));
    tokio::time::timeout(PATIENCE, gone).await.expect("in time").expect("the sender is held here");
    crew.stop().await;
}

#[tokio::test]
async fn a_diagnosis_reads_each_section_once() {
    let nas = readable_but(ApiLine::V25_10, &["disk.query"]).await;
    nas.faults().on_method("disk.query", Effect::Fail(Failure::NotAuthorized));
    let found = diagnose(&settings("one", &nas, key(&nas)), &Options::default()).await;
    let sections: Vec<&str> = found.steps.iter().skip(8).map(|step| step.name.as_str()).collect();
    let known: Vec<String> =
        Section::ALL.iter().map(|section| format!("section:{}", section.token())).collect();
    assert_eq!(sections, known);
    let outcome = |name: &str| found.step(name).map(|step| step.outcome);
    for (section, expected) in [
        ("section:system", Outcome::Ok),
        ("section:pools", Outcome::Ok),
        ("section:alerts", Outcome::Ok),
        ("section:datasets", Outcome::Ok),
        ("section:disks", Outcome::Forbidden),
        ("section:apps", Outcome::Ok),
        ("section:instances", Outcome::Unsupported),
    ] {
        assert_eq!(outcome(section), Some(expected), "{section}");
    }
    assert!(found.success(), "the rest is useful: {found:#?}");
    let disks = found.step("section:disks").expect("was tried");
    assert!(disks.remedy.contains("DISK_READ"), "{}", disks.remedy);
    nas.wait_for(|stats| stats.sessions_open == 0).await;

    let found = diagnose(&settings("one", &nas, wrong_key(&nas)), &Options::default()).await;
    assert!(!found.success());
    assert_eq!(found.step("section:pools").map(|step| step.outcome), Some(Outcome::Skipped));
    assert_eq!(nas.stats().logins_refused, 1);
}

#[tokio::test]
async fn a_clean_restart_shows_as_one_until_the_nas_is_back() {
    let nas = readable(ApiLine::V25_10).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    nas.mutate(|_, _| {
        let fields = Some(json!({ "reason": "Update to 25.10.2" }));
        vec![Event { collection: "system.reboot".to_owned(), kind: EventKind::Added, id: None, fields }]
    });
    // Heard before the end: the section it hints at is read again.
    let before = nas.stats().calls_of("system.info");
    nas.wait_for(|stats| stats.calls_of("system.info") > before).await;
    nas.stop().await;
    let health = crew.until_state("one", ConnectionState::BackingOff).await;
    assert!(
        health.reason.contains("restarts") && health.reason.contains("Update to 25.10.2"),
        "{}",
        health.reason
    );
    nas.start_again().await;
    crew.refresh("one").await;
    let health = crew.until_state("one", ConnectionState::Live).await;
    assert_eq!(health.reason, "");
}

#[tokio::test]
async fn a_section_that_is_switched_off_is_not_read_and_what_it_brought_goes() {
    let nas = readable_but(ApiLine::V25_10, &["zfs.resource.query"]).await;
    let rows = json!([{ "name": "tank", "pool": "tank", "type": "FILESYSTEM", "properties": {} }]);
    nas.faults().on_method("zfs.resource.query", Effect::Answer(rows));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let held = || crew.probe.seen.borrow().newest[&id("one")].0.datasets().map(|rows| rows.len());
    assert_eq!(held(), Some(1));
    crew.change("one", |settings| {
        settings.disabled_sections = [Section::Datasets, Section::Snapshots].map(Section::name).into();
    })
    .await;
    let health = crew
        .until("one", "live without them", |health| {
            health.state == ConnectionState::Live
                && outcome(health, "datasets") == Some(SectionOutcome::Disabled)
                && outcome(health, "disks").is_some_and(SectionOutcome::is_complete)
        })
        .await;
    assert_eq!(held(), None);
    let told = health.sections.iter().find(|report| report.section.as_str() == "datasets").expect("told");
    assert!(told.error.contains("switched off"), "{}", told.error);
    let before = nas.stats().calls_of("zfs.resource.query");
    crew.refresh("one").await;
    assert_eq!(nas.stats().calls_of("zfs.resource.query"), before);

    crew.change("one", |settings| settings.disabled_sections.clear()).await;
    crew.until("one", "read again", |health| outcome(health, "datasets") == Some(SectionOutcome::Fresh))
        .await;
    assert_eq!(held(), Some(1));
}
