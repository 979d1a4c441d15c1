//! What only the whole shows.
#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeMap;

use pulse_proto::model::{CollectorId, Epoch, Revision, Sequence};
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::state::lease::Cursor;
use crate::state::{ConnectionRow, Write};

async fn metrics(app: &App) -> String {
    let mut stream = tokio::net::TcpStream::connect(app.http_addr()).await.unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_stored_row_that_cannot_be_read_is_counted_and_kept_while_the_rest_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let connection = ConnectionId::parse("nas").unwrap();
    let cursor = Cursor {
        collector: CollectorId::parse("c").unwrap(),
        epoch: Epoch(1),
        sequence: Sequence(1),
        digest: None,
    };
    let row = ConnectionRow {
        cursor,
        source: DataSource::Truenas,
        removed: false,
        status: None,
        sections: BTreeMap::new(),
        freshness: BTreeMap::new(),
    };
    let journal = Journal::open(folder.path(), "registry").unwrap();
    journal.commit(Revision(1), &[Write::Connection(connection, Box::new(row))]).unwrap();
    journal.spoil("nas", "system:nas/pool:tank");
    drop(journal);
    let flags = [
        ("data_dir", "--data-dir", Some(folder.path().display().to_string())),
        ("grpc.listen", "--grpc-listen", Some("127.0.0.1:0".to_owned())),
        ("http.listen", "--http-listen", Some("127.0.0.1:0".to_owned())),
    ];
    for _ in 0..2 {
        let app = App::start(Config::read(None, &flags).0.unwrap()).await.unwrap();
        let told = metrics(&app).await;
        assert!(told.contains("pulse_registry_stored_rows_unreadable 1\n"), "{told}");
        let mut client = ResourceServiceClient::connect(format!("http://{}", app.grpc_addr())).await.unwrap();
        let list = client.list_resources(ListResourcesRequest::default()).await.unwrap().into_inner();
        assert_eq!(list.resources, []);
        drop(client);
        app.shutdown();
        app.wait().await.unwrap();
    }
}
