//! Derives anew what was touched, gives changed resources the next revision,
//! and puts them into the view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceId, Revision, SourceId, UnixMillis};

use super::{State, Touched};
use crate::state::change::{Change, Changes};
use crate::state::derive::Deriving;
use crate::state::holding::Holding;
use crate::state::resource::Resource;
use crate::state::row::{Stamp, Write};
use crate::state::view::Shard;

type Edits = BTreeMap<ConnectionId, BTreeMap<ResourceId, Option<Arc<Resource>>>>;

/// One revision in the making.
struct Settling {
    revision: Revision,
    now: UnixMillis,
    before: BTreeMap<ResourceId, Arc<Resource>>,
    after: BTreeMap<ResourceId, Arc<Resource>>,
    /// Connections with a change: their hosts see their children.
    moved: BTreeSet<ConnectionId>,
}

impl State {
    /// `gone` are the resources of records that were taken out.
    pub(super) fn settle(
        &mut self,
        touched: Touched,
        gone: Vec<Arc<Resource>>,
        now: UnixMillis,
        writes: &mut Vec<Write>,
    ) -> Option<Arc<Changes>> {
        let moved = gone.iter().map(|resource| resource.connection.clone()).collect();
        let before = gone.into_iter().map(|resource| (resource.id.clone(), resource)).collect();
        let revision = self.view.revision.next();
        let mut settling = Settling { revision, now, before, after: BTreeMap::new(), moved };
        // Hosts last: they are judged by what lies below them.
        let is_host = |(connection, id): &(ConnectionId, SourceId)| {
            self.holdings.get(connection).is_some_and(|holding| holding.hosts.contains(id))
        };
        let (mut hosts, others): (Touched, Touched) = touched.into_iter().partition(is_host);
        self.derive(others, &mut settling, writes);
        for connection in &settling.moved {
            let ids = self.holdings.get(connection).into_iter().flat_map(|holding| &holding.hosts);
            hosts.extend(ids.map(|id| (connection.clone(), id.clone())));
        }
        self.derive(hosts, &mut settling, writes);
        self.publish(settling, writes)
    }

    fn derive(&mut self, mut touched: Touched, settling: &mut Settling, writes: &mut Vec<Write>) {
        let mut fresh: Vec<(ConnectionId, SourceId, Resource)> = Vec::new();
        while let Some((connection, source_id)) = touched.pop_first() {
            let Some(holding) = self.holdings.get(&connection) else { continue };
            let Some(entry) = holding.entries.get(&source_id) else { continue };
            let Some(resource) = self.deriving(&connection, holding).resource(entry) else { continue };
            if let Some(old) = &entry.resource {
                if **old == resource {
                    continue;
                }
                settling.before.insert(old.id.clone(), Arc::clone(old));
                if old.id != resource.id {
                    let children = holding.children.get(&source_id).into_iter().flatten();
                    touched.extend(children.map(|child| (connection.clone(), child.clone())));
                }
            }
            fresh.push((connection, source_id, resource));
        }
        for (connection, source_id, mut resource) in fresh {
            let Some(holding) = self.holdings.get_mut(&connection) else { continue };
            let Some(entry) = holding.entries.get_mut(&source_id) else { continue };
            let old = settling.before.get(&resource.id);
            if entry.resource.is_none()
                && let Some(old) = old
            {
                // The same thing under another name, e.g. a disk that moved from sda to sdb.
                resource.created_at = old.created_at;
            }
            // The revision that clients first saw this id at: a disk can get another one.
            resource.created = old.map_or(settling.revision, |old| old.created);
            resource.updated_at = settling.now;
            resource.revision = settling.revision;
            let resource = Arc::new(resource);
            let stamp = Stamp {
                created_at: resource.created_at,
                updated_at: resource.updated_at,
                revision: resource.revision,
                created: resource.created,
            };
            entry.resource = Some(Arc::clone(&resource));
            entry.fresh = None;
            writes.push(Write::Stamp(connection.clone(), source_id, stamp));
            settling.moved.insert(connection);
            settling.after.insert(resource.id.clone(), resource);
        }
    }

