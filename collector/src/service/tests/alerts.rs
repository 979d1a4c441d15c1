//! Changes on appliances: who is refused, and how whoever waits hears of it.

use std::time::Duration;

use pulse_proto::model::ConnectionState;
use pulse_proto::pb::collector::v1 as pb;
use tonic::{Code, Status};

use super::support::{Served, connection, fields, health, id, serve, verdict};
use crate::connection::order::{Carried, Undone, WAITING_MAX};
use crate::service::Options;

async fn served(options: Options) -> Served {
    let mut served = serve(options).await;
    served.create(pb::Connection { enabled: Some(true), ..connection("nas1") }).await.expect("created");
    served
}

fn on() -> Options {
    Options { write_back: true, ..Options::default() }
}

async fn dismiss(served: &Served, connection: &str, uuid: &str) -> Result<bool, Status> {
    let request = pb::DismissAlertRequest {
        connection_id: connection.to_owned(),
        alert_uuid: uuid.to_owned(),
        requested_by: String::new(),
    };
    served.client.clone().dismiss_alert(request).await.map(|answer| answer.into_inner().unchanged)
}

async fn refused(served: &Served, connection: &str, uuid: &str) -> (Code, String) {
    verdict(&dismiss(served, connection, uuid).await.expect_err("refused"))
}

fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

#[tokio::test]
async fn nothing_reaches_a_nas_that_should_not() {
    let off = served(Options::default()).await;
    assert_eq!(refused(&off, "nas1", "u").await, is(Code::FailedPrecondition, "WRITE_BACK_DISABLED"));
    let dark = served(Options { enabled: true, ..on() }).await;
    assert_eq!(refused(&dark, "nas1", "u").await, is(Code::Unavailable, "NOT_CONNECTED"));
    assert_eq!(refused(&dark, "nas2", "u").await, is(Code::NotFound, "CONNECTION_NOT_FOUND"));
    for (connection, uuid, field) in
        [("", "u", "connection_id"), ("nas1", "", "alert_uuid"), ("nas1", "a\nb", "alert_uuid")]
    {
        let status = dismiss(&dark, connection, uuid).await.expect_err("refused");
        assert_eq!(fields(&status), [field]);
    }
    let request = pb::RestoreAlertRequest {
        connection_id: "nas1".to_owned(),
        alert_uuid: "u".to_owned(),
        requested_by: "x".repeat(129),
    };
    let status = dark.client.clone().restore_alert(request).await.expect_err("refused");
    assert_eq!(fields(&status), ["requested_by"]);
    let mut disabled = dark;
    disabled
        .update(pb::Connection { enabled: Some(false), ..connection("nas1") }, &["enabled"])
        .await
        .expect("changed");
    assert_eq!(refused(&disabled, "nas1", "u").await, is(Code::FailedPrecondition, "CONNECTION_DISABLED"));
}

#[tokio::test]
async fn every_outcome_has_its_answer() {
    let served = served(on()).await;
    served.board.set(&id("nas1"), health(ConnectionState::Degraded));
    let orders = served.roster.signals(&id("nas1")).expect("signals").orders;
    let outcomes = [
        (Ok(Carried::Changed), Ok(false)),
        (Ok(Carried::Unchanged), Ok(true)),
        (Err(Undone::NoSuchAlert), Err(is(Code::NotFound, "ALERT_NOT_FOUND"))),
        (Err(Undone::Forbidden { role: "R" }), Err(is(Code::PermissionDenied, "NAS_ROLE_MISSING"))),
        (Err(Undone::Unsupported), Err(is(Code::FailedPrecondition, "NAS_UNSUPPORTED"))),
        (Err(Undone::Failed("no".to_owned())), Err(is(Code::Unavailable, "NAS_FAILED"))),
    ];
    for (outcome, want) in outcomes {
        let (heard, ()) =
            tokio::join!(dismiss(&served, "nas1", "u"), async { orders.next().await.answer(outcome) });
        assert_eq!(heard.map_err(|status| verdict(&status)), want);
    }
    let (heard, ()) = tokio::join!(dismiss(&served, "nas1", "u"), async { drop(orders.next().await) });
    assert_eq!(heard.map_err(|status| verdict(&status)), Err(is(Code::Unavailable, "SESSION_ENDED")));
}

#[tokio::test]
async fn a_nas_that_does_not_answer_keeps_nobody_waiting_for_ever() {
    let short = Options { write_deadline: Duration::from_millis(20), ..on() };
    let late = served(short).await;
    late.board.set(&id("nas1"), health(ConnectionState::Live));
    assert_eq!(refused(&late, "nas1", "u").await, is(Code::DeadlineExceeded, "WRITE_DEADLINE"));

    let full = served(on()).await;
    full.board.set(&id("nas1"), health(ConnectionState::Live));
    let orders = full.roster.signals(&id("nas1")).expect("signals").orders;
    let uuid = crate::connection::order::AlertUuid::parse("u").expect("a uuid");
    let waiting: Vec<_> = (0..WAITING_MAX)
        .map(|_| orders.place(crate::connection::order::Action::Dismiss, uuid.clone()).expect("room"))
        .collect();
    assert_eq!(refused(&full, "nas1", "u").await, is(Code::ResourceExhausted, "WRITE_LIMIT"));
    drop(waiting);
}
