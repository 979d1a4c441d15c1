//! Records of the tasks that protect data.

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{Facets, Identity, IngestRecord, ResourceType, Task};

use super::ids::Ids;
use super::{Draft, tags};
use crate::api::{Item, Section};
use crate::snapshot::Snapshot;

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    for replication in snapshot.replications().into_iter().flat_map(|tasks| tasks.iter()) {
        let task = &replication.task;
        draft.add(Section::Replications, &task.name, record(ids, Section::Replications, task));
    }
    let others = [
        (Section::SnapshotTasks, snapshot.snapshot_tasks()),
        (Section::CloudSyncs, snapshot.cloud_syncs()),
        (Section::RsyncTasks, snapshot.rsync_tasks()),
        (Section::CloudBackups, snapshot.cloud_backups()),
    ];
    for (section, tasks) in others {
        for task in tasks.into_iter().flat_map(|tasks| tasks.iter()) {
            draft.add(section, &task.name, record(ids, section, task));
        }
    }
}

fn record(ids: &Ids, section: Section, task: &Item<Task>) -> Result<IngestRecord, ProtocolError> {
    let facet = task.facet.clone();
    Ok(IngestRecord {
        source_id: ids.task(&facet.kind, &task.id)?,
        parent_source_id: Some(ids.system()),
        resource_type: ResourceType::ProtectionTask,
        name: task.shown_name(),
        section: section.name(),
        state: facet.state.clone(),
        identity: Identity::default(),
        capacity: None,
        tags: tags(&[
            "truenas".into(),
            facet.kind.clone(),
            if facet.enabled == Some(false) { "disabled".into() } else { String::new() },
        ]),
        incidents: Vec::new(),
        facets: Facets { protection_task: Some(Box::new(facet)), ..Facets::default() },
    })
}
