//! One watcher: a place in the registry's history and what it still has to
//! tell. Holds no more than one list or one stretch of changes; everything
//! later waits in the history that all watchers share.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use pulse_proto::encoded::EncodedParts;
use pulse_proto::model::Revision;
use pulse_proto::pb::registry::v1::WatchResourcesResponse;
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};

use super::audience::{Audience, Audiences, Chunk};
use super::coalesce::{News, coalesce};
use super::encode::{self, Batch, Event};
use super::limits::MESSAGE_BYTES_MAX;
use super::past::{CatchUp, Missed};
use super::resume;
use super::sharing::Sharing;
use crate::query::filter::{Filter, FilterError, Scan};
use crate::query::mask::Mask;
use crate::query::show;
use crate::query::token::Seal;
use crate::state::change::Changes;
use crate::state::view::View;

/// What to show, and how. Those who are shown the same are one audience.
#[derive(Clone, Debug)]
pub struct Scope {
    audience: Arc<Audience>,
    seal: Seal,
}

impl Scope {
    /// Fails when the filter asks for the time of observation: that moves
    /// without a revision, so a watcher would not hear of it.
    pub fn new(audiences: &Audiences, filter: Filter, mask: Mask, seal: Seal) -> Result<Self, FilterError> {
        match filter.observed_at_position() {
            None => Ok(Self { audience: audiences.join(filter, mask), seal }),
            Some(position) => Err(FilterError {
                position,
                problem: "observed_at moves without a change, so it cannot be watched; use freshness"
                    .to_owned(),
            }),
        }
    }

    fn filter(&self) -> &Filter {
        &self.audience.filter
    }

    fn mask(&self) -> &Mask {
        &self.audience.mask
    }
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Message(EncodedParts),
    /// Nothing to tell yet, more to look at.
    Working,
    /// Waits for changes.
    Idle,
}

#[derive(Clone, Debug)]
pub struct Watcher {
    scope: Scope,
    /// Everything up to here is told.
    through: Revision,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Listing {
        scan: Scan,
        part: usize,
        at: usize,
        revision: Revision,
    },
    CatchingUp(Box<CatchUp>),
    /// Changes as the whole audience is told them.
    Sharing(Sharing),
    /// Several changes of some resource as one.
    Telling {
        news: VecDeque<News>,
        revision: Revision,
    },
    Idle,
}

impl Watcher {
    /// Lists `view` first.
    pub fn list(scope: Scope, view: &View) -> Self {
        let scan = scope.filter().scan(view);
        let stage = Stage::Listing { scan, part: 0, at: 0, revision: view.revision };
        Self { scope, through: Revision(0), stage }
    }

    /// Tells only what comes after `revision`.
    pub const fn resume(scope: Scope, revision: Revision) -> Self {
        Self { scope, through: revision, stage: Stage::Idle }
    }

    /// Tells first what of `view` came after `revision`, where the changes themselves are no longer held.
    pub fn catch_up(scope: Scope, revision: Revision, view: &View) -> Self {
        let stage = Stage::CatchingUp(Box::new(CatchUp::new(scope.filter(), revision, view)));
        Self { scope, through: revision, stage }
    }

    /// The revision after which changes are needed next.
    pub const fn cursor(&self) -> Revision {
        match &self.stage {
            Stage::Listing { revision, .. } | Stage::Telling { revision, .. } => *revision,
            Stage::Sharing(shared) => shared.revision,
            Stage::CatchingUp(missed) => missed.revision,
            Stage::Idle => self.through,
        }
    }

    /// Takes the changes after the cursor, from the first on, as many as it
    /// wants; only an idle watcher takes any.
    pub fn take(&mut self, changes: &[Arc<Changes>]) {
        if !matches!(self.stage, Stage::Idle) {
            return;
        }
        let limits = self.scope.audience.limits();
        let mut count = 0;
        let taken = changes
            .iter()
            .position(|step| {
                count += step.items.len();
                count >= limits.changes
            })
            .map_or(changes.len(), |last| last + 1)
            .min(limits.revisions);
        let taken = &changes[..taken];
        let Some(last) = taken.last() else { return };
        let revision = last.revision;
        self.stage = if Changes::are_distinct(taken, self.through) {
            Stage::Sharing(Sharing::new(taken, revision))
        } else {
            self.scope.audience.judges(taken.iter().map(|step| step.items.len()).sum());
            Stage::Telling { news: coalesce(taken, self.scope.filter()), revision }
        };
    }

    /// Moves on over revisions that changed nothing.
    pub fn skip_to(&mut self, revision: Revision) {
        if matches!(self.stage, Stage::Idle) {
            self.through = self.through.max(revision);
        }
    }

