//! Parts of a record that its sender has not seen whole: what it tells of them
//! is taken, what it does not tell stays as it is held. Pure.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use pulse_proto::convert::LIST_MAX;
use pulse_proto::model::{Capacity, IngestRecord, Metrics, RecordPart, ResourceType, StorageTopology, Zfs};

/// The record to hold in place of `old`.
pub fn with_kept(mut merged: IngestRecord, old: &IngestRecord, kept: &BTreeSet<RecordPart>) -> IngestRecord {
    for part in kept {
        match part {
            RecordPart::Incidents => keep_incidents(&mut merged, old),
            RecordPart::UsableCapacity => keep_capacity(&mut merged, old),
            RecordPart::PoolMembership => keep_membership(&mut merged, old),
            RecordPart::ReplicationTarget => keep_target(&mut merged, old),
            RecordPart::ShareDataset => keep_share(&mut merged, old),
            RecordPart::Metrics => keep_metrics(&mut merged, old),
            RecordPart::Temperature => keep_temperature(&mut merged, old),
            RecordPart::ScrubSchedule | RecordPart::Snapshots => keep_of_storage(&mut merged, old, *part),
            RecordPart::Interfaces => keep_interfaces(&mut merged, old),
            RecordPart::Services | RecordPart::Certificates | RecordPart::Ups | RecordPart::Update => {
                keep_of_system(&mut merged, old, *part);
            }
        }
    }
    merged
}

fn keep_incidents(record: &mut IngestRecord, old: &IngestRecord) {
    let told: BTreeSet<&str> = record.incidents.iter().map(|incident| incident.native_id.as_str()).collect();
    let held = old.incidents.iter().filter(|incident| !told.contains(incident.native_id.as_str()));
    let mut held: Vec<_> = held.cloned().collect();
    let room = LIST_MAX.saturating_sub(record.incidents.len());
    if held.len() > room {
        // With more it were no record. What is told anew goes before what is held, and of that the worst.
        held.sort_by_key(|incident| Reverse(incident.level));
        held.truncate(room);
    }
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

fn keep_share(record: &mut IngestRecord, old: &IngestRecord) {
    if let (Some(share), Some(held)) = (&mut record.facets.network_share, &old.facets.network_share)
        && share.dataset.is_empty()
        && share.path == held.path
    {
        record.parent_source_id.clone_from(&old.parent_source_id);
        share.dataset.clone_from(&held.dataset);
        share.relative_path.clone_from(&held.relative_path);
    }
}

/// Load and uptime come with the system itself; the rest is measured apart, at one time.
fn keep_metrics(record: &mut IngestRecord, old: &IngestRecord) {
    let Some(held) = &old.facets.metrics else { return };
    let told = record.facets.metrics.get_or_insert_default();
    if told.observed_at.is_none() {
        let Metrics { load_1m, load_5m, load_15m, uptime_seconds, .. } = **told;
        **told = Metrics { load_1m, load_5m, load_15m, uptime_seconds, ..Metrics::clone(held) };
    }
}

fn keep_temperature(record: &mut IngestRecord, old: &IngestRecord) {
    if let (Some(disk), Some(held)) = (&mut record.facets.physical_disk, &old.facets.physical_disk) {
        disk.temperature_celsius = disk.temperature_celsius.or(held.temperature_celsius);
        disk.temperature_min_celsius = disk.temperature_min_celsius.or(held.temperature_min_celsius);
        disk.temperature_max_celsius = disk.temperature_max_celsius.or(held.temperature_max_celsius);
        disk.temperature_average_celsius =
            disk.temperature_average_celsius.or(held.temperature_average_celsius);
        disk.temperature_critical_celsius =
            disk.temperature_critical_celsius.or(held.temperature_critical_celsius);
    }
}

fn keep_of_storage(record: &mut IngestRecord, old: &IngestRecord, part: RecordPart) {
    let Some(held) = old.facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref()) else { return };
    match (record.facets.storage.as_mut().and_then(|storage| storage.zfs.as_mut()), held, part) {
        (Some(Zfs::Pool(pool)), Zfs::Pool(held), RecordPart::ScrubSchedule) => {
            pool.scrub_schedule = pool.scrub_schedule.take().or_else(|| held.scrub_schedule.clone());
        }
        (Some(Zfs::Dataset(dataset)), Zfs::Dataset(held), RecordPart::Snapshots) => {
            dataset.snapshot_count = dataset.snapshot_count.or(held.snapshot_count);
            if dataset.newest_snapshot_at.is_none() && dataset.snapshot_count != Some(0) {
                dataset.newest_snapshot_at = held.newest_snapshot_at;
                dataset.newest_snapshot_source.clone_from(&held.newest_snapshot_source);
            }
        }
        _ => {}
    }
}

