//! Where disks stand in the pools. Read from the vdev trees, since no disk is
//! asked and a disk's own row does not tell.

use std::collections::BTreeMap;

use crate::api::pool::Vdev;
use crate::api::{Disk, Pool};
use crate::snapshot::Snapshot;

/// One leaf of a vdev tree.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    pub(super) pool: &'a Pool,
    pub(super) role: &'a str,
    pub(super) vdev: &'a Vdev,
}

impl Leaf<'_> {
    pub(super) fn is_spare(&self) -> bool {
        self.role == "spare"
    }
}

/// All leaves, by what disks can be known by.
#[derive(Default)]
pub(super) struct Places<'a> {
    leaves: Vec<Leaf<'a>>,
    by_name: BTreeMap<&'a str, Vec<usize>>,
    by_guid: BTreeMap<&'a str, Vec<usize>>,
    by_lost_serial: BTreeMap<&'a str, Vec<usize>>,
}

impl<'a> Places<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut places = Self::default();
        let pools = snapshot.pools().into_iter().flat_map(|pools| pools.iter());
        for pool in pools.chain(snapshot.boot().map(AsRef::as_ref)) {
            for group in &pool.groups {
                for vdev in &group.vdevs {
                    places.walk(pool, &group.role, vdev);
                }
            }
        }
        places
    }

    fn walk(&mut self, pool: &'a Pool, role: &'a str, vdev: &'a Vdev) {
        if !vdev.is_leaf() {
            for child in &vdev.children {
                self.walk(pool, role, child);
            }
            return;
        }
        let at = self.leaves.len();
        self.leaves.push(Leaf { pool, role, vdev });
        let lost = vdev.unavail_disk.as_ref().map_or("", |disk| disk.serial.as_str());
        for (index, key) in [
            (&mut self.by_name, vdev.disk.as_str()),
            (&mut self.by_guid, vdev.guid.as_str()),
            (&mut self.by_lost_serial, lost),
        ] {
            if !key.is_empty() {
                index.entry(key).or_default().push(at);
            }
        }
    }

    /// Where a disk stands; a spare in use stands in two places.
    pub(super) fn find(&self, disk: &Disk) -> Vec<Leaf<'a>> {
        let at = |index: &BTreeMap<&str, Vec<usize>>, key: &str| {
            index.get(key).filter(|_| !key.is_empty()).cloned().unwrap_or_default()
        };
        let mut found = at(&self.by_name, &disk.name);
        if found.is_empty() {
            found = at(&self.by_lost_serial, &disk.serial);
        }
        // Last, since a disk keeps the guid of a pool it has left. Not where another disk is told to be.
        if found.is_empty() {
            found = at(&self.by_guid, &disk.zfs_guid);
            found.retain(|i| self.leaves[*i].vdev.disk.is_empty());
        }
        found.into_iter().map(|i| self.leaves[i]).collect()
    }

    /// Leaves whose disk is gone, with what the appliance remembers of it.
    pub(super) fn lost(&self) -> impl Iterator<Item = (Leaf<'a>, &'a Disk)> {
        self.leaves.iter().filter_map(|leaf| leaf.vdev.unavail_disk.as_deref().map(|disk| (*leaf, disk)))
    }
}
