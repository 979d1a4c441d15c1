//! The gRPC face of the collector: wire in, typed call, wire out.
//!
//! Owns error details, paging, masks and streams. Decides nothing about connections; no secret leaves through it.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{ConnectionId, UnixMillis};
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::connection_service_server::{ConnectionService, ConnectionServiceServer};
use pulse_shell::audit;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::clock;
use crate::connection::order::Action;
use crate::connection::{Board, Refresh, Roster, Settings};
use crate::target;

mod alerts;
mod budget;
mod error;
mod mask;
mod page;
mod trial;
mod watch;
mod wire;

#[cfg(test)]
mod tests;

/// Largest message that a client may send: a connection with the longest certificates, and room.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Options {
    /// `PULSE_ENABLE_TRUENAS`. Without it connections can be looked at and deleted, nothing else.
    pub enabled: bool,
    /// How a test connects and reads: as the connection itself would, but in a hurry.
    pub target: target::Options,
    /// A whole test.
    pub test_deadline: Duration,
    /// Tests at the same time.
    pub tests_max: usize,
    /// Tests of one address within a minute. A NAS refuses every login after too many.
    pub tests_per_minute_max: usize,
    /// A whole round that somebody waits for.
    pub refresh_deadline: Duration,
    pub watchers_max: usize,
    /// Whether alerts may be dismissed and restored on appliances.
    pub write_back: bool,
    /// A whole change on an appliance, read back included.
    pub write_deadline: Duration,
    /// Longest message that is taken.
    pub message_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            enabled: true,
            target: target::Options::default(),
            test_deadline: Duration::from_mins(1),
            tests_max: 4,
            tests_per_minute_max: 6,
            refresh_deadline: Duration::from_mins(2),
            watchers_max: 256,
            write_back: false,
            write_deadline: Duration::from_mins(1),
            message_bytes_max: MESSAGE_BYTES_MAX,
        }
    }
}

#[derive(Debug)]
pub struct ConnectionApi {
    roster: Arc<Roster>,
    board: Arc<Board>,
    options: Options,
    shutdown: CancellationToken,
    tests: Semaphore,
    logins: budget::Logins,
    watchers: Arc<Semaphore>,
}

impl ConnectionApi {
    /// `shutdown` is the drain: waiting calls and streams then end with UNAVAILABLE.
    pub fn new(
        roster: Arc<Roster>,
        board: Arc<Board>,
        options: Options,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            roster,
            board,
            shutdown,
            tests: Semaphore::new(options.tests_max),
            logins: budget::Logins::new(options.tests_per_minute_max),
            watchers: Arc::new(Semaphore::new(options.watchers_max)),
            options,
        }
    }

    /// With the limits that belong to it.
    pub fn into_server(self) -> ConnectionServiceServer<Self> {
        let bytes_max = self.options.message_bytes_max;
        ConnectionServiceServer::new(self).max_decoding_message_size(bytes_max)
    }

    fn now() -> UnixMillis {
        UnixMillis::new(clock::now_unix_ms())
    }

    fn enabled(&self) -> Result<(), Status> {
        if self.options.enabled { Ok(()) } else { Err(error::disabled()) }
    }

    fn find(&self, id: &str) -> Result<Arc<Settings>, Status> {
        self.find_as("id", id)
    }

    /// `field` is where the client wrote the id.
    fn find_as(&self, field: &'static str, id: &str) -> Result<Arc<Settings>, Status> {
        if id.is_empty() {
            return Err(error::invalid_field(field, "is required"));
        }
        self.roster.get(&known_id(id)?).ok_or_else(|| error::not_found(id))
    }

    fn show(&self, settings: &Settings) -> pb::Connection {
        wire::connection(settings, self.board.get(&settings.id).as_deref(), self.options.enabled)
    }

    async fn refreshed(&self, refresh: &Refresh, id: &str) -> Result<(), Status> {
        let ticket = refresh.ask();
        tokio::select! {
            served = refresh.served(ticket) => served.map_err(|_removed| error::not_found(id)),
            () = tokio::time::sleep(self.options.refresh_deadline) => {
                Err(error::refresh_deadline(self.options.refresh_deadline))
            }
            () = self.shutdown.cancelled() => Err(error::draining()),
        }
    }
}

/// An id that no connection can have is one that no connection has.
fn known_id(id: &str) -> Result<ConnectionId, Status> {
    if id.is_empty() {
        return Err(error::invalid_field("id", "is required"));
    }
    ConnectionId::parse(id).map_err(|_| error::not_found(id))
}

