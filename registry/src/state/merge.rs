//! Which records are about one thing. Keeps who claims what evidence, what
//! operators said, and the groups that follow; a pure function of the records
//! held, whatever the order they came in. Refuses to know health and time.

pub mod boundary;
mod claims;
pub mod evidence;
mod fill;
pub(super) mod fold;
pub mod link;
mod solve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, DataSource, ResourceType, SourceId};

use self::boundary::{Boundary, Side};
use self::claims::Register;
use self::evidence::{Evidence, Kind};
use self::link::{Links, Stand};
use self::solve::{Edges, Member, operator_weight, solve};
use super::document::Document;
use super::holding::Holding;
use super::id;
use super::table::Table;

/// A record, wherever it is held.
pub type Key = (ConnectionId, SourceId);

pub(super) type Holdings = Table<ConnectionId, Holding>;

/// What is known across sources.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Real serials of disks.
    serials: Register<Box<str>>,
    /// Strong evidence of hosts, on each side of the boundaries for itself.
    hosts: Register<(Side, Evidence)>,
    pub(super) boundary: Boundary,
    pub(super) links: Arc<Links>,
    /// Records that share a resource with others; most are in none.
    groups: BTreeMap<ConnectionId, BTreeMap<SourceId, Arc<Group>>>,
}

/// Records of one thing, each of another source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    kind: ResourceType,
    /// The leading one first.
    members: Box<[Member]>,
}

/// Whose record gives a merged resource its id, name, state and place. TrueNAS knows its own machine and disks best.
pub(super) const fn rank(source: DataSource) -> u8 {
    match source {
        DataSource::Truenas => 0,
        DataSource::Agent => 1,
        DataSource::Proxmox => 2,
        DataSource::Vmware => 3,
        DataSource::Docker => 4,
        DataSource::Kubernetes => 5,
        DataSource::Pbs => 6,
        DataSource::Pmg => 7,
        DataSource::Availability => 8,
    }
}

/// Who measures a machine best: something that runs on it, then what carries it.
pub(super) const fn metrics_rank(source: DataSource) -> u8 {
    match source {
        DataSource::Agent => 0,
        DataSource::Proxmox => 1,
        DataSource::Vmware => 2,
        DataSource::Docker => 3,
        DataSource::Kubernetes => 4,
        DataSource::Pbs => 5,
        DataSource::Pmg => 6,
        DataSource::Truenas => 7,
        DataSource::Availability => 8,
    }
}

pub(super) const fn is_mergeable(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::Host | ResourceType::PhysicalDisk)
}

impl Group {
    /// The leading record first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.members.iter().map(|member| &member.key)
    }

    pub(super) fn leader(&self) -> &Key {
        &self.members[0].key
    }
}

impl Merge {
    pub(super) fn within(boundary: Boundary) -> Self {
        Self { boundary, ..Self::default() }
    }

    /// Takes up what a record claims; `affected` gets the records whose standing this may change.
    pub(super) fn index(
        &mut self,
        key: &Key,
        (source, labels): (DataSource, &BTreeMap<String, String>),
        document: &Document,
        affected: &mut impl Extend<Key>,
    ) {
        if let Some(serial) = id::disk_serial(document) {
            self.serials.add(serial.into(), source, key, affected);
        } else if document.resource_type == ResourceType::Host {
            let side = self.boundary.side(labels);
            for evidence in evidence::strong(document) {
                self.hosts.add((Arc::clone(&side), evidence), source, key, affected);
            }
        }
    }

    pub(super) fn forget(
        &mut self,
        key: &Key,
        (source, labels): (DataSource, &BTreeMap<String, String>),
        document: &Document,
        affected: &mut impl Extend<Key>,
    ) {
        if let Some(serial) = id::disk_serial(document) {
            self.serials.remove(serial, source, key, affected);
        } else if document.resource_type == ResourceType::Host {
            let side = self.boundary.side(labels);
            for evidence in evidence::strong(document) {
                self.hosts.remove(&(Arc::clone(&side), evidence), source, key, affected);
            }
        }
        if let Some(group) = self.group(&key.0, &key.1) {
            affected.extend(group.keys().cloned());
        }
    }

