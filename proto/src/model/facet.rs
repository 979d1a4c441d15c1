//! Typed facts by topic, in the source's own words. Judging them is the
//! registry's health module, not this one.

mod machine;
mod protection;
mod workload;

pub use machine::{
    Agent, Certificate, Disk, Metrics, NetworkInterface, Service, SoftwareUpdate, TrueNas, Ups,
};
pub use protection::{ScrubSchedule, Share, Task};
pub use workload::{App, AppContainer, AppPort, AppVolume, Vm};

use super::{StorageTopology, UnixMillis};

/// Deepest vdev nesting: pool > replacing > spare > mirror > disk has four.
pub const VDEV_DEPTH_MAX: usize = 8;
/// Most vdevs in one pool, all levels together.
pub const VDEVS_MAX: usize = 8_192;

/// A place that holds data.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    pub topology: StorageTopology,
    /// Sub-kind, e.g. `zfs-pool`.
    pub kind: String,
    pub pool: String,
    pub path: String,
    pub zfs: Option<Zfs>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Zfs {
    Pool(Pool),
    Dataset(Dataset),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    pub name: String,
    pub guid: String,
    /// As told: ONLINE, DEGRADED, FAULTED ...
    pub state: String,
    /// As told; empty when not told.
    pub status_code: String,
    pub status_detail: String,
    pub boot_pool: bool,
    pub size_bytes: Option<u64>,
    pub allocated_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
    pub freeing_bytes: Option<u64>,
    pub fragmentation_percent: Option<u32>,
    pub autotrim: String,
    pub scan: Option<Scan>,
    pub expansion: Option<Expansion>,
    /// Empty when the pool is exported or could not be imported.
    pub groups: Vec<VdevGroup>,
    pub vdev_layout: String,
    pub dedup_table_size_bytes: Option<u64>,
    pub upgrade_available: bool,
    pub scrub_schedule: Option<ScrubSchedule>,
}

/// A scrub or resilver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scan {
    pub function: String,
    pub state: String,
    pub start_time: Option<UnixMillis>,
    pub end_time: Option<UnixMillis>,
    /// Set while a running scan is paused.
    pub pause_time: Option<UnixMillis>,
    /// Finite, 0 to 100.
    pub percentage: Option<f64>,
    pub bytes_total: Option<u64>,
    pub bytes_issued: Option<u64>,
    pub errors: Option<u64>,
    pub seconds_left: Option<u64>,
}

/// A raidz expansion.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expansion {
    pub state: String,
    pub percentage: Option<f64>,
    pub start_time: Option<UnixMillis>,
    pub end_time: Option<UnixMillis>,
    pub seconds_left: Option<u64>,
    pub waiting_for_resilver: bool,
}

/// The vdevs of one role: data, log, cache, spare, special, dedup ...
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VdevGroup {
    pub role: String,
    pub vdevs: Vec<Vdev>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vdev {
    pub name: String,
    pub guid: String,
    /// As told, upper case: DISK, MIRROR, RAIDZ1, SPARE, REPLACING ...
    pub kind: String,
    /// As told: ONLINE, DEGRADED, FAULTED ...
    pub state: String,
    pub path: String,
    /// Kernel name of the disk, when known.
    pub disk: String,
    pub read_errors: Option<u64>,
    pub write_errors: Option<u64>,
    pub checksum_errors: Option<u64>,
    pub slow_ios: Option<u64>,
    pub size_bytes: Option<u64>,
    pub missing: bool,
    pub children: Vec<Vdev>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    pub name: String,
    pub pool: String,
    /// FILESYSTEM or VOLUME.
    pub kind: String,
    pub mountpoint: String,
    /// `None` when not told, which is not "unmounted".
    pub mounted: Option<bool>,
    pub readonly: Option<bool>,
    pub encrypted: Option<bool>,
    pub locked: Option<bool>,
    pub key_loaded: Option<bool>,
    pub encryption_root: String,
    pub used_bytes: Option<u64>,
    pub available_bytes: Option<u64>,
    pub quota_bytes: Option<u64>,
    pub refquota_bytes: Option<u64>,
    pub reservation_bytes: Option<u64>,
    pub refreservation_bytes: Option<u64>,
    pub used_by_children_bytes: Option<u64>,
    pub used_by_dataset_bytes: Option<u64>,
    pub used_by_snapshots_bytes: Option<u64>,
    pub used_by_refreservation_bytes: Option<u64>,
    pub compression: String,
    pub compress_ratio: Option<f64>,
    pub volsize_bytes: Option<u64>,
    pub recordsize_bytes: Option<u64>,
    pub deduplication: String,
    pub sync: String,
    /// A replication task writes here, so read-only is as it should be.
    pub replication_target: bool,
    pub comments: String,
    pub snapshot_count: Option<u64>,
    pub newest_snapshot_at: Option<UnixMillis>,
    /// dataset, snapshot-task or replication; empty when it is not known.
    pub newest_snapshot_source: String,
}
