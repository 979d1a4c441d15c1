//! Create, get and list: what is refused, what is shown, and in which order.

use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::resource::v1::ConnectionState as WireState;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::support::{MASK, SECRET, connection, fields, serve, verdict};
use crate::service::Options;

fn list(size: i32, token: &str) -> pb::ListConnectionsRequest {
    pb::ListConnectionsRequest { page_size: size, page_token: token.to_owned() }
}

fn names(answer: &pb::ListConnectionsResponse) -> Vec<&str> {
    answer.connections.iter().map(|connection| connection.name.as_str()).collect()
}

#[tokio::test]
async fn what_is_created_is_shown_with_defaults_and_without_secret() {
    let mut served = serve(Options::default()).await;
    let sent = pb::Connection {
        id: String::new(),
        host: "https://NAS1:8443".into(),
        labels: [("site".to_owned(), "lab".to_owned())].into(),
        etag: "ignored".into(),
        ..connection("nas1")
    };
    let created = served.create(sent).await.expect("created");
    assert_eq!(created.id.len(), 36, "a UUID");
    assert_eq!((created.host.as_str(), created.port, created.use_https), ("nas1", 8443, Some(true)));
    assert_eq!((created.enabled, created.poll_interval_seconds), (Some(true), 60));
    assert_eq!((created.api_key.as_str(), created.password.as_str()), (MASK, ""));
    assert!(created.created_at.is_some() && created.updated_at.is_some());
    let status = created.status.as_ref().expect("a status");
    assert_eq!(status.state(), WireState::Connecting);
    assert_eq!(status.reason, "not tried yet");
    let id = created.id.clone();
    assert_eq!(served.get(&id).await.expect("there"), created);
}

#[tokio::test]
async fn all_bad_fields_are_named_at_once() {
    let mut served = serve(Options::default()).await;
    let bad =
        pb::Connection { id: "a/b".into(), port: 70_000, poll_interval_seconds: 3, ..Default::default() };
    let status = served.create(bad).await.expect_err("refused");
    assert_eq!(
        fields(&status),
        ["id", "name", "port", "host", "api_key", "poll_interval_seconds"].map(|f| format!("connection.{f}"))
    );
    let masked = pb::Connection { api_key: MASK.into(), ..connection("nas1") };
    assert_eq!(fields(&served.create(masked).await.expect_err("refused")), ["connection.api_key"]);
    let nothing = pb::CreateConnectionRequest::default();
    let status = served.client.create_connection(nothing).await.expect_err("refused");
    assert_eq!(fields(&status), ["connection"]);
}

#[tokio::test]
async fn what_is_taken_and_what_is_too_much_is_refused() {
    let mut served = serve(Options::default()).await;
    served.add("nas1").await;
    let reason = |result: Result<pb::Connection, Status>| verdict(&result.expect_err("refused"));
    let taken = |what: &str| (Code::AlreadyExists, format!("CONNECTION_{what}_TAKEN"));
    assert_eq!(reason(served.create(connection("nas1")).await), taken("ID"));
    let same_name = pb::Connection { name: "nas1".into(), ..connection("nas2") };
    assert_eq!(reason(served.create(same_name).await), taken("NAME"));
    let same_address = pb::Connection { host: "NAS1".into(), ..connection("nas2") };
    assert_eq!(reason(served.create(same_address).await), taken("ADDRESS"));
    for word in ["nas2", "nas3", "nas4", "nas5"] {
        served.add(word).await;
    }
    let status = served.create(connection("nas6")).await.expect_err("refused");
    assert_eq!(verdict(&status), (Code::ResourceExhausted, "CONNECTION_LIMIT".to_owned()));
    let details = status.get_error_details();
    assert_eq!(details.error_info().expect("info").metadata["limit"], "5");
    assert_eq!(details.quota_failure().expect("quota").violations[0].subject, "connections");
    assert!(status.message().contains('5'));
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_stores_nothing() {
    let mut served = serve(Options::default()).await;
    served.add("nas1").await;
    let mut dry = async |connection: pb::Connection| {
        let request = pb::CreateConnectionRequest { connection: Some(connection), validate_only: true };
        served.client.create_connection(request).await.map(|answer| answer.into_inner().connection)
    };
    let shown = dry(connection("nas2")).await.expect("good").expect("a connection");
    assert_eq!((shown.id.as_str(), shown.port, shown.api_key.as_str()), ("nas2", 443, MASK));
    assert!(shown.etag.is_empty() && shown.created_at.is_none());
    let unnamed = pb::Connection { id: String::new(), ..connection("nas2") };
    assert_eq!(dry(unnamed).await.expect("good").expect("a connection").id, "");
    assert_eq!(dry(connection("nas1")).await.expect_err("taken").code(), Code::AlreadyExists);
    assert_eq!(served.roster.all().len(), 1);
    assert_eq!(served.kept_secret("nas1"), SECRET);
}

#[tokio::test]
async fn who_is_not_there_is_not_found() {
    let mut served = serve(Options::default()).await;
    for unknown in ["nas1", "a/b", &"x".repeat(500)] {
        let status = served.get(unknown).await.expect_err("refused");
        assert_eq!(verdict(&status), (Code::NotFound, "CONNECTION_NOT_FOUND".to_owned()));
        let details = status.get_error_details();
        let resource = details.resource_info().expect("a resource");
        assert_eq!(resource.resource_type, "pulse.collector.v1.Connection");
        assert!(unknown.starts_with(&resource.resource_name));
    }
    assert_eq!(fields(&served.get("").await.expect_err("refused")), ["id"]);
}

#[tokio::test]
async fn pages_are_by_name_and_do_not_shift() {
    let mut served = serve(Options::default()).await;
    for word in ["delta", "alpha", "echo", "bravo", "charlie"] {
        served.add(word).await;
    }
    let all = served.client.list_connections(list(0, "")).await.expect("listed").into_inner();
    assert_eq!(names(&all), ["alpha", "bravo", "charlie", "delta", "echo"]);
    assert_eq!((all.next_page_token.as_str(), all.total_size, all.connection_limit), ("", 5, 5));

    let first = served.client.list_connections(list(2, "")).await.expect("listed").into_inner();
    assert_eq!(names(&first), ["alpha", "bravo"]);
    served.delete("bravo", "").await.expect("deleted");
    served.delete("alpha", "").await.expect("deleted");
    served.add("aardvark").await;
    let second = list(2, &first.next_page_token);
    let second = served.client.list_connections(second).await.expect("listed").into_inner();
    assert_eq!(names(&second), ["charlie", "delta"]);
    let third = list(2, &second.next_page_token);
    let third = served.client.list_connections(third).await.expect("listed").into_inner();
    assert_eq!((names(&third), third.next_page_token.as_str()), (vec!["echo"], ""));

    for token in ["nonsense", "!", "YQBiAGM"] {
        let status = served.client.list_connections(list(2, token)).await.expect_err("refused");
        assert_eq!(fields(&status), ["page_token"], "{token}");
    }
    let status = served.client.list_connections(list(-1, "")).await.expect_err("refused");
    assert_eq!(fields(&status), ["page_size"]);
}
