//! One watcher: a place in the registry's history and what it still has to
//! tell. Holds no more than one list or one stretch of changes; everything
//! later waits in the history that all watchers share.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use prost::Message as _;
use pulse_proto::encoded::EncodedResource;
use pulse_proto::model::Revision;
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};
use pulse_proto::served::registry::v1::{ResourceEvent, WatchResourcesResponse};

use super::coalesce::{News, coalesce};
use super::past::{CatchUp, Missed};
use super::resume;
use crate::query::filter::{Filter, FilterError, Scan};
use crate::query::mask::Mask;
use crate::query::show;
use crate::query::token::Seal;
use crate::state::change::Changes;
use crate::state::view::View;

/// Most events in one message.
pub const EVENTS_MAX: usize = 500;
/// Encoded events beyond which a message gets no further one.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Resources tested in one step, so that one watcher does not hold a thread.
pub const SCAN_STEP_MAX: usize = 10_000;
/// Revisions taken at once.
pub const REVISIONS_MAX: usize = 256;
/// Changes beyond which no further revision is taken at once.
pub const CHANGES_MAX: usize = 20_000;

/// What to show, and how.
#[derive(Clone, Debug)]
pub struct Scope {
    filter: Filter,
    mask: Mask,
    seal: Seal,
    limits: Limits,
}

/// How much at once; tests ask for less.
#[derive(Clone, Copy, Debug)]
struct Limits {
    events: usize,
    scan: usize,
    revisions: usize,
    changes: usize,
}

const LIMITS: Limits =
    Limits { events: EVENTS_MAX, scan: SCAN_STEP_MAX, revisions: REVISIONS_MAX, changes: CHANGES_MAX };

impl Scope {
    /// Fails when the filter asks for the time of observation: that moves
    /// without a revision, so a watcher would not hear of it.
    pub fn new(filter: Filter, mask: Mask, seal: Seal) -> Result<Self, FilterError> {
        match filter.observed_at_position() {
            None => Ok(Self { filter, mask, seal, limits: LIMITS }),
            Some(position) => Err(FilterError {
                position,
                problem: "observed_at moves without a change, so it cannot be watched; use freshness"
                    .to_owned(),
            }),
        }
    }
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    Message(WatchResourcesResponse),
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
    Listing { scan: Scan, part: usize, at: usize, revision: Revision },
    CatchingUp(Box<CatchUp>),
    Telling { news: VecDeque<News>, revision: Revision },
    Idle,
}

impl Watcher {
    /// Lists `view` first.
    pub fn list(scope: Scope, view: &View) -> Self {
        let scan = scope.filter.scan(view);
        let stage = Stage::Listing { scan, part: 0, at: 0, revision: view.revision };
        Self { scope, through: Revision(0), stage }
    }

    /// Tells only what comes after `revision`.
    pub const fn resume(scope: Scope, revision: Revision) -> Self {
        Self { scope, through: revision, stage: Stage::Idle }
    }

    /// Tells first what of `view` came after `revision`, where the changes themselves are no longer held.
    pub fn catch_up(scope: Scope, revision: Revision, view: &View) -> Self {
        let stage = Stage::CatchingUp(Box::new(CatchUp::new(&scope.filter, revision, view)));
        Self { scope, through: revision, stage }
    }

    /// The revision after which changes are needed next.
    pub const fn cursor(&self) -> Revision {
        match &self.stage {
            Stage::Listing { revision, .. } | Stage::Telling { revision, .. } => *revision,
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
        let limits = self.scope.limits;
        let mut count = 0;
        let taken = changes
            .iter()
            .position(|step| {
                count += step.items.len();
                count >= limits.changes
            })
            .map_or(changes.len(), |last| last + 1)
            .min(limits.revisions);
        if let Some(last) = changes[..taken].last() {
            let news = coalesce(&changes[..taken], &self.scope.filter);
            self.stage = Stage::Telling { news, revision: last.revision };
        }
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
            Stage::Telling { news, revision } => self.tell_on(news, revision, view),
        }
    }

    /// A token and nothing else.
    pub fn bookmark(&self) -> WatchResourcesResponse {
        WatchResourcesResponse { bookmark: true, ..self.message(Vec::new()) }
    }

