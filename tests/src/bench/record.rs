//! Records of made-up TrueNAS systems, about 1 KB each: encoded once per kind,
//! then copied with the numbers of the system, the record and the change
//! written over their places. Knows nothing of streams.

use anyhow::{Context as _, ensure};
use prost::Message as _;
use pulse_proto::pb::resource::v1::{
    AgentFacet, Capacity, Identity, IngestRecord, PhysicalDiskFacet, Resource, ResourceType, Service,
    StorageFacet, StorageTopology, TrueNasFacet, Vdev, VdevGroup, ZfsDataset, ZfsPool, ZfsScan,
    storage_facet,
};

/// Records of one connection, at most.
pub const RECORDS_MAX: u32 = 1_000;
/// Connections, at most.
pub const CONNECTIONS_MAX: u32 = 10_000;
const POOLS: u32 = 10;
/// Encoded size that records are filled up to.
const RECORD_BYTES: usize = 1_024;

// Places in the text of a template; each as long as what is written over it.
const CONNECTION: &str = "\u{1}CN\u{1}";
const RECORD: &str = "\u{2}R\u{2}";
const POOL: &str = "\u{3}P\u{3}";
/// Sizes that change stay between 2^38 and 2^39, so that they always take as many bytes.
const SIZE_BASE: u64 = 1 << 38;
const SIZE_MARK: u64 = SIZE_BASE + 0x12_3456_789a;
const SIZE_STEP: u64 = 4_096;
const HEAT_BASE: f64 = 30.0;
const HEAT_MARK: f64 = 34.567_890_123;
/// A disk's warmth has this many steps.
const HEAT_STEPS: u32 = 10_000;
/// What makes it too warm for any rule.
const HOT: f64 = 40.0;
/// One disk in so many is hot at a time, where there are alerts.
const HOT_ONE_IN: u32 = 8;
/// The one read-only dataset of a connection, where there are alerts.
const SEALED: u32 = 13;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Pool,
    Disk,
    Dataset,
    /// Read-only, which is a warning.
    Sealed,
}

/// What stands at a place of a connection.
fn kind_of(record: u32) -> Kind {
    match record {
        0 => Kind::Host,
        1..=POOLS => Kind::Pool,
        _ if record % 8 == 3 => Kind::Disk,
        _ if record % 8 == 5 => Kind::Sealed,
        _ => Kind::Dataset,
    }
}

/// The connection's id.
pub fn connection_id(connection: u32) -> String {
    format!("nas-{connection:04}")
}

#[derive(Debug)]
struct Template {
    bytes: Vec<u8>,
    connection: Vec<usize>,
    record: Vec<usize>,
    pool: Vec<usize>,
    sizes: Vec<usize>,
    heats: Vec<usize>,
}

/// All templates.
#[derive(Debug)]
pub struct Shape {
    host: Template,
    pool: Template,
    disk: Template,
    dataset: Template,
    sealed: Template,
    alerts: bool,
}

impl Shape {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            alerts: false,
            host: Template::new(host)?,
            pool: Template::new(pool)?,
            disk: Template::new(disk)?,
            dataset: Template::new(|filler| dataset(false, filler))?,
            sealed: Template::new(|filler| dataset(true, filler))?,
        })
    }

    /// As a fleet that is watched looks: a dataset of each system is read-only for long, and disks grow hot and cool
    /// down as they change.
    pub fn with_alerts() -> anyhow::Result<Self> {
        Ok(Self { alerts: true, ..Self::new()? })
    }

    /// Whether the disk that is this record, if it is one, is too hot in that state.
    pub fn is_hot(&self, record: u32, change: u32) -> bool {
        self.alerts && kind_of(record) == Kind::Disk && (record / 8 + change).is_multiple_of(HOT_ONE_IN)
    }

    /// Appends the record as field `tag` of the message around it.
    pub fn append(&self, message: &mut Vec<u8>, tag: u32, connection: u32, record: u32, change: u32) {
        let template = match kind_of(record) {
            Kind::Host => &self.host,
            Kind::Pool => &self.pool,
            Kind::Disk => &self.disk,
            Kind::Sealed if !self.alerts || record == SEALED => &self.sealed,
            Kind::Dataset | Kind::Sealed => &self.dataset,
        };
        let heat = heat(change) + if self.is_hot(record, change) { HOT } else { 0.0 };
        prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, message);
        prost::encoding::encode_varint(template.bytes.len() as u64, message);
        let start = message.len();
        message.extend_from_slice(&template.bytes);
        let Some(copy) = message.get_mut(start..) else { return };
        write(copy, &template.connection, &decimal::<4>(connection));
        write(copy, &template.record, &decimal::<3>(record));
        write(copy, &template.pool, &decimal::<3>(1 + record % POOLS));
        write(copy, &template.sizes, &varint(size(change)));
        write(copy, &template.heats, &heat.to_le_bytes());
    }
}

