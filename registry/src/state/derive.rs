//! From a record to a resource: id, place, freshness and judgement. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, Freshness, IngestRecord, Parent, Resource, ResourceId, ResourceType, SourceId,
    SourceStatus, StorageTopology,
};

use super::holding::{Entry, Holding};
use super::id;
use super::judge::{Judge, Subject, WorstChild};
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
    pub(super) fn resource(&self, record: &Arc<IngestRecord>, stamp: Stamp) -> Resource {
        let holding = self.holding;
        let report = holding.sections.get(&record.section);
        let freshness = holding.freshness_of(&record.section).unwrap_or(Freshness::Stale);
        let worst_child = (record.resource_type == ResourceType::Host).then(|| self.worst_child()).flatten();
        let connection_state = holding.status.as_ref().map(|status| status.state);
        let judgement =
            self.judge.judge(&Subject { record, freshness, connection: connection_state, worst_child });
        let error = match report {
            Some(report) if freshness != Freshness::Fresh => report.error.clone(),
            _ => String::new(),
        };
        Resource {
            id: self.id(record),
            record: Arc::clone(record),
            technology: technology(record),
            display_name: self.display_name(record),
            severity: judgement.severity,
            reasons: judgement.reasons,
            freshness,
            status: judgement.status,
            parent: self.parent(record),
            child_count: self.child_count(record),
            sources: vec![SourceStatus {
                source: holding.source,
                source_id: record.source_id.clone(),
                connection: self.connection.clone(),
                freshness,
                error,
            }],
            connection: self.connection.clone(),
            connection_name: Arc::clone(&holding.name),
            labels: Arc::clone(&holding.labels),
            created_at: stamp.created_at,
            updated_at: stamp.updated_at,
            revision: stamp.revision,
        }
    }

    fn id(&self, record: &IngestRecord) -> ResourceId {
        let is_unique = |serial: &&str| self.serials.get(*serial).is_none_or(|sharers| sharers.len() == 1);
        let unique = id::disk_serial(record).filter(is_unique);
        id::resource_id(self.holding.source, record, unique)
    }

    /// A parent that has not come yet is no parent.
    fn parent(&self, record: &IngestRecord) -> Option<Parent> {
        let parent = &self.holding.entries.get(record.parent_source_id.as_ref()?)?.record;
        Some(Parent { id: self.id(parent), name: parent.name.clone() })
    }

    fn child_count(&self, record: &IngestRecord) -> u32 {
        let children = self.holding.children.get(&record.source_id).map_or(0, BTreeSet::len);
        u32::try_from(children).unwrap_or(u32::MAX)
    }

    /// People call a system by the name they gave its connection.
    fn display_name(&self, record: &IngestRecord) -> String {
        if record.resource_type == ResourceType::Host && !self.holding.name.is_empty() {
            self.holding.name.to_string()
        } else {
            record.name.clone()
        }
    }

    fn worst_child(&self) -> Option<WorstChild<'_>> {
        let counts = |entry: &&Entry| match entry.record.resource_type {
            ResourceType::PhysicalDisk => true,
            ResourceType::Storage => {
                entry.record.facets.storage.as_ref().is_some_and(|s| s.topology == StorageTopology::Pool)
            }
            _ => false,
        };
        let mut worst: Option<WorstChild<'_>> = None;
        for entry in self.holding.entries.values().filter(counts) {
            let Some(resource) = &entry.resource else { continue };
            if worst.is_none_or(|worst| resource.severity > worst.severity) {
                worst = Some(WorstChild { name: &entry.record.name, severity: resource.severity });
            }
        }
        worst
    }
}

/// Sub-kind for people and filters.
fn technology(record: &IngestRecord) -> String {
    if let Some(storage) = &record.facets.storage
        && !storage.kind.is_empty()
    {
        return storage.kind.clone();
    }
    let facets = &record.facets;
    if let Some(share) = &facets.network_share {
        return share.protocol.clone();
    }
    if let Some(task) = &facets.protection_task {
        return task.kind.clone();
    }
    match record.resource_type {
        ResourceType::AppContainer if facets.app.is_some() => "docker".to_owned(),
        ResourceType::Host if record.facets.truenas.is_some() => "truenas".to_owned(),
        ResourceType::PhysicalDisk => record
            .facets
            .physical_disk
            .as_ref()
            .map_or_else(String::new, |disk| disk.disk_type.to_lowercase()),
        other => other.token().to_owned(),
    }
}
