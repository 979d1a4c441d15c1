//! Disks as `disk.query` words them. The query touches no disk.

use serde_json::{Value, json};
use smol_str::SmolStr;

use super::item::Row;
use super::json::{Fields, rows};
use super::plan::{Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "disks",
    role: "DISK_READ",
    cadence: 10,
    large: true,
    collections: &["disk.query"],
    plan: |_| vec![required(Tag::Disks, "disk.query", "/disk", json!([[], {}]))],
    assemble: |replies| Ok(Data::Disks(replies.rows(Tag::Disks, decode_disks)?)),
};

impl Row for Disk {
    fn key(&self) -> &str {
        &self.name
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// e.g. `{serial_lunid}S_L`.
    pub identifier: SmolStr,
    /// Kernel name, e.g. `sda`; empty for a disk that is gone.
    pub name: SmolStr,
    pub serial: SmolStr,
    pub lunid: SmolStr,
    pub model: SmolStr,
    /// HDD, SSD, UNKNOWN.
    pub kind: SmolStr,
    pub bus: SmolStr,
    pub size: Option<u64>,
    pub rotation_rate: Option<u32>,
    pub zfs_guid: SmolStr,
    pub enclosure_slot: Option<u32>,
}

pub fn decode_disks(reply: &[u8]) -> Result<Decoded<Disk>, DecodeError> {
    rows::list(reply, |row| {
        let disk = decode_disk(row)?;
        if disk.name.is_empty() {
            return Err("has neither name nor devname".to_owned());
        }
        Ok(disk)
    })
}

/// One row, also where it stands in a topology as `unavail_disk`.
pub(super) fn decode_disk(row: &Value) -> Result<Disk, String> {
    let fields = Fields::require(row)?;
    Ok(Disk {
        identifier: fields.line("identifier").into(),
        name: fields.name("name").or_else(|| fields.name("devname")).unwrap_or_default().into(),
        serial: fields.line("serial").into(),
        lunid: fields.line("lunid").into(),
        model: fields.line("model").into(),
        kind: fields.line("type").into(),
        bus: fields.line("bus").into(),
        size: fields.nonzero("size"),
        rotation_rate: fields.u32("rotationrate").filter(|rpm| *rpm > 0),
        zfs_guid: fields.line("zfs_guid").into(),
        enclosure_slot: fields
            .object("enclosure")
            .and_then(|enclosure| enclosure.u32("number").and(enclosure.u32("slot"))),
    })
}

/// `sda1` -> `sda`, `/dev/nvme0n1p2` -> `nvme0n1`, `ada0p2` -> `ada0`; whole disks stay as they are.
pub fn whole_disk(device: &str) -> &str {
    let name = device.strip_prefix("/dev/").unwrap_or(device);
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return name;
    }
    if let Some(before) = stem.strip_suffix('p')
        && before.ends_with(|c: char| c.is_ascii_digit())
    {
        return before;
    }
    let lettered = ["sd", "hd", "vd", "xvd"]
        .iter()
        .filter_map(|prefix| stem.strip_prefix(prefix))
        .any(|letters| !letters.is_empty() && letters.bytes().all(|b| b.is_ascii_lowercase()));
    if lettered { stem } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_name_their_disk() {
        for (device, disk) in [
            ("sda1", "sda"),
            ("sdaa12", "sdaa"),
            ("/dev/sdb2", "sdb"),
            ("nvme0n1p2", "nvme0n1"),
            ("nvme0n1", "nvme0n1"),
            ("ada0p2", "ada0"),
            ("ada4", "ada4"),
            ("da0p2", "da0"),
            ("da9", "da9"),
            ("vda3", "vda"),
            ("xvdb1", "xvdb"),
            ("mmcblk0p1", "mmcblk0"),
            ("md127", "md127"),
            ("sda", "sda"),
            ("sd1", "sd1"),
            ("", ""),
        ] {
            assert_eq!(whole_disk(device), disk, "{device}");
        }
    }

    #[test]
    fn a_disk_without_a_name_is_skipped() {
        let reply = br#"[{"name":"sda","size":"12","rotationrate":null,"extra":{}},{"serial":"X"}]"#;
        let decoded = decode_disks(reply).expect("a list");
        assert_eq!(decoded.rows[0].size, Some(12));
        assert_eq!((decoded.rows.len(), decoded.skipped.len()), (1, 1));
    }
}
