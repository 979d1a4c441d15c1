//! The stream: everything, then changes; newest state for the slow; an end that says why.

use pulse_proto::model::ConnectionState;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::watch_connections_response::Kind;
use pulse_proto::pb::resource::v1::ConnectionState as WireState;
use tonic::{Code, Streaming};

use super::support::{Served, health, id, serve, verdict};
use crate::connection::Health;
use crate::service::Options;

type Watch = Streaming<pb::WatchConnectionsResponse>;

async fn watch(served: &mut Served) -> Watch {
    served.client.watch_connections(pb::WatchConnectionsRequest {}).await.expect("watched").into_inner()
}

async fn next(watch: &mut Watch) -> (Kind, pb::Connection) {
    let message = watch.message().await.expect("open").expect("a message");
    (message.kind(), message.connection.unwrap_or_default())
}

fn state(connection: &pb::Connection) -> WireState {
    connection.status.as_ref().expect("a status").state()
}

#[tokio::test]
async fn everything_then_each_change() {
    let mut served = serve(Options::default()).await;
    served.add("bravo").await;
    served.add("alpha").await;
    served.board.set(&id("alpha"), health(ConnectionState::Live));
    let mut watch = watch(&mut served).await;
    let (kind, first) = next(&mut watch).await;
    assert_eq!((kind, first.name.as_str(), state(&first)), (Kind::Existing, "alpha", WireState::Live));
    let (kind, second) = next(&mut watch).await;
    assert_eq!((kind, second.name.as_str()), (Kind::Existing, "bravo"));
    assert_eq!(next(&mut watch).await.0, Kind::InitialListEnd);

    served.board.set(&id("bravo"), health(ConnectionState::Refused));
    let (kind, changed) = next(&mut watch).await;
    assert_eq!((kind, changed.id.as_str(), state(&changed)), (Kind::Changed, "bravo", WireState::Refused));
    let added = served.add("charlie").await;
    assert_eq!(next(&mut watch).await, (Kind::Added, added));
    let renamed = pb::Connection { id: "alpha".into(), name: "zulu".into(), ..Default::default() };
    let renamed = served.update(renamed, &["name"]).await.expect("updated");
    assert_eq!(next(&mut watch).await, (Kind::Changed, renamed));
    served.delete("bravo", "").await.expect("deleted");
    let (kind, removed) = next(&mut watch).await;
    assert_eq!((kind, removed.id.as_str(), removed.status), (Kind::Removed, "bravo", None));
}

#[tokio::test]
async fn the_slow_see_the_newest_state_and_not_each_one() {
    const CHANGES: u64 = 5_000;
    let mut served = serve(Options::default()).await;
    served.add("nas1").await;
    let mut watch = watch(&mut served).await;
    assert_eq!(next(&mut watch).await.0, Kind::Existing);
    assert_eq!(next(&mut watch).await.0, Kind::InitialListEnd);
    for n in 1..=CHANGES {
        let mut changed = health(ConnectionState::Live);
        changed.transport.reconnects = n;
        changed.transport.last_error = "x".repeat(4_000);
        served.board.set(&id("nas1"), changed);
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut told = 0;
    loop {
        let (kind, connection) = next(&mut watch).await;
        assert_eq!(kind, Kind::Changed);
        told += 1;
        let reconnects = connection.status.and_then(|status| status.transport).map(|t| t.reconnects);
        if reconnects == Some(CHANGES) {
            break;
        }
    }
    assert!(told < CHANGES / 2, "{told} messages for {CHANGES} changes");
}

#[tokio::test]
async fn a_drain_ends_the_stream_and_says_so() {
    let mut served = serve(Options { watchers_max: 1, ..Options::default() }).await;
    let mut first = watch(&mut served).await;
    let refused = served.client.watch_connections(pb::WatchConnectionsRequest {}).await.expect_err("full");
    assert_eq!(verdict(&refused), (Code::ResourceExhausted, "WATCH_LIMIT".to_owned()));
    assert_eq!(next(&mut first).await.0, Kind::InitialListEnd);
    served.shutdown.cancel();
    let status = first.message().await.expect_err("an error ends it");
    assert_eq!(verdict(&status), (Code::Unavailable, "DRAINING".to_owned()));
    let late = served.client.watch_connections(pb::WatchConnectionsRequest {}).await.expect_err("draining");
    assert_eq!(late.code(), Code::Unavailable);
}

#[tokio::test]
async fn what_is_reported_is_shown_field_by_field() {
    let mut served = serve(Options::default()).await;
    served.add("nas1").await;
    let mut told =
        Health { reason: "slow".into(), remedy: "wait".into(), ..health(ConnectionState::Degraded) };
    told.transport.endpoint = "https://nas1".into();
    told.transport.observed_fingerprint = Some("ab".repeat(32).parse().expect("a fingerprint"));
    told.poll.consecutive_failures = 3;
    told.observed.pools = 2;
    told.sections.push(pulse_proto::model::SectionReport {
        section: pulse_proto::model::SectionName::parse("pools").expect("a name"),
        outcome: pulse_proto::model::SectionOutcome::Failed,
        observed_at: None,
        since: None,
        interval: std::time::Duration::from_mins(1),
        error: "late".into(),
    });
    served.board.set(&id("nas1"), told);
    let status = served.get("nas1").await.expect("there").status.expect("a status");
    assert_eq!((status.reason.as_str(), status.remedy.as_str()), ("slow", "wait"));
    assert_eq!(status.since.expect("since").seconds, 7);
    let transport = status.transport.expect("transport");
    assert_eq!((transport.mode.as_str(), transport.endpoint.as_str()), ("negotiating", "https://nas1"));
    assert_eq!(transport.observed_fingerprint, "ab".repeat(32));
    assert_eq!(status.poll.expect("poll").consecutive_failures, 3);
    assert_eq!(status.observed.expect("observed").pools, 2);
    assert_eq!(status.sections[0].error, "late");
}
