//! Derives anew what was touched, gives changed resources the next revision,
//! and puts them into the view.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use pulse_proto::model::{ConnectionId, ResourceId, Revision, SourceId, UnixMillis};

use super::batch::same_place;
use super::{Concerned, State, Touched};
use crate::state::change::{Change, Changes};
use crate::state::derive::Deriving;
use crate::state::fresh::Fresh;
use crate::state::holding::Holding;
use crate::state::merge::Key;
use crate::state::resource::{Anchor, Resource, Site};
use crate::state::row::{Stamp, Write};
use crate::state::table::Table;
use crate::state::view::Shard;

/// Ascending by id.
type Edits = Vec<Edit>;

/// Of one row of a shard; nothing in the place of what is gone.
struct Edit {
    id: ResourceId,
    old: Option<Arc<Resource>>,
    new: Option<Arc<Resource>>,
}

/// One revision in the making.
pub(super) struct Settling {
    pub(super) revision: Revision,
    pub(super) now: UnixMillis,
    /// Old and new, in rows of one shard. Not in the two below.
    pub(super) exchanged: Vec<(Arc<Resource>, Arc<Resource>)>,
    before: Table<ResourceId, Arc<Resource>>,
    after: Table<ResourceId, Arc<Resource>>,
    /// Hosts of what changed: they see what lies below them.
    pub(super) moved: Touched,
    /// As children of the same thing show it.
    sites: Table<ResourceId, Arc<Site>>,
}

impl State {
    /// What an input of this connection concerns.
    pub(super) fn settle(
        &mut self,
        connection: &ConnectionId,
        concerned: Concerned,
        now: UnixMillis,
        writes: &mut Vec<Write>,
    ) -> Option<Arc<Changes>> {
        let Concerned { mut touched, renumbered, gone } = concerned;
        let mut settling = self.settling(now);
        if touched.is_empty() && gone.is_empty() {
            self.renumber(connection, renumbered, &mut settling, writes);
        } else {
            self.touch_renumbered(connection, renumbered, &mut touched, writes);
        }
        settling.moved.extend(gone.iter().filter_map(|resource| self.host_of(resource)));
        for resource in gone {
            settling.before.insert(resource.id, resource);
        }
        self.settle_touched(touched, settling, writes)
    }

    /// The same where no record came or went.
    pub(super) fn resettle(
        &mut self,
        touched: Touched,
        now: UnixMillis,
        writes: &mut Vec<Write>,
    ) -> Option<Arc<Changes>> {
        self.settle_touched(touched, self.settling(now), writes)
    }

    fn settling(&self, now: UnixMillis) -> Settling {
        Settling {
            revision: self.view.revision.next(),
            now,
            exchanged: Vec::new(),
            before: Table::default(),
            after: Table::default(),
            moved: Touched::new(),
            sites: Table::default(),
        }
    }

    fn settle_touched(
        &mut self,
        mut touched: Touched,
        mut settling: Settling,
        writes: &mut Vec<Write>,
    ) -> Option<Arc<Changes>> {
        self.regroup(&mut touched);
        // Hosts last: they are judged by what lies below them.
        let (mut hosts, others): (Touched, Touched) = touched.into_iter().partition(|key| self.is_host(key));
        self.derive(others, &mut settling, writes);
        hosts.append(&mut settling.moved);
        self.derive(hosts, &mut settling, writes);
        self.publish(settling, writes)
    }

