//! Records of pools, the boot pool among them.

use std::collections::BTreeMap;

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{
    Capacity, Expansion, Facets, Identity, IngestRecord, Pool as PoolFacet, ResourceType, Scan,
    ScrubSchedule, Storage, StorageTopology, Vdev as VdevFacet, VdevGroup, Zfs,
};

use super::ids::Ids;
use super::{Draft, tags};
use crate::api::json::text;
use crate::api::pool::{Group, Vdev};
use crate::api::{Dataset, Pool, Section};
use crate::snapshot::Snapshot;

/// Most roles of vdevs a record carries.
const GROUPS_MAX: usize = 256;
/// Codes that say the pool's features can be brought up to date.
const UPGRADE_CODES: [&str; 2] = ["FEAT_DISABLED", "VERSION_OLDER"];

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    let roots: BTreeMap<&str, &Dataset> = snapshot
        .datasets()
        .into_iter()
        .flat_map(|datasets| datasets.iter())
        .filter(|dataset| !dataset.name.contains('/'))
        .map(|dataset| (dataset.name.as_str(), dataset))
        .collect();
    let boot = snapshot.boot().map(|pool| (pool.as_ref(), true));
    let boot_name = boot.map(|(pool, _)| pool.name.as_str());
    let listed = snapshot.pools().into_iter().flat_map(|pools| pools.iter());
    let listed = listed.filter(|pool| Some(pool.name.as_str()) != boot_name);
    let mut pools: Vec<(&Pool, bool)> = boot.into_iter().chain(listed.map(|pool| (pool, false))).collect();
    // Of two with one name, the one that is imported counts.
    pools.sort_by_key(|(pool, boot)| (!boot, pool.groups.is_empty()));
    let scrubs = snapshot.scrubs().map(|scrubs| scrubs.as_slice()).unwrap_or_default();
    for (pool, boot) in pools {
        if pool.groups.len() > GROUPS_MAX {
            draft.skip(Section::Pools, &pool.name, "has more roles of vdevs than a record carries");
        }
        let root = roots.get(pool.name.as_str()).copied();
        let scrub = scrubs.iter().find(|scrub| scrub.id == pool.name).map(|scrub| &scrub.facet);
        draft.add(Section::Pools, &pool.name, record(ids, pool, boot, root, scrub));
    }
}

fn record(
    ids: &Ids,
    pool: &Pool,
    boot: bool,
    root: Option<&Dataset>,
    scrub: Option<&ScrubSchedule>,
) -> Result<IngestRecord, ProtocolError> {
    let facet = Storage {
        topology: StorageTopology::Pool,
        kind: "zfs-pool".to_owned(),
        pool: pool.name.clone(),
        path: pool.path.clone(),
        zfs: Some(Zfs::Pool(facet(pool, boot, scrub))),
    };
    Ok(IngestRecord {
        source_id: ids.pool(&pool.name)?,
        parent_source_id: Some(ids.system()),
        resource_type: ResourceType::Storage,
        name: pool.name.clone(),
        section: if boot { Section::Boot } else { Section::Pools }.name(),
        state: pool.status.clone(),
        identity: Identity::default(),
        capacity: capacity(pool, root),
        tags: tags(&[
            "truenas".into(),
            "pool".into(),
            "zfs".into(),
            if pool.status.is_empty() {
                String::new()
            } else {
                format!("health:{}", pool.status.to_lowercase())
            },
            if boot { "boot-pool".into() } else { String::new() },
        ]),
        incidents: Vec::new(),
        facets: Facets { storage: Some(Box::new(facet)), ..Facets::default() },
    })
}

/// What can be stored is known by the root dataset alone: the pool's own
/// numbers count parity too.
fn capacity(pool: &Pool, root: Option<&Dataset>) -> Option<Capacity> {
    let used = root.and_then(|root| root.used);
    let available = root.and_then(|root| root.available);
    let capacity = Capacity {
        total_bytes: used.zip(available).map(|(used, available)| used.saturating_add(available)),
        used_bytes: used,
        available_bytes: available,
        raw_total_bytes: pool.size,
        raw_used_bytes: pool.allocated,
        raw_free_bytes: pool.free,
    };
    (capacity != Capacity::default()).then_some(capacity)
}

fn facet(pool: &Pool, boot: bool, scrub: Option<&ScrubSchedule>) -> PoolFacet {
    PoolFacet {
        name: pool.name.clone(),
        guid: pool.guid.clone(),
        state: pool.status.clone(),
        status_code: pool.status_code.clone(),
        status_detail: pool.status_detail.clone(),
        boot_pool: boot,
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
        groups: pool.groups.iter().take(GROUPS_MAX).map(group).collect(),
        vdev_layout: text::line(&layout(&pool.groups)),
        dedup_table_size_bytes: pool.dedup_table_size,
        upgrade_available: pool.is_upgraded == Some(false)
            || UPGRADE_CODES.contains(&pool.status_code.as_str()),
        scrub_schedule: scrub.cloned(),
    }
}

fn group(group: &Group) -> VdevGroup {
    VdevGroup { role: group.role.clone(), vdevs: group.vdevs.iter().map(vdev).collect() }
}

/// The depth is bounded where the tree is read.
fn vdev(vdev: &Vdev) -> VdevFacet {
    VdevFacet {
        name: vdev.name.to_string(),
        guid: vdev.guid.to_string(),
        kind: vdev.kind.to_string(),
        state: vdev.status.to_string(),
        path: vdev.path.to_string(),
        disk: text::line(&vdev.disk),
        read_errors: vdev.read_errors,
        write_errors: vdev.write_errors,
        checksum_errors: vdev.checksum_errors,
        slow_ios: vdev.slow_ios,
        size_bytes: vdev.size,
        missing: vdev.missing,
        children: vdev.children.iter().map(self::vdev).collect(),
    }
}

/// The kinds of data vdevs as Pulse shows them: `mirror`, `raidz2+mirror`, `stripe`.
fn layout(groups: &[Group]) -> String {
    let data: Vec<&Vdev> =
        groups.iter().filter(|group| group.role == "data").flat_map(|g| &g.vdevs).collect();
    let mut kinds: Vec<String> = Vec::new();
    for vdev in &data {
        let kind = vdev.kind.to_ascii_lowercase();
        if !kind.is_empty() && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if data.len() > 1 && kinds.len() == 1 && kinds[0] == "disk" {
        "stripe".to_owned()
    } else {
        kinds.join("+")
    }
}
