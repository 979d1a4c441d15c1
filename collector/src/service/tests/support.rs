//! A served `ConnectionApi`, and what its clients send.

use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ConnectionState, UnixMillis};
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::connection::{Board, Health, Roster, RosterOptions};
use crate::service::{ConnectionApi, Options};

pub(super) const SECRET: &str = "7-SeRvIcEsEcReTSeRvIcEsEcReTSeRvIcEsEcReTSeRvIcEsEcReTSeRvIcEsE";
pub(super) const OTHER_SECRET: &str = "8-OtHeRsEcReTOtHeRsEcReTOtHeRsEcReTOtHeRsEcReTOtHeRsEcReTOtHeRs";
pub(super) const MASK: &str = "********";

pub(super) type Client = ConnectionServiceClient<Channel>;

pub(super) struct Served {
    pub(super) client: Client,
    pub(super) roster: Arc<Roster>,
    pub(super) board: Arc<Board>,
    pub(super) shutdown: CancellationToken,
    _stop: tokio_util::sync::DropGuard,
}

pub(super) async fn serve(options: Options) -> Served {
    serve_with(options, Roster::in_memory(RosterOptions { max_connections: 5 })).await
}

pub(super) async fn serve_with(options: Options, roster: Arc<Roster>) -> Served {
    let board = Arc::new(Board::default());
    let shutdown = CancellationToken::new();
    let api = ConnectionApi::new(Arc::clone(&roster), Arc::clone(&board), options, shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(
        Server::builder()
            .add_service(api.into_server())
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped),
    );
    let client = Client::connect(format!("http://{address}")).await.expect("the server is there");
    Served { client, roster, board, shutdown, _stop: stop.drop_guard() }
}

/// With this id, name and host.
pub(super) fn connection(word: &str) -> pb::Connection {
    pb::Connection {
        id: word.to_owned(),
        name: word.to_owned(),
        host: word.to_owned(),
        username: "pulse".to_owned(),
        api_key: SECRET.to_owned(),
        ..pb::Connection::default()
    }
}

pub(super) fn create(connection: pb::Connection) -> pb::CreateConnectionRequest {
    pb::CreateConnectionRequest { connection: Some(connection), validate_only: false }
}

pub(super) fn update(connection: pb::Connection, paths: &[&str]) -> pb::UpdateConnectionRequest {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = Some(prost_types::FieldMask { paths });
    pb::UpdateConnectionRequest { connection: Some(connection), update_mask }
}

pub(super) fn id(word: &str) -> ConnectionId {
    ConnectionId::parse(word).expect("an id")
}

pub(super) fn health(state: ConnectionState) -> Health {
    Health::new(state, UnixMillis::new(7_000))
}

impl Served {
    pub(super) async fn add(&mut self, word: &str) -> pb::Connection {
        self.create(connection(word)).await.expect("created")
    }

    pub(super) async fn create(&mut self, connection: pb::Connection) -> Result<pb::Connection, Status> {
        let answer = self.client.create_connection(create(connection)).await?;
        Ok(answer.into_inner().connection.expect("a connection"))
    }

    pub(super) async fn update(
        &mut self,
        connection: pb::Connection,
        paths: &[&str],
    ) -> Result<pb::Connection, Status> {
        let answer = self.client.update_connection(update(connection, paths)).await?;
        Ok(answer.into_inner().connection.expect("a connection"))
    }

    pub(super) async fn get(&mut self, id: &str) -> Result<pb::Connection, Status> {
        let answer = self.client.get_connection(pb::GetConnectionRequest { id: id.to_owned() }).await?;
        Ok(answer.into_inner().connection.expect("a connection"))
    }

    pub(super) async fn delete(&mut self, id: &str, etag: &str) -> Result<(), Status> {
        let request = pb::DeleteConnectionRequest { id: id.to_owned(), etag: etag.to_owned() };
        self.client.delete_connection(request).await.map(|_empty| ())
    }

    /// The secret that is kept.
    pub(super) fn kept_secret(&self, word: &str) -> String {
        use crate::secret::Credential;
        match &self.roster.get(&id(word)).expect("stored").credential {
            Credential::ApiKey { key, .. } => key.expose().to_owned(),
            Credential::Password { password, .. } => password.expose().to_owned(),
        }
    }
}

/// Code and reason; both are the contract.
pub(super) fn verdict(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let info = details.error_info().expect("each error has a reason");
    assert_eq!(info.domain, "pulse.collector");
    (status.code(), info.reason.clone())
}

pub(super) fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let details = status.get_error_details();
    details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect())
        .unwrap_or_default()
}
