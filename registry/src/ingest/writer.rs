//! The one writer. Gathers what waits into a group, applies it, commits it with
//! one sync, then publishes and answers: nothing is said before it is durable.
//! While one group is on its way to the disk the next one is applied, so that
//! neither waits for the other; it counts for nothing until the first is there.

mod checkpoint;
mod group;
mod handle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{CollectorId, ConnectionId, Revision, UnixMillis};
use pulse_shell::trace;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::Instant;
use tracing::Span;

use self::checkpoint::Checkpoints;
use self::group::{GROUP_WRITES_MAX, Group, Origin, Question};
pub use self::handle::{
    Backlog, Closed, Handle, Outcome, QUEUE_BYTES_MAX, QUEUE_MAX, Reply, Room, Statement, Stopped, StreamId,
};
use self::handle::{Cursors, Kept, Linked, Request};
use crate::clock::Clock;
use crate::state::judge::Judge;
use crate::state::{Answer, Link, LinkError, Publisher, State, Write};
use crate::store::{Loaded, Store, Ticket};

/// Times of observation are on disk at most this late.
const FLUSH_INTERVAL: Duration = Duration::from_secs(15);
/// After a failed commit the store is asked again this often.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

const NO_WRITES: &str = "the store does not take writes at the moment";

/// Hears how the writer does; for metrics and readiness.
pub trait Observer: Send + Sync + 'static {
    fn committed(&self, took: Duration, batches: usize, rows: usize);
    fn failed(&self, error: &str);
    fn answered(&self, answers: &[Answer]);
    fn published(&self, revision: Revision, changes: usize);
    fn checkpointed(&self, took: Duration);
    fn checkpoint_failed(&self, error: &str);
    /// Everything was read back after a failure, but for these rows.
    fn read_back(&self, _unreadable: &[String]) {}
}

/// Owns the state; everything else sees views.
pub struct Writer {
    state: State,
    judge: Arc<dyn Judge>,
    store: Arc<dyn Store>,
    publisher: Publisher,
    clock: Clock,
    observer: Arc<dyn Observer>,
    requests: mpsc::Receiver<Request>,
    /// The newest stream of each collector.
    streams: BTreeMap<CollectorId, u64>,
    flushed: Instant,
    /// The last commit failed: memory was thrown away and the store must be read again first.
    broken: bool,
    checkpoints: Checkpoints,
    /// Room for the writes of the group after next, so that a group does not begin with new memory.
    spare: Vec<Write>,
}