    fn list_on(&mut self, scan: Scan, from: (usize, usize), revision: Revision, view: &View) -> Step {
        let (mut part, mut at) = from;
        let mut message = Batch::default();
        let mut tested = 0;
        let limits = self.scope.limits;
        while let Some((shard, candidates)) = scan.parts.get(part) {
            if message.is_full(limits) || tested == limits.scan {
                let events = message.events;
                self.stage = Stage::Listing { scan, part, at, revision };
                return if events.is_empty() {
                    Step::Working
                } else {
                    Step::Message(self.unfinished(events))
                };
            }
            let Some(row) = candidates.next(at) else {
                (part, at) = (part + 1, 0);
                continue;
            };
            let resource = &shard.resources[row];
            at = row + 1;
            tested += 1;
            // Only what may change without a revision needs the time, and that is not in the filter.
            if self.scope.filter.matches(resource, None) {
                let observed_at = shard.observed_at(resource);
                let shown = show::resource(resource, observed_at, view, &self.scope.mask);
                message.add(event(Kind::Existing, Removal::Unspecified, shown, resource.revision));
            }
        }
        self.through = revision;
        Step::Message(WatchResourcesResponse { initial_list_end: true, ..self.message(message.events) })
    }

    fn catch_up_on(&mut self, mut missed: Box<CatchUp>, view: &View) -> Step {
        let mut message = Batch::default();
        let limits = self.scope.limits;
        let mut budget = limits.scan;
        while !message.is_full(limits)
            && let Some(item) = missed.next(&self.scope.filter, &mut budget)
        {
            message.add(match item {
                Missed::Changed { kind, removal, resource, observed_at } => {
                    let shown = show::resource(&resource, observed_at, view, &self.scope.mask);
                    event(kind, removal, shown, resource.revision)
                }
                Missed::Gone(tombstone) => ResourceEvent {
                    kind: Kind::Removed.into(),
                    resource: Some(show::tombstone(&tombstone, &self.scope.mask)),
                    removal: Removal::Deleted.into(),
                    revision: tombstone.position.revision.0,
                    changes: Vec::new(),
                },
            });
        }
        let events = message.events;
        if missed.is_done() {
            self.through = missed.revision;
            // Also when nothing was missed: the reader came for a token of now.
            let bookmark = events.is_empty();
            return Step::Message(WatchResourcesResponse { bookmark, ..self.message(events) });
        }
        self.stage = Stage::CatchingUp(missed);
        if events.is_empty() { Step::Working } else { Step::Message(self.unfinished(events)) }
    }

    fn tell_on(&mut self, mut news: VecDeque<News>, revision: Revision, view: &View) -> Step {
        let mut message = Batch::default();
        while !message.is_full(self.scope.limits) {
            let Some(News { kind, removal, resource, revision, entries }) = news.pop_front() else { break };
            let shard = view.shard(&resource.connection);
            let observed_at = shard.and_then(|shard| shard.observed_at(&resource));
            let shown = show::resource(&resource, observed_at, view, &self.scope.mask);
            let changes = entries.iter().map(|entry| show::change(entry)).collect();
            message.add(ResourceEvent { changes, ..event(kind, removal, shown, revision) });
        }
        if !news.is_empty() {
            self.stage = Stage::Telling { news, revision };
            return Step::Message(self.unfinished(message.events));
        }
        self.through = revision;
        if message.events.is_empty() { Step::Idle } else { Step::Message(self.message(message.events)) }
    }

    /// Complete up to `through`: the client may resume here.
    fn message(&self, events: Vec<ResourceEvent>) -> WatchResourcesResponse {
        let resume_token = resume::encode(&self.scope.seal, self.through);
        WatchResourcesResponse { resume_token, ..self.unfinished(events) }
    }

    /// Further events of the same stretch follow.
    fn unfinished(&self, events: Vec<ResourceEvent>) -> WatchResourcesResponse {
        WatchResourcesResponse { events, revision: self.through.0, ..WatchResourcesResponse::default() }
    }
}

fn event(kind: Kind, removal: Removal, shown: EncodedResource, revision: Revision) -> ResourceEvent {
    ResourceEvent {
        kind: kind.into(),
        resource: Some(shown),
        removal: removal.into(),
        revision: revision.0,
        changes: Vec::new(),
    }
}

/// The events of one message.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<ResourceEvent>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self, limits: Limits) -> bool {
        self.events.len() == limits.events || self.bytes >= MESSAGE_BYTES_MAX
    }

    fn add(&mut self, event: ResourceEvent) {
        self.bytes += event.encoded_len();
        self.events.push(event);
    }
}
