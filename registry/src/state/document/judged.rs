//! As much of a record as a judge looks at, read where it lies. Every record
//! that comes is judged, and all of them at a start, of which decoding the
//! whole of each took most.
//! Datasets and disks are nearly all there are; others are decoded.

use pulse_proto::ProtocolError;
use pulse_proto::model::{
    Dataset, Disk, Facets, Identity, IngestRecord, ResourceType, Storage, StorageTopology, Zfs,
};

use super::Document;
use super::read::{Message, Value, number};

impl Document {
    /// A record that is judged as [`Self::record`] is. Nothing else may be asked of it.
    pub(crate) fn judged(&self) -> Result<IngestRecord, ProtocolError> {
        let (mut name, mut state) = (&[][..], String::new());
        let mut facet = None;
        // One walk: this is asked of every change.
        for (number, value) in self.fields().fields() {
            match (number, value) {
                (number::NAME, Value::Bytes(text)) => name = text,
                (number::STATE, Value::Bytes(text)) => state = owned(text),
                (number::INCIDENTS, _) => return self.record(),
                (number::STORAGE | number::PHYSICAL_DISK, Value::Bytes(told)) => {
                    facet = Some((number, Message::new(told)));
                }
                _ => {}
            }
        }
        let mut facets = Facets::default();
        let is_named;
        match (self.resource_type, self.topology, facet) {
            (
                ResourceType::Storage,
                Some(topology @ StorageTopology::Dataset),
                Some((number::STORAGE, storage)),
            ) => {
                let Some(told) = storage.message(6) else { return self.record() };
                let dataset = dataset(told);
                is_named = !dataset.name.is_empty();
                let zfs = Some(Zfs::Dataset(dataset));
                let [kind, pool, path] = [const { String::new() }; 3];
                facets.storage = Some(Box::new(Storage { topology, kind, pool, path, zfs }));
            }
            (ResourceType::PhysicalDisk, _, Some((number::PHYSICAL_DISK, told))) => {
                let disk = disk(told);
                is_named = !disk.name.is_empty();
                facets.physical_disk = Some(Box::new(disk));
            }
            _ => return self.record(),
        }
        Ok(IngestRecord {
            source_id: self.source_id.clone(),
            parent_source_id: None,
            resource_type: self.resource_type,
            // Asked for only where the facet has none.
            name: if is_named { String::new() } else { owned(name) },
            section: self.section.clone(),
            state,
            identity: Identity::default(),
            capacity: None,
            tags: Vec::new(),
            incidents: Vec::new(),
            facets,
        })
    }
}

impl Document {
    /// Whether a judge looks at nothing but the record, and the table of [`alike`](super::alike) says at which numbers of it.
    pub(super) fn is_judged_by_table(&self) -> bool {
        match self.resource_type {
            ResourceType::Storage => matches!(self.topology, Some(StorageTopology::Dataset)),
            ResourceType::PhysicalDisk => true,
            _ => false,
        }
    }
}

fn dataset(told: Message<'_>) -> Dataset {
    let mut dataset = Dataset::default();
    for (number, value) in told.fields() {
        match (number, value) {
            (1, Value::Bytes(text)) => dataset.name = owned(text),
            (2, Value::Bytes(text)) => dataset.pool = owned(text),
            (3, Value::Bytes(text)) => dataset.kind = owned(text),
            (4, Value::Bytes(text)) => dataset.mountpoint = owned(text),
            (5, Value::Varint(flag)) => dataset.mounted = Some(flag != 0),
            (6, Value::Varint(flag)) => dataset.readonly = Some(flag != 0),
            (7, Value::Varint(flag)) => dataset.encrypted = Some(flag != 0),
            (8, Value::Varint(flag)) => dataset.locked = Some(flag != 0),
            (9, Value::Varint(flag)) => dataset.key_loaded = Some(flag != 0),
            (11, Value::Varint(bytes)) => dataset.used_bytes = Some(bytes),
            (13, Value::Varint(bytes)) => dataset.quota_bytes = Some(bytes),
            (14, Value::Varint(bytes)) => dataset.refquota_bytes = Some(bytes),
            (18, Value::Varint(bytes)) => dataset.used_by_dataset_bytes = Some(bytes),
            (27, Value::Varint(flag)) => dataset.replication_target = flag != 0,
            _ => {}
        }
    }
    dataset
}

fn disk(told: Message<'_>) -> Disk {
    let mut disk = Disk::default();
    for (number, value) in told.fields() {
        match (number, value) {
            (2, Value::Bytes(text)) => disk.name = owned(text),
            (7, Value::Bytes(text)) => disk.bus = owned(text),
            (10, Value::Bytes(text)) => disk.pool = owned(text),
            (11, Value::Bytes(text)) => disk.pool_role = owned(text),
            (12, Value::Bytes(text)) => disk.vdev_state = owned(text),
            (14, Value::Varint(count)) => disk.read_errors = Some(count),
            (15, Value::Varint(count)) => disk.write_errors = Some(count),
            (16, Value::Varint(count)) => disk.checksum_errors = Some(count),
            (17, Value::Varint(flag)) => disk.missing = flag != 0,
            (18, Value::Fixed64(bits)) => disk.temperature_celsius = Some(f64::from_bits(bits)),
            (20, Value::Varint(flag)) => disk.spare_in_use = Some(flag != 0),
            _ => {}
        }
    }
    disk
}

fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// What is read of which message, and how many fields that has.
#[cfg(test)]
pub(super) const READ: [(&str, &str, usize); 2] = [
    (
        "ZfsDataset",
        "name=1 pool=2 kind=3 mountpoint=4 mounted=5 readonly=6 encrypted=7 locked=8 key_loaded=9 used_bytes=11 \
         quota_bytes=13 refquota_bytes=14 used_by_dataset_bytes=18 replication_target=27",
        31,
    ),
    (
        "PhysicalDiskFacet",
        "name=2 bus=7 pool=10 pool_role=11 vdev_state=12 read_errors=14 write_errors=15 checksum_errors=16 \
         missing=17 temperature_celsius=18 spare_in_use=20",
        25,
    ),
];

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::READ;

    /// Every field of the two messages by name: a new one is decided about here before it is judged.
    #[test]
    fn every_field_is_read_or_not_judged() {
        let set = FileDescriptorSet::decode(pulse_proto::DESCRIPTOR_SET).unwrap();
        let messages = || set.file.iter().flat_map(|file| &file.message_type);
        for (name, read, fields) in READ {
            let message = messages().find(|message| message.name() == name).unwrap();
            assert_eq!(message.field.len(), fields, "{name} has new fields: are they judged?");
            let known: Vec<String> =
                message.field.iter().map(|field| format!("{}={}", field.name(), field.number())).collect();
            for field in read.split_whitespace() {
                assert!(known.iter().any(|known| known == field), "{name}: {field}");
            }
        }
    }
}