impl Writer {
    pub fn new(
        state: State,
        judge: Arc<dyn Judge>,
        store: Arc<dyn Store>,
        publisher: Publisher,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> (Self, Handle) {
        let (handle, requests) = Handle::new();
        let writer = Self {
            state,
            judge,
            store,
            publisher,
            clock,
            observer,
            requests,
            streams: BTreeMap::new(),
            flushed: Instant::now(),
            broken: false,
            checkpoints: Checkpoints::default(),
            spare: Vec::new(),
        };
        (writer, handle)
    }

    /// Runs until every handle is gone; then everything accepted is durable and answered.
    pub async fn run(mut self) {
        let mut group = Group::default();
        loop {
            let next_tick = self.state.next_tick();
            let first = tokio::select! {
                biased;
                // First, once for each: under load something else is always ready.
                () = self.checkpoints.ended(&*self.observer) => continue,
                () = std::future::ready(()), if !group.is_empty() => None,
                request = self.requests.recv() => match request {
                    Some(request) => Some(request),
                    None => break,
                },
                () = self.clock.reaches(next_tick), if !self.broken => None,
                () = tokio::time::sleep_until(self.flushed + FLUSH_INTERVAL), if !self.broken => None,
                () = tokio::time::sleep(RETRY_INTERVAL), if self.broken => None,
            };
            if self.broken {
                self.recover().await;
            }
            group = self.round(first, group).await;
        }
        let writes = self.state.unwritten();
        if !self.broken && !writes.is_empty() {
            let group = Group { writes, ..Group::default() };
            self.finish(group).await;
        }
        self.checkpoints.finish(&*self.observer).await;
    }

    /// Finishes a group; returns what was applied of the next one meanwhile.
    async fn round(&mut self, first: Option<Request>, mut group: Group) -> Group {
        let now = self.clock.now();
        if let Some(request) = first {
            self.take_in(request, &mut group, now);
        }
        while group.has_room()
            && let Ok(request) = self.requests.try_recv()
        {
            self.take_in(request, &mut group, now);
        }
        if !self.broken {
            // However full it is: who is silent grows stale also while others send all the time.
            let full = group.writes.len() + GROUP_WRITES_MAX;
            while group.writes.len() < full
                && let Some(applied) = self.state.tick(now)
            {
                group.writes.extend(applied.writes);
                group.changes.extend(applied.changes);
            }
            if self.flushed.elapsed() >= FLUSH_INTERVAL || !group.writes.is_empty() {
                group.writes.extend(self.state.unwritten());
                self.flushed = Instant::now();
            }
        }
        self.finish(group).await
    }

    fn take_in(&mut self, request: Request, group: &mut Group, now: UnixMillis) {
        match request {
            Request::Open(stream, ids, reply) => {
                self.streams.insert(stream.collector.clone(), stream.number);
                // What was applied in this group is not durable yet: told after the commit.
                group.questions.push(Question { stream, ids, known: None, reply });
            }
            Request::Link(statement, reply) => {
                group.inputs += 1;
                let outcome = self.link(statement, group, now);
                group.links.push((outcome, reply));
            }
            Request::Keep(_, reply) if self.broken => {
                group.keeps.push((Err(NO_WRITES.to_owned()), reply));
            }
            Request::Keep(notes, reply) => {
                group.writes.extend(self.state.note(notes));
                group.keeps.push((Ok(()), reply));
            }
            Request::Apply(stream, _, reply, ..)
                if self.streams.get(&stream.collector) != Some(&stream.number) =>
            {
                drop(reply.try_send(Outcome::Superseded));
            }
            Request::Apply(stream, input, reply, span, _room) => {
                let mut origin = Origin::of(&input);
                group.inputs += 1;
                if self.broken {
                    let refusal = origin.exhausted(NO_WRITES);
                    group.answers.push((origin, refusal, reply));
                    return;
                }
                origin.span = span;
                let applying = origin
                    .traced(|parent| tracing::info_span!(target: trace::TARGET, parent: parent, "apply"));
                let applied = applying.in_scope(|| self.state.apply_bound(input, &stream.bound, now));
                group.writes.extend(applied.writes);
                group.changes.extend(applied.changes);
                group.answers.push((origin, applied.answers, reply));
            }
        }
    }

    fn link(
        &mut self,
        statement: Statement,
        group: &mut Group,
        now: UnixMillis,
    ) -> Result<Revision, LinkError> {
        if self.broken {
            return Err(LinkError::Store(NO_WRITES.to_owned()));
        }
        let applied = match statement {
            Statement::Say { pair, stand, reason, who } => {
                self.state.link(Link { pair, stand, reason, who, at: now })
            }
            Statement::Forget(pair) => self.state.forget_link(&pair, now),
        }?;
        group.writes.extend(applied.writes);
        group.changes.extend(applied.changes);
        Ok(self.state.view().revision)
    }

    /// Makes the group durable, shows it, answers it. Returns what was applied of the next one meanwhile.
    async fn finish(&mut self, group: Group) -> Group {
        let mut next = Group { writes: std::mem::take(&mut self.spare), ..Group::default() };
        let shown = group.shows().then(|| Arc::new(self.state.view().clone()));
        let mut group = self.say_cursors(group);
        if !group.writes.is_empty() {
            let writes = std::mem::take(&mut group.writes);
            let (inputs, rows, started) = (group.inputs, writes.len(), Instant::now());
            let committing: Vec<Span> =
                group.answers.iter().map(|(origin, ..)| origin.committing(rows)).collect();
            let outcome = self.commit(writes, &mut next).await;
            drop(committing);
            match outcome {
                Ok(begun) => {
                    self.observer.committed(started.elapsed(), inputs, rows);
                    self.begin_checkpoint(begun);
                }
                Err(error) => {
                    self.observer.failed(&error);
                    self.broken = true;
                    group.refuse(&error);
                    // It was applied to what is not there.
                    next.refuse(&error);
                }
            }
        }
        if let Some(view) = shown.filter(|_| !self.broken) {
            let changes: usize = group.changes.iter().map(|changes| changes.items.len()).sum();
            self.observer.published(view.revision, changes);
            self.publisher.publish(view, std::mem::take(&mut group.changes));
        }
        group.answer(&*self.observer);
        if self.broken {
            std::mem::take(&mut next).answer(&*self.observer);
        }
        next
    }

    /// Makes rows durable. What comes in meanwhile is applied for the next group, unless a checkpoint may begin: that is
    /// made of the state as this commit leaves it.
    async fn commit(&mut self, writes: Vec<Write>, next: &mut Group) -> Result<Option<Ticket>, String> {
        let store = Arc::clone(&self.store);
        let revision = self.state.view().revision;
        let alone = self.checkpoints.may_begin() && self.store.wants_checkpoint();
        let mut commit = tokio::task::spawn_blocking(move || {
            let committed = store.commit(revision, &writes);
            let begun = if committed.is_ok() && alone { store.begin_checkpoint() } else { Ok(None) };
            (committed.map(|()| begun), writes)
        });
        let committed = loop {
            tokio::select! {
                biased;
                committed = &mut commit => break committed,
                Some(request) = self.requests.recv(), if !alone && next.has_room() => {
                    let now = self.clock.now();
                    self.take_in(request, next, now);
                }
            }
        };
        match committed {
            Ok((outcome, writes)) => {
                self.keep_room(writes);
                let begun = outcome.map_err(|error| error.to_string())?;
                Ok(begun.unwrap_or_else(|error| {
                    self.checkpoints.failed(&error.to_string(), &*self.observer);
                    None
                }))
            }
            Err(ended) => Err(unless_cut_off(ended).await),
        }
    }

    /// Who asks how far a connection has come is told what holds as of this group, once it is durable.
    fn say_cursors(&self, mut group: Group) -> Group {
        for question in &mut group.questions {
            let StreamId { collector, bound, .. } = &question.stream;
            let cursor = |id: &ConnectionId| Some((id.clone(), self.state.cursor(id, collector)?.clone()));
            let ids = question.ids.iter().filter(|id| self.state.is_within(id, bound));
            question.known = (!self.broken).then(|| ids.filter_map(cursor).collect());
        }
        group
    }

    fn keep_room(&mut self, mut writes: Vec<Write>) {
        writes.clear();
        // The last input of a full group goes beyond it.
        writes.shrink_to(2 * GROUP_WRITES_MAX);
        self.spare = writes;
    }

    /// The state is what was just committed.
    fn begin_checkpoint(&mut self, begun: Option<Ticket>) {
        let Some(ticket) = begun else { return };
        let (store, rows) = (Arc::clone(&self.store), self.state.snapshot());
        self.checkpoints.begin(store, ticket, rows, &*self.observer);
    }

    /// Throws away what could not be made durable and reads back what is.
    async fn recover(&mut self) {
        let store = Arc::clone(&self.store);
        let loaded = tokio::task::spawn_blocking(move || {
            // Reading works while writing does not, and costs more: it comes when writing works again.
            store.recover()?;
            store.load()
        });
        match loaded.await {
            Ok(Ok(loaded)) => {
                let (judge, boundary) = (Arc::clone(&self.judge), self.state.view().boundary.clone());
                let Loaded { registry_id: _, revision, connections, links, remembered, damaged } = loaded;
                self.observer.read_back(&damaged);
                let past = (remembered, self.state.view().past.retention);
                self.state =
                    State::restore((judge, boundary), revision, connections, links, past, self.clock.now());
                self.broken = false;
                // What failed here may be durable all the same; then it is shown.
                self.publisher.publish(Arc::new(self.state.view().clone()), []);
            }
            Ok(Err(error)) => self.observer.failed(&error.to_string()),
            Err(ended) => self.observer.failed(&unless_cut_off(ended).await),
        }
    }
}

/// What went wrong. Where the runtime ends while there is something to do, nothing did, nobody is left to hear of it, and
/// whoever asks here ends as well.
async fn unless_cut_off(ended: JoinError) -> String {
    if ended.is_cancelled() {
        return std::future::pending().await;
    }
    ended.to_string()
}
