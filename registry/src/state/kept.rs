//! Parts of a record that its sender has not seen whole: what it tells of them
//! is taken, what it does not tell stays as it is held. Pure.

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
            RecordPart::Incidents => keep_incidents(&mut merged, old),
            RecordPart::UsableCapacity => keep_capacity(&mut merged, old),
            RecordPart::PoolMembership => keep_membership(&mut merged, old),
            RecordPart::ReplicationTarget => keep_target(&mut merged, old),
        }
    }
    Arc::new(merged)
}

fn keep_incidents(record: &mut IngestRecord, old: &IngestRecord) {
    let told: BTreeSet<&str> = record.incidents.iter().map(|incident| incident.native_id.as_str()).collect();
    let held = old.incidents.iter().filter(|incident| !told.contains(incident.native_id.as_str()));
    let held: Vec<_> = held.cloned().collect();
    record.incidents.extend(held);
}

fn keep_capacity(record: &mut IngestRecord, old: &IngestRecord) {
    let is_pool = record.facets.storage.as_ref().is_some_and(|s| s.topology == StorageTopology::Pool);
    if let Some(held) = old.capacity.filter(|_| is_pool) {
        let told = record.capacity.unwrap_or_default();
        record.capacity = Some(Capacity {
            total_bytes: told.total_bytes.or(held.total_bytes),
            used_bytes: told.used_bytes.or(held.used_bytes),
            available_bytes: told.available_bytes.or(held.available_bytes),
            ..told
        });
    }
}

fn keep_membership(record: &mut IngestRecord, old: &IngestRecord) {
    let has_place = record.facets.physical_disk.as_ref().is_some_and(|disk| !disk.pool.is_empty());
    if record.resource_type != ResourceType::PhysicalDisk || has_place {
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
        dataset.replication_target |= held;
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{
        AlertLevel, Dataset, Disk, Facets, Identity, Incident, Pool, SectionName, SourceId, Storage,
    };

    use super::*;

    fn bare(resource_type: ResourceType) -> IngestRecord {
        IngestRecord {
            source_id: SourceId::parse("system:c/x:y").unwrap(),
            parent_source_id: None,
            resource_type,
            name: "y".to_owned(),
            section: SectionName::parse("x").unwrap(),
            state: String::new(),
            identity: Identity::default(),
            capacity: None,
            tags: Vec::new(),
            incidents: Vec::new(),
            facets: Facets::default(),
        }
    }

    fn storage(topology: StorageTopology, zfs: Zfs) -> IngestRecord {
        let (kind, pool, path) = (String::new(), String::new(), String::new());
        let mut record = bare(ResourceType::Storage);
        record.facets.storage = Some(Storage { topology, kind, pool, path, zfs: Some(zfs) });
        record
    }

    fn pool(raw: u64) -> IngestRecord {
        let mut record = storage(StorageTopology::Pool, Zfs::Pool(Pool::default()));
        record.capacity = Some(Capacity { raw_total_bytes: Some(raw), ..Capacity::default() });
        record
    }

    fn merged(new: &IngestRecord, old: &IngestRecord, part: RecordPart) -> IngestRecord {
        let kept = BTreeSet::from([part]);
        IngestRecord::clone(&with_kept(Arc::new(new.clone()), Some(old), &kept))
    }

    #[test]
    fn each_part_keeps_itself_and_nothing_else() {
        let mut old = pool(1);
        old.incidents.push(Incident {
            provider: "truenas".to_owned(),
            native_id: "a".to_owned(),
            klass: "K".to_owned(),
            level: AlertLevel::Critical,
            text: String::new(),
            args_json: String::new(),
            node: String::new(),
            dismissed: false,
            one_shot: false,
            started_at: None,
        });
        old.capacity =
            Some(Capacity { total_bytes: Some(9), raw_total_bytes: Some(1), ..Capacity::default() });
        let new = pool(2);
        assert_eq!(merged(&new, &old, RecordPart::Incidents).incidents, old.incidents);
        let mut other = new.clone();
        other.incidents.push(Incident { native_id: "b".to_owned(), ..old.incidents[0].clone() });
        assert_eq!(merged(&other, &old, RecordPart::Incidents).incidents.len(), 2, "told and held");
        let usable = merged(&new, &old, RecordPart::UsableCapacity);
        let capacity = usable.capacity.unwrap_or_default();
        assert_eq!((capacity.total_bytes, capacity.raw_total_bytes), (Some(9), Some(2)));
        assert!(usable.incidents.is_empty());
        assert_eq!(merged(&new, &old, RecordPart::PoolMembership), new);
        assert_eq!(merged(&new, &old, RecordPart::ReplicationTarget), new);

        let mut old = bare(ResourceType::PhysicalDisk);
        old.state = "FAULTED".to_owned();
        old.parent_source_id = Some(SourceId::parse("system:c/pool:p").unwrap());
        old.facets.physical_disk =
            Some(Disk { pool: "p".to_owned(), model: "old".to_owned(), ..Disk::default() });
        let mut new = bare(ResourceType::PhysicalDisk);
        new.facets.physical_disk = Some(Disk { model: "new".to_owned(), ..Disk::default() });
        let disk = merged(&new, &old, RecordPart::PoolMembership);
        assert_eq!((disk.state.as_str(), &disk.parent_source_id), ("FAULTED", &old.parent_source_id));
        let facet = disk.facets.physical_disk.unwrap();
        assert_eq!((facet.pool.as_str(), facet.model.as_str()), ("p", "new"));

        let dataset = |replication_target| Zfs::Dataset(Dataset { replication_target, ..Dataset::default() });
        let old = storage(StorageTopology::Dataset, dataset(true));
        let new = storage(StorageTopology::Dataset, dataset(false));
        assert_eq!(merged(&new, &old, RecordPart::ReplicationTarget), old);
    }

    #[test]
    fn what_is_new_or_fully_known_is_taken_as_it_is() {
        let record = Arc::new(pool(2));
        let all: BTreeSet<RecordPart> = RecordPart::ALL.iter().copied().collect();
        assert!(Arc::ptr_eq(&with_kept(Arc::clone(&record), None, &all), &record));
        assert!(Arc::ptr_eq(&with_kept(Arc::clone(&record), Some(&pool(1)), &BTreeSet::new()), &record));
    }
}
