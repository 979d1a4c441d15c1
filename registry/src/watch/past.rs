//! Catching up with a view from a revision whose changes are no longer held:
//! what the view has that changed since, and what it remembers that went.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{ResourceId, Revision, UnixMillis};
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};

use crate::query::filter::{Filter, Scan};
use crate::state::past::Tombstone;
use crate::state::resource::Resource;
use crate::state::view::View;

/// Where it has come to. Holds one view and as many removals as a registry remembers at most.
#[derive(Clone, Debug)]
pub(super) struct CatchUp {
    since: Revision,
    pub(super) revision: Revision,
    scan: Scan,
    part: usize,
    at: usize,
    /// Went after `since` and, as far as the scan has come, did not come back.
    gone: BTreeMap<ResourceId, Arc<Tombstone>>,
}

/// One thing the reader must know.
#[derive(Debug)]
pub(super) enum Missed {
    Changed { kind: Kind, removal: Removal, resource: Arc<Resource>, observed_at: Option<UnixMillis> },
    Gone(Arc<Tombstone>),
}

impl CatchUp {
    /// What a reader with this filter may not know of `view`.
    pub(super) fn new(filter: &Filter, since: Revision, view: &View) -> Self {
        let gone = view.past.gone_after(since).filter(|tombstone| filter.may_match(&tombstone.id));
        Self {
            since,
            revision: view.revision,
            // A resource can move between connections: what was shown need not be where it is now.
            scan: filter.scan_by_id(view),
            part: 0,
            at: 0,
            gone: gone.map(|tombstone| (tombstone.id, Arc::clone(tombstone))).collect(),
        }
    }

    /// The next thing, looking at as many resources as `budget` allows; it is counted down.
    pub(super) fn next(&mut self, filter: &Filter, budget: &mut usize) -> Option<Missed> {
        while let Some((shard, candidates)) = self.scan.parts.get(self.part) {
            if *budget == 0 {
                return None;
            }
            let Some(row) = candidates.next(self.at) else {
                (self.part, self.at) = (self.part + 1, 0);
                continue;
            };
            let resource = &shard.resources[row];
            self.at = row + 1;
            *budget -= 1;
            if resource.revision <= self.since {
                continue;
            }
            let is_back = self.gone.remove(&resource.id).is_some();
            let (kind, removal) = if !filter.matches(resource, None) {
                // Also of one that is newer than `since`: a stream that broke in the middle may have shown it.
                (Kind::Removed, Removal::Filtered)
            } else if resource.created > self.since && !is_back {
                (Kind::Added, Removal::Unspecified)
            } else {
                (Kind::Changed, Removal::Unspecified)
            };
            let observed_at = shard.observed_at(resource);
            return Some(Missed::Changed { kind, removal, resource: Arc::clone(resource), observed_at });
        }
        self.gone.pop_first().map(|(_, tombstone)| Missed::Gone(tombstone))
    }

    /// `next` has nothing more, however large its budget.
    pub(super) fn is_done(&self) -> bool {
        self.part == self.scan.parts.len() && self.gone.is_empty()
    }
}
