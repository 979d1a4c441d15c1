//! What a rule can measure of a resource: numbers, ages and counters by name.
//! Pure. What was not told is `None`, which is neither zero nor well.

mod devices;

use std::cell::OnceCell;
use std::collections::BTreeSet;

use pulse_proto::model::{Dataset, IngestRecord, Pool, ResourceType, StorageTopology, UnixMillis, Zfs};

use super::source::{Part, Sources};
use crate::state::{Resource, Shard};

pub(super) use self::devices::{DeviceErrors, Errors};

/// A resource whose record is decoded when somebody asks.
pub(super) struct Lens<'a> {
    pub(super) resource: &'a Resource,
    pub(super) shard: Option<&'a Shard>,
    record: OnceCell<Option<Box<IngestRecord>>>,
}

impl<'a> Lens<'a> {
    pub(super) fn new(resource: &'a Resource, shard: Option<&'a Shard>) -> Self {
        Self { resource, shard, record: OnceCell::new() }
    }

    pub(super) fn sources(&self, now: UnixMillis) -> Sources<'a> {
        Sources { resource: self.resource, shard: self.shard, now }
    }

    pub(super) fn record(&self) -> Option<&IngestRecord> {
        self.record.get_or_init(|| self.resource.document.record().ok().map(Box::new)).as_deref()
    }

    fn is(&self, wanted: ResourceType) -> bool {
        self.resource.resource_type() == wanted
    }

    fn is_storage(&self, topology: StorageTopology) -> bool {
        self.resource.document.topology() == Some(topology)
    }

    fn pool(&self) -> Option<&Pool> {
        if !self.is_storage(StorageTopology::Pool) {
            return None;
        }
        match self.record()?.facets.storage.as_ref()?.zfs.as_ref()? {
            Zfs::Pool(pool) => Some(pool),
            Zfs::Dataset(_) => None,
        }
    }

    fn dataset(&self) -> Option<&Dataset> {
        if !self.is_storage(StorageTopology::Dataset) {
            return None;
        }
        match self.record()?.facets.storage.as_ref()?.zfs.as_ref()? {
            Zfs::Dataset(dataset) => Some(dataset),
            Zfs::Pool(_) => None,
        }
    }

    /// Usable bytes used, and all of them; what the devices hold where that is told by nobody.
    pub(super) fn capacity(&self) -> Option<(u64, u64)> {
        let told = self.resource.document.capacity();
        let usable = told.and_then(|capacity| capacity.used_bytes.zip(capacity.total_bytes));
        let untold = || self.sources(self.resource.updated_at).is_usable_untold();
        let raw = || {
            let pool = self.pool().filter(|_| untold())?;
            pool.allocated_bytes.zip(pool.size_bytes)
        };
        usable.or_else(raw).filter(|(_, total)| *total > 0)
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $token:literal, $what:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            pub const fn token(self) -> &'static str {
                match self { $(Self::$variant => $token),+ }
            }

            /// For people.
            pub const fn what(self) -> &'static str {
                match self { $(Self::$variant => $what),+ }
            }

            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.token() == text)
            }

            pub(super) fn words() -> String {
                let all: Vec<&str> = Self::ALL.iter().map(|known| known.token()).collect();
                all.join(", ")
            }
        }
    };
}

words!(
    /// A number that moves.
    Metric {
        CapacityUsed = "capacity.used_percent", "usable capacity in use, in percent";
        QuotaUsed = "quota.used_percent", "a dataset's quota in use, in percent";
        RefquotaUsed = "refquota.used_percent", "a dataset's own quota (refquota) in use, in percent";
        Overcommit = "volume.overcommit_percent", "what a thin volume may still grow, in percent of what is free";
        SnapshotCount = "snapshots.count", "snapshots of a dataset";
        Fragmentation = "pool.fragmentation_percent", "fragmentation of a pool, in percent";
        Temperature = "disk.temperature_celsius", "temperature of a disk, in °C";
        Cpu = "cpu.used_percent", "processor in use, in percent";
        Memory = "memory.used_percent", "memory in use without what the ZFS cache would give back, in percent";
        CpuTemperature = "cpu.temperature_celsius", "temperature of the processor, in °C";
        UpsCharge = "ups.charge_percent", "charge of the power supply's battery, in percent";
        UpsRuntime = "ups.runtime_seconds", "how long the battery would last, in seconds";
    }
);

