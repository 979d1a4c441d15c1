//! From a record to a resource: id, place, freshness and judgement. Pure.

use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, Freshness, ResourceId, ResourceType, Severity, SourceId, StorageTopology,
};

use super::document::Document;
use super::holding::{Entry, Holding};
use super::id;
use super::judge::{Judge, Judgement, Subject, WorstChild};
use super::merge::fold::fold;
use super::merge::{Holdings, Key, Merge};
use super::resource::{Anchor, Parent, Rare, Resource, Site};
use super::row::Stamp;
use super::table::Table;

pub(super) struct Deriving<'a> {
    pub(super) connection: &'a ConnectionId,
    pub(super) holding: &'a Holding,
    pub(super) judge: &'a dyn Judge,
    pub(super) holdings: &'a Holdings,
    pub(super) merge: &'a Merge,
    /// Of children in `holding`, by their parents there, where it shows none yet.
    pub(super) sites: Option<&'a Sites>,
}

pub(super) type Sites = Table<SourceId, Arc<Site>>;

impl Deriving<'_> {
    /// What the entry shows now, with what other sources say of the same thing when it leads them. `None`: the stored
    /// bytes are no record, so there is nothing to judge.
    pub(super) fn resource(&self, entry: &Entry) -> Option<Resource> {
        let id = &entry.document.source_id;
        let Some(group) = self.merge.group(self.connection, id) else {
            let machine = [(self.holding, id)];
            return self.alone(entry, &machine, self.child_count(self.connection, self.holding, id));
        };
        let members: Vec<(Deriving<'_>, &Entry)> = group.keys().filter_map(|key| self.at(key)).collect();
        let machine: Vec<_> =
            members.iter().map(|(at, entry)| (at.holding, &entry.document.source_id)).collect();
        let child_count = machine
            .iter()
            .zip(&members)
            .map(|((holding, id), (at, _))| self.child_count(at.connection, holding, id))
            .fold(0, u32::saturating_add);
        let mut alone = Vec::with_capacity(members.len());
        for (at, entry) in &members {
            // What lies below is one thing of them all: told once, by the one that leads.
            let below: &[_] = if alone.is_empty() { &machine } else { &[] };
            alone.extend(at.alone(entry, below, child_count));
        }
        fold(alone, child_count)
    }

    /// The same, in the place of another record.
    fn at(&self, (connection, id): &Key) -> Option<(Self, &'_ Entry)> {
        let (connection, holding) = self.holdings.get_key_value(connection)?;
        let entry = holding.entries.get(id)?;
        Some((Self { connection, holding, sites: None, ..*self }, entry))
    }

    /// What the entry is by itself. `machine` are the records of the machine it is, when it is one.
    fn alone(&self, entry: &Entry, machine: &[(&Holding, &SourceId)], child_count: u32) -> Option<Resource> {
        let holding = self.holding;
        let stamp: Stamp = holding.stamp(entry)?;
        let document = &entry.document;
        let report = holding.sections.get(&document.section);
        let freshness = holding.freshness_of(&document.section).unwrap_or(Freshness::Stale);
        let is_late = freshness != Freshness::Fresh;
        let error = report.map(|report| report.error.as_str()).filter(|error| is_late && !error.is_empty());
        let kept = |reasons| Rare { reasons, error: error.map(Arc::from), parts: None }.kept();
        let (severity, status, rare) = match judged_alike(entry, freshness) {
            Some(shown) if shown.error() == error => (shown.severity, shown.status, shown.rare.clone()),
            Some(shown) => (shown.severity, shown.status, kept(shown.reasons().into())),
            None => {
                let Judgement { severity, reasons, status } = self.judged(entry, freshness, machine)?;
                (severity, status, kept(reasons.into()))
            }
        };
        Some(Resource {
            anchor: self.anchor(entry, stamp),
            document: document.clone(),
            severity,
            freshness,
            status,
            source: holding.source,
            child_count,
            rare,
            updated_at: stamp.updated_at,
            revision: stamp.revision,
        })
    }

    fn anchor(&self, entry: &Entry, Stamp { created_at, created, .. }: Stamp) -> triomphe::Arc<Anchor> {
        let anchor = Anchor { id: self.id(entry), site: self.site(&entry.document), created_at, created };
        match &entry.resource {
            Some(shown) if *shown.anchor == anchor => shown.anchor.clone(),
            _ => triomphe::Arc::new(anchor),
        }
    }

    /// What is shown, with the numbers of a record that differs from it in nothing else. Not for machines: they are judged
    /// by what lies below them.
    pub(super) fn renumbered(&self, entry: &Entry, shown: &Resource) -> Option<Resource> {
        let mut resource = shown.clone();
        if !entry.document.is_judged_like(&shown.document) {
            let Judgement { severity, reasons, status } = self.judged(entry, shown.freshness, &[])?;
            (resource.severity, resource.status) = (severity, status);
            let shown = shown.rare.as_deref().cloned().unwrap_or_default();
            resource.rare = Rare { reasons: reasons.into(), ..shown }.kept();
        }
        resource.document = entry.document.clone();
        Some(resource)
    }

    fn judged(
        &self,
        entry: &Entry,
        freshness: Freshness,
        machine: &[(&Holding, &SourceId)],
    ) -> Option<Judgement> {
        let record = entry.document.judged().ok()?;
        let is_host = entry.document.resource_type == ResourceType::Host;
        let worst_child = if is_host { worst_child(machine) } else { None };
        let connection = self.holding.status.as_ref().map(|status| status.state);
        Some(self.judge.judge(&Subject { record: &record, freshness, connection, worst_child }))
    }

    pub(super) fn id(&self, entry: &Entry) -> ResourceId {
        let document = &entry.document;
        if document.resource_type != ResourceType::PhysicalDisk
            && let Some(shown) = entry.resource.as_ref()
            && shown.resource_type() == document.resource_type
        {
            // Only the id of a disk can change while it is held.
            return shown.id;
        }
        let is_keyed = |serial: &&str| self.merge.is_keyed(self.connection, &document.source_id, serial);
        let serial = id::disk_serial(document).filter(is_keyed);
        id::resource_id(self.holding.source, document, serial)
    }

    fn site(&self, document: &Document) -> Arc<Site> {
        // A parent that has not come yet is no parent.
        let parent = document.parent_source_id.as_ref().and_then(|id| self.holding.entries.get(id));
        let Some(parent) = parent else { return self.below(None) };
        let known = self.sites.and_then(|sites| sites.get(&parent.document.source_id));
        known.cloned().unwrap_or_else(|| self.site_below(parent))
    }

    /// Where its children are: below the record that leads it, if one does.
    pub(super) fn site_below(&self, entry: &Entry) -> Arc<Site> {
        self.below(match self.merge.leader(self.connection, &entry.document.source_id) {
            Some(leader) => self.at(leader).map(|(at, leader)| at.as_parent(leader)),
            None => Some(self.as_parent(entry)),
        })
    }

    fn below(&self, parent: Option<Parent>) -> Arc<Site> {
        Arc::new(Site { parent, origin: Arc::clone(&self.holding.origin) })
    }

    fn as_parent(&self, entry: &Entry) -> Parent {
        Parent { id: self.id(entry), name: entry.document.name().into() }
    }

    /// Children that other records lead are told where those are.
    fn child_count(&self, connection: &ConnectionId, holding: &Holding, id: &SourceId) -> u32 {
        if !self.merge.has_groups_in(connection) {
            return holding.entries.child_count(id);
        }
        let leads = |child: &&Entry| self.merge.leader(connection, &child.document.source_id).is_none();
        let count = holding.entries.children(id).filter(leads).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Where nothing differs that is judged, the judgement of what is shown holds: most changes are of sizes.
fn judged_alike(entry: &Entry, freshness: Freshness) -> Option<&Resource> {
    let shown = entry.resource.as_deref()?;
    let holds = shown.parts().is_none()
        && shown.freshness == freshness
        && entry.document.is_judged_like(&shown.document);
    holds.then_some(shown)
}

/// The worst pool or disk of a machine.
fn worst_child<'a>(machine: &[(&'a Holding, &SourceId)]) -> Option<WorstChild<'a>> {
    let counts = |entry: &&Entry| match entry.document.resource_type {
        ResourceType::PhysicalDisk => true,
        ResourceType::Storage => entry.document.topology() == Some(StorageTopology::Pool),
        _ => false,
    };
    let mut worst: Option<(Severity, &'a Entry)> = None;
    let mut weigh = |entry: &'a Entry| {
        let Some(severity) = entry.resource.as_ref().map(|resource| resource.severity) else { return };
        // Of equals the first by id: they come in no order.
        let is_worse = |(than, other): (Severity, &Entry)| {
            severity > than || (severity == than && entry.document.source_id < other.document.source_id)
        };
        if worst.is_none_or(is_worse) {
            worst = Some((severity, entry));
        }
    };
    for (holding, id) in machine {
        if holding.hosts.len() == 1 {
            holding.entries.iter().filter(counts).for_each(&mut weigh);
        } else {
            holding.below(id).into_iter().filter(counts).for_each(&mut weigh);
        }
    }
    worst.map(|(severity, entry)| WorstChild { name: entry.document.name(), severity })
}