#[tonic::async_trait]
impl ConnectionService for ConnectionApi {
    async fn create_connection(
        &self,
        request: Request<pb::CreateConnectionRequest>,
    ) -> Result<Response<pb::CreateConnectionResponse>, Status> {
        self.enabled()?;
        let (_, extensions, pb::CreateConnectionRequest { connection, validate_only }) = request.into_parts();
        let sent = connection.ok_or_else(|| error::invalid_field("connection", "is required"))?;
        audit::about(&extensions, format!("{} at {}:{}", sent.name, sent.host, sent.port));
        let own_id = !sent.id.is_empty();
        let settings = wire::new_settings(sent, Self::now()).map_err(|wrong| error::invalid(&wrong))?;
        let connection = if validate_only {
            self.roster.check(&settings).await?;
            wire::draft(&settings, own_id)
        } else {
            let created = self.roster.create(settings).await?;
            tracing::info!(connection = %created.id, name = created.name, "connection added");
            self.show(&created)
        };
        Ok(Response::new(pb::CreateConnectionResponse { connection: Some(connection) }))
    }

    async fn get_connection(
        &self,
        request: Request<pb::GetConnectionRequest>,
    ) -> Result<Response<pb::GetConnectionResponse>, Status> {
        let settings = self.find(&request.into_inner().id)?;
        Ok(Response::new(pb::GetConnectionResponse { connection: Some(self.show(&settings)) }))
    }

    async fn list_connections(
        &self,
        request: Request<pb::ListConnectionsRequest>,
    ) -> Result<Response<pb::ListConnectionsResponse>, Status> {
        let pb::ListConnectionsRequest { page_size, page_token } = request.into_inner();
        let all = self.roster.all();
        let page = page::page(&all, page_size, &page_token)
            .map_err(|wrong| error::invalid_field(wrong.field, wrong.message))?;
        Ok(Response::new(pb::ListConnectionsResponse {
            connections: page.rows.iter().map(|settings| self.show(settings)).collect(),
            next_page_token: page.next.unwrap_or_default(),
            total_size: i32::try_from(all.len()).unwrap_or(i32::MAX),
            connection_limit: i32::try_from(self.roster.limit()).unwrap_or(i32::MAX),
        }))
    }

    async fn update_connection(
        &self,
        request: Request<pb::UpdateConnectionRequest>,
    ) -> Result<Response<pb::UpdateConnectionResponse>, Status> {
        self.enabled()?;
        let (_, extensions, pb::UpdateConnectionRequest { connection, update_mask }) = request.into_parts();
        let sent = connection.ok_or_else(|| error::invalid_field("connection", "is required"))?;
        if sent.id.is_empty() {
            return Err(error::invalid_field("connection.id", "is required"));
        }
        audit::about(&extensions, sent.id.as_str());
        let id = known_id(&sent.id)?;
        let etag = sent.etag.clone();
        let fields = mask::fields(update_mask.as_ref(), &sent)?;
        let now = Self::now();
        let updated = self.roster.update(&id, &etag, |old| mask::updated(old, sent, &fields, now)).await?;
        tracing::info!(connection = %updated.id, name = updated.name, "connection changed");
        Ok(Response::new(pb::UpdateConnectionResponse { connection: Some(self.show(&updated)) }))
    }

    async fn delete_connection(
        &self,
        request: Request<pb::DeleteConnectionRequest>,
    ) -> Result<Response<pb::DeleteConnectionResponse>, Status> {
        let (_, extensions, pb::DeleteConnectionRequest { id, etag }) = request.into_parts();
        audit::about(&extensions, id.as_str());
        self.roster.delete(&known_id(&id)?, &etag).await?;
        tracing::info!(connection = id, "connection removed");
        Ok(Response::new(pb::DeleteConnectionResponse {}))
    }

    async fn test_connection(
        &self,
        request: Request<pb::TestConnectionRequest>,
    ) -> Result<Response<pb::TestConnectionResponse>, Status> {
        use pb::test_connection_request::Target;
        self.enabled()?;
        let (_, extensions, asked) = request.into_parts();
        let settings = match asked.target {
            None => return Err(error::invalid_field("target", "is required: an id, or a connection")),
            Some(Target::Id(id)) => self.find(&id)?,
            Some(Target::Connection(sent)) => Arc::new(self.unsaved(sent)?),
        };
        audit::about(&extensions, format!("{} at {}:{}", settings.name, settings.host, settings.port));
        let _place = self.tests.try_acquire().map_err(|_| error::too_many_tests(self.options.tests_max))?;
        let host = (settings.host.clone(), settings.port);
        self.logins
            .take(host, tokio::time::Instant::now())
            .map_err(|wait| error::too_many_logins(self.options.tests_per_minute_max, wait))?;
        tokio::select! {
            result = trial::run(&settings, &self.options) => Ok(Response::new(result)),
            () = self.shutdown.cancelled() => Err(error::draining()),
        }
    }