    fn derive(&mut self, touched: Touched, settling: &mut Settling, writes: &mut Vec<Write>) {
        let mut touched = self.led(touched, settling, writes);
        let mut fresh: Vec<(ConnectionId, SourceId, Resource)> = Vec::new();
        while let Some((connection, source_id)) = touched.pop_first() {
            let Some(holding) = self.holdings.get(&connection) else { continue };
            let Some(entry) = holding.entries.get(&source_id) else { continue };
            let Some(mut resource) = self.deriving(&connection, holding).resource(entry) else { continue };
            let mut weighs_the_same = false;
            if let Some(old) = &entry.resource {
                weighs_the_same =
                    old.severity == resource.severity && old.document.is_alike(&resource.document);
                let fresh = holding.fresh.get(&source_id);
                let is_known_to_differ = fresh.is_some_and(|fresh| fresh.beside(&old.document).is_some());
                if !is_known_to_differ {
                    if **old == resource {
                        continue;
                    }
                    if old.document == resource.document {
                        resource.document = old.document.clone();
                    }
                }
                settling.before.insert(old.id, Arc::clone(old));
                if !same_place(&old.document, &resource.document) {
                    settling.moved.extend(self.host_of(old));
                }
                if old.id != resource.id {
                    let mut below = Touched::new();
                    self.touch_below(&(connection.clone(), source_id.clone()), &mut below);
                    let (hosts, others): (Touched, Touched) =
                        below.into_iter().partition(|key| self.is_host(key));
                    settling.moved.extend(hosts);
                    touched.append(&mut self.led(others, settling, writes));
                }
            }
            // The machine that both are in sees no difference between them.
            if !weighs_the_same {
                settling.moved.extend(self.host_of(&resource));
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
                resource.anchor_mut().created_at = old.created_at;
            }
            // The revision that clients first saw this id at: a disk can get another one.
            let created = old.map_or(settling.revision, |old| old.created);
            if resource.created != created {
                resource.anchor_mut().created = created;
            }
            share_site(&mut resource, &mut settling.sites);
            resource.updated_at = settling.now;
            resource.revision = settling.revision;
            let resource = Arc::new(resource);
            let stamp = Stamp::of(&resource);
            entry.resource = Some(Arc::clone(&resource));
            holding.fresh.remove(&source_id);
            writes.push(Write::Stamp(connection, source_id, stamp));
            settling.after.insert(resource.id, resource);
        }
    }

    /// In place of records that others lead, those; what they showed themselves until now is gone.
    fn led(&mut self, touched: Touched, settling: &mut Settling, writes: &mut Vec<Write>) -> Touched {
        if self.merge.is_idle() {
            return touched;
        }
        let mut led = Touched::new();
        for key in touched {
            let Some(leader) = self.merge.leader(&key.0, &key.1) else {
                led.insert(key);
                continue;
            };
            led.insert(leader.clone());
            let Some(Holding { entries, fresh, .. }) = self.holdings.get_mut(&key.0) else { continue };
            let Some(entry) = entries.get_mut(&key.1) else { continue };
            let Some(stamp) = fresh.stamp(entry) else { continue };
            if fresh.get(&key.1).is_some_and(|fresh| fresh.unstamped) {
                writes.push(Write::Stamp(key.0.clone(), key.1.clone(), stamp));
            }
            fresh.insert(key.1.clone(), Fresh::led(stamp));
            if let Some(old) = entry.resource.take() {
                settling.moved.extend(self.host_of(&old));
                settling.before.insert(old.id, old);
            }
        }
        led
    }

    fn is_host(&self, (connection, id): &Key) -> bool {
        self.holdings.get(connection).is_some_and(|holding| holding.hosts.contains(id))
    }

    /// The machine a resource is in.
    pub(super) fn host_of(&self, resource: &Resource) -> Option<Key> {
        let host = self.holdings.get(&resource.connection)?.host_of(&resource.document)?;
        Some((resource.connection.clone(), host.clone()))
    }