    fn deriving<'a>(&'a self, connection: &'a ConnectionId, holding: &'a Holding) -> Deriving<'a> {
        Deriving { connection, holding, judge: &*self.judge, serials: &self.serials }
    }

    fn publish(&mut self, settling: Settling, writes: &mut Vec<Write>) -> Option<Arc<Changes>> {
        let Settling { revision, now, before, after, moved: _ } = settling;
        if before.is_empty() && after.is_empty() {
            return None;
        }
        let mut edits = Edits::new();
        for (id, old) in &before {
            edits.entry(old.connection.clone()).or_default().insert(id.clone(), None);
        }
        for (id, new) in &after {
            edits.entry(new.connection.clone()).or_default().insert(id.clone(), Some(Arc::clone(new)));
        }
        for (connection, edits) in edits {
            self.edit(&connection, edits);
        }
        self.view.revision = revision;
        let ids: BTreeSet<&ResourceId> = before.keys().chain(after.keys()).collect();
        let items = ids
            .into_iter()
            .filter_map(|id| match (before.get(id).cloned(), after.get(id).cloned()) {
                (Some(before), Some(after)) => Some(Change::Changed { before, after }),
                (Some(before), None) => Some(Change::Removed(before)),
                (None, Some(after)) => Some(Change::Added(after)),
                (None, None) => None,
            })
            .collect();
        let changes = Changes::new(revision, now, items);
        self.view.past.take(&changes, writes);
        Some(Arc::new(changes))
    }

    /// Makes a shard with the edits; both sides are sorted by id.
    fn edit(&mut self, connection: &ConnectionId, edits: BTreeMap<ResourceId, Option<Arc<Resource>>>) {
        let old = self.view.shards.get(connection).cloned();
        let old = old.as_ref().map_or(&[][..], |shard| &shard.resources);
        let mut resources = Vec::with_capacity(old.len() + edits.len());
        let mut edits = edits.into_iter().peekable();
        for resource in old {
            while let Some((_, new)) = edits.next_if(|(id, _)| *id < resource.id) {
                resources.extend(new);
            }
            match edits.next_if(|(id, _)| *id == resource.id) {
                Some((_, new)) => resources.extend(new),
                None => resources.push(Arc::clone(resource)),
            }
        }
        resources.extend(edits.filter_map(|(_, new)| new));
        let Some(holding) = self.holdings.get(connection).filter(|holding| !holding.removed) else {
            self.view.shards.remove(connection);
            return;
        };
        let shard = Shard {
            connection: connection.clone(),
            status: holding.status.clone(),
            sections: holding.sections.clone(),
            resources,
        };
        self.view.shards.insert(connection.clone(), Arc::new(shard));
    }

    /// After a restart: resources as they were, stamps and revision untouched.
    pub(super) fn derive_all(&mut self) {
        let connections: Vec<ConnectionId> = self.holdings.keys().cloned().collect();
        for connection in connections {
            for hosts in [false, true] {
                let Some(holding) = self.holdings.get(&connection) else { continue };
                let entries = holding.entries.iter().filter(|(id, _)| holding.hosts.contains(*id) == hosts);
                let derive = |(id, entry): (&SourceId, &crate::state::holding::Entry)| {
                    let resource = self.deriving(&connection, holding).resource(entry)?;
                    Some((id.clone(), Arc::new(resource)))
                };
                let derived: Vec<(SourceId, Arc<Resource>)> = entries.filter_map(derive).collect();
                let Some(holding) = self.holdings.get_mut(&connection) else { continue };
                for (id, resource) in derived {
                    if let Some(entry) = holding.entries.get_mut(&id) {
                        entry.resource = Some(resource);
                        entry.fresh = None;
                    }
                }
            }
            let Some(holding) = self.holdings.get(&connection).filter(|holding| !holding.removed) else {
                continue;
            };
            let mut resources: Vec<Arc<Resource>> =
                holding.entries.values().filter_map(|entry| entry.resource.clone()).collect();
            resources.sort_by(|a, b| a.id.cmp(&b.id));
            let shard = Shard {
                connection: connection.clone(),
                status: holding.status.clone(),
                sections: holding.sections.clone(),
                resources,
            };
            self.view.shards.insert(connection, Arc::new(shard));
        }
    }
}
