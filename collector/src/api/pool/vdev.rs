//! The vdev tree of a pool, in both dialects: `pool.query` (type, status, spare)
//! and `zpool.query` (vdev_type, state, spares).

use pulse_proto::model::facet::{VDEV_DEPTH_MAX, VDEVS_MAX};
use serde_json::Value;
use smol_str::SmolStr;

use crate::api::disk::{Disk, decode_disk, whole_disk};
use crate::api::json::{Fields, text};

const BY_PARTUUID: &str = "/dev/disk/by-partuuid/";
/// Roles in the order people read them; unknown ones follow by name.
const ROLES: [&str; 6] = ["data", "log", "cache", "spare", "special", "dedup"];

/// The vdevs of one role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    pub role: String,
    pub vdevs: Vec<Vdev>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vdev {
    pub name: SmolStr,
    /// Decimal text.
    pub guid: SmolStr,
    /// Upper case: DISK, MIRROR, RAIDZ2 ...
    pub kind: SmolStr,
    pub status: SmolStr,
    pub path: SmolStr,
    /// Kernel name of the whole disk; empty when not known.
    pub disk: SmolStr,
    pub partuuid: SmolStr,
    pub read_errors: Option<u64>,
    pub write_errors: Option<u64>,
    pub checksum_errors: Option<u64>,
    pub slow_ios: Option<u64>,
    pub size: Option<u64>,
    /// The device is not there.
    pub missing: bool,
    /// What the appliance remembers of the missing disk.
    pub unavail_disk: Option<Box<Disk>>,
    pub children: Vec<Vdev>,
}

impl Vdev {
    pub fn is_leaf(&self) -> bool {
        self.children.is_empty()
    }
}

/// What is left of the bounds on one tree, and what did not fit.
struct Budget {
    vdevs: usize,
    cut: bool,
}

/// Fails when the tree is larger or deeper than a pool can be.
pub(super) fn decode_topology(topology: Fields<'_>) -> Result<Vec<Group>, String> {
    let mut budget = Budget { vdevs: VDEVS_MAX, cut: false };
    let mut groups: Vec<Group> = topology
        .entries()
        .filter_map(|(role, vdevs)| {
            let vdevs = decode_list(vdevs.as_array()?, VDEV_DEPTH_MAX, &mut budget);
            let role = if role == "spares" { "spare" } else { role };
            (!vdevs.is_empty()).then(|| Group { role: text::line(role), vdevs })
        })
        .collect();
    if budget.cut {
        return Err(format!("vdev tree has more than {VDEVS_MAX} vdevs or {VDEV_DEPTH_MAX} levels"));
    }
    groups.sort_by(|a, b| (rank(&a.role), &a.role).cmp(&(rank(&b.role), &b.role)));
    Ok(groups)
}

fn rank(role: &str) -> usize {
    ROLES.iter().position(|known| *known == role).unwrap_or(ROLES.len())
}

fn decode_list(list: &[Value], depth: usize, budget: &mut Budget) -> Vec<Vdev> {
    if list.is_empty() {
        return Vec::new();
    }
    if depth == 0 || list.len() > budget.vdevs {
        budget.cut = true;
        return Vec::new();
    }
    budget.vdevs -= list.len();
    let vdevs = list.iter().filter(|vdev| vdev.is_object());
    let mut vdevs: Vec<Vdev> = vdevs.map(|vdev| decode_vdev(Fields::of(vdev), depth, budget)).collect();
    // A mirror has two, and they are held.
    vdevs.shrink_to_fit();
    vdevs
}

fn decode_vdev(fields: Fields<'_>, depth: usize, budget: &mut Budget) -> Vdev {
    let stats = fields.object("stats");
    let counter = |key| fields.u64(key).or_else(|| stats.and_then(|stats| stats.u64(key)));
    let children = decode_list(fields.list("children"), depth - 1, budget);
    let name = fields.line("name");
    let guid = fields.line("guid");
    let path = fields.line("path");
    let kind = either(fields, "type", "vdev_type").to_ascii_uppercase();
    let status = either(fields, "status", "state").to_ascii_uppercase();
    let unavail_disk = fields
        .get("unavail_disk")
        .and_then(|disk| decode_disk(disk).ok())
        // An empty object tells of no disk.
        .filter(|disk| *disk != Disk::default())
        .map(Box::new);
    let leaf = children.is_empty();
    let disk = if leaf { disk_of(fields, &name, &path) } else { String::new() };
    // A device that is gone is told by `unavail_disk`, or by a bare guid in place of a name.
    let missing = unavail_disk.is_some()
        || (leaf && status != "ONLINE" && !guid.is_empty() && name == guid && device_told(fields).is_none());
    let partuuid = partuuid(&path).or_else(|| partuuid(&name)).map(str::to_owned).unwrap_or_default();
    Vdev {
        partuuid: partuuid.into(),
        disk: if missing { String::new().into() } else { disk.into() },
        read_errors: counter("read_errors"),
        write_errors: counter("write_errors"),
        checksum_errors: counter("checksum_errors"),
        slow_ios: counter("slow_ios"),
        size: stats.and_then(|stats| stats.nonzero("size").or_else(|| stats.nonzero("space"))),
        name: name.into(),
        guid: guid.into(),
        kind: kind.into(),
        status: status.into(),
        path: path.into(),
        missing,
        unavail_disk,
        children,
    }
}

