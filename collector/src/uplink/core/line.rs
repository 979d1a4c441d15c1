//! One connection on its way to the registry: at most one batch unanswered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pb::ingest_request::Message;
use pb::reject::Reason;
use pulse_proto::digest::Digest;
use pulse_proto::model::{ConnectionId, Epoch, SectionName, Sequence, SourceId};
use pulse_proto::pb::registry::v1 as pb;
use tokio::time::Instant;

use crate::batch::{self, Limits, Stamp, Told};
use crate::uplink::mailbox::Update;

/// The registry's store is full or failing.
const EXHAUSTED_DELAY: Duration = Duration::from_secs(5);
/// Nothing will change soon: an operator or a release must act.
const REFUSED_DELAY: Duration = Duration::from_mins(1);

/// What is on its way.
#[derive(Clone, Debug)]
pub(super) enum Flight {
    Delta {
        to: Arc<Told>,
        sequence: u64,
    },
    /// `after`: what the chunks so far have brought; `None` when this one is the last.
    Snapshot {
        of: Arc<Told>,
        after: Option<SourceId>,
        sequence: u64,
    },
    Removal {
        sequence: u64,
    },
}

#[derive(Debug, Default)]
pub(super) struct Line {
    newest: Option<Arc<Told>>,
    /// Deleted here.
    removed: bool,
    /// ... and the registry has confirmed it.
    gone: bool,
    /// What the registry says it holds.
    held: Option<Digest>,
    /// The state behind `held`, when it is one of ours.
    base: Option<Arc<Told>>,
    /// Sections of which the registry holds nothing beyond `base`. A section that was never read completely is not among
    /// them: the registry keeps what it had there, which only a snapshot can remove.
    exact: BTreeSet<SectionName>,
    /// A snapshot that was begun and not finished.
    snapshot: Option<(Arc<Told>, SourceId)>,
    pub(super) flight: Option<Flight>,
    pub(super) sequence: u64,
    pub(super) fenced: bool,
    /// Under which of our earlier epochs the registry holds it, if it has said so.
    own_epoch: Option<u64>,
    not_before: Option<Instant>,
    pub(super) heartbeat_due: Option<Instant>,
    /// Smaller than granted after the registry found a batch too large.
    records_max: Option<usize>,
}

impl Line {
    pub(super) fn from_sequence(sequence: u64) -> Self {
        Self { sequence, ..Self::default() }
    }

    pub(super) fn update(&mut self, update: Update) {
        match update {
            Update::State(told) => {
                self.newest = Some(told);
                self.removed = false;
                self.gone = false;
            }
            Update::Removed => {
                self.newest = None;
                self.removed = true;
                self.gone = false;
            }
        }
    }

    /// Forgets what was on its way; `held` is what the registry says now.
    pub(super) fn reconnected(&mut self, held: Option<Digest>) {
        self.held = held;
        self.snapshot = None;
        if let Some(Flight::Delta { to, .. } | Flight::Snapshot { of: to, .. }) = self.flight.take()
            && held == Some(to.digest)
        {
            // It had arrived; only the ack was lost.
            self.holds(to);
        }
        self.fenced = false;
        self.own_epoch = None;
        self.not_before = None;
        self.heartbeat_due = None;
    }

    /// The registry holds it as of an earlier epoch of ours.
    pub(super) fn is_ours(&mut self, epoch: u64) {
        self.own_epoch = Some(epoch);
    }

    /// Takes up a removal anew that was refused as if another collector held the connection. `false`: it was.
    pub(super) fn removes_ours(&mut self, epoch: u64) -> bool {
        let is_news = self.removed && self.own_epoch != Some(epoch);
        if is_news {
            self.is_ours(epoch);
            self.flight = None;
        }
        is_news
    }

    pub(super) fn resync(&mut self) {
        self.held = None;
        self.base = None;
        self.snapshot = None;
        self.flight = None;
    }

    /// The registry holds this state, and it was told as a whole or found equal.
    fn holds(&mut self, told: Arc<Told>) {
        self.exact = told.complete_sections().cloned().collect();
        self.held = Some(told.digest);
        self.base = Some(told);
        self.snapshot = None;
    }

    /// `false` when nothing with this number is on its way.
    pub(super) fn acked(&mut self, acked: u64) -> bool {
        let Some(flight) = self.flight.take_if(|flight| flight.sequence() == acked) else { return false };
        match flight {
            Flight::Delta { to, .. } => {
                for kept in self.base.iter().flat_map(|base| to.gone_since(base)) {
                    if !to.is_complete(&kept.section) {
                        self.exact.remove(&kept.section);
                    }
                }
                self.held = Some(to.digest);
                self.base = Some(to);
            }
            Flight::Snapshot { of, after: None, .. } => self.holds(of),
            Flight::Snapshot { of, after: Some(after), .. } => self.snapshot = Some((of, after)),
            Flight::Removal { .. } => {
                self.resync();
                self.gone = true;
            }
        }
        true
    }

