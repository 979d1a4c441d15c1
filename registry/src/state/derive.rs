//! From a record to a resource: id, place, freshness and judgement. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, Freshness, IngestRecord, ResourceId, ResourceType, SourceId, StorageTopology,
};

use super::document::Document;
use super::holding::{Entry, Holding};
use super::id;
use super::judge::{Judge, Subject, WorstChild};
use super::resource::{Parent, Resource};
use super::row::Stamp;

/// Real serials of disks, and which records have them.
pub(super) type Serials = BTreeMap<String, BTreeSet<(ConnectionId, SourceId)>>;

pub(super) struct Deriving<'a> {
    pub(super) connection: &'a ConnectionId,
    pub(super) holding: &'a Holding,
    pub(super) judge: &'a dyn Judge,
    /// Who has which real serial.
    pub(super) serials: &'a Serials,
}

impl Deriving<'_> {
    /// What the entry shows now. `None`: the stored bytes are no record, so there is nothing to judge.
    pub(super) fn resource(&self, entry: &Entry) -> Option<Resource> {
        let holding = self.holding;
        let decoded;
        let fresh = entry.fresh.as_ref().and_then(|fresh| fresh.record.as_deref());
        let record: &IngestRecord = if let Some(record) = fresh {
            record
        } else {
            decoded = entry.document.record().ok()?;
            &decoded
        };
        let stamp: Stamp = entry.stamp()?;
        let document = &entry.document;
        let report = holding.sections.get(&document.section);
        let freshness = holding.freshness_of(&document.section).unwrap_or(Freshness::Stale);
        let is_host = document.resource_type == ResourceType::Host;
        let worst_child = is_host.then(|| self.worst_child()).flatten();
        let connection_state = holding.status.as_ref().map(|status| status.state);
        let judgement =
            self.judge.judge(&Subject { record, freshness, connection: connection_state, worst_child });
        let error = match report {
            Some(report) if freshness != Freshness::Fresh && !report.error.is_empty() => {
                Some(Arc::from(report.error.as_str()))
            }
            _ => None,
        };
        Some(Resource {
            id: self.id(entry),
            document: Arc::clone(document),
            severity: judgement.severity,
            freshness,
            status: judgement.status,
            source: holding.source,
            reasons: judgement.reasons.into(),
            parent: self.parent(document),
            child_count: self.child_count(document),
            error,
            connection: self.connection.clone(),
            connection_name: Arc::clone(&holding.name),
            labels: Arc::clone(&holding.labels),
            created_at: stamp.created_at,
            updated_at: stamp.updated_at,
            revision: stamp.revision,
            created: stamp.created,
        })
    }

    fn id(&self, entry: &Entry) -> ResourceId {
        let document = &entry.document;
        if document.resource_type != ResourceType::PhysicalDisk
            && let Some(shown) = entry.resource.as_ref()
            && shown.resource_type() == document.resource_type
        {
            // Only the id of a disk can change while it is held.
            return shown.id.clone();
        }
        let is_unique = |serial: &&str| self.serials.get(*serial).is_none_or(|sharers| sharers.len() == 1);
        let unique = id::disk_serial(document).filter(is_unique);
        id::resource_id(self.holding.source, document, unique)
    }

    /// A parent that has not come yet is no parent.
    fn parent(&self, document: &Document) -> Option<Parent> {
        let parent = self.holding.entries.get(document.parent_source_id.as_ref()?)?;
        Some(Parent::new(self.id(parent), Arc::clone(&parent.document)))
    }

    fn child_count(&self, document: &Document) -> u32 {
        let children = self.holding.children.get(&document.source_id).map_or(0, BTreeSet::len);
        u32::try_from(children).unwrap_or(u32::MAX)
    }

    fn worst_child(&self) -> Option<WorstChild<'_>> {
        let counts = |entry: &&Entry| match entry.document.resource_type {
            ResourceType::PhysicalDisk => true,
            ResourceType::Storage => entry.document.topology() == Some(StorageTopology::Pool),
            _ => false,
        };
        let mut worst: Option<WorstChild<'_>> = None;
        for entry in self.holding.entries.values().filter(counts) {
            let Some(resource) = &entry.resource else { continue };
            if worst.is_none_or(|worst| resource.severity > worst.severity) {
                worst = Some(WorstChild { name: entry.document.name(), severity: resource.severity });
            }
        }
        worst
    }
}
