//! The one-writer step: state and input in, new state out, together with what
//! must be made durable, what changed and what to answer. No IO, no clock: the
//! same inputs at the same times give the same revisions.

mod batch;
mod bound;
mod exchange;
mod linking;
mod settle;
mod snapshot;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{
    CollectorId, ConnectionId, DataSource, Epoch, Revision, Sequence, SourceId, UnixMillis,
};

use super::change::Changes;
use super::document::Document;
use super::holding::Holding;
use super::input::{Answer, Heartbeat, Input, RejectReason, Removal};
use super::judge::Judge;
use super::lease::{Cursor, Verdict, judge};
use super::merge::boundary::Boundary;
use super::merge::link::Link;
use super::merge::{Holdings, Key, Merge};
use super::past::{Past, Remembered, Retention};
use super::resource::Resource;
use super::row::{KeptConnection, Note, Notes, Write};
use super::view::{Shard, View};

pub use self::snapshot::Snapshot;

use self::exchange::Renumbered;

/// Connections one registry holds, removed ones included.
pub const CONNECTIONS_MAX: usize = 20_000;
/// Records one connection may have.
pub const CONNECTION_RECORDS_MAX: usize = 500_000;

type Touched = BTreeSet<Key>;

/// What an input concerns.
#[derive(Default)]
struct Concerned {
    touched: Touched,
    /// Records of the input's connection that now differ from what is shown of them, but in nothing but numbers.
    renumbered: Vec<Renumbered>,
    /// Resources of records that were taken out.
    gone: Vec<Arc<Resource>>,
}

/// Everything the writer knows.
pub struct State {
    judge: Arc<dyn Judge>,
    view: View,
    holdings: Holdings,
    merge: Merge,
    /// Records whose id is not bound to their connection by its form.
    foreign: BTreeMap<(DataSource, SourceId), ConnectionId>,
    /// When which connection grows stale if nothing is heard.
    deadlines: BTreeSet<(UnixMillis, ConnectionId)>,
    notes: Notes,
}

/// What one input did.
#[derive(Debug, Default, PartialEq)]
pub struct Applied {
    /// To be said once `writes` are durable.
    pub answers: Vec<Answer>,
    pub writes: Vec<Write>,
    /// `None`: no resource changed.
    pub changes: Option<Arc<Changes>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("revision", &self.view.revision)
            .field("connections", &self.holdings.len())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Records are never merged across the boundary.
    pub fn new(judge: Arc<dyn Judge>, boundary: Boundary) -> Self {
        Self {
            judge,
            view: View::within(boundary.clone()),
            holdings: Holdings::default(),
            merge: Merge::within(boundary),
            foreign: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            notes: Notes::new(),
        }
    }

    /// As it was before a restart, at the same revision. What grew stale meanwhile is told from `due` on: collectors get
    /// the time to come back and say that nothing changed.
    pub fn restore(
        (judge, boundary): (Arc<dyn Judge>, Boundary),
        revision: Revision,
        rows: Vec<KeptConnection>,
        links: Vec<Link>,
        (mut remembered, retention): (Remembered, Retention),
        due: UnixMillis,
    ) -> Self {
        let mut state = Self::new(judge, boundary);
        state.notes = std::mem::take(&mut remembered.notes);
        state.view.revision = revision;
        state.view.past = Past::restore(remembered, revision, retention);
        for (connection, mut holding, tied) in start::held(rows) {
            holding.deadline = (!holding.removed).then_some(due);
            if let Some(deadline) = holding.deadline {
                state.deadlines.insert((deadline, connection.clone()));
            }
            for entry in tied.iter().filter_map(|id| holding.entries.get(id)) {
                let mut nobody = Touched::new();
                state.merge.index(
                    &(connection.clone(), entry.document.source_id.clone()),
                    (holding.source, &holding.origin.labels),
                    &entry.document,
                    &mut nobody,
                );
                own(&mut state.foreign, &connection, holding.source, &entry.document);
            }
            state.holdings.insert(connection, holding);
        }
        let known = Arc::make_mut(&mut state.merge.links);
        for link in links {
            known.put(link);
        }
        state.view.links = Arc::clone(&state.merge.links);
        state.derive_all();
        state
    }

    /// What readers may see now.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// How far a connection has come, for this collector. What another one has removed is held by nobody: who brings it
    /// begins, whenever he started.
    pub fn cursor(&self, connection: &ConnectionId, collector: &CollectorId) -> Option<&Cursor> {
        let holding = self.holdings.get(connection)?;
        Some(&holding.cursor).filter(|cursor| !holding.removed || cursor.collector == *collector)
    }

