//! Disks, joined with the place they have in a pool; and members of pools that
//! are gone.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::{Capacity, Disk as DiskFacts, Identity, IngestRecord, ResourceType};

use super::place::{Places, bare, tags};
use crate::api::pool::Vdev;
use crate::api::{Disk, Pool, Section};
use crate::snapshot::Snapshot;

/// A leaf of a pool's tree.
#[derive(Clone, Copy)]
struct Member<'a> {
    pool: &'a str,
    role: &'a str,
    vdev: &'a Vdev,
    /// Below a spare vdev: a hot spare that took over.
    below_spare: bool,
}

pub(super) fn records(places: &Places, snapshot: &Snapshot) -> Vec<Result<IngestRecord, String>> {
    let pools = snapshot.pools().into_iter().flat_map(|pools| pools.iter());
    let boot = snapshot.boot().map(|pool| &**pool);
    let members: Vec<Member<'_>> = pools.chain(boot).flat_map(members).collect();
    let by_disk = by_disk(&members);
    let disks = snapshot.disks().into_iter().flat_map(|disks| disks.iter());
    let disks: Vec<&Disk> = disks.collect();
    let known: BTreeSet<&str> = disks.iter().map(|disk| disk.name.as_str()).collect();
    let mut records: Vec<_> = disks
        .iter()
        .map(|disk| {
            let member = by_disk.get(disk.name.as_str()).or_else(|| by_guid(&members, disk));
            record(places, disk, member.copied(), Section::Disks, &disk.name)
        })
        .collect();
    for member in members.iter().filter(|member| member.vdev.missing) {
        let remembered = member.vdev.unavail_disk.clone().unwrap_or_default();
        let names = [&remembered.name, &remembered.serial, &member.vdev.guid];
        let Some(name) = names.into_iter().find(|name| !name.is_empty()) else { continue };
        if !known.contains(name.as_str()) {
            records.push(record(places, &remembered, Some(*member), Section::Pools, name));
        }
    }
    records
}

fn members(pool: &Pool) -> Vec<Member<'_>> {
    let mut found = Vec::new();
    for group in &pool.groups {
        let mut open: Vec<(&Vdev, bool)> = group.vdevs.iter().rev().map(|vdev| (vdev, false)).collect();
        while let Some((vdev, below_spare)) = open.pop() {
            if vdev.is_leaf() {
                found.push(Member { pool: &pool.name, role: &group.role, vdev, below_spare });
            }
            let spare = below_spare || vdev.kind == "SPARE";
            open.extend(vdev.children.iter().rev().map(|child| (child, spare)));
        }
    }
    found
}

/// A hot spare in use stands twice: as a spare, and where it took over. The place where it works counts.
fn by_disk<'a>(members: &[Member<'a>]) -> BTreeMap<&'a str, Member<'a>> {
    let mut found: BTreeMap<&str, Member<'_>> = BTreeMap::new();
    for member in members.iter().filter(|member| !member.vdev.disk.is_empty()) {
        let slot = found.entry(member.vdev.disk.as_str()).or_insert(*member);
        if slot.role == "spare" && member.role != "spare" {
            *slot = *member;
        }
    }
    found
}

fn by_guid<'m, 'a>(members: &'m [Member<'a>], disk: &Disk) -> Option<&'m Member<'a>> {
    members.iter().find(|member| !disk.zfs_guid.is_empty() && member.vdev.guid == disk.zfs_guid)
}

fn record(
    places: &Places,
    disk: &Disk,
    member: Option<Member<'_>>,
    section: Section,
    name: &str,
) -> Result<IngestRecord, String> {
    let id = places.disk(name)?;
    let parent = match member {
        Some(member) => places.pool(member.pool)?,
        None => places.system(),
    };
    let mut record = bare(id, Some(parent), ResourceType::PhysicalDisk, name, section);
    record.state = member.map(|member| member.vdev.status.clone()).unwrap_or_default();
    record.tags = tags(["truenas".to_owned(), "disk".to_owned(), disk.bus.to_ascii_lowercase()]);
    record.identity = Identity { machine_id: disk.serial.clone(), ..Identity::default() };
    record.capacity = disk.size.map(|size| Capacity { total_bytes: Some(size), ..Capacity::default() });
    record.facets.physical_disk = Some(facts(disk, member));
    Ok(record)
}

fn facts(disk: &Disk, member: Option<Member<'_>>) -> DiskFacts {
    let vdev = member.map(|member| member.vdev);
    let zfs_guid = vdev.map(|vdev| vdev.guid.clone()).filter(|guid| !guid.is_empty());
    let is_spare = member.is_some_and(|member| member.role == "spare" || member.below_spare);
    DiskFacts {
        dev_path: if disk.name.is_empty() { String::new() } else { format!("/dev/{}", disk.name) },
        name: disk.name.clone(),
        model: disk.model.clone(),
        serial: disk.serial.clone(),
        wwn: disk.lunid.clone(),
        disk_type: disk.kind.clone(),
        bus: disk.bus.clone(),
        size_bytes: disk.size,
        rpm: disk.rotation_rate,
        pool: member.map(|member| member.pool.to_owned()).unwrap_or_default(),
        pool_role: member.map(|member| member.role.to_owned()).unwrap_or_default(),
        vdev_state: vdev.map(|vdev| vdev.status.clone()).unwrap_or_default(),
        zfs_guid: zfs_guid.unwrap_or_else(|| disk.zfs_guid.clone()),
        read_errors: vdev.and_then(|vdev| vdev.read_errors),
        write_errors: vdev.and_then(|vdev| vdev.write_errors),
        checksum_errors: vdev.and_then(|vdev| vdev.checksum_errors),
        missing: vdev.is_some_and(|vdev| vdev.missing),
        temperature_celsius: None,
        identifier: disk.identifier.clone(),
        spare_in_use: member.filter(|_| is_spare).map(|member| member.role != "spare"),
    }
}
