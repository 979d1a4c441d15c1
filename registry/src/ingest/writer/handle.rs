//! How others reach the writer: what they may ask of it, and how much of that may
//! wait. Refuses to know what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pulse_proto::model::{CollectorId, ConnectionId, Revision};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::Span;

use super::NO_WRITES;
use crate::state::lease::Cursor;
use crate::state::{Answer, Input, LinkError, Note, Pair, Stand};

/// Inputs that may wait for the writer, over all streams.
pub const QUEUE_MAX: usize = 256;
/// Bytes of messages whose inputs are decoded and not yet applied, over all streams. As documents
/// they take about as much; a larger message waits until it is alone.
pub const QUEUE_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// How streams reach the writer.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    /// A permit for each byte.
    room: Arc<Semaphore>,
    streams: Arc<AtomicU64>,
}

/// Room for one input, from before it is decoded until it is applied.
#[derive(Debug)]
pub struct Room(#[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit);

/// The writer is gone: the registry is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registry is stopping")]
pub struct Stopped;

/// Why no stream can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A sender that hears of nothing held would begin to count anew, below what may be held after all.
    #[error("{NO_WRITES}, so it cannot be told what is held")]
    Store,
}

#[derive(Debug)]
pub(super) enum Request {
    Open(StreamId, Vec<ConnectionId>, Cursors),
    /// With the trace that it is part of.
    Apply(StreamId, Input, Reply, Span, Room),
    Link(Statement, Linked),
    Keep(Vec<Note>, Kept),
}

/// What an operator says of two records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The time is the writer's.
    Say {
        pair: Pair,
        stand: Stand,
        reason: String,
        who: String,
    },
    Forget(Pair),
}

/// Durable as of this revision.
pub(super) type Linked = oneshot::Sender<Result<Revision, LinkError>>;

/// Durable, or why not.
pub(super) type Kept = oneshot::Sender<Result<(), String>>;

/// `None` while nobody can say: what memory held is in doubt, and the store does not answer.
pub(super) type Cursors = oneshot::Sender<Option<Vec<(ConnectionId, Cursor)>>>;

/// One stream of a collector; a later one has a greater number and takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamId {
    pub(super) collector: CollectorId,
    pub(super) number: u64,
    /// Labels that every connection must carry which it brings.
    pub(super) bound: Arc<BTreeMap<String, String>>,
}

/// What came of one input.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Answered(Vec<Answer>),
    /// The collector has opened another stream since; what this one brings is out of date.
    Superseded,
}

/// Where outcomes go: one for each input, in order.
pub type Reply = mpsc::Sender<Outcome>;

impl Handle {
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, received) = mpsc::channel(QUEUE_MAX);
        let room = Arc::new(Semaphore::new(QUEUE_BYTES_MAX as usize));
        (Self { requests, room, streams: Arc::default() }, received)
    }

    /// Opens a stream, and tells how far its connections have come. Inputs of earlier streams of the same collector that
    /// come after this are not applied: otherwise a straggler could take the number of what this stream sends next.
    pub async fn open(
        &self,
        collector: &CollectorId,
        connections: Vec<ConnectionId>,
        bound: BTreeMap<String, String>,
    ) -> Result<(StreamId, Vec<(ConnectionId, Cursor)>), Closed> {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        let stream = StreamId { collector: collector.clone(), number, bound: Arc::new(bound) };
        let (reply, answer) = oneshot::channel();
        let request = Request::Open(stream.clone(), connections, reply);
        self.requests.send(request).await.map_err(|_gone| Stopped)?;
        let cursors = answer.await.map_err(|_gone| Stopped)?;
        Ok((stream, cursors.ok_or(Closed::Store)?))
    }

    /// For what is decoded of a message of so many bytes. Waits while the writer is busy; that wait is what slows a stream
    /// down.
    pub async fn room(&self, bytes: usize) -> Result<Room, Stopped> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(QUEUE_BYTES_MAX);
        Arc::clone(&self.room).acquire_many_owned(bytes).await.map(Room).map_err(|_closed| Stopped)
    }

    /// Waits as well, where many are small. `reply` needs a free place.
    pub async fn submit(
        &self,
        stream: &StreamId,
        input: Input,
        reply: Reply,
        room: Room,
    ) -> Result<(), Stopped> {
        self.requests
            .send(Request::Apply(stream.clone(), input, reply, Span::current(), room))
            .await
            .map_err(|_gone| Stopped)
    }
}

impl Handle {
    /// Looks at the queue without keeping the writer at work.
    pub fn backlog(&self) -> Backlog {
        Backlog { requests: self.requests.downgrade(), room: Arc::clone(&self.room) }
    }
}

/// What waits for the writer.
#[derive(Clone, Debug)]
pub struct Backlog {
    requests: mpsc::WeakSender<Request>,
    room: Arc<Semaphore>,
}

impl Backlog {
    /// Of [`QUEUE_BYTES_MAX`].
    pub fn bytes(&self) -> usize {
        (QUEUE_BYTES_MAX as usize).saturating_sub(self.room.available_permits())
    }

    /// Of [`QUEUE_MAX`].
    pub fn depth(&self) -> usize {
        self.requests.upgrade().map_or(0, |requests| requests.max_capacity() - requests.capacity())
    }
}

impl Handle {
    /// Says something of two records; returns the revision that shows it.
    pub async fn link(&self, statement: Statement) -> Result<Result<Revision, LinkError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Link(statement, reply)).await.map_err(|_gone| Stopped)?;
        answer.await.map_err(|_gone| Stopped)
    }
}

impl Handle {
    /// Keeps rows that belong to no record; durable when it returns. An error says what failed: the rows may be durable
    /// all the same, and can be kept again.
    pub async fn keep(&self, notes: Vec<Note>) -> Result<Result<(), String>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Keep(notes, reply)).await.map_err(|_gone| Stopped)?;
        answer.await.map_err(|_gone| Stopped)
    }
}
