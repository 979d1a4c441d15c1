//! A NAS is not asked for more than it can bear: while it is slow, when its session is lost, and when somebody keeps asking.

use std::time::Duration;

use pulse_collector::target::Options;
use pulse_collector::target::reader::Limits;
use pulse_fixtures::appliance::Appliance;
use pulse_fixtures::fault::{Effect, Failure, Target};
use pulse_fixtures::line::ApiLine;
use pulse_proto::model::{ConnectionState, SectionOutcome};
use serde_json::json;

use crate::crew::{Crew, id, outcome, readable, readable_but, settings};
use crate::support::{config, key};

const SUBSCRIBE: &str = "core.subscribe";

#[tokio::test]
async fn a_nas_that_is_slow_while_connecting_loses_no_subscription() {
    let nas = readable(ApiLine::V25_10).await;
    nas.faults().on_method(SUBSCRIBE, Effect::Delay(Duration::from_secs(1)));
    // Longer for all of them than the first reading waits, though each is well within its own limit.
    let limit = Duration::from_secs(4);
    let options = Options { limits: Limits { call: limit, ..Limits::default() }, ..Options::default() };
    let crew = Crew::start(options);
    crew.add(settings("one", &nas, key(&nas))).await;
    let health = crew.until_all_fresh("one").await;
    let subscribed = |nas: &Appliance, name: &str| {
        nas.stats().subscriptions.iter().any(|(known, count)| known.starts_with(name) && *count > 0)
    };
    nas.wait_for(|stats| stats.subscriptions.keys().any(|name| name.starts_with("reporting.realtime"))).await;
    for name in ["pool.query", "alert.list", "disk.query", "interface.query", "reporting.realtime"] {
        assert!(subscribed(&nas, name), "{name}: {:?}", nas.stats().subscriptions);
    }
    assert_ne!(outcome(&health, "metrics"), Some(SectionOutcome::Unsupported));
}

#[tokio::test]
async fn a_subscription_that_a_busy_nas_refused_is_asked_for_again() {
    let nas = readable(ApiLine::V25_10).await;
    nas.faults().set_next(4, Target::Method(SUBSCRIBE.to_owned()), Effect::busy());
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let read = nas.stats().calls_of("system.info");
    let late = ["system.ready", "system.reboot.info", "failover.status", "failover.disabled.reasons"];
    nas.wait_for(|stats| late.iter().all(|name| stats.subscriptions.contains_key(*name))).await;
    nas.wait_for(|stats| stats.calls_of("system.info") > read).await;
}

#[tokio::test]
async fn twenty_wishes_at_once_are_served_by_two_rounds() {
    let nas = readable(ApiLine::V25_10).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let before = nas.stats().calls_of("alert.list");
    // One round takes the first; the others come one by one while it runs, and after it.
    crew.refresh("one").await;
    let refresh = crew.roster.refresh_signal(&id("one")).expect("the connection is there");
    let waiting: Vec<_> = (0..20).map(|_| refresh.ask()).collect();
    for ticket in waiting {
        refresh.served(ticket).await.expect("the connection stays");
    }
    assert_eq!(nas.stats().calls_of("alert.list"), before + 2);
}

#[tokio::test]
async fn wishes_make_no_login_follow_another_too_soon() {
    let nas = readable(ApiLine::V25_10).await;
    nas.faults().on_method("auth.login_ex", Effect::login_answer("AUTH_ERR"));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_state("one", ConnectionState::Refused).await;
    let refresh = crew.roster.refresh_signal(&id("one")).expect("the connection is there");
    let waiting: Vec<_> = (0..20).map(|_| refresh.ask()).collect();
    for ticket in waiting {
        refresh.served(ticket).await.expect("the connection stays");
    }
    assert_eq!(nas.stats().calls_of("auth.login_ex"), 2, "one for all of them");
}

#[tokio::test]
async fn a_lost_session_is_followed_by_reading_what_events_may_have_missed_and_no_more() {
    let nas = readable_but(ApiLine::V25_10, &["vm.query"]).await;
    nas.faults().on_method("vm.query", Effect::Fail(Failure::NotAuthorized));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    let read = |health: &pulse_collector::connection::Health| {
        ["update", "snapshots", "temperatures", "certificates", "vms", "pools", "disks", "datasets"]
            .iter()
            .all(|section| outcome(health, section).is_some())
    };
    crew.until("one", "everything was tried", read).await;
    let before = nas.stats();
    nas.drop_connections();
    let health = crew
        .until("one", "back", |health| {
            health.transport.reconnects == 1 && health.state == ConnectionState::Live
        })
        .await;
    assert_eq!(health.reason, "the login may not read vms", "it is not forgotten");
    for method in ["pool.query", "alert.list", "disk.query", "system.info"] {
        nas.wait_for(|stats| stats.calls_of(method) > before.calls_of(method)).await;
    }
    let after = nas.stats();
    for method in
        ["update.status", "disk.temperatures", "certificate.query", "vm.query", "pool.dataset.query"]
    {
        assert!(before.calls_of(method) <= 1, "{method}");
        assert_eq!(after.calls_of(method), before.calls_of(method), "{method}");
    }
}

#[tokio::test]
async fn another_release_is_read_from_the_start() {
    let nas = Appliance::start(config(ApiLine::V25_10)).await.expect("a free port");
    nas.faults().on_method("update.status", Effect::Fail(Failure::no_such_method("update.status")));
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let asked = nas.stats().calls_of("update.status");
    nas.faults().on_method("system.version", Effect::Answer(json!("TrueNAS-25.10.2")));
    nas.drop_connections();
    nas.wait_for(|stats| stats.calls_of("update.status") > asked).await;
}

#[tokio::test]
async fn a_pool_that_only_the_cheap_look_shows_is_read_for_once() {
    let nas = readable_but(ApiLine::V26_0, &["pool.query"]).await;
    let pool = |name: &str| json!({ "name": name, "guid": "1", "status": "ONLINE", "healthy": true });
    nas.faults().on_method("pool.query", Effect::Answer(json!([pool("tank")])));
    nas.faults().on_method("zpool.query", Effect::Answer(json!([pool("tank"), pool("elsewhere")])));
    let options = Options { probe_every: Duration::from_millis(50), ..Options::default() };
    let crew = Crew::start(options);
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    nas.wait_for(|stats| stats.calls_of("pool.query") >= 2).await;
    let looks = nas.stats().calls_of("zpool.query");
    let later = nas.wait_for(|stats| stats.calls_of("zpool.query") >= looks + 10).await;
    assert_eq!(later.calls_of("pool.query"), 2, "the difference was answered");
}

#[tokio::test]
async fn snapshots_are_counted_by_the_method_that_remembers() {
    let nas = readable(ApiLine::V26_0).await;
    let crew = Crew::start(Options::default());
    crew.add(settings("one", &nas, key(&nas))).await;
    crew.until_all_fresh("one").await;
    let stats = nas.stats();
    assert_eq!(stats.calls_of("zfs.resource.snapshot.count"), 1);
    assert_eq!(stats.calls_of("pool.dataset.query"), 0);
}
