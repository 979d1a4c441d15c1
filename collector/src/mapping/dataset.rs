//! Datasets and volumes as a tree: each below its parent dataset, the top ones
//! below their pool.

use std::collections::BTreeSet;

use pulse_proto::model::{
    Capacity, Dataset as DatasetFacts, IngestRecord, ResourceType, Storage, StorageTopology, Zfs,
};

use super::place::{Places, bare, tags};
use crate::api::{Dataset, Replication, Section};
use crate::snapshot::Snapshot;

pub(super) fn records(places: &Places, snapshot: &Snapshot) -> Vec<Result<IngestRecord, String>> {
    let Some(datasets) = snapshot.datasets() else { return Vec::new() };
    let names: BTreeSet<&str> = datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    let targets: Vec<&str> = snapshot
        .replications()
        .into_iter()
        .flat_map(|tasks| tasks.iter())
        .filter(|task| task.enabled && task.targets_here() && task.keeps_readonly())
        .map(|task: &Replication| task.target_dataset.as_str())
        .collect();
    datasets.iter().map(|dataset| record(places, dataset, &names, &targets)).collect()
}

fn record(
    places: &Places,
    dataset: &Dataset,
    names: &BTreeSet<&str>,
    targets: &[&str],
) -> Result<IngestRecord, String> {
    let id = places.dataset(&dataset.name)?;
    let parent = match dataset.name.rsplit_once('/') {
        Some((parent, _)) if names.contains(parent) => places.dataset(parent)?,
        _ => places.pool(&dataset.pool)?,
    };
    let replication_target = targets.iter().any(|target| is_within(&dataset.name, target));
    let mut record = bare(id, Some(parent), ResourceType::Storage, &dataset.name, Section::Datasets);
    record.tags = tags(["truenas", "dataset", "zfs"].map(str::to_owned));
    record.capacity = Some(Capacity {
        total_bytes: dataset
            .used
            .zip(dataset.available)
            .and_then(|(used, available)| used.checked_add(available)),
        used_bytes: dataset.used,
        available_bytes: dataset.available,
        ..Capacity::default()
    });
    record.facets.storage = Some(Storage {
        topology: StorageTopology::Dataset,
        kind: "zfs-dataset".to_owned(),
        pool: dataset.pool.clone(),
        path: dataset.mountpoint.clone(),
        zfs: Some(Zfs::Dataset(facts(dataset, replication_target))),
    });
    Ok(record)
}

fn facts(dataset: &Dataset, replication_target: bool) -> DatasetFacts {
    DatasetFacts {
        name: dataset.name.clone(),
        pool: dataset.pool.clone(),
        kind: dataset.kind.clone(),
        mountpoint: dataset.mountpoint.clone(),
        mounted: dataset.mounted,
        readonly: dataset.readonly,
        encrypted: dataset.encrypted,
        locked: dataset.locked,
        key_loaded: dataset.key_loaded,
        encryption_root: dataset.encryption_root.clone(),
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
        compression: dataset.compression.clone(),
        compress_ratio: dataset.compress_ratio,
        volsize_bytes: dataset.volsize,
        recordsize_bytes: dataset.recordsize,
        deduplication: dataset.deduplication.clone(),
        sync: dataset.sync.clone(),
        replication_target,
        comments: dataset.comments.clone(),
    }
}

/// The dataset itself, or one below it.
fn is_within(name: &str, ancestor: &str) -> bool {
    name.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_counts_whole_names() {
        assert!(is_within("tank/backup", "tank/backup"));
        assert!(is_within("tank/backup/a", "tank/backup"));
        assert!(!is_within("tank/backup2", "tank/backup"));
        assert!(!is_within("tank", "tank/backup"));
    }
}