    /// `view` tells when things were last observed.
    pub fn step(&mut self, view: &View) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Step::Idle,
            Stage::Listing { scan, part, at, revision } => self.list_on(scan, (part, at), revision, view),
            Stage::CatchingUp(missed) => self.catch_up_on(missed, view),
            Stage::Sharing(shared) => self.share_on(shared, view),
            Stage::Telling { news, revision } => self.tell_on(news, revision, view),
        }
    }

    /// A token and nothing else.
    pub fn bookmark(&self) -> EncodedParts {
        encode::message(Vec::new(), &WatchResourcesResponse { bookmark: true, ..self.complete() })
    }

    fn list_on(&mut self, scan: Scan, from: (usize, usize), revision: Revision, view: &View) -> Step {
        let (mut part, mut at) = from;
        let mut batch = Batch::default();
        let mask = self.scope.mask();
        let mut tested = 0;
        let limits = self.scope.audience.limits();
        while let Some((shard, candidates)) = scan.parts.get(part) {
            if batch.is_full(limits) || tested == limits.scan {
                self.stage = Stage::Listing { scan, part, at, revision };
                return if batch.is_empty() { Step::Working } else { self.unfinished(batch) };
            }
            let Some(row) = candidates.next(at) else {
                (part, at) = (part + 1, 0);
                continue;
            };
            let resource = &shard.resources[row];
            at = row + 1;
            tested += 1;
            // Only what may change without a revision needs the time, and that is not in the filter.
            if self.scope.filter().matches(resource, None) {
                let observed_at = shard.observed_at(resource);
                let event = Event::new(Kind::Existing, Removal::Unspecified, resource.revision);
                batch.add(&event, |out| show::resource(resource, observed_at, view, mask, out));
            }
        }
        self.through = revision;
        Self::finished(batch, &WatchResourcesResponse { initial_list_end: true, ..self.complete() })
    }

    fn catch_up_on(&mut self, mut missed: Box<CatchUp>, view: &View) -> Step {
        let mut batch = Batch::default();
        let mask = self.scope.mask();
        let limits = self.scope.audience.limits();
        let mut budget = limits.scan;
        while !batch.is_full(limits)
            && let Some(item) = missed.next(self.scope.filter(), &mut budget)
        {
            match item {
                Missed::Changed { kind, removal, resource, observed_at } => {
                    let event = Event::new(kind, removal, resource.revision);
                    batch.add(&event, |out| show::resource(&resource, observed_at, view, mask, out));
                }
                Missed::Gone(tombstone) => {
                    let revision = tombstone.position.revision;
                    let event = Event::new(Kind::Removed, Removal::Deleted, revision);
                    batch.add(&event, |out| show::tombstone(&tombstone, mask, out));
                }
            }
        }
        if missed.is_done() {
            self.through = missed.revision;
            // Also when nothing was missed: the reader came for a token of now.
            let bookmark = batch.is_empty();
            return Self::finished(batch, &WatchResourcesResponse { bookmark, ..self.complete() });
        }
        self.stage = Stage::CatchingUp(missed);
        if batch.is_empty() { Step::Working } else { self.unfinished(batch) }
    }

    fn share_on(&mut self, mut shared: Sharing, view: &View) -> Step {
        let audience = Arc::clone(&self.scope.audience);
        let limits = audience.limits();
        let (mut events, mut count, mut bytes) = (Vec::new(), 0, 0);
        let mut budget = limits.scan;
        while let Some(Chunk { bytes: more, events: many }) = shared.peek(&audience, view, &mut budget) {
            if count > 0 && (count + many > limits.events || bytes + more.len() > MESSAGE_BYTES_MAX) {
                break;
            }
            count += many;
            bytes += more.len();
            events.push(more);
            shared.advance();
        }
        if !shared.is_done() {
            self.stage = Stage::Sharing(shared);
            return if count == 0 { Step::Working } else { self.so_far(events) };
        }
        self.through = shared.revision;
        if count == 0 { Step::Idle } else { Step::Message(encode::message(events, &self.complete())) }
    }

    fn tell_on(&mut self, mut news: VecDeque<News>, revision: Revision, view: &View) -> Step {
        let mut batch = Batch::default();
        let mask = self.scope.mask();
        while !batch.is_full(self.scope.audience.limits()) {
            let Some(News { kind, removal, resource, revision, entries }) = news.pop_front() else { break };
            let shard = view.shard(&resource.connection);
            let observed_at = shard.and_then(|shard| shard.observed_at(&resource));
            let changes = entries.iter().map(|entry| show::change(entry)).collect();
            let event = Event { kind, removal, revision, changes };
            batch.add(&event, |out| show::resource(&resource, observed_at, view, mask, out));
        }
        if !news.is_empty() {
            self.stage = Stage::Telling { news, revision };
            return self.unfinished(batch);
        }
        self.through = revision;
        if batch.is_empty() { Step::Idle } else { Self::finished(batch, &self.complete()) }
    }

    fn finished(batch: Batch, rest: &WatchResourcesResponse) -> Step {
        Step::Message(encode::message(vec![batch.into_bytes()], rest))
    }

    fn unfinished(&self, batch: Batch) -> Step {
        self.so_far(vec![batch.into_bytes()])
    }

    /// Further events of the same stretch follow.
    fn so_far(&self, events: Vec<Bytes>) -> Step {
        let rest = WatchResourcesResponse { revision: self.through.0, ..WatchResourcesResponse::default() };
        Step::Message(encode::message(events, &rest))
    }

    /// Everything up to `through` is told: the client may resume here.
    fn complete(&self) -> WatchResourcesResponse {
        WatchResourcesResponse {
            revision: self.through.0,
            resume_token: resume::encode(&self.scope.seal, self.through),
            ..WatchResourcesResponse::default()
        }
    }
}