    pub(super) fn rejected(&mut self, reason: Reason, sequence: u64, now: Instant) {
        if reason == Reason::Records {
            // The rest was applied; its ack follows.
            return;
        }
        if reason == Reason::Fenced {
            // A removal that is not wanted any more says nothing of what is brought since.
            let is_undone = !self.removed
                && matches!(&self.flight, Some(flight @ Flight::Removal { .. }) if flight.sequence() == sequence);
            self.fenced |= !is_undone;
            self.flight = None;
            return;
        }
        if self.flight.take_if(|flight| flight.sequence() == sequence).is_none() {
            return;
        }
        self.snapshot = None;
        match reason {
            Reason::OutOfSequence => self.resync(),
            Reason::TooLarge => {
                let smaller = self.records_max.unwrap_or(usize::MAX).min(1_024) / 2;
                self.records_max = Some(smaller.max(1));
                self.held = None;
                if smaller == 0 {
                    self.not_before = Some(now + REFUSED_DELAY);
                }
            }
            Reason::Exhausted => self.not_before = Some(now + EXHAUSTED_DELAY),
            Reason::Invalid | Reason::Disabled | Reason::Unspecified => {
                self.not_before = Some(now + REFUSED_DELAY);
            }
            Reason::Records | Reason::Fenced => {}
        }
    }

    pub(super) fn poll(
        &mut self,
        connection: &ConnectionId,
        epoch: Epoch,
        limits: Limits,
        may_batch: bool,
        now: Instant,
    ) -> Option<Message> {
        if self.flight.is_some() || self.fenced || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        let limits = Limits { records: limits.records.min(self.records_max.unwrap_or(usize::MAX)), ..limits };
        let sequence = self.sequence + 1;
        let stamp = Stamp { connection, epoch, sequence: Sequence(sequence) };
        if self.removed {
            return may_batch.then(|| {
                self.fly(Flight::Removal { sequence });
                Message::ConnectionRemoval(pb::ConnectionRemoval {
                    connection: connection.to_string(),
                    epoch: epoch.0,
                    sequence,
                    own_epoch: self.own_epoch.unwrap_or_default(),
                })
            });
        }
        let newest = Arc::clone(self.newest.as_ref()?);
        if self.snapshot.is_none() && self.held == Some(newest.digest) {
            if self.base.as_ref().is_none_or(|base| base.digest != newest.digest) {
                self.holds(Arc::clone(&newest));
            }
            let due = self.heartbeat_due.is_none_or(|at| at <= now);
            return due.then(|| Message::Heartbeat(batch::heartbeat(connection, epoch, &newest)));
        }
        if !may_batch {
            return None;
        }
        let base = self.base.as_ref().filter(|base| {
            self.held == Some(base.digest)
                && self.snapshot.is_none()
                && newest.complete_sections().all(|section| self.exact.contains(section))
        });
        if let Some(batch) = base.and_then(|base| batch::delta(stamp, base, &newest, limits)) {
            self.fly(Flight::Delta { to: newest, sequence });
            return Some(Message::Batch(batch));
        }
        // A snapshot goes on as it began; what is newer follows as a delta.
        let (of, after) = match self.snapshot.take() {
            Some((of, after)) => (of, Some(after)),
            None => (newest, None),
        };
        let step = batch::snapshot_chunk(stamp, &of, after.as_ref(), limits);
        self.fly(Flight::Snapshot { of, after: step.after, sequence });
        Some(Message::Batch(step.batch))
    }

    fn fly(&mut self, flight: Flight) {
        self.sequence = flight.sequence();
        self.flight = Some(flight);
        self.not_before = None;
    }

    /// When this line may have something to send, if nothing else happens.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.flight.is_some() || self.fenced {
            return None;
        }
        let Some(newest) = &self.newest else { return self.not_before };
        let unchanged = self.snapshot.is_none() && self.held == Some(newest.digest);
        if unchanged { self.heartbeat_due } else { self.not_before }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.fenced
            || (self.flight.is_none()
                && !self.removed
                && self.newest.as_ref().is_none_or(|newest| self.held == Some(newest.digest)))
    }

    /// Deleted here, and another collector holds it.
    pub(super) fn is_left(&self) -> bool {
        self.removed && self.fenced
    }

    pub(super) fn is_finished(&self) -> bool {
        self.removed && self.gone
    }
}

impl Flight {
    fn sequence(&self) -> u64 {
        match self {
            Self::Delta { sequence, .. } | Self::Snapshot { sequence, .. } | Self::Removal { sequence } => {
                *sequence
            }
        }
    }
}
