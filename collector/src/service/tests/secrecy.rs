//! Every method, with planted secrets: none comes back in an answer, an error, a detail or a log line.

use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulse_proto::model::ConnectionState;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::test_connection_request::Target;
use tonic::Status;

use super::support::{OTHER_SECRET, SECRET, connection, create, health, id, serve_with, update};
use crate::connection::store::KeySource;
use crate::connection::{Roster, RosterOptions};
use crate::service::Options;

const PASSWORD: &str = "PaSsWoRd-pLaNtEd-PaSsWoRd";

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl io::Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one writer").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything a client can see of an outcome.
fn seen<T: std::fmt::Debug>(result: Result<tonic::Response<T>, Status>) -> String {
    match result {
        Ok(answer) => format!("{answer:?}"),
        Err(status) => format!("{status:?} {status} {}", String::from_utf8_lossy(status.details())),
    }
}

#[tokio::test]
async fn no_secret_comes_back() {
    let heard = Heard::default();
    let writer = heard.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().expect("a folder");
    let roster = Roster::open(folder.path(), &KeySource::Beside, RosterOptions { max_connections: 2 })
        .expect("a new store");
    let mut served = serve_with(Options::default(), roster).await;
    let mut all = String::new();
    let mut add = |text: String| all.push_str(&text);
    let password = |word: &str| pb::Connection {
        api_key: String::new(),
        password: PASSWORD.into(),
        // Nothing listens there.
        host: "127.0.0.1".into(),
        port: 1,
        ..connection(word)
    };
    let client = &mut served.client;
    add(seen(client.create_connection(create(connection("nas1"))).await));
    add(seen(client.create_connection(create(password("nas2"))).await));
    add(seen(client.create_connection(create(connection("nas1"))).await));
    add(seen(client.create_connection(create(connection("nas3"))).await));
    let broken =
        pb::Connection { api_key: format!("{SECRET} x"), password: PASSWORD.into(), ..connection("x") };
    add(seen(client.create_connection(create(broken.clone())).await));
    let dry = pb::CreateConnectionRequest { connection: Some(connection("nas4")), validate_only: true };
    add(seen(client.create_connection(dry).await));

    let mut told = health(ConnectionState::Refused);
    told.reason = format!("refused {SECRET}");
    told.transport.last_error = format!("Basic {}", STANDARD.encode(SECRET));
    served.board.set(&id("nas1"), told);
    add(seen(client.get_connection(pb::GetConnectionRequest { id: "nas1".into() }).await));
    add(seen(client.list_connections(pb::ListConnectionsRequest::default()).await));
    let mut watch =
        client.watch_connections(pb::WatchConnectionsRequest {}).await.expect("watched").into_inner();
    for _ in 0..3 {
        add(format!("{:?}", watch.message().await));
    }
    served.board.set(&id("nas1"), health(ConnectionState::Connecting));
    let fresh =
        pb::Connection { host: "elsewhere".into(), api_key: OTHER_SECRET.into(), ..connection("nas1") };
    add(seen(client.update_connection(update(fresh, &[])).await));
    add(seen(client.update_connection(update(broken, &["api_key", "password"])).await));
    let moved = pb::Connection { id: "nas1".into(), port: 9, ..Default::default() };
    add(seen(client.update_connection(update(moved, &["port"])).await));
    for target in [Target::Id("nas2".into()), Target::Connection(password("nas5"))] {
        add(seen(client.test_connection(pb::TestConnectionRequest { target: Some(target) }).await));
    }
    std::fs::create_dir(folder.path().join("connections.json.tmp")).expect("in the way");
    add(seen(client.update_connection(update(connection("nas1"), &["api_key"])).await));
    std::fs::remove_dir(folder.path().join("connections.json.tmp")).expect("out of the way");
    served.roster.refresh_signal(&id("nas1")).expect("a signal");
    served.shutdown.cancel();
    add(seen(client.refresh_connection(pb::RefreshConnectionRequest { id: "nas1".into() }).await));
    let gone = pb::DeleteConnectionRequest { id: "nas1".into(), etag: "old".into() };
    add(seen(client.delete_connection(gone).await));
    add(format!("{:?}", served.roster));

    let log = String::from_utf8(heard.0.lock().expect("one writer").clone()).expect("text");
    assert!(log.contains("connection added") && log.contains("cannot be stored"), "the log is heard: {log}");
    assert!(all.contains("********") && all.contains("STORE_FAILED") && all.contains("DRAINING"));
    for (place, text) in [("answers", &all), ("log", &log)] {
        for secret in [SECRET, OTHER_SECRET, PASSWORD] {
            let part = secret.split_once('-').expect("parts").1;
            for form in [secret.to_owned(), part.to_owned(), STANDARD.encode(secret), STANDARD.encode(part)] {
                let found = text.find(&form).map(|at| &text[at.saturating_sub(300)..at]);
                assert_eq!(found, None, "{form} in {place}");
            }
        }
    }
}
