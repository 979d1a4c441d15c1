//! What is shown after a start: everything derived anew from what was kept, by
//! as many threads as there are processors. The outcome does not depend on them:
//! nothing is put in place before all of a step is derived.

use std::sync::Arc;
use std::thread;

use pulse_proto::model::{ConnectionId, DataSource, ResourceType, SourceId};

use super::State;
use crate::state::ahead;
use crate::state::derive::{Deriving, Sites};
use crate::state::holding::{Entry, Holding};
use crate::state::merge::is_mergeable;
use crate::state::resource::Resource;
use crate::state::row::KeptConnection;
use crate::state::view::{Shard, Slot};

/// With fewer records a thread costs more than it saves.
const SMALL_RECORDS: usize = 5_000;
const THREADS_MAX: usize = 8;

/// One for each entry of a holding, in the order that they lie there: nothing comes or goes until they are put in place.
type Derived = Vec<Option<Arc<Resource>>>;

impl State {
    /// Resources as they were: stamps and revision untouched.
    pub(super) fn derive_all(&mut self) {
        let concerned = self.merge.concerned();
        for kind in [ResourceType::Host, ResourceType::PhysicalDisk] {
            self.merge.regroup(kind, &concerned, &self.holdings);
        }
        let mut connections: Vec<ConnectionId> = self.holdings.keys().cloned().collect();
        connections.sort_unstable();
        let threads = threads_for(self.holdings.values().map(|holding| holding.entries.len()).sum());
        let all = || connections.iter().collect();
        // Hosts last: they are judged by what lies below them.
        for hosts in [false, true] {
            let derived = in_parallel(all(), threads, |connection| self.derived(connection, hosts));
            let mut holdings: Vec<(&ConnectionId, &mut Holding)> = self.holdings.iter_mut().collect();
            holdings.sort_unstable_by_key(|(connection, _)| *connection);
            let holdings = holdings.into_iter().map(|(_, holding)| holding);
            in_parallel(holdings.zip(derived).collect(), threads, |(holding, derived)| put(holding, derived));
        }
        self.holdings.iter_mut().for_each(|(_, holding)| holding.derived());
        let shards = in_parallel(all(), threads, |connection| self.shard_of(connection));
        self.view.fill(shards.into_iter().flatten().collect());
    }

    fn derived(&self, connection: &ConnectionId, hosts: bool) -> Derived {
        let Some(holding) = self.holdings.get(connection) else { return Derived::new() };
        let is_derived = |id: &SourceId| {
            holding.hosts.contains(id) == hosts && self.merge.leader(connection, id).is_none()
        };
        // Nothing is shown yet that a child could have its parent's id of.
        let mut sites = Sites::default();
        let deriving = self.deriving(connection, holding);
        for entry in holding.entries.parents() {
            sites.insert(entry.document.source_id.clone(), deriving.site_below(entry));
        }
        let deriving = Deriving { sites: Some(&sites), ..deriving };
        let derive = |entry: &Entry| {
            let entry = is_derived(&entry.document.source_id).then_some(entry)?;
            deriving.resource(entry).map(Arc::new)
        };
        let mut derived = Derived::with_capacity(holding.entries.len());
        for next in holding.entries.chunks(ahead::MANY) {
            ahead::documents(&next.iter().map(|entry| &entry.document));
            derived.extend(next.iter().map(derive));
        }
        derived
    }

    fn shard_of(&self, connection: &ConnectionId) -> Option<(Shard, Vec<Slot>)> {
        let holding = self.holdings.get(connection).filter(|holding| !holding.removed)?;
        let mut resources: Vec<Arc<Resource>> =
            holding.entries.iter().filter_map(|entry| entry.resource.clone()).collect();
        // An id lies apart from its resource: fetched once for each.
        resources.sort_by_cached_key(|resource| resource.id);
        let slots = resources.iter().map(|resource| Slot::of(&resource.id)).collect();
        let (status, sections) = (holding.status.clone(), holding.sections.clone());
        Some((Shard::build(None, connection.clone(), status, sections, resources), slots))
    }
}

fn put(holding: &mut Holding, derived: Derived) {
    for (entry, resource) in holding.entries.iter_mut().zip(derived) {
        if let Some(resource) = resource {
            entry.resource = Some(resource);
        }
    }
}

/// What was kept of each connection, in place, and which of its records may be tied to those of other sources.
pub(super) fn held(rows: Vec<KeptConnection>) -> Vec<(ConnectionId, Holding, Vec<SourceId>)> {
    let threads = threads_for(rows.iter().map(|(.., records)| records.len()).sum());
    in_parallel(rows, threads, |(connection, row, records)| {
        let holding = Holding::restore(connection.clone(), row, records);
        let is_tied = |entry: &&Entry| {
            is_mergeable(entry.document.resource_type) || holding.source != DataSource::Truenas
        };
        let tied = holding.entries.iter().filter(is_tied);
        let tied = tied.map(|entry| entry.document.source_id.clone()).collect();
        (connection, holding, tied)
    })
}

fn threads_for(records: usize) -> usize {
    match thread::available_parallelism() {
        Ok(threads) if records >= SMALL_RECORDS => threads.get().min(THREADS_MAX),
        Ok(_) | Err(_) => 1,
    }
}

/// What `work` makes of each, in the order of `all`.
fn in_parallel<I: Send, O: Send>(mut all: Vec<I>, threads: usize, work: impl Fn(I) -> O + Sync) -> Vec<O> {
    let work = &work;
    if threads < 2 {
        return all.into_iter().map(work).collect();
    }
    let share = all.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let mut parts = Vec::with_capacity(threads);
        while !all.is_empty() {
            let rest = all.split_off(share.min(all.len()));
            let part = std::mem::replace(&mut all, rest);
            parts.push(scope.spawn(move || part.into_iter().map(work).collect::<Vec<_>>()));
        }
        let joined = parts.into_iter().map(|part| match part.join() {
            Ok(done) => done,
            // As it would without a thread.
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::in_parallel;

    #[test]
    fn order_is_that_of_the_input_whoever_works() {
        let all: Vec<usize> = (0..101).collect();
        let doubled: Vec<usize> = all.iter().map(|one| 2 * one).collect();
        for threads in [1, 2, 7, 500] {
            assert_eq!(in_parallel(all.clone(), threads, |one| 2 * one), doubled, "{threads}");
        }
        assert!(in_parallel(Vec::<usize>::new(), 4, |one| one).is_empty());
    }
}
