//! The switch, and rounds that somebody waits for.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::ConnectionState;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::resource::v1::ConnectionState as WireState;
use tonic::Code;

use super::support::{connection, create, health, id, serve, serve_with, update, verdict};
use crate::connection::{Roster, RosterOptions};
use crate::service::Options;

fn refresh(id: &str) -> pb::RefreshConnectionRequest {
    pb::RefreshConnectionRequest { id: id.to_owned() }
}

#[tokio::test]
async fn switched_off_one_may_look_and_delete() {
    let roster = Roster::in_memory(RosterOptions::default());
    roster.create(crate::connection::testing::settings("nas1")).await.expect("created");
    let mut served = serve_with(Options { enabled: false, ..Options::default() }, roster).await;
    let client = &mut served.client;
    let test =
        pb::TestConnectionRequest { target: Some(pb::test_connection_request::Target::Id("nas1".into())) };
    let refused = [
        client.create_connection(create(connection("nas2"))).await.expect_err("off"),
        client.update_connection(update(connection("nas1"), &["name"])).await.expect_err("off"),
        client.test_connection(test).await.expect_err("off"),
        client.refresh_connection(refresh("nas1")).await.expect_err("off"),
        client.dismiss_alert(pb::DismissAlertRequest::default()).await.expect_err("off"),
        client.restore_alert(pb::RestoreAlertRequest::default()).await.expect_err("off"),
        client.rotate_encryption_key(pb::RotateEncryptionKeyRequest {}).await.expect_err("off"),
    ];
    for status in refused {
        assert_eq!(verdict(&status), (Code::FailedPrecondition, "TRUENAS_DISABLED".to_owned()));
    }
    let mut watch =
        client.watch_connections(pb::WatchConnectionsRequest {}).await.expect("watched").into_inner();
    assert!(watch.message().await.expect("a message").is_some());
    let listed = client.list_connections(pb::ListConnectionsRequest::default()).await.expect("listed");
    assert_eq!(listed.into_inner().connections.len(), 1);
    let status = served.get("nas1").await.expect("there").status.expect("a status");
    assert_eq!(status.state(), WireState::Disabled);
    assert!(status.remedy.contains("PULSE_ENABLE_TRUENAS"));
    served.delete("nas1", "").await.expect("deleted");
}

#[tokio::test]
async fn a_refresh_returns_when_its_round_has_ended() {
    let mut served = serve(Options::default()).await;
    served.add("nas1").await;
    let signal = served.roster.refresh_signal(&id("nas1")).expect("a signal");
    let board = Arc::clone(&served.board);
    let task = tokio::spawn(async move {
        let ticket = signal.asked().await;
        board.set(&id("nas1"), health(ConnectionState::Live));
        signal.finish(ticket);
    });
    let answer = served.client.refresh_connection(refresh("nas1")).await.expect("refreshed").into_inner();
    let status = answer.connection.expect("a connection").status.expect("a status");
    assert_eq!(status.state(), WireState::Live);
    task.await.expect("served");
}

#[tokio::test]
async fn a_refresh_that_cannot_end_says_why() {
    let quick = Options { refresh_deadline: Duration::from_millis(20), ..Options::default() };
    let mut served = serve(quick).await;
    served.add("nas1").await;
    served.create(pb::Connection { enabled: Some(false), ..connection("off") }).await.expect("created");
    let status = served.client.refresh_connection(refresh("nas1")).await.expect_err("nobody reads");
    assert_eq!(verdict(&status), (Code::DeadlineExceeded, "REFRESH_DEADLINE".to_owned()));
    let status = served.client.refresh_connection(refresh("off")).await.expect_err("disabled");
    assert_eq!(verdict(&status), (Code::FailedPrecondition, "CONNECTION_DISABLED".to_owned()));
    let status = served.client.refresh_connection(refresh("nas9")).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn waiting_for_a_round_ends_with_the_connection_and_with_the_drain() {
    let mut served = serve(Options::default()).await;
    for (word, drain) in [("nas1", false), ("nas2", true)] {
        served.add(word).await;
        let mut client = served.client.clone();
        let waiting = tokio::spawn(async move { client.refresh_connection(refresh(word)).await });
        served.roster.refresh_signal(&id(word)).expect("a signal").asked().await;
        let expected = if drain {
            served.shutdown.cancel();
            (Code::Unavailable, "DRAINING".to_owned())
        } else {
            served.delete(word, "").await.expect("deleted");
            (Code::NotFound, "CONNECTION_NOT_FOUND".to_owned())
        };
        let status = waiting.await.expect("ended").expect_err("refused");
        assert_eq!(verdict(&status), expected);
    }
}
