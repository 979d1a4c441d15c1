//! Which resource a record is about. Ids are Pulse's, bit by bit.

use pulse_proto::model::{DataSource, ResourceId, ResourceType, SourceId};
use sha2::{Digest as _, Sha256};

use super::document::Document;
use super::document::read::number;

/// Shorter serials are labels, not serials.
const SERIAL_CHARS_MIN: usize = 4;

/// What firmware and virtual disks say when they have no serial, in lower case.
const PLACEHOLDERS: [&str; 18] = [
    "not specified",
    "not available",
    "not applicable",
    "not present",
    "to be filled by o.e.m.",
    "to be filled by oem",
    "default string",
    "system serial number",
    "serial number",
    "unknown",
    "none",
    "null",
    "n/a",
    "invalid",
    "0123456789",
    "1234567890",
    "123456789",
    "qm00001",
];

/// The serial that may identify a disk anywhere, when it has one.
pub fn disk_serial(document: &Document) -> Option<&str> {
    if document.resource_type != ResourceType::PhysicalDisk {
        return None;
    }
    let serial = document.fields().message(number::IDENTITY)?.text(1).trim();
    is_real_serial(serial).then_some(serial)
}

pub(super) fn is_real_serial(serial: &str) -> bool {
    let mut bytes = serial.bytes().filter(u8::is_ascii_alphanumeric);
    let Some(first) = bytes.next() else { return false };
    serial.len() >= SERIAL_CHARS_MIN
        && bytes.any(|byte| byte != first)
        && !PLACEHOLDERS.contains(&serial.to_lowercase().as_str())
}

/// `unique_serial` is the record's serial when it is the disk known by it.
pub fn resource_id(source: DataSource, document: &Document, unique_serial: Option<&str>) -> ResourceId {
    match unique_serial {
        Some(serial) => derived(document.resource_type, &["machine", ":", serial]),
        None => scoped(source, document.resource_type, &document.source_id),
    }
}

/// The id of a thing that is known by its source alone.
pub fn scoped(source: DataSource, resource_type: ResourceType, source_id: &SourceId) -> ResourceId {
    derived(resource_type, &[source.token(), ":", source_id.as_str()])
}

/// Of a text in pieces: at a start there are a million of them, and none is worth putting together.
fn derived(resource_type: ResourceType, stable: &[&str]) -> ResourceId {
    let hash = stable.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
    ResourceId::new(resource_type, u64::from_be_bytes(std::array::from_fn(|at| hash[at])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_pulse() {
        let id = |kind, text: &str| {
            let source_id = SourceId::parse(text).unwrap();
            scoped(DataSource::Truenas, kind, &source_id).to_string()
        };
        for (kind, source_id, expected) in [
            (ResourceType::Host, "system:conn-1", "agent-d2d79e79064338d7"),
            (ResourceType::Host, "system:conn-2", "agent-a926543a45ea30b7"),
            (ResourceType::Storage, "system:conn-1/pool:tank", "storage-f525297316fe02d5"),
            (ResourceType::PhysicalDisk, "system:conn-1/disk:sda", "physical_disk-0be7c958aae58dd8"),
            (ResourceType::Storage, "system:conn-1/dataset:tank/apps/db", "storage-2a8d4a84800ece3b"),
            (ResourceType::AppContainer, "system:conn-1/app:plex", "app-container-0a00cd86575e01a8"),
            (ResourceType::Vm, "system:conn-1/vm:7", "vm-d49719a7a9a5b500"),
            (ResourceType::NetworkShare, "system:conn-1/share:smb:3", "network-share-9c81bedf9b017502"),
        ] {
            assert_eq!(id(kind, source_id), expected, "{source_id}");
        }
        assert_eq!(
            derived(ResourceType::PhysicalDisk, &["machine", ":", "Not Specified"]).to_string(),
            "physical_disk-535886018cb53055"
        );
    }

    #[test]
    fn placeholders_are_no_serials() {
        for bad in ["", " ", "Not Specified", "0000000000", "------", "To Be Filled By O.E.M.", "1.2", "N/A"]
        {
            assert!(!is_real_serial(bad), "{bad:?}");
        }
        for good in ["WD-WCC4E1234567", "S3Z8NB0K123456", "2020E4A1", "ZL2-9"] {
            assert!(is_real_serial(good), "{good:?}");
        }
    }
}