    pub(super) fn deriving<'a>(&'a self, connection: &'a ConnectionId, holding: &'a Holding) -> Deriving<'a> {
        let (judge, holdings, merge) = (&*self.judge, &self.holdings, &self.merge);
        Deriving { connection, holding, judge, holdings, merge, sites: None }
    }

    fn publish(&mut self, settling: Settling, writes: &mut Vec<Write>) -> Option<Arc<Changes>> {
        let Settling { revision, now, exchanged, mut before, mut after, moved: _, sites: _ } = settling;
        if exchanged.is_empty() && before.is_empty() && after.is_empty() {
            return None;
        }
        let is_by_row = before.is_empty() && after.is_empty();
        let shown = if is_by_row { self.view.exchange(&exchanged) } else { None };
        let items = shown.unwrap_or_else(|| {
            for (old, new) in exchanged {
                before.insert(old.id, old);
                after.insert(new.id, new);
            }
            let items = changes(before, after);
            self.place(&items);
            items
        });
        self.view.revision = revision;
        let changes = Changes::new(revision, now, items);
        self.view.past.take(&changes, writes);
        Some(Arc::new(changes))
    }

    fn place(&mut self, items: &[Change]) {
        let mut edits: BTreeMap<ConnectionId, Edits> = BTreeMap::new();
        for change in items {
            let (old, new) = match change {
                Change::Added(new) => (None, Some(new)),
                Change::Changed { before, after } => (Some(before), Some(after)),
                Change::Removed(old) => (Some(old), None),
            };
            // A thing can move from one connection to another.
            let stays = |old: &&Arc<Resource>| new.is_some_and(|new| new.connection == old.connection);
            if let Some(old) = old.filter(|old| !stays(old)) {
                let edit = Edit { id: old.id, old: Some(Arc::clone(old)), new: None };
                edits.entry(old.connection.clone()).or_default().push(edit);
            }
            if let Some(new) = new {
                let old = old.filter(stays).cloned();
                let edit = Edit { id: new.id, old, new: Some(Arc::clone(new)) };
                edits.entry(new.connection.clone()).or_default().push(edit);
            }
        }
        for (connection, edits) in edits {
            self.edit(&connection, edits);
        }
    }

    /// Makes a shard with the edits; both sides are sorted by id.
    fn edit(&mut self, connection: &ConnectionId, edits: Edits) {
        let old = self.view.shard(connection).cloned();
        let before = old.as_ref().map_or(&[][..], |shard| &shard.resources);
        let resources = replaced(before, &edits).unwrap_or_else(|| merged(before, edits));
        let Some(holding) = self.holdings.get(connection).filter(|holding| !holding.removed) else {
            self.view.remove(connection);
            return;
        };
        let (status, sections) = (holding.status.clone(), holding.sections.clone());
        self.view.put(Shard::build(old.as_deref(), connection.clone(), status, sections, resources));
    }
}

/// The rows with others in the places of some; `None` when rows come or go. Most edits are such, and rows are known by
/// where they lie: no id of the others is read.
fn replaced(before: &[Arc<Resource>], edits: &[Edit]) -> Option<Vec<Arc<Resource>>> {
    let mut others = HashMap::with_capacity_and_hasher(edits.len(), RandomState::default());
    for Edit { old, new, .. } in edits {
        others.insert(Arc::as_ptr(old.as_ref()?), new.as_ref()?);
    }
    let mut left = others.len();
    let row = |resource: &Arc<Resource>| match others.get(&Arc::as_ptr(resource)) {
        Some(new) => {
            left -= 1;
            Arc::clone(new)
        }
        None => Arc::clone(resource),
    };
    let rows = before.iter().map(row).collect();
    (left == 0).then_some(rows)
}

/// Siblings that come together show one site.
fn share_site(resource: &mut Resource, sites: &mut Table<ResourceId, Arc<Site>>) {
    // An anchor that was shown already is shared.
    let Some(Anchor { site, .. }) = triomphe::Arc::get_mut(&mut resource.anchor) else { return };
    let Some(parent) = &site.parent else { return };
    match sites.get(&parent.id) {
        Some(known) if known == site => *site = Arc::clone(known),
        _ => drop(sites.insert(parent.id, Arc::clone(site))),
    }
}

fn merged(before: &[Arc<Resource>], edits: Edits) -> Vec<Arc<Resource>> {
    let mut resources = Vec::with_capacity(before.len() + edits.len());
    let mut edits = edits.into_iter().peekable();
    for resource in before {
        while let Some(edit) = edits.next_if(|edit| edit.id < resource.id) {
            resources.extend(edit.new);
        }
        match edits.next_if(|edit| edit.id == resource.id) {
            Some(edit) => resources.extend(edit.new),
            None => resources.push(Arc::clone(resource)),
        }
    }
    resources.extend(edits.filter_map(|edit| edit.new));
    resources
}

/// Ascending by id, each once.
fn changes(
    mut before: Table<ResourceId, Arc<Resource>>,
    mut after: Table<ResourceId, Arc<Resource>>,
) -> Vec<Change> {
    let mut ids: Vec<ResourceId> = before.keys().chain(after.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let change = |id: ResourceId| match (before.remove(&id), after.remove(&id)) {
        (Some(before), Some(after)) => Some(Change::Changed { before, after }),
        (Some(before), None) => Some(Change::Removed(before)),
        (None, Some(after)) => Some(Change::Added(after)),
        (None, None) => None,
    };
    ids.into_iter().filter_map(change).collect()
}
