//! Records of datasets and volumes.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{
    Capacity, Dataset as DatasetFacet, Facets, Identity, IngestRecord, ResourceType, SourceId, Storage,
    StorageTopology, UnixMillis, Zfs,
};

use super::ids::Ids;
use super::runs::Runs;
use super::{Draft, tags};
use crate::api::json::text;
use crate::api::{Dataset, Replication, Section, Snapshots};
use crate::snapshot::Snapshot;

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    let Some(datasets) = snapshot.datasets() else { return };
    let names: BTreeSet<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    let snapshots: BTreeMap<&str, &Snapshots> = snapshot
        .snapshots()
        .into_iter()
        .flat_map(|rows| rows.iter().map(|row| (row.dataset.as_str(), row)))
        .collect();
    let targets: BTreeSet<&str> = snapshot
        .replications()
        .into_iter()
        .flat_map(|tasks| tasks.iter())
        .filter(|task| task.targets_here() && task.keeps_readonly())
        .map(target)
        .collect();
    let runs = Runs::of(snapshot);
    // Pools that may still come are waited for; of pools known not to be there nothing hangs.
    let pool_is_known_missing = |dataset: &Dataset| {
        snapshot.pools().is_some() && !ids.pool(&dataset.pool).is_ok_and(|id| draft.records.contains_key(&id))
    };
    let records: Vec<_> = datasets
        .iter()
        .map(|dataset| {
            let parent = parent(ids, dataset, &names, pool_is_known_missing(dataset));
            let counted = snapshots.get(dataset.name.as_str()).copied();
            let facet = facet(dataset, is_target(&dataset.name, &targets), counted, &runs);
            (dataset, record(ids, dataset, parent, facet))
        })
        .collect();
    for (dataset, record) in records {
        draft.add(Section::Datasets, &dataset.name, record);
    }
}

fn target(task: &Replication) -> &str {
    task.task.facet.target.trim_matches('/')
}

/// The dataset or one of its ancestors is written by a task.
fn is_target(name: &str, targets: &BTreeSet<&str>) -> bool {
    !targets.is_empty() && ancestors(name).any(|name| targets.contains(name))
}

/// `a/b/c`, `a/b`, `a`.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.rsplit_once('/').map(|(parent, _)| parent))
}

/// The nearest ancestor that is listed, else the pool, else the system.
fn parent(ids: &Ids, dataset: &Dataset, names: &BTreeSet<&str>, no_pool: bool) -> SourceId {
    let mut listed = ancestors(&dataset.name).skip(1).filter(|name| names.contains(name));
    let above = listed.find_map(|name| ids.dataset(name).ok());
    let pool = || ids.pool(&dataset.pool).ok().filter(|_| !no_pool);
    above.or_else(pool).unwrap_or_else(|| ids.system())
}

fn record(
    ids: &Ids,
    dataset: &Dataset,
    parent: SourceId,
    told: DatasetFacet,
) -> Result<IngestRecord, ProtocolError> {
    let replication_target = told.replication_target;
    let facet = Storage {
        topology: StorageTopology::Dataset,
        kind: "zfs-dataset".to_owned(),
        pool: text::line(&dataset.pool),
        path: dataset.mountpoint.to_string(),
        zfs: Some(Zfs::Dataset(told)),
    };
    Ok(IngestRecord {
        source_id: ids.dataset(&dataset.name)?,
        parent_source_id: Some(parent),
        resource_type: ResourceType::Storage,
        name: dataset.name.to_string(),
        section: Section::Datasets.name(),
        // ZFS has no word for how a dataset is.
        state: String::new(),
        identity: Identity::default(),
        capacity: capacity(dataset),
        tags: tags(&[
            "truenas".into(),
            "dataset".into(),
            "zfs".into(),
            condition(dataset, replication_target).map(|word| format!("state:{word}")).unwrap_or_default(),
        ]),
        incidents: Vec::new(),
        facets: Facets { storage: Some(Box::new(facet)), ..Facets::default() },
    })
}

fn capacity(dataset: &Dataset) -> Option<Capacity> {
    let capacity = Capacity {
        total_bytes: dataset
            .used
            .zip(dataset.available)
            .map(|(used, available)| used.saturating_add(available)),
        used_bytes: dataset.used,
        available_bytes: dataset.available,
        ..Capacity::default()
    };
    (capacity != Capacity::default()).then_some(capacity)
}

/// Pulse's word for it; `None` when not told.
fn condition(dataset: &Dataset, replication_target: bool) -> Option<&'static str> {
    if dataset.locked == Some(true) {
        Some("locked")
    } else if dataset.mounted == Some(false) && dataset.kind != "VOLUME" {
        Some("unmounted")
    } else if dataset.readonly == Some(true) {
        Some(if replication_target { "replication-readonly" } else { "readonly" })
    } else {
        (dataset.mounted == Some(true)).then_some("mounted")
    }
}

fn facet(
    dataset: &Dataset,
    replication_target: bool,
    snapshots: Option<&Snapshots>,
    runs: &Runs<'_>,
) -> DatasetFacet {
    let count = snapshots.and_then(|snapshots| snapshots.count);
    let newest = newest(dataset, count, runs);
    DatasetFacet {
        name: dataset.name.to_string(),
        pool: text::line(&dataset.pool),
        kind: dataset.kind.to_string(),
        mountpoint: dataset.mountpoint.to_string(),
        mounted: dataset.mounted,
        readonly: dataset.readonly,
        encrypted: dataset.encrypted,
        locked: dataset.locked,
        key_loaded: dataset.key_loaded,
        encryption_root: dataset.encryption_root.to_string(),
        used_bytes: dataset.used,
        available_bytes: dataset.available,
        quota_bytes: dataset.quota,
        refquota_bytes: dataset.refquota,
        reservation_bytes: dataset.reservation,
        refreservation_bytes: dataset.refreservation,
        used_by_children_bytes: dataset.used_by_children,
        used_by_dataset_bytes: dataset.used_by_dataset,
        used_by_snapshots_bytes: dataset.used_by_snapshots,
        used_by_refreservation_bytes: dataset.used_by_refreservation,
        compression: dataset.compression.to_string(),
        compress_ratio: dataset.compress_ratio,
        volsize_bytes: dataset.volsize,
        recordsize_bytes: dataset.recordsize,
        deduplication: dataset.deduplication.to_string(),
        sync: dataset.sync.to_string(),
        replication_target,
        comments: dataset.comments.to_string(),
        snapshot_count: count,
        newest_snapshot_at: newest.map(|(at, _)| at),
        newest_snapshot_source: newest.map(|(_, source)| source.to_owned()).unwrap_or_default(),
    }
}

/// When the newest snapshot was made, and who says so: ZFS where it tells, else the tasks that made or sent one.
fn newest(dataset: &Dataset, count: Option<u64>, runs: &Runs<'_>) -> Option<(UnixMillis, &'static str)> {
    if count == Some(0) {
        return None;
    }
    let exact = dataset.snapshots_changed.map(|at| (at, "dataset"));
    exact.or_else(|| runs.newest(&dataset.name))
}
