//! Pools, the boot pool among them.

use std::collections::BTreeMap;

use pulse_proto::model::{
    Capacity, Expansion, IngestRecord, Pool as PoolFacts, ResourceType, Scan, Storage, StorageTopology,
    Vdev as VdevFacts, VdevGroup, Zfs,
};

use super::place::{Places, bare, tags};
use crate::api::pool::{Group, Vdev};
use crate::api::{Dataset, Pool, Section};
use crate::snapshot::Snapshot;

pub(super) fn records(places: &Places, snapshot: &Snapshot) -> Vec<Result<IngestRecord, String>> {
    let roots: BTreeMap<&str, &Dataset> = snapshot
        .datasets()
        .into_iter()
        .flat_map(|datasets| datasets.iter())
        .filter(|dataset| !dataset.name.contains('/'))
        .map(|dataset| (dataset.name.as_str(), dataset))
        .collect();
    let pools = snapshot.pools().into_iter().flat_map(|pools| pools.iter()).map(|pool| (pool, false));
    let boot = snapshot.boot().map(|pool| (&**pool, true));
    // The boot pool may also stand among the others.
    let boot_name = boot.map(|(pool, _)| pool.name.clone());
    pools
        .filter(|(pool, _)| Some(&pool.name) != boot_name.as_ref())
        .chain(boot)
        .map(|(pool, is_boot)| record(places, pool, is_boot, roots.get(pool.name.as_str()).copied()))
        .collect()
}

fn record(
    places: &Places,
    pool: &Pool,
    is_boot: bool,
    root: Option<&Dataset>,
) -> Result<IngestRecord, String> {
    let id = places.pool(&pool.name)?;
    let mut record = bare(id, Some(places.system()), ResourceType::Storage, &pool.name, Section::Pools);
    record.state.clone_from(&pool.status);
    let boot = if is_boot { "boot-pool" } else { "" };
    record.tags = tags(["truenas", "pool", "zfs", boot].map(str::to_owned));
    record.capacity = Some(capacity(pool, root));
    record.facets.storage = Some(Storage {
        topology: StorageTopology::Pool,
        kind: "zfs-pool".to_owned(),
        pool: pool.name.clone(),
        path: pool.path.clone(),
        zfs: Some(Zfs::Pool(facts(pool, is_boot))),
    });
    Ok(record)
}

/// What can be stored is what the root dataset has and could have; the pool's own size counts parity too.
fn capacity(pool: &Pool, root: Option<&Dataset>) -> Capacity {
    let used = root.and_then(|root| root.used);
    let available = root.and_then(|root| root.available);
    Capacity {
        total_bytes: used.zip(available).and_then(|(used, available)| used.checked_add(available)),
        used_bytes: used,
        available_bytes: available,
        raw_total_bytes: pool.size,
        raw_used_bytes: pool.allocated,
        raw_free_bytes: pool.free,
    }
}

fn facts(pool: &Pool, is_boot: bool) -> PoolFacts {
    PoolFacts {
        name: pool.name.clone(),
        guid: pool.guid.clone(),
        state: pool.status.clone(),
        status_code: pool.status_code.clone(),
        status_detail: pool.status_detail.clone(),
        boot_pool: is_boot,
        size_bytes: pool.size,
        allocated_bytes: pool.allocated,
        free_bytes: pool.free,
        freeing_bytes: pool.freeing,
        fragmentation_percent: pool.fragmentation_percent,
        autotrim: pool.autotrim.clone(),
        scan: pool.scan.as_ref().map(|scan| Scan {
            function: scan.function.clone(),
            state: scan.state.clone(),
            start_time: scan.start_time,
            end_time: scan.end_time,
            pause_time: scan.pause,
            percentage: scan.percentage,
            bytes_total: scan.bytes_total,
            bytes_issued: scan.bytes_issued,
            errors: scan.errors,
            seconds_left: scan.total_secs_left,
        }),
        expansion: pool.expand.as_ref().map(|expand| Expansion {
            state: expand.state.clone(),
            percentage: expand.percentage,
            start_time: expand.start_time,
            end_time: expand.end_time,
            seconds_left: expand.total_secs_left,
            waiting_for_resilver: expand.waiting_for_resilver,
        }),
        groups: pool.groups.iter().map(group).collect(),
        vdev_layout: layout(&pool.groups),
        dedup_table_size_bytes: pool.dedup_table_size,
        upgrade_available: pool.is_upgraded == Some(false),
    }
}

fn group(group: &Group) -> VdevGroup {
    VdevGroup { role: group.role.clone(), vdevs: group.vdevs.iter().map(vdev).collect() }
}

fn vdev(vdev: &Vdev) -> VdevFacts {
    VdevFacts {
        name: vdev.name.clone(),
        guid: vdev.guid.clone(),
        kind: vdev.kind.clone(),
        state: vdev.status.clone(),
        path: vdev.path.clone(),
        disk: vdev.disk.clone(),
        read_errors: vdev.read_errors,
        write_errors: vdev.write_errors,
        checksum_errors: vdev.checksum_errors,
        slow_ios: vdev.slow_ios,
        size_bytes: vdev.size,
        missing: vdev.missing,
        children: vdev.children.iter().map(self::vdev).collect(),
    }
}

/// The kinds of the data vdevs, e.g. "mirror", "raidz2+mirror"; single disks side by side are a stripe.
fn layout(groups: &[Group]) -> String {
    let data: Vec<&Vdev> =
        groups.iter().filter(|group| group.role == "data").flat_map(|group| &group.vdevs).collect();
    let mut kinds: Vec<String> = Vec::new();
    for vdev in &data {
        let kind = vdev.kind.to_ascii_lowercase();
        if !kind.is_empty() && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds == ["disk"] && data.len() > 1 { "stripe".to_owned() } else { kinds.join("+") }
}
