//! Disks that are pulled or put back. Such a disk moves from the list of disks to the pool that misses it, or back, and the two are
//! not read at the same instant: what neither tells at present, while the pool still has a place for it, is not gone.

use std::collections::BTreeSet;

use crate::api::pool::Vdev;
use crate::api::{Disk, Pool};

/// Of the disks known before, those that neither the list nor a pool tells now and whose place is not another disk's.
pub(super) fn disks<'a>(
    before: impl Iterator<Item = &'a Disk>,
    listed: &[Disk],
    pools: &[Pool],
) -> Vec<Disk> {
    let leaves = leaves(pools);
    let lost = leaves.iter().filter_map(|leaf| leaf.unavail_disk.as_deref());
    let mut told: BTreeSet<&str> = listed.iter().chain(lost).map(|disk| disk.serial.as_str()).collect();
    // Without a serial nobody knows which disk it is.
    told.insert("");
    let names: BTreeSet<&str> = listed.iter().map(|disk| disk.name.as_str()).collect();
    let mut found = Vec::new();
    for disk in before {
        let at = leaves.iter().find(|leaf| is_place_of(leaf, disk));
        let Some(leaf) = at.filter(|leaf| !names.contains(leaf.disk.as_str())) else { continue };
        if told.insert(disk.serial.as_str()) {
            found.push(Disk { name: leaf.disk.clone(), ..disk.clone() });
        }
    }
    found
}

/// What pools remember of disks that are gone, known by their places.
pub(super) fn lost(pools: &[Pool]) -> Vec<Disk> {
    let remembered = |leaf: &&Vdev| {
        let disk = leaf.unavail_disk.as_deref()?;
        Some(Disk { zfs_guid: leaf.guid.clone(), ..disk.clone() })
    };
    leaves(pools).iter().filter_map(remembered).collect()
}

/// One that has a device. By name; a disk that was gone had none, and is known by the guid of its place.
fn is_place_of(leaf: &Vdev, disk: &Disk) -> bool {
    let by_guid = disk.name.is_empty() && !disk.zfs_guid.is_empty() && leaf.guid == disk.zfs_guid;
    !leaf.disk.is_empty() && (leaf.disk == disk.name || by_guid)
}

fn leaves(pools: &[Pool]) -> Vec<&Vdev> {
    fn walk<'a>(vdev: &'a Vdev, found: &mut Vec<&'a Vdev>) {
        if vdev.is_leaf() {
            found.push(vdev);
        }
        vdev.children.iter().for_each(|child| walk(child, found));
    }
    let mut found = Vec::new();
    pools
        .iter()
        .flat_map(|pool| &pool.groups)
        .flat_map(|group| &group.vdevs)
        .for_each(|vdev| walk(vdev, &mut found));
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pulse_proto::model::{ConnectionId, UnixMillis};
    use smol_str::SmolStr;

    use crate::api::disk::decode_disks;
    use crate::api::pool::decode_pools;
    use crate::api::section::Data;
    use crate::api::{Section, SectionRead};
    use crate::snapshot::Snapshot;

    fn read(section: Section, data: Data) -> (Section, SectionRead) {
        (section, SectionRead { data, skipped: Vec::new(), notes: Vec::new() })
    }

    fn listed(rows: &str) -> (Section, SectionRead) {
        read(Section::Disks, Data::Disks(decode_disks(rows.as_bytes()).expect("a list").rows))
    }

    fn pool(leaf: &str) -> (Section, SectionRead) {
        let row =
            r#"[{"name":"tank","topology":{"data":[{"type":"DISK","guid":"7","status":"ONLINE",LEAF}]}}]"#;
        let pools = decode_pools(row.replace("LEAF", leaf).as_bytes()).expect("a list").rows;
        read(Section::Pools, Data::Pools(pools))
    }

    fn there() -> (Section, SectionRead) {
        listed(r#"[{"name":"sda","serial":"S1"},{"name":"sdb","serial":"S2"}]"#)
    }

    fn pulled() -> (Section, SectionRead) {
        listed(r#"[{"name":"sdb","serial":"S2"}]"#)
    }

    fn serials(snapshot: &Snapshot) -> Vec<SmolStr> {
        let listed = snapshot.disks().expect("read").iter().chain(snapshot.disks_in_transit());
        let mut serials: Vec<_> = listed.map(|disk| disk.serial.clone()).collect();
        let lost = super::lost(snapshot.pools().map(|pools| pools.as_slice()).unwrap_or_default());
        serials.extend(lost.into_iter().map(|disk| disk.serial));
        serials.sort();
        serials.dedup();
        serials
    }

    #[test]
    fn a_disk_that_moves_between_the_list_and_its_pool_is_never_gone() {
        let in_use = || pool(r#""disk":"sda""#);
        let missed = || pool(r#""disk":null,"unavail_disk":{"serial":"S1"}"#);
        let mut snapshot = Snapshot::default();
        let mut now = UnixMillis::new(0);
        let mut apply = |(section, read): (Section, SectionRead), snapshot: &mut Snapshot| {
            now = now + Duration::from_secs(1);
            snapshot.apply(section, Ok(read), now, Duration::from_mins(1));
        };
        for (step, read) in [
            // Pulled: the list tells first. Put back: the pool does. Then the other way round.
            [there(), in_use(), pulled(), pulled(), missed(), in_use(), in_use(), there()],
            [missed(), pulled(), in_use(), pulled(), there(), in_use(), pulled(), there()],
        ]
        .into_iter()
        .flatten()
        .enumerate()
        {
            apply(read, &mut snapshot);
            assert_eq!(serials(&snapshot), ["S1", "S2"], "step {step}");
        }
        assert!(snapshot.disks_in_transit().is_empty());

        // Its place is not there any more, or another disk has it.
        apply(pulled(), &mut snapshot);
        assert_eq!(snapshot.disks_in_transit().len(), 1);
        let other = listed(r#"[{"name":"sda","serial":"S3"}]"#);
        let mut replaced = snapshot.clone();
        apply(other, &mut replaced);
        assert!(replaced.disks_in_transit().is_empty());
        apply(read(Section::Pools, Data::Pools(Vec::new())), &mut snapshot);
        assert!(snapshot.disks_in_transit().is_empty());
    }

    #[test]
    fn it_keeps_its_record() {
        let mut snapshot = Snapshot::default();
        let id = ConnectionId::parse("nas").expect("an id");
        for (section, read) in [pool(r#""disk":"sda""#), there(), pulled()] {
            snapshot.apply(section, Ok(read), UnixMillis::new(1), Duration::from_mins(1));
        }
        let records = crate::mapping::records(&id, "nas", &snapshot).records;
        let disk = records.iter().find(|record| record.source_id.as_str() == "system:nas/disk:sda");
        assert_eq!(disk.map(|disk| disk.identity.machine_id.as_str()), Some("S1"));
    }
}