words!(
    /// A time from which an age, or the time left, is counted.
    AgeOf {
        Scrub = "scrub", "since the last scrub of a pool ended";
        Snapshot = "newest_snapshot", "since the newest snapshot of a dataset that a task makes";
        Success = "last_success", "since the last good run of a scheduled task";
        Certificate = "certificate_expiry", "until the first certificate of a system expires";
        Update = "update_available", "an update is offered; the rule's `for` is its age";
    }
);

words!(
    /// A count that should stand still.
    Counter {
        Errors = "errors.total", "read, write and checksum errors of a disk or of all devices of a pool";
        Checksum = "errors.checksum", "checksum errors of a disk or of all devices of a pool";
    }
);

impl Metric {
    /// What brings it.
    pub(super) const fn part(self) -> Part {
        match self {
            Self::Cpu | Self::Memory | Self::CpuTemperature => Part::Of("metrics"),
            Self::Temperature => Part::Of("temperatures"),
            Self::UpsCharge | Self::UpsRuntime => Part::Of("ups"),
            Self::SnapshotCount => Part::Of("snapshots"),
            Self::CapacityUsed => Part::Usable,
            Self::QuotaUsed | Self::RefquotaUsed | Self::Overcommit | Self::Fragmentation => Part::Own,
        }
    }

    /// Where it has no value: whether that is how the thing is, and not what nobody told. A dataset without quota is no
    /// dataset of unknown quota; one with a quota and nothing on what is used is.
    pub(super) fn is_without(self, lens: &Lens<'_>) -> bool {
        let Some(dataset) = lens.dataset() else { return false };
        match self {
            Self::QuotaUsed => dataset.quota_bytes.is_none() && dataset.used_bytes.is_some(),
            Self::RefquotaUsed => dataset.refquota_bytes.is_none() && dataset.used_bytes.is_some(),
            Self::Overcommit => {
                dataset.kind == "FILESYSTEM" || dataset.refreservation_bytes.is_some_and(|bytes| bytes > 0)
            }
            Self::CapacityUsed
            | Self::SnapshotCount
            | Self::Fragmentation
            | Self::Temperature
            | Self::Cpu
            | Self::Memory
            | Self::CpuTemperature
            | Self::UpsCharge
            | Self::UpsRuntime => false,
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Temperature | Self::CpuTemperature => " °C",
            Self::SnapshotCount => "",
            Self::UpsRuntime => " s",
            Self::CapacityUsed
            | Self::QuotaUsed
            | Self::RefquotaUsed
            | Self::Overcommit
            | Self::Fragmentation
            | Self::Cpu
            | Self::Memory
            | Self::UpsCharge => " %",
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of snapshots and seconds are small")]
    pub(super) fn of(self, lens: &Lens<'_>) -> Option<f64> {
        let document = &lens.resource.document;
        match self {
            Self::CapacityUsed => lens.capacity().map(|(used, total)| percent(used, total)),
            Self::QuotaUsed => document.quota().and_then(|(used, quota)| ratio(used, quota)),
            Self::RefquotaUsed => document.refquota().and_then(|(used, quota)| ratio(used, quota)),
            Self::Overcommit => document.thin_volume().map(|(grows, free)| percent(grows, free.max(1))),
            Self::SnapshotCount => document.snapshot_count().map(|count| count as f64),
            Self::Fragmentation => lens.pool()?.fragmentation_percent.map(f64::from),
            Self::Temperature => document.temperature_celsius(),
            Self::Cpu => document.cpu_percent(),
            Self::Memory => document.memory().and_then(|(used, total)| ratio(used, total)),
            Self::CpuTemperature => {
                if !lens.is(ResourceType::Host) {
                    return None;
                }
                lens.record()?.facets.metrics.as_ref()?.cpu_temperature_celsius
            }
            Self::UpsCharge => lens.ups()?.charge_percent,
            Self::UpsRuntime => lens.ups()?.runtime_seconds.map(|seconds| seconds as f64),
        }
    }
}

impl Lens<'_> {
    fn ups(&self) -> Option<&pulse_proto::model::Ups> {
        if !self.is(ResourceType::Host) {
            return None;
        }
        self.record()?.facets.truenas.as_ref()?.ups.as_ref()
    }
}

/// What an age is counted from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Since {
    /// It grows older from here on; what it is the age of.
    Then(UnixMillis, String),
    /// It is at least as old as that; how much older is not told.
    Before(UnixMillis, String),
    /// It ends there.
    Until(UnixMillis, String),
    /// It holds now, whatever its age.
    Now(String),
    /// Nothing to grow old, and why.
    Nothing(&'static str),
}

impl AgeOf {
    pub(super) fn of(self, lens: &Lens<'_>) -> Option<Since> {
        match self {
            Self::Scrub => {
                let pool = lens.pool()?;
                let scan = pool.scan.as_ref()?;
                if !scan.function.eq_ignore_ascii_case("SCRUB") {
                    // The last scan was a resilver: when the last scrub ended is not told.
                    return None;
                }
                if scan.state.eq_ignore_ascii_case("SCANNING") {
                    return Some(Since::Nothing("a scrub runs"));
                }
                Some(Since::Then(scan.end_time?, "last scrub".to_owned()))
            }
            Self::Snapshot => {
                if !lens.is_storage(StorageTopology::Dataset) {
                    return None;
                }
                // Before the record is decoded: most datasets have none.
                let source = lens.resource.document.newest_snapshot_source();
                if !matches!(source, "snapshot-task" | "replication") {
                    return Some(Since::Nothing("no task makes its snapshots"));
                }
                Some(Since::Then(lens.dataset()?.newest_snapshot_at?, "newest snapshot".to_owned()))
            }
            Self::Success => {
                if !lens.is(ResourceType::ProtectionTask) {
                    return None;
                }
                let task = lens.record()?.facets.protection_task.as_ref()?;
                let scheduled = !task.schedule.is_empty() && task.automatic != Some(false);
                if task.enabled == Some(false) || !scheduled {
                    return Some(Since::Nothing("it is not scheduled"));
                }
                match task.state.as_str() {
                    "FINISHED" | "SUCCESS" => {
                        Some(Since::Then(task.state_since?, "last good run".to_owned()))
                    }
                    // What hangs came to nothing since it began.
                    "RUNNING" | "WAITING" | "PENDING" | "HOLD" => {
                        let what = format!("last good run, before it was {},", task.state);
                        Some(Since::Before(task.state_since?, what))
                    }
                    _ => None,
                }
            }
            Self::Certificate => {
                if !lens.is(ResourceType::Host) {
                    return None;
                }
                let certificates = &lens.record()?.facets.truenas.as_ref()?.certificates;
                let first = certificates.iter().filter_map(|one| Some((one.not_after?, &one.name))).min();
                Some(first.map_or(Since::Nothing("no certificate ends"), |(at, name)| {
                    Since::Until(at, format!("certificate {name}"))
                }))
            }
            Self::Update => {
                if !lens.is(ResourceType::Host) {
                    return None;
                }
                let update = lens.record()?.facets.truenas.as_ref()?.update.as_ref()?;
                match update.available {
                    Some(true) => Some(Since::Now(format!("update to {}", update.version))),
                    Some(false) => Some(Since::Nothing("no update is offered")),
                    None => None,
                }
            }
        }
    }