    pub(super) fn group(&self, connection: &ConnectionId, id: &SourceId) -> Option<&Arc<Group>> {
        self.groups.get(connection)?.get(id)
    }

    /// The record that shows what this one is part of, when that is another.
    pub(super) fn leader(&self, connection: &ConnectionId, id: &SourceId) -> Option<&Key> {
        let leader = self.group(connection, id)?.leader();
        ((&leader.0, &leader.1) != (connection, id)).then_some(leader)
    }

    /// Nothing is or could be part of something else, as in a fleet of one source: then merging costs nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.groups.is_empty()
            && self.links.is_empty()
            && !self.hosts.has_shared()
            && !self.serials.has_shared()
    }

    pub(super) fn has_groups_in(&self, connection: &ConnectionId) -> bool {
        self.groups.contains_key(connection)
    }

    /// Whether the disk is the one known by this serial: the only one of its source that has it, and no source that
    /// knows disks better has another. So what other sources bring never changes the id of a leading source's disk.
    pub(super) fn is_keyed(&self, connection: &ConnectionId, id: &SourceId, serial: &str) -> bool {
        let holder = self.serials.alone(serial).min_by_key(|(source, _)| rank(*source));
        holder.is_some_and(|(_, (owner, held))| (owner, held) == (connection, id))
    }

    /// Everybody whose place depends on others, for a start.
    pub(super) fn concerned(&self) -> BTreeSet<Key> {
        let linked = self.links.iter().flat_map(|link| link.pair.ends());
        self.serials.sharers().chain(self.hosts.sharers()).chain(linked).cloned().collect()
    }

    /// Finds the groups of one kind anew, as far as they may depend on `touched`. Returns the records whose group is
    /// another one now. The cost follows what is touched and what it is tied to.
    pub(super) fn regroup(
        &mut self,
        kind: ResourceType,
        touched: &BTreeSet<Key>,
        holdings: &Holdings,
    ) -> BTreeSet<Key> {
        let mut open: Vec<Key> =
            touched.iter().filter(|key| self.is_tied(kind, key, holdings)).cloned().collect();
        let mut seen = BTreeSet::new();
        let mut members = BTreeMap::new();
        let mut edges = Edges::new();
        while let Some(key) = open.pop() {
            if !seen.insert(key.clone()) {
                continue;
            }
            if let Some(group) = self.group(&key.0, &key.1).filter(|group| group.kind == kind) {
                open.extend(group.keys().cloned());
            }
            let Some((source, document)) = held(&key, holdings).filter(|(_, d)| d.resource_type == kind)
            else {
                continue;
            };
            members.insert(key.clone(), source);
            for (other, weight) in self.neighbours(&key, source, document, holdings) {
                open.push(other.clone());
                let edge = if key < other { (key.clone(), other) } else { (other, key.clone()) };
                let held = edges.entry(edge).or_insert(weight);
                *held = weight.max(*held);
            }
        }
        if seen.is_empty() {
            return seen;
        }
        let links = &self.links;
        let found = solve(&members, &edges, |a, b| links.stand(a, b) == Some(Stand::Different));
        let mut groups: BTreeMap<Key, Arc<Group>> = BTreeMap::new();
        for mut members in found {
            members.sort_by_key(|member| rank(member.source));
            let group = Arc::new(Group { kind, members: members.into() });
            groups.extend(group.keys().map(|key| (key.clone(), Arc::clone(&group))));
        }
        seen.retain(|key| {
            let old = self.group(&key.0, &key.1).filter(|group| group.kind == kind);
            old != groups.get(key)
        });
        for key in &seen {
            self.place(kind, key, groups.get(key));
        }
        seen
    }

    fn place(&mut self, kind: ResourceType, (connection, id): &Key, group: Option<&Arc<Group>>) {
        if let Some(group) = group {
            self.groups.entry(connection.clone()).or_default().insert(id.clone(), Arc::clone(group));
        } else if let Some(groups) = self.groups.get_mut(connection) {
            if groups.get(id).is_some_and(|group| group.kind == kind) {
                groups.remove(id);
            }
            if groups.is_empty() {
                self.groups.remove(connection);
            }
        }
    }

    /// Whether a record may share a resource with another, now or before.
    fn is_tied(&self, kind: ResourceType, key: &Key, holdings: &Holdings) -> bool {
        if self.group(&key.0, &key.1).is_some_and(|group| group.kind == kind) {
            return true;
        }
        let Some((_, document)) = held(key, holdings).filter(|(_, document)| document.resource_type == kind)
        else {
            return false;
        };
        self.links.concerns(key)
            || match kind {
                ResourceType::Host => {
                    let side = self.side(key, holdings);
                    let mut claims = evidence::strong(document).into_iter();
                    claims.any(|evidence| self.hosts.is_shared(&(Arc::clone(&side), evidence)))
                }
                _ => id::disk_serial(document).is_some_and(|serial| self.serials.is_shared(serial)),
            }
    }

    fn neighbours(
        &self,
        key: &Key,
        source: DataSource,
        document: &Document,
        holdings: &Holdings,
    ) -> Vec<(Key, u64)> {
        let mut found = Vec::new();
        let mut add = |claimants: Vec<(DataSource, &Key)>, weight: u8| {
            // Who is not alone with a claim in his own source has no claim.
            if claimants.iter().any(|(_, claimant)| *claimant == key) {
                let others = claimants.into_iter().filter(|(other, _)| *other != source);
                found.extend(others.map(|(_, other)| (other.clone(), u64::from(weight))));
            }
        };
        if document.resource_type == ResourceType::Host {
            let side = self.side(key, holdings);
            for evidence in evidence::strong(document) {
                let percent = evidence.kind.percent();
                add(self.hosts.alone(&(Arc::clone(&side), evidence)).collect(), percent);
            }
        } else if let Some(serial) = id::disk_serial(document)
            && let Some(machine) = self.machine(key, document, holdings)
        {
            let beside = |(_, other): &(DataSource, &Key)| {
                let found = held(other, holdings);
                found.and_then(|(_, document)| self.machine(other, document, holdings)) == Some(machine)
            };
            add(self.serials.alone(serial).filter(beside).collect(), Kind::MachineId.percent());
        }
        for (other, at) in self.links.same_as(key) {
            let fits = held(other, holdings).is_some_and(|(other, found)| {
                other != source && found.resource_type == document.resource_type
            });
            // What was said before a label kept them apart has no effect while it does.
            if fits && self.between(key, other, holdings).is_none() {
                found.push((other.clone(), operator_weight(at)));
            }
        }
        found
    }

    fn side(&self, (connection, _): &Key, holdings: &Holdings) -> Side {
        self.boundary.side(labels(connection, holdings))
    }

    /// The label that keeps two records apart.
    pub(super) fn between(&self, (a, _): &Key, (b, _): &Key, holdings: &Holdings) -> Option<&str> {
        self.boundary.between(labels(a, holdings), labels(b, holdings))
    }

    /// The machine a disk is in: the record that leads it.
    fn machine<'a>(
        &'a self,
        (connection, _): &'a Key,
        document: &Document,
        holdings: &'a Holdings,
    ) -> Option<(&'a ConnectionId, &'a SourceId)> {
        let (connection, _) = holdings.get_key_value(connection)?;
        let host = holdings.get(connection)?.host_of(document)?;
        Some(self.leader(connection, host).map_or((connection, host), |(owner, id)| (owner, id)))
    }
}

fn labels<'a>(connection: &ConnectionId, holdings: &'a Holdings) -> &'a BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    holdings.get(connection).map_or(&NONE, |holding| &*holding.origin.labels)
}

pub(super) fn held<'a>((connection, id): &Key, holdings: &'a Holdings) -> Option<(DataSource, &'a Document)> {
    let holding = holdings.get(connection)?;
    Some((holding.source, &holding.entries.get(id)?.document))
}