fn keep_interfaces(record: &mut IngestRecord, old: &IngestRecord) {
    if let (Some(agent), Some(held)) = (&mut record.facets.agent, &old.facets.agent)
        && agent.interfaces.is_empty()
    {
        agent.interfaces.clone_from(&held.interfaces);
        record.identity.ip_addresses.clone_from(&old.identity.ip_addresses);
        record.identity.mac_addresses.clone_from(&old.identity.mac_addresses);
    }
}

fn keep_of_system(record: &mut IngestRecord, old: &IngestRecord, part: RecordPart) {
    let (Some(told), Some(held)) = (&mut record.facets.truenas, &old.facets.truenas) else { return };
    match part {
        RecordPart::Services if told.services.is_empty() => told.services.clone_from(&held.services),
        RecordPart::Certificates if told.certificates.is_empty() => {
            told.certificates.clone_from(&held.certificates);
        }
        RecordPart::Ups if told.ups.is_none() => told.ups.clone_from(&held.ups),
        RecordPart::Update if told.update.is_none() => told.update.clone_from(&held.update),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{
        AlertLevel, Dataset, Disk, Facets, Identity, Incident, Pool, SectionName, SourceId, Storage,
    };

    use super::*;
    use crate::state::Document;

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
        record.facets.storage = Some(Box::new(Storage { topology, kind, pool, path, zfs: Some(zfs) }));
        record
    }

    fn pool(raw: u64) -> IngestRecord {
        let mut record = storage(StorageTopology::Pool, Zfs::Pool(Pool::default()));
        record.capacity = Some(Capacity { raw_total_bytes: Some(raw), ..Capacity::default() });
        record
    }

    fn incident(native_id: &str, level: AlertLevel) -> Incident {
        Incident {
            provider: "truenas".to_owned(),
            native_id: native_id.to_owned(),
            klass: "K".to_owned(),
            level,
            text: String::new(),
            args_json: String::new(),
            node: String::new(),
            dismissed: false,
            one_shot: false,
            started_at: None,
        }
    }

    fn merged(new: &IngestRecord, old: &IngestRecord, part: RecordPart) -> IngestRecord {
        let kept = BTreeSet::from([part]);
        with_kept(new.clone(), old, &kept)
    }

    #[test]
    fn told_and_held_incidents_are_no_more_than_a_record_has() {
        let record = |ids: std::ops::Range<usize>| {
            let level =
                |id: usize| if id.is_multiple_of(2) { AlertLevel::Info } else { AlertLevel::Critical };
            let incidents = ids.map(|id| incident(&format!("{id:03}"), level(id))).collect();
            IngestRecord { incidents, ..pool(1) }
        };
        let (new, old) = (record(200..356), record(0..200));
        let merged = merged(&new, &old, RecordPart::Incidents);
        assert_eq!(merged.incidents.len(), LIST_MAX);
        assert_eq!(merged.incidents[..156], new.incidents);
        assert!(merged.incidents[156..].iter().all(|held| held.level == AlertLevel::Critical));
        assert!(Document::of(&merged).record().is_ok());
    }

    #[test]
    fn each_part_keeps_itself_and_nothing_else() {
        let mut old = pool(1);
        old.incidents.push(incident("a", AlertLevel::Critical));
        old.capacity =
            Some(Capacity { total_bytes: Some(9), raw_total_bytes: Some(1), ..Capacity::default() });
        let new = pool(2);
        assert_eq!(merged(&new, &old, RecordPart::Incidents).incidents, old.incidents);
        let mut other = new.clone();
        other.incidents.push(incident("b", AlertLevel::Critical));
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
            Some(Box::new(Disk { pool: "p".to_owned(), model: "old".to_owned(), ..Disk::default() }));
        let mut new = bare(ResourceType::PhysicalDisk);
        new.facets.physical_disk = Some(Box::new(Disk { model: "new".to_owned(), ..Disk::default() }));
        let disk = merged(&new, &old, RecordPart::PoolMembership);
        assert_eq!((disk.state.as_str(), &disk.parent_source_id), ("FAULTED", &old.parent_source_id));
        let facet = disk.facets.physical_disk.unwrap();
        assert_eq!((facet.pool.as_str(), facet.model.as_str()), ("p", "new"));

        let dataset = |replication_target| Zfs::Dataset(Dataset { replication_target, ..Dataset::default() });
        let old = storage(StorageTopology::Dataset, dataset(true));
        let new = storage(StorageTopology::Dataset, dataset(false));
        assert_eq!(merged(&new, &old, RecordPart::ReplicationTarget), old);
    }
}
