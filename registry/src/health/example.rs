//! Records in perfect health, for tests to spoil.

use pulse_proto::model::{
    Dataset, Disk, Facets, Freshness, Identity, IngestRecord, Pool, ResourceType, SectionName, SourceId,
    Storage, StorageTopology, TrueNas, Zfs,
};

use super::Tables;
use crate::state::judge::{Judge as _, Judgement, Subject};

pub(super) fn plain(resource_type: ResourceType, state: &str) -> IngestRecord {
    IngestRecord {
        source_id: SourceId::parse("system:c/thing:1").expect("a source id"),
        parent_source_id: None,
        resource_type,
        name: "nas".into(),
        section: SectionName::parse("things").expect("a section"),
        state: state.into(),
        identity: Identity::default(),
        capacity: None,
        tags: vec![],
        incidents: vec![],
        facets: Facets::default(),
    }
}

pub(super) fn pool(change: impl FnOnce(&mut Pool)) -> IngestRecord {
    let mut pool =
        Pool { name: "tank".into(), state: "ONLINE".into(), status_code: "OK".into(), ..Pool::default() };
    change(&mut pool);
    storage(StorageTopology::Pool, Zfs::Pool(pool))
}

pub(super) fn dataset(change: impl FnOnce(&mut Dataset)) -> IngestRecord {
    let mut dataset = Dataset {
        name: "tank/a".into(),
        pool: "tank".into(),
        kind: "FILESYSTEM".into(),
        mountpoint: "/mnt/tank/a".into(),
        mounted: Some(true),
        readonly: Some(false),
        locked: Some(false),
        ..Dataset::default()
    };
    change(&mut dataset);
    storage(StorageTopology::Dataset, Zfs::Dataset(dataset))
}

fn storage(topology: StorageTopology, zfs: Zfs) -> IngestRecord {
    let facet =
        Storage { topology, kind: "zfs".into(), pool: "tank".into(), path: String::new(), zfs: Some(zfs) };
    let facets = Facets { storage: Some(Box::new(facet)), ..Facets::default() };
    IngestRecord { facets, ..plain(ResourceType::Storage, "") }
}

pub(super) fn disk(change: impl FnOnce(&mut Disk)) -> IngestRecord {
    let mut disk = Disk {
        name: "sda".into(),
        pool: "tank".into(),
        pool_role: "data".into(),
        vdev_state: "ONLINE".into(),
        ..Disk::default()
    };
    change(&mut disk);
    let facets = Facets { physical_disk: Some(Box::new(disk)), ..Facets::default() };
    IngestRecord { facets, ..plain(ResourceType::PhysicalDisk, "") }
}

pub(super) fn host(change: impl FnOnce(&mut TrueNas)) -> IngestRecord {
    let mut truenas = TrueNas { system_state: "READY".into(), ..TrueNas::default() };
    change(&mut truenas);
    let facets = Facets { truenas: Some(Box::new(truenas)), ..Facets::default() };
    IngestRecord { facets, ..plain(ResourceType::Host, "") }
}

pub(super) const fn subject(record: &IngestRecord) -> Subject<'_> {
    Subject { record, freshness: Freshness::Fresh, connection: None, worst_child: None }
}

pub(super) fn judge(record: &IngestRecord) -> Judgement {
    judge_by(&Tables::default(), record)
}

pub(super) fn judge_by(tables: &Tables, record: &IngestRecord) -> Judgement {
    tables.judge(&subject(record))
}
