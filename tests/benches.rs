//! The benches of the registry against the binary as it is built for tests, tiny and without their references: that
//! they run and that what they count is right. Not how fast.

use std::time::Duration;

use pulse_tests::bench::{alerts, console, context, ingest, list, loopback, restart, watch};
use pulse_tests::task::bench::{Figure, Name};
use pulse_tests::task::certify::figures::TARGETS;

const SHORT: Duration = Duration::from_millis(200);

/// What was promised of a bench, it prints.
fn prints_what_was_promised(bench: Name, figures: &[Figure]) {
    let mut promised = TARGETS.iter().filter(|target| target.bench == bench).peekable();
    assert!(promised.peek().is_some(), "nothing is promised of {bench:?}");
    for target in promised {
        let printed = figures.iter().filter(|figure| figure.figure == target.figure).collect::<Vec<_>>();
        assert!(
            matches!(printed[..], [figure] if figure.unit == target.unit && figure.value.is_finite()),
            "{target:?}: {printed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_lists_what_was_acked() {
    let plan = ingest::Plan { sizes: [200, 400, 600], per_connection: 200, time: SHORT, rounds: 3 };
    let measured = ingest::measure(plan).await.unwrap();
    assert!(measured.changes.iter().all(|run| run.records > 0 && run.acks.count() > 0));
    assert_eq!(measured.heartbeats.records, 400 * 3);
    assert_eq!(measured.snapshots.records, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_watcher_sees_every_change() {
    let plan = watch::Plan {
        resources: 5_000,
        per_connection: 1_000,
        watchers: [1, 2, 3, 4],
        time: SHORT,
        timed: 5,
    };
    let measured = watch::measure(plan).await.unwrap();
    for (run, watchers) in measured.delivered.iter().zip(1..) {
        assert!(run.records > 0);
        assert_eq!(run.events, run.records * watchers);
        // No event is smaller than a record.
        assert!(run.bytes_per_event() > 1_024.0, "{run:?}");
    }
    assert_eq!(measured.timed.times.count(), 5 * 2);
}

#[test]
fn plain_tcp_carries_something() {
    assert!(loopback::bytes_per_second(SHORT).unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_pages_are_whole() {
    let plan = list::Plan { resources: 1_000, per_connection: 500, page: 50, lists: 2, pages: 5, gets: 100 };
    let measured = list::measure(plan).await.unwrap();
    let counts = [&measured.full, &measured.page, &measured.page_quiet, &measured.get, &measured.get_quiet];
    assert_eq!(counts.map(pulse_tests::bench::times::Times::count), [2, 5, 5, 100, 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acked_is_there_after_a_kill() {
    let plan = restart::Plan {
        resources: 1_000,
        per_connection: 500,
        restarts: 2,
        changes: Duration::from_millis(500),
    };
    assert!(restart::measure(plan).await.unwrap().ready_ms > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_whole_while_changes_come_in() {
    let plan = context::Plan { resources: 1_000, per_connection: 500, contexts: 10 };
    assert_eq!(context::measure(plan).await.unwrap().count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_was_sent_fires_before_and_after_a_start() {
    let plan = alerts::Plan {
        resources: 1_000,
        per_connection: 500,
        changes: 400,
        time: SHORT,
        beats: 1,
        passes: 1,
    };
    let measured = alerts::measure(plan).await.unwrap();
    assert_eq!(measured.changed, 400);
    assert!(measured.firing > 2 && measured.pass_ms > 0.0 && measured.cold_ms > 0.0, "{measured:?}");
    prints_what_was_promised(Name::Alerts, &measured.figures());
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_whole_and_small_while_changes_come_in() {
    let plan = console::Plan { resources: 2_000, per_connection: 100, times: 3 };
    let pages = console::measure(plan).await.unwrap();
    prints_what_was_promised(Name::Console, &console::figures(&pages));
    for page in pages {
        assert_eq!(page.again.count(), 3, "{}", page.name);
        assert!((2_000..100_000).contains(&page.bytes), "{} has {} bytes", page.name, page.bytes);
    }
}