    /// What ends by then, where there may be several of its kind.
    pub(super) fn named(self, lens: &Lens<'_>, by: UnixMillis) -> BTreeSet<String> {
        match self {
            Self::Certificate => {
                let truenas = lens.record().and_then(|record| record.facets.truenas.as_ref());
                let all = truenas.map(|truenas| truenas.certificates.as_slice()).unwrap_or_default();
                let ends = all.iter().filter(|one| one.not_after.is_some_and(|at| at <= by));
                ends.map(|one| one.name.clone()).collect()
            }
            Self::Scrub | Self::Snapshot | Self::Success | Self::Update => BTreeSet::new(),
        }
    }

    /// What brings it, all of which must be known.
    pub(super) const fn parts(self) -> &'static [Part] {
        match self {
            Self::Certificate => &[Part::Of("certificates")],
            Self::Update => &[Part::Of("update")],
            // The tasks that make them tell.
            Self::Snapshot => &[Part::Of("snapshot_tasks"), Part::Of("replications")],
            Self::Scrub | Self::Success => &[Part::Own],
        }
    }
}

impl Counter {
    pub(super) fn of(self, Errors([read, write, checksum]): Errors) -> Option<u64> {
        match self {
            Self::Errors => {
                let told = [read, write, checksum].into_iter().flatten();
                told.reduce(u64::saturating_add)
            }
            Self::Checksum => checksum,
        }
    }
}

fn ratio(used: u64, total: u64) -> Option<f64> {
    (total > 0).then(|| percent(used, total))
}

#[allow(clippy::cast_precision_loss, reason = "a share of byte counts needs no more than 52 bits")]
pub(super) fn percent(used: u64, total: u64) -> f64 {
    used as f64 * 100.0 / total as f64
}
