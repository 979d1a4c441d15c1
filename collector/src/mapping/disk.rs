//! Records of disks: those listed, and those a pool misses.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{Capacity, Disk as DiskFacet, Facets, Identity, IngestRecord, ResourceType};

use super::ids::Ids;
use super::place::{Leaf, Places};
use super::{Draft, tags};
use crate::api::json::text;
use crate::api::{Disk, Section, Temperature};
use crate::snapshot::Snapshot;

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, places: &Places<'_>, draft: &mut Draft) {
    let listed = snapshot.disks().map(|disks| disks.as_slice()).unwrap_or_default();
    let listed: Vec<&Disk> = listed.iter().chain(snapshot.disks_in_transit()).collect();
    let heat: BTreeMap<&str, &Temperature> = snapshot
        .temperatures()
        .into_iter()
        .flat_map(|rows| rows.iter().map(|row| (row.disk.as_str(), row)))
        .collect();
    for disk in listed.iter().copied() {
        let record = record(
            ids,
            disk,
            &disk.name,
            Section::Disks,
            &places.find(disk),
            heat.get(disk.name.as_str()).copied(),
        );
        draft.add(Section::Disks, &disk.name, record);
    }
    let names: BTreeSet<&str> = listed.iter().map(|disk| disk.name.as_str()).collect();
    let serials: BTreeSet<&str> = listed.iter().map(|disk| disk.serial.as_str()).collect();
    for (leaf, disk) in places.lost() {
        // Still listed: its own record tells that the pool misses it.
        if !disk.serial.is_empty() && serials.contains(disk.serial.as_str()) {
            continue;
        }
        let name = [&disk.name, &disk.serial, &leaf.vdev.guid]
            .into_iter()
            .find(|name| !name.is_empty() && !names.contains(name.as_str()))
            .unwrap_or(&leaf.vdev.name);
        let mut record = record(ids, disk, name, Section::Pools, &[leaf], None);
        if let Some(facet) = record.as_mut().ok().and_then(|record| record.facets.physical_disk.as_mut()) {
            facet.missing = true;
        }
        draft.add(Section::Pools, name, record);
    }
}

fn record(
    ids: &Ids,
    disk: &Disk,
    name: &str,
    section: Section,
    leaves: &[Leaf<'_>],
    heat: Option<&Temperature>,
) -> Result<IngestRecord, ProtocolError> {
    let facet = facet(disk, leaves, heat);
    Ok(IngestRecord {
        source_id: ids.disk(name)?,
        parent_source_id: Some(
            leaves.first().and_then(|leaf| ids.pool(&leaf.pool.name).ok()).unwrap_or_else(|| ids.system()),
        ),
        resource_type: ResourceType::PhysicalDisk,
        name: name.to_owned(),
        section: section.name(),
        state: facet.vdev_state.clone(),
        identity: Identity { machine_id: disk.serial.to_string(), ..Identity::default() },
        capacity: disk.size.map(|size| Capacity { total_bytes: Some(size), ..Capacity::default() }),
        tags: tags(&["truenas".into(), "disk".into(), disk.bus.to_lowercase()]),
        incidents: Vec::new(),
        facets: Facets { physical_disk: Some(Box::new(facet)), ..Facets::default() },
    })
}

fn facet(disk: &Disk, leaves: &[Leaf<'_>], heat: Option<&Temperature>) -> DiskFacet {
    let spare = leaves.iter().find(|leaf| leaf.is_spare());
    let in_use = leaves.iter().any(|leaf| !leaf.is_spare());
    // A spare that stands in is shown as the spare it is; errors are those of all its places.
    let place = spare.or_else(|| leaves.first());
    let most = |count: fn(&Leaf<'_>) -> Option<u64>| leaves.iter().filter_map(count).max();
    let name = text::line(&disk.name);
    DiskFacet {
        dev_path: if name.is_empty() { String::new() } else { text::line(&format!("/dev/{name}")) },
        name,
        model: disk.model.to_string(),
        serial: disk.serial.to_string(),
        wwn: disk.lunid.to_string(),
        disk_type: disk.kind.to_string(),
        bus: disk.bus.to_string(),
        size_bytes: disk.size,
        rpm: disk.rotation_rate,
        pool: place.map(|leaf| text::line(&leaf.pool.name)).unwrap_or_default(),
        pool_role: place.map(|leaf| leaf.role.to_owned()).unwrap_or_default(),
        vdev_state: place.map(|leaf| leaf.vdev.status.clone()).unwrap_or_default().to_string(),
        zfs_guid: if disk.zfs_guid.is_empty() {
            place.map(|leaf| leaf.vdev.guid.clone()).unwrap_or_default().to_string()
        } else {
            disk.zfs_guid.to_string()
        },
        read_errors: most(|leaf| leaf.vdev.read_errors),
        write_errors: most(|leaf| leaf.vdev.write_errors),
        checksum_errors: most(|leaf| leaf.vdev.checksum_errors),
        missing: place.is_some_and(|leaf| leaf.vdev.missing),
        temperature_celsius: heat.and_then(|heat| heat.now),
        temperature_min_celsius: heat.and_then(|heat| heat.min),
        temperature_max_celsius: heat.and_then(|heat| heat.max),
        temperature_average_celsius: heat.and_then(|heat| heat.average),
        temperature_critical_celsius: heat.and_then(|heat| heat.critical),
        enclosure_slot: disk.enclosure_slot,
        identifier: disk.identifier.to_string(),
        spare_in_use: spare.map(|_| in_use),
    }
}