    pub fn apply(&mut self, input: Input, now: UnixMillis) -> Applied {
        match input {
            Input::Batch(batch) => self.batch(*batch, now),
            Input::Heartbeat(heartbeat) => self.heartbeat(heartbeat, now),
            Input::Removal(removal) => self.removal(&removal, now),
        }
    }

    /// The same for whoever may bring only connections that carry these labels.
    pub fn apply_bound(
        &mut self,
        input: Input,
        bound: &BTreeMap<String, String>,
        now: UnixMillis,
    ) -> Applied {
        self.out_of_bounds(&input, bound).unwrap_or_else(|| self.apply(input, now))
    }

    /// Keeps rows of others. No resource changes, and no revision comes of it.
    pub fn note(&mut self, notes: Vec<Note>) -> impl Iterator<Item = Write> + use<> {
        for Note { key, value } in &notes {
            match value {
                Some(value) => drop(self.notes.insert(Arc::clone(key), Arc::clone(value))),
                None => drop(self.notes.remove(key)),
            }
        }
        notes.into_iter().map(Write::Note)
    }

    /// When time alone will change something.
    pub fn next_tick(&self) -> Option<UnixMillis> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Applies what time has changed for one connection; `None` when nothing is due.
    pub fn tick(&mut self, now: UnixMillis) -> Option<Applied> {
        let (at, connection) = self.deadlines.first()?.clone();
        if at > now {
            return None;
        }
        Some(self.renew(&connection, Concerned::default(), Vec::new(), now))
    }

    /// Rows whose times of observation moved since they were written.
    pub fn unwritten(&mut self) -> Vec<Write> {
        let moved = self.holdings.iter_mut().filter(|(_, holding)| holding.unwritten);
        let mut moved: Vec<_> = moved.collect();
        moved.sort_unstable_by_key(|(id, _)| *id);
        let row = |(id, holding): (&ConnectionId, &mut Holding)| {
            holding.unwritten = false;
            Write::Connection(id.clone(), Box::new(holding.row()))
        };
        moved.into_iter().map(row).collect()
    }

    fn heartbeat(&mut self, heartbeat: Heartbeat, now: UnixMillis) -> Applied {
        let Heartbeat { collector, connection, epoch, digest, observations } = heartbeat;
        let Some(holding) = self.holdings.get_mut(&connection).filter(|holding| !holding.removed) else {
            return resync(connection, "the connection is not known here");
        };
        if epoch < holding.cursor.epoch {
            return fenced(&connection, epoch, Sequence(0), holding.cursor.epoch);
        }
        if digest != holding.cursor.digest {
            return resync(connection, "the state held here is another one");
        }
        let mut writes = Vec::new();
        let is_newer = epoch > holding.cursor.epoch;
        // In a row of an earlier release another id may stand beside the holder's epoch.
        if is_newer || holding.cursor.collector != collector {
            holding.cursor.collector = collector;
            // A new holder with the same state takes the lease without sending anything.
            if is_newer {
                holding.cursor.epoch = epoch;
                holding.cursor.sequence = Sequence(0);
            }
            // The one before stays fenced also after a restart.
            writes.push(Write::Connection(connection.clone(), Box::new(holding.row())));
        }
        for (section, observed_at) in observations {
            if let Some(report) = holding.sections.get_mut(&section) {
                report.observed_at = report.observed_at.max(Some(observed_at.min(now)));
            }
        }
        holding.unwritten = true;
        self.renew(&connection, Concerned::default(), writes, now)
    }

