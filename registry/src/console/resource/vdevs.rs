//! A pool as it is built: roles, vdevs, and each device with its state and its
//! errors, so that the bad one is seen before anything is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{Pool, ResourceType, Vdev as Told};

use super::link;
use crate::console::look::Badge;
use crate::state::resource::Resource;
use crate::state::view::Shard;
use crate::state::view::profile::Dimension;

#[derive(Debug)]
pub struct Role {
    pub name: String,
    pub vdevs: Vec<Vdev>,
}

#[derive(Debug)]
pub struct Vdev {
    pub name: String,
    pub kind: String,
    pub state: String,
    pub badge: Badge,
    pub errors: Errors,
    pub leaves: Vec<Leaf>,
}

/// One device.
#[derive(Debug)]
pub struct Leaf {
    pub name: String,
    pub state: String,
    pub badge: Badge,
    pub errors: Errors,
    /// Of the disk, where it is known.
    pub about: String,
    pub href: String,
    /// What it stands in for or is replaced by, e.g. "replacing".
    pub within: String,
    pub missing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    pub read: Option<u64>,
    pub write: Option<u64>,
    pub checksum: Option<u64>,
}

impl Errors {
    const fn of(vdev: &Told) -> Self {
        Self { read: vdev.read_errors, write: vdev.write_errors, checksum: vdev.checksum_errors }
    }

    pub fn any(&self) -> bool {
        [self.read, self.write, self.checksum].into_iter().flatten().any(|count| count > 0)
    }

    /// Name, count, and whether that is bad.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64, bool)> {
        let all = [("read", self.read), ("write", self.write), ("checksum", self.checksum)];
        all.into_iter().filter_map(|(name, count)| count.map(|count| (name, count, count > 0)))
    }
}

type Disks<'a> = BTreeMap<&'a str, &'a Arc<Resource>>;

pub(super) fn roles(pool: &Pool, shard: Option<&Shard>) -> Vec<Role> {
    let disks = shard.map(disks).unwrap_or_default();
    let role = |group: &pulse_proto::model::VdevGroup| Role {
        name: group.role.clone(),
        vdevs: group.vdevs.iter().map(|told| vdev(told, &group.role, &disks)).collect(),
    };
    pool.groups.iter().map(role).collect()
}

fn disks(shard: &Shard) -> Disks<'_> {
    let rows = shard.resources.any_of(Dimension::Type, 1 << ResourceType::PhysicalDisk as u32);
    let rows: Vec<usize> = rows.map(|rows| rows.iter().collect()).unwrap_or_default();
    rows.into_iter().map(|row| &shard.resources[row]).map(|disk| (disk.document.name(), disk)).collect()
}

fn vdev(told: &Told, role: &str, disks: &Disks<'_>) -> Vdev {
    let mut leaves = Vec::new();
    gather(told, "", role, disks, &mut leaves);
    Vdev {
        name: told.name.clone(),
        kind: if told.children.is_empty() { String::new() } else { told.kind.to_lowercase() },
        state: told.state.clone(),
        badge: badge(&told.state, role, Errors::of(told).any()),
        errors: Errors::of(told),
        leaves,
    }
}

/// The devices below, whatever stands between.
fn gather(told: &Told, within: &str, role: &str, disks: &Disks<'_>, leaves: &mut Vec<Leaf>) {
    if told.children.is_empty() {
        leaves.push(leaf(told, within, role, disks));
        return;
    }
    for child in &told.children {
        let between = if child.children.is_empty() { within.to_owned() } else { child.kind.to_lowercase() };
        gather(child, &between, role, disks, leaves);
    }
}

fn leaf(told: &Told, within: &str, role: &str, disks: &Disks<'_>) -> Leaf {
    let disk = disks.get(told.disk.as_str());
    let about = disk.map(|disk| {
        let words = [disk.document.model(), disk.document.serial()];
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
    });
    Leaf {
        name: if told.disk.is_empty() { told.name.clone() } else { told.disk.clone() },
        state: told.state.clone(),
        badge: badge(&told.state, role, Errors::of(told).any()),
        errors: Errors::of(told),
        about: about.unwrap_or_default(),
        href: disk.map(|disk| link(&disk.id)).unwrap_or_default(),
        within: within.to_owned(),
        missing: told.missing,
    }
}

/// What a state looks like. How bad the pool is says its own health, not this.
fn badge(state: &str, role: &str, errors: bool) -> Badge {
    match (state, role) {
        // A spare in use shows as UNAVAIL: it serves elsewhere.
        ("UNAVAIL", "spare") => Badge { token: "off", word: "In use or away" },
        ("ONLINE" | "AVAIL", _) if errors => Badge { token: "warn", word: "Errors" },
        ("ONLINE", _) => Badge { token: "ok", word: "Online" },
        ("AVAIL", _) => Badge { token: "ok", word: "Available" },
        ("INUSE", _) => Badge { token: "watch", word: "In use" },
        ("DEGRADED", _) => Badge { token: "warn", word: "Degraded" },
        ("FAULTED", _) => Badge { token: "bad", word: "Faulted" },
        ("UNAVAIL", _) => Badge { token: "bad", word: "Unavailable" },
        ("REMOVED", _) => Badge { token: "bad", word: "Removed" },
        ("OFFLINE", _) => Badge { token: "bad", word: "Offline" },
        _ => Badge { token: "unknown", word: "Unknown" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(name: &str, state: &str) -> Told {
        Told { name: name.to_owned(), kind: "DISK".to_owned(), state: state.to_owned(), ..Told::default() }
    }

    #[test]
    fn every_device_is_there_whatever_it_lies_in() {
        let replacing = Told {
            kind: "REPLACING".to_owned(),
            state: "DEGRADED".to_owned(),
            children: vec![
                disk("old", "FAULTED"),
                Told { checksum_errors: Some(3), ..disk("new", "ONLINE") },
            ],
            ..Told::default()
        };
        let mirror = Told {
            kind: "MIRROR".to_owned(),
            children: vec![disk("a", "ONLINE"), replacing],
            ..Told::default()
        };
        let found = vdev(&mirror, "data", &Disks::new());
        let shown: Vec<_> = found
            .leaves
            .iter()
            .map(|leaf| (leaf.name.as_str(), leaf.badge.token, leaf.within.as_str()))
            .collect();
        assert_eq!(shown, [("a", "ok", ""), ("old", "bad", "replacing"), ("new", "warn", "replacing")]);
        assert_eq!(badge("UNAVAIL", "spare", false).token, "off");
        assert_eq!(badge("<b>", "data", false).word, "Unknown", "no word of a source is markup");
    }
}