impl Template {
    /// `make` gets a text that fills the record up.
    fn new(make: impl Fn(String) -> IngestRecord) -> anyhow::Result<Self> {
        let bare = make(String::new()).encoded_len();
        let missing = RECORD_BYTES.saturating_sub(bare + 8);
        let words =
            "weekly export of the media archive, kept for the studio; ask operations before removal. ";
        let bytes = make(words.chars().cycle().take(missing).collect()).encode_to_vec();
        ensure!(bytes.len().abs_diff(RECORD_BYTES) < 64, "a record of {} bytes", bytes.len());
        let template = Self {
            connection: places(&bytes, CONNECTION.as_bytes()),
            record: places(&bytes, RECORD.as_bytes()),
            pool: places(&bytes, POOL.as_bytes()),
            sizes: places(&bytes, &varint(SIZE_MARK)),
            heats: places(&bytes, &HEAT_MARK.to_le_bytes()),
            bytes,
        };
        let changes = template.sizes.len() + template.heats.len();
        ensure!(!template.connection.is_empty() && changes > 0, "a template without places");
        Ok(template)
    }
}

fn places(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
    bytes.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark).map(|(at, _)| at).collect()
}

fn write(bytes: &mut [u8], places: &[usize], value: &[u8]) {
    for at in places {
        if let Some(place) = bytes.get_mut(*at..*at + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

fn decimal<const DIGITS: usize>(number: u32) -> [u8; DIGITS] {
    let mut left = number;
    let mut text = [b'0'; DIGITS];
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789"[(left % 10) as usize];
        left /= 10;
    }
    text
}

/// A size as it is encoded: 39 bits make six bytes.
fn varint(number: u64) -> [u8; 6] {
    let mut bytes = [0; 6];
    for (at, byte) in bytes.iter_mut().enumerate() {
        let more = if at < 5 { 0x80 } else { 0 };
        *byte = (number >> (7 * at)).to_le_bytes()[0] & 0x7f | more;
    }
    bytes
}

fn size(change: u32) -> u64 {
    SIZE_BASE + u64::from(change & 0x00ff_ffff) * SIZE_STEP
}

fn heat(change: u32) -> f64 {
    HEAT_BASE + f64::from(change % HEAT_STEPS) / 1_000.0
}

/// Connection and record of a resource, and whether it shows that change; `None` when it is none of these.
pub fn shows(resource: &Resource, change: impl Fn(u32, u32) -> Option<u32>) -> Option<(u32, u32, bool)> {
    let source_id = &resource.source_status.first()?.source_id;
    let rest = source_id.strip_prefix("system:nas-")?;
    let connection = rest.get(..4)?.parse().ok()?;
    let record = if rest.len() == 4 { 0 } else { rest.get(rest.len() - 3..)?.parse().ok()? };
    let change = change(connection, record)?;
    let right = match kind_of(record) {
        Kind::Host => resource.agent.as_ref()?.memory_total_bytes == Some(size(change)),
        Kind::Disk => resource
            .physical_disk
            .as_ref()?
            .temperature_celsius
            .is_some_and(|found| (found - heat(change)).abs() < 1e-6),
        Kind::Pool | Kind::Dataset | Kind::Sealed => match resource.storage.as_ref()?.zfs.as_ref()? {
            storage_facet::Zfs::ZfsPool(pool) => pool.allocated_bytes == Some(size(change)),
            storage_facet::Zfs::ZfsDataset(dataset) => dataset.used_bytes == Some(size(change)),
        },
    };
    Some((connection, record, right))
}

fn host(filler: String) -> IngestRecord {
    let service =
        |name: &str| Service { name: name.to_owned(), enabled: Some(true), state: "RUNNING".to_owned() };
    IngestRecord {
        source_id: format!("system:nas-{CONNECTION}"),
        r#type: ResourceType::Host.into(),
        name: format!("nas-{CONNECTION}"),
        section: "system".to_owned(),
        identity: Some(Identity {
            hostnames: vec![format!("nas-{CONNECTION}.example")],
            ..Identity::default()
        }),
        agent: Some(AgentFacet {
            hostname: format!("nas-{CONNECTION}"),
            platform: "truenas".to_owned(),
            os_name: "TrueNAS SCALE".to_owned(),
            os_version: "25.10.0".to_owned(),
            cpu_model: filler,
            cpu_count: Some(32),
            memory_total_bytes: Some(SIZE_MARK),
            ecc_memory: Some(true),
            serial: format!("A1-{CONNECTION}"),
            ..AgentFacet::default()
        }),
        truenas: Some(TrueNasFacet {
            hostname: format!("nas-{CONNECTION}"),
            version: "25.10.0".to_owned(),
            product_type: "COMMUNITY_EDITION".to_owned(),
            transport: "jsonrpc-websocket".to_owned(),
            api_version: "v25.10.0".to_owned(),
            system_state: "READY".to_owned(),
            services: ["cifs", "nfs", "ssh", "iscsitarget"].map(service).to_vec(),
            ..TrueNasFacet::default()
        }),
        ..IngestRecord::default()
    }
}

fn pool(filler: String) -> IngestRecord {
    let name = format!("tank-{RECORD}");
    let disk = |at: usize| Vdev {
        name: format!("sd{at}"),
        guid: format!("1084{at}77120493{CONNECTION}{RECORD}"),
        r#type: "DISK".to_owned(),
        state: "ONLINE".to_owned(),
        read_errors: Some(0),
        write_errors: Some(0),
        checksum_errors: Some(0),
        ..Vdev::default()
    };
    let mirror = |at: usize| Vdev {
        name: format!("mirror-{at}"),
        r#type: "MIRROR".to_owned(),
        state: "ONLINE".to_owned(),
        children: vec![disk(2 * at), disk(2 * at + 1)],
        ..Vdev::default()
    };
    IngestRecord {
        source_id: format!("system:nas-{CONNECTION}/pool:{name}"),
        parent_source_id: format!("system:nas-{CONNECTION}"),
        r#type: ResourceType::Storage.into(),
        name: name.clone(),
        section: "pools".to_owned(),
        state: "ONLINE".to_owned(),
        capacity: Some(capacity()),
        storage: Some(StorageFacet {
            topology: StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            pool: name.clone(),
            path: format!("/mnt/{name}"),
            zfs: Some(storage_facet::Zfs::ZfsPool(ZfsPool {
                name,
                guid: format!("77120493{CONNECTION}{RECORD}"),
                state: "ONLINE".to_owned(),
                status_code: "OK".to_owned(),
                status_detail: filler,
                size_bytes: Some(8 << 40),
                allocated_bytes: Some(SIZE_MARK),
                free_bytes: Some(7 << 40),
                fragmentation_percent: Some(11),
                scan: Some(ZfsScan {
                    function: "SCRUB".to_owned(),
                    state: "FINISHED".to_owned(),
                    errors: Some(0),
                    ..ZfsScan::default()
                }),
                groups: vec![VdevGroup { role: "data".to_owned(), vdevs: vec![mirror(0), mirror(1)] }],
                ..ZfsPool::default()
            })),
        }),
        ..IngestRecord::default()
    }
}

fn disk(filler: String) -> IngestRecord {
    let serial = format!("WD{CONNECTION}Z{RECORD}");
    IngestRecord {
        source_id: format!("system:nas-{CONNECTION}/disk:{RECORD}"),
        parent_source_id: format!("system:nas-{CONNECTION}/pool:tank-{POOL}"),
        r#type: ResourceType::PhysicalDisk.into(),
        name: format!("sd{RECORD}"),
        section: "disks".to_owned(),
        state: "ONLINE".to_owned(),
        tags: vec![filler],
        physical_disk: Some(PhysicalDiskFacet {
            dev_path: format!("/dev/sd{RECORD}"),
            name: format!("sd{RECORD}"),
            model: "WDC WUH721816ALE6L4".to_owned(),
            identifier: format!("{{serial_lunid}}{serial}_5000cca2"),
            wwn: format!("0x5000cca2{CONNECTION}{RECORD}"),
            serial,
            disk_type: "HDD".to_owned(),
            bus: "ATA".to_owned(),
            size_bytes: Some(16_000_900_661_248),
            rpm: Some(7_200),
            pool: format!("tank-{POOL}"),
            pool_role: "data".to_owned(),
            vdev_state: "ONLINE".to_owned(),
            zfs_guid: format!("10847712{CONNECTION}{RECORD}"),
            read_errors: Some(0),
            write_errors: Some(0),
            checksum_errors: Some(0),
            temperature_celsius: Some(HEAT_MARK),
            ..PhysicalDiskFacet::default()
        }),
        ..IngestRecord::default()
    }
}

fn dataset(readonly: bool, filler: String) -> IngestRecord {
    let name = format!("tank-{POOL}/data-{RECORD}");
    IngestRecord {
        source_id: format!("system:nas-{CONNECTION}/dataset:{name}"),
        parent_source_id: format!("system:nas-{CONNECTION}/pool:tank-{POOL}"),
        r#type: ResourceType::Storage.into(),
        name: name.clone(),
        section: "datasets".to_owned(),
        capacity: Some(capacity()),
        storage: Some(StorageFacet {
            topology: StorageTopology::Dataset.into(),
            r#type: "zfs-dataset".to_owned(),
            pool: format!("tank-{POOL}"),
            path: format!("/mnt/{name}"),
            zfs: Some(storage_facet::Zfs::ZfsDataset(ZfsDataset {
                pool: format!("tank-{POOL}"),
                kind: "FILESYSTEM".to_owned(),
                mountpoint: format!("/mnt/{name}"),
                name,
                mounted: Some(true),
                readonly: Some(readonly),
                encrypted: Some(false),
                locked: Some(false),
                used_bytes: Some(SIZE_MARK),
                available_bytes: Some(3 << 40),
                used_by_children_bytes: Some(1 << 30),
                used_by_snapshots_bytes: Some(7 << 30),
                compression: "LZ4".to_owned(),
                compress_ratio: Some(1.42),
                recordsize_bytes: Some(128 << 10),
                deduplication: "OFF".to_owned(),
                sync: "STANDARD".to_owned(),
                comments: filler,
                snapshot_count: Some(48),
                ..ZfsDataset::default()
            })),
        }),
        ..IngestRecord::default()
    }
}

fn capacity() -> Capacity {
    Capacity {
        total_bytes: Some(4 << 40),
        used_bytes: Some(SIZE_MARK),
        available_bytes: Some(3 << 40),
        ..Capacity::default()
    }
}

/// A shape's record as a message, for those that look into it.
pub fn decoded(shape: &Shape, connection: u32, record: u32, change: u32) -> anyhow::Result<IngestRecord> {
    let mut message = Vec::new();
    shape.append(&mut message, 1, connection, record, change);
    let first = super::wire::fields(&message).next().context("a field")?;
    let super::wire::Field::Bytes(1, bytes) = first else { anyhow::bail!("{first:?}") };
    Ok(IngestRecord::decode(bytes)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_record_is_valid_and_its_own() {
        let shape = Shape::new().unwrap();
        let mut ids = BTreeSet::new();
        for connection in [0, 7, 9_999] {
            for record in 0..RECORDS_MAX {
                let found = decoded(&shape, connection, record, 5).unwrap();
                pulse_proto::model::IngestRecord::try_from(found.clone()).unwrap();
                assert!(ids.insert(found.source_id));
            }
        }
    }

    #[test]
    fn some_is_an_alert_where_there_are_any() {
        let shape = Shape::with_alerts().unwrap();
        let hot = |change| (0..RECORDS_MAX).filter(|record| shape.is_hot(*record, change)).count();
        assert_eq!((hot(0), hot(1)), (15, 15), "of 124 disks");
        let sealed = |record: u32| {
            let storage = decoded(&shape, 3, record, 0).unwrap().storage;
            matches!(storage.and_then(|s| s.zfs), Some(storage_facet::Zfs::ZfsDataset(d)) if d.readonly == Some(true))
        };
        assert_eq!((0..RECORDS_MAX).filter(|record| sealed(*record)).collect::<Vec<_>>(), [SEALED]);
        assert!((0..RECORDS_MAX).all(|record| !Shape::new().unwrap().is_hot(record, 0)));
    }

    #[test]
    fn a_change_changes_and_keeps_the_length() {
        let shape = Shape::new().unwrap();
        for record in [0, 1, 11, 12, 13] {
            let (one, other) =
                (decoded(&shape, 3, record, 1).unwrap(), decoded(&shape, 3, record, 2).unwrap());
            assert_ne!(one, other, "{record}");
            assert_eq!(one.encoded_len(), other.encoded_len(), "{record}");
        }
    }
}
