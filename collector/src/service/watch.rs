//! The stream of connections: all of them, then each as it changes. What goes out is looked up when the client has room
//! for it, so a slow client sees the newest state and costs no memory.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;

use pulse_proto::model::ConnectionId;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::watch_connections_response::Kind;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{error, page, wire};
use crate::connection::roster::Connections;
use crate::connection::{Board, Health, Roster, Settings};

/// Messages ahead of the client.
const AHEAD_MAX: usize = 16;

pub(super) type Item = Result<pb::WatchConnectionsResponse, Status>;
pub(super) type Stream = Pin<Box<dyn tokio_stream::Stream<Item = Item> + Send>>;

/// What a client was last told of one connection.
struct Told {
    settings: Arc<Settings>,
    health: Option<Arc<Health>>,
}

pub(super) struct Watcher {
    connections: watch::Receiver<Connections>,
    health: watch::Receiver<u64>,
    board: Arc<Board>,
    switched_on: bool,
    told: BTreeMap<ConnectionId, Told>,
    /// The board's version up to which everything was told.
    version: u64,
}

/// The client has gone.
struct Gone;

impl Watcher {
    pub(super) fn new(roster: &Roster, board: &Arc<Board>, switched_on: bool) -> Self {
        Self {
            connections: roster.subscribe(),
            health: board.subscribe(),
            board: Arc::clone(board),
            switched_on,
            told: BTreeMap::new(),
            version: 0,
        }
    }

    pub(super) fn stream(self, shutdown: CancellationToken, place: OwnedSemaphorePermit) -> Stream {
        let (out, rows) = mpsc::channel(AHEAD_MAX);
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = out.closed() => {}
                _gone = self.run(&out) => {}
            }
        });
        // Who still listens when the task has ended is told why.
        Box::pin(ReceiverStream::new(rows).chain(tokio_stream::once(Err(error::draining()))))
    }

    async fn run(mut self, out: &mpsc::Sender<Item>) -> Result<(), Gone> {
        let all = Arc::clone(&self.connections.borrow_and_update());
        self.health.borrow_and_update();
        self.version = self.board.changed_after(0).1;
        for settings in page::by_name(&all) {
            self.tell(out, Kind::Existing, &settings).await?;
        }
        send(out, Kind::InitialListEnd, None).await?;
        loop {
            tokio::select! {
                changed = self.connections.changed() => changed.map_err(|_| Gone)?,
                changed = self.health.changed() => changed.map_err(|_| Gone)?,
            }
            self.round(out).await?;
        }
    }

    async fn round(&mut self, out: &mpsc::Sender<Item>) -> Result<(), Gone> {
        let all = Arc::clone(&self.connections.borrow_and_update());
        self.health.borrow_and_update();
        let (changed, version) = self.board.changed_after(self.version);
        self.version = version;
        let removed: Vec<ConnectionId> =
            self.told.keys().filter(|id| !all.contains_key(*id)).cloned().collect();
        for id in removed {
            if let Some(told) = self.told.remove(&id) {
                let last = pb::Connection {
                    id: id.as_str().to_owned(),
                    name: told.settings.name.clone(),
                    ..pb::Connection::default()
                };
                send(out, Kind::Removed, Some(last)).await?;
            }
        }
        let rewritten = all.iter().filter(|(id, settings)| {
            self.told.get(*id).is_none_or(|told| told.settings.revision != settings.revision)
        });
        let ids: BTreeSet<ConnectionId> = rewritten.map(|(id, _)| id.clone()).chain(changed).collect();
        for id in ids {
            // Newer than what woke this round, when the client was slow.
            let Some(settings) = self.connections.borrow().get(&id).cloned() else { continue };
            let kind = if self.told.contains_key(&id) { Kind::Changed } else { Kind::Added };
            self.tell(out, kind, &settings).await?;
        }
        Ok(())
    }

    async fn tell(
        &mut self,
        out: &mpsc::Sender<Item>,
        kind: Kind,
        settings: &Arc<Settings>,
    ) -> Result<(), Gone> {
        let room = out.reserve().await.map_err(|_| Gone)?;
        let health = self.board.get(&settings.id);
        let same = self.told.get(&settings.id).is_some_and(|told| {
            told.settings.revision == settings.revision
                && told.health.as_ref().map(Arc::as_ptr) == health.as_ref().map(Arc::as_ptr)
        });
        if same {
            return Ok(());
        }
        let shown = wire::connection(settings, health.as_deref(), self.switched_on);
        room.send(Ok(message(kind, Some(shown))));
        self.told.insert(settings.id.clone(), Told { settings: Arc::clone(settings), health });
        Ok(())
    }
}

async fn send(out: &mpsc::Sender<Item>, kind: Kind, connection: Option<pb::Connection>) -> Result<(), Gone> {
    out.send(Ok(message(kind, connection))).await.map_err(|_| Gone)
}

fn message(kind: Kind, connection: Option<pb::Connection>) -> pb::WatchConnectionsResponse {
    pb::WatchConnectionsResponse { kind: kind.into(), connection }
}
