//! Parts of a record that its sender has not looked at: they stay as they are
//! held. Not looking is no recovery. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use pulse_proto::model::{Capacity, IngestRecord, RecordPart, ResourceType, StorageTopology, Zfs};

/// The record to hold in place of `old`.
pub fn with_kept(
    record: Arc<IngestRecord>,
    old: Option<&IngestRecord>,
    kept: &BTreeSet<RecordPart>,
) -> Arc<IngestRecord> {
    let Some(old) = old.filter(|_| !kept.is_empty()) else { return record };
    let mut merged = IngestRecord::clone(&record);
    for part in kept {
        match part {
            RecordPart::Incidents => merged.incidents.clone_from(&old.incidents),
            RecordPart::UsableCapacity => keep_capacity(&mut merged, old),
            RecordPart::PoolMembership => keep_membership(&mut merged, old),
            RecordPart::ReplicationTarget => keep_target(&mut merged, old),
        }
    }
    Arc::new(merged)
}

fn keep_capacity(record: &mut IngestRecord, old: &IngestRecord) {
    let is_pool = record.facets.storage.as_ref().is_some_and(|s| s.topology == StorageTopology::Pool);
    if let Some(held) = old.capacity.filter(|_| is_pool) {
        let told = record.capacity.unwrap_or_default();
        let Capacity { total_bytes, used_bytes, available_bytes, .. } = held;
        record.capacity = Some(Capacity { total_bytes, used_bytes, available_bytes, ..told });
    }
}

fn keep_membership(record: &mut IngestRecord, old: &IngestRecord) {
    if record.resource_type != ResourceType::PhysicalDisk {
        return;
    }
    record.parent_source_id.clone_from(&old.parent_source_id);
    record.state.clone_from(&old.state);
    if let (Some(disk), Some(held)) = (&mut record.facets.physical_disk, &old.facets.physical_disk) {
        disk.pool.clone_from(&held.pool);
        disk.pool_role.clone_from(&held.pool_role);
        disk.vdev_state.clone_from(&held.vdev_state);
        disk.zfs_guid.clone_from(&held.zfs_guid);
        disk.read_errors = held.read_errors;
        disk.write_errors = held.write_errors;
        disk.checksum_errors = held.checksum_errors;
        disk.missing = held.missing;
        disk.spare_in_use = held.spare_in_use;
    }
}

fn keep_target(record: &mut IngestRecord, old: &IngestRecord) {
    let dataset = |record: &IngestRecord| match record.facets.storage.as_ref()?.zfs.as_ref()? {
        Zfs::Dataset(dataset) => Some(dataset.replication_target),
        Zfs::Pool(_) => None,
    };
    let held = dataset(old).unwrap_or(false);
    if let Some(Zfs::Dataset(dataset)) = record.facets.storage.as_mut().and_then(|s| s.zfs.as_mut()) {
        dataset.replication_target = held;
    }
}