    async fn refresh_connection(
        &self,
        request: Request<pb::RefreshConnectionRequest>,
    ) -> Result<Response<pb::RefreshConnectionResponse>, Status> {
        self.enabled()?;
        let (_, extensions, pb::RefreshConnectionRequest { id }) = request.into_parts();
        audit::about(&extensions, id.as_str());
        let settings = self.find(&id)?;
        if !settings.enabled {
            return Err(error::connection_disabled(&id));
        }
        let refresh = self.roster.refresh_signal(&settings.id).ok_or_else(|| error::not_found(&id))?;
        self.refreshed(&refresh, &id).await?;
        let settings = self.find(&id)?;
        Ok(Response::new(pb::RefreshConnectionResponse { connection: Some(self.show(&settings)) }))
    }

    async fn rotate_encryption_key(
        &self,
        _request: Request<pb::RotateEncryptionKeyRequest>,
    ) -> Result<Response<pb::RotateEncryptionKeyResponse>, Status> {
        self.enabled()?;
        self.roster.rotate_key().await.map_err(|error| error::stored(&error))?;
        let connections = u32::try_from(self.roster.all().len()).unwrap_or(u32::MAX);
        tracing::info!(connections, "stored credentials are encrypted with a new key");
        Ok(Response::new(pb::RotateEncryptionKeyResponse { connections }))
    }

    async fn dismiss_alert(
        &self,
        request: Request<pb::DismissAlertRequest>,
    ) -> Result<Response<pb::DismissAlertResponse>, Status> {
        let origin = alerts::Origin::of(&request);
        let (_, extensions, asked) = request.into_parts();
        let pb::DismissAlertRequest { connection_id, alert_uuid, requested_by } = asked;
        audit::about(&extensions, format!("{connection_id} {alert_uuid}"));
        let wish = alerts::Wish { action: Action::Dismiss, connection_id, alert_uuid, requested_by };
        let unchanged = self.mark_alert(&wish, &origin).await?;
        Ok(origin.stamp(pb::DismissAlertResponse { unchanged }))
    }

    async fn restore_alert(
        &self,
        request: Request<pb::RestoreAlertRequest>,
    ) -> Result<Response<pb::RestoreAlertResponse>, Status> {
        let origin = alerts::Origin::of(&request);
        let (_, extensions, asked) = request.into_parts();
        let pb::RestoreAlertRequest { connection_id, alert_uuid, requested_by } = asked;
        audit::about(&extensions, format!("{connection_id} {alert_uuid}"));
        let wish = alerts::Wish { action: Action::Restore, connection_id, alert_uuid, requested_by };
        let unchanged = self.mark_alert(&wish, &origin).await?;
        Ok(origin.stamp(pb::RestoreAlertResponse { unchanged }))
    }

    type WatchConnectionsStream = watch::Stream;

    async fn watch_connections(
        &self,
        _request: Request<pb::WatchConnectionsRequest>,
    ) -> Result<Response<Self::WatchConnectionsStream>, Status> {
        if self.shutdown.is_cancelled() {
            return Err(error::draining());
        }
        let place = Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| error::too_many_watchers(self.options.watchers_max))?;
        let watcher = watch::Watcher::new(&self.roster, &self.board, self.options.enabled);
        Ok(Response::new(watcher.stream(self.shutdown.clone(), place)))
    }
}

impl ConnectionApi {
    /// A connection to try that is not stored. With the id of a stored one it is that one, changed.
    fn unsaved(&self, mut sent: pb::Connection) -> Result<Settings, Status> {
        if sent.name.trim().is_empty() {
            "unsaved".clone_into(&mut sent.name);
        }
        if sent.id.is_empty() || !mask::leans_on_stored(&sent) {
            return wire::new_settings(sent, Self::now()).map_err(|wrong| error::invalid(&wrong));
        }
        let stored = self.find(&sent.id)?;
        mask::updated(&stored, sent, &mask::ALL.into(), Self::now())
    }
}