    fn removal(&mut self, removal: &Removal, now: UnixMillis) -> Applied {
        let Removal { collector, connection, epoch, sequence, own_epoch } = removal;
        let (epoch, sequence) = (*epoch, *sequence);
        let ack = |revision| Answer::Ack { connection: connection.clone(), epoch, sequence, revision };
        let nothing = Applied { answers: vec![ack(self.view.revision)], ..Applied::default() };
        let Some(holding) = self.holdings.get(connection) else { return nothing };
        let Cursor { collector: holder, epoch: held, .. } = &holding.cursor;
        let is_other = holder != collector;
        match judge(self.cursor(connection, collector), epoch, sequence, true, None) {
            Verdict::Fenced(current) => return fenced(connection, epoch, sequence, current),
            _ if is_other && holding.removed => return nothing,
            // What another collector brings stays, however new the epoch of the one is that has deleted it. Another id with an
            // epoch of the sender's is not another collector.
            _ if is_other && (*own_epoch != Some(*held) || *held >= epoch) => {
                return fenced(connection, epoch, sequence, *held);
            }
            Verdict::Replay => return nothing,
            Verdict::Apply | Verdict::Gap { .. } | Verdict::OtherBase => {}
        }
        let mut concerned = Concerned::default();
        let all: Vec<SourceId> =
            holding.entries.iter().map(|entry| entry.document.source_id.clone()).collect();
        concerned.gone =
            all.iter().filter_map(|id| self.take(connection, id, &mut concerned.touched)).collect();
        let mut writes = vec![Write::RemoveRecords(connection.clone())];
        self.unlink_all(connection, &mut writes);
        if let Some(holding) = self.holdings.get_mut(connection) {
            let cursor = Cursor { collector: collector.clone(), epoch, sequence, digest: None };
            if let Some(deadline) = holding.deadline {
                self.deadlines.remove(&(deadline, connection.clone()));
            }
            *holding = Holding::new(connection.clone(), cursor, holding.source);
            holding.removed = true;
            writes.push(Write::Connection(connection.clone(), Box::new(holding.row())));
        }
        let changes = self.settle(connection, concerned, now, &mut writes);
        self.view.remove(connection);
        Applied { answers: vec![ack(self.view.revision)], writes, changes }
    }

    /// Brings freshness, resources and the shard of a connection up to date.
    fn renew(
        &mut self,
        connection: &ConnectionId,
        mut concerned: Concerned,
        mut writes: Vec<Write>,
        now: UnixMillis,
    ) -> Applied {
        if let Some(holding) = self.holdings.get_mut(connection) {
            let old = holding.deadline;
            let changed = holding.refresh(&*self.judge, now);
            if !changed.is_empty() {
                let entries = holding.entries.iter().filter(|e| changed.contains(&e.document.section));
                let keys = entries.map(|e| (connection.clone(), e.document.source_id.clone()));
                concerned.touched.extend(keys);
                holding.unwritten = true;
            }
            if old != holding.deadline {
                old.map(|at| self.deadlines.remove(&(at, connection.clone())));
                holding.deadline.map(|at| self.deadlines.insert((at, connection.clone())));
            }
        }
        let changes = self.settle(connection, concerned, now, &mut writes);
        self.show(connection);
        if changes.is_some()
            && let Some(holding) = self.holdings.get_mut(connection)
            && std::mem::take(&mut holding.unwritten)
        {
            writes.push(Write::Connection(connection.clone(), Box::new(holding.row())));
        }
        Applied { answers: Vec::new(), writes, changes }
    }

    /// Takes a record out, and says who else is concerned.
    fn take(
        &mut self,
        connection: &ConnectionId,
        id: &SourceId,
        touched: &mut Touched,
    ) -> Option<Arc<Resource>> {
        let key = (connection.clone(), id.clone());
        let document = self.holdings.get(connection)?.entries.get(id)?.document.clone();
        self.touch_family(&key, &document, touched);
        self.touch_disks(&key, &document, touched);
        let holding = self.holdings.get_mut(connection)?;
        let entry = holding.take(id)?;
        self.merge.forget(&key, (holding.source, &holding.origin.labels), &document, touched);
        self.foreign.remove(&(holding.source, id.clone()));
        entry.resource
    }

    /// Puts the connection's current sections and status into the view.
    fn show(&mut self, connection: &ConnectionId) {
        let Some(holding) = self.holdings.get(connection).filter(|holding| !holding.removed) else { return };
        let resources = self.view.shard(connection).map(|shard| Arc::clone(&shard.resources));
        self.view.put(Shard {
            connection: connection.clone(),
            status: holding.status.clone(),
            sections: holding.sections.clone(),
            resources: resources.unwrap_or_default(),
        });
    }
}

/// Records whose id is not bound to their connection belong to the one that brought them.
fn own(
    foreign: &mut BTreeMap<(DataSource, SourceId), ConnectionId>,
    connection: &ConnectionId,
    source: DataSource,
    document: &Document,
) {
    if source != DataSource::Truenas {
        foreign.insert((source, document.source_id.clone()), connection.clone());
    }
}

fn fenced(connection: &ConnectionId, epoch: Epoch, sequence: Sequence, current: Epoch) -> Applied {
    let reject = Answer::Reject {
        connection: connection.to_string(),
        epoch,
        sequence,
        reason: RejectReason::Fenced(current),
        message: format!(
            "this connection is held as of epoch {current}, by another collector or a later start"
        ),
        records: Vec::new(),
    };
    Applied { answers: vec![reject], ..Applied::default() }
}

fn resync(connection: ConnectionId, reason: &'static str) -> Applied {
    Applied { answers: vec![Answer::Resync { connection, reason }], ..Applied::default() }
}