fn either(fields: Fields<'_>, first: &str, second: &str) -> String {
    let told = fields.line(first);
    if told.is_empty() { fields.line(second) } else { told }
}

fn device_told(fields: Fields<'_>) -> Option<String> {
    Some(fields.line("disk")).filter(|disk| !disk.is_empty()).or_else(|| {
        Some(fields.line("device")).filter(|device| !device.is_empty()).map(|d| whole_disk(&d).to_owned())
    })
}

/// Told outright, else read from a device path that is not a link by id.
fn disk_of(fields: Fields<'_>, name: &str, path: &str) -> String {
    device_told(fields).unwrap_or_else(|| {
        [name, path]
            .into_iter()
            .filter_map(|text| text.strip_prefix("/dev/"))
            .find(|device| !device.is_empty() && !device.contains('/'))
            .map(|device| whole_disk(device).to_owned())
            .unwrap_or_default()
    })
}

/// `/dev/disk/by-partuuid/U`, or a bare uuid.
fn partuuid(text: &str) -> Option<&str> {
    if let Some(uuid) = text.strip_prefix(BY_PARTUUID) {
        return Some(uuid);
    }
    let dashes = text.bytes().filter(|b| *b == b'-').count();
    let uuid = text.len() == 36 && dashes == 4 && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    uuid.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_dialects_read_alike() {
        let uuid = "0000000b-4fa3-4c43-ba15-f3d5bea3000b";
        let legacy = json!({"data": [{"name": uuid, "type": "DISK", "path": format!("{BY_PARTUUID}{uuid}"),
            "guid": "7", "status": "ONLINE", "stats": {"read_errors": 1}, "device": "sda1", "disk": null}]});
        let zpool = json!({"data": [{"name": "/dev/sda1", "vdev_type": "disk", "path": format!("{BY_PARTUUID}{uuid}"),
            "guid": 7, "state": "ONLINE", "stats": {"read_errors": "1"}}], "spares": []});
        for topology in [legacy, zpool] {
            let groups = decode_topology(Fields::of(&topology)).expect("fits");
            let vdev = &groups[0].vdevs[0];
            assert_eq!((vdev.disk.as_str(), vdev.guid.as_str(), vdev.kind.as_str()), ("sda", "7", "DISK"));
            assert_eq!((vdev.partuuid.as_str(), vdev.read_errors, vdev.missing), (uuid, Some(1), false));
        }
    }

    #[test]
    fn missing_is_told_not_guessed() {
        let gone = json!({"data": [
            {"name": "99", "guid": "99", "type": "DISK", "status": "UNAVAIL", "device": null, "disk": null,
             "unavail_disk": {"serial": "S1", "name": "", "devname": ""}},
            {"name": "98", "guid": 98, "vdev_type": "disk", "state": "CANT_OPEN"},
        ], "spare": [{"name": "x", "guid": "97", "type": "DISK", "status": "UNAVAIL", "disk": "sdm"}]});
        let groups = decode_topology(Fields::of(&gone)).expect("fits");
        let missing: Vec<_> =
            groups.iter().flat_map(|g| &g.vdevs).map(|v| (v.guid.as_str(), v.missing)).collect();
        assert_eq!(missing, [("99", true), ("98", true), ("97", false)]);
        assert_eq!(groups[0].vdevs[0].unavail_disk.as_ref().map(|d| d.serial.as_str()), Some("S1"));
    }

    #[test]
    fn a_tree_without_end_is_refused() {
        let mut vdev = json!({"name": "leaf"});
        for _ in 0..VDEV_DEPTH_MAX {
            vdev = json!({"name": "v", "children": [vdev]});
        }
        assert!(decode_topology(Fields::of(&json!({"data": [vdev]}))).is_err());
    }
}
