//! Counts words that no table holds: a new release of the source may bring
//! new ones, and somebody should notice. Changes no judgement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which table a word was looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnknownKind {
    PoolState,
    PoolStatusCode,
    VdevState,
    VdevRole,
    VdevKind,
    ScanFunction,
    ScanState,
    ExpansionState,
    DatasetKind,
    DiskState,
    SystemState,
    FailoverStatus,
    WorkloadState,
}

impl UnknownKind {
    pub const ALL: [Self; 13] = [
        Self::PoolState,
        Self::PoolStatusCode,
        Self::VdevState,
        Self::VdevRole,
        Self::VdevKind,
        Self::ScanFunction,
        Self::ScanState,
        Self::ExpansionState,
        Self::DatasetKind,
        Self::DiskState,
        Self::SystemState,
        Self::FailoverStatus,
        Self::WorkloadState,
    ];

    /// The label of a metric.
    pub const fn token(self) -> &'static str {
        match self {
            Self::PoolState => "pool_state",
            Self::PoolStatusCode => "pool_status_code",
            Self::VdevState => "vdev_state",
            Self::VdevRole => "vdev_role",
            Self::VdevKind => "vdev_kind",
            Self::ScanFunction => "scan_function",
            Self::ScanState => "scan_state",
            Self::ExpansionState => "expansion_state",
            Self::DatasetKind => "dataset_kind",
            Self::DiskState => "disk_state",
            Self::SystemState => "system_state",
            Self::FailoverStatus => "failover_status",
            Self::WorkloadState => "workload_state",
        }
    }

    /// What a person calls it.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::PoolState => "pool state",
            Self::PoolStatusCode => "pool status code",
            Self::VdevState => "device state",
            Self::VdevRole => "device role",
            Self::VdevKind => "device kind",
            Self::ScanFunction => "scan function",
            Self::ScanState => "scan state",
            Self::ExpansionState => "expansion state",
            Self::DatasetKind => "dataset type",
            Self::DiskState => "disk state",
            Self::SystemState => "system state",
            Self::FailoverStatus => "failover status",
            Self::WorkloadState => "state",
        }
    }
}

/// How often each kind of word was met and not known. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct UnknownValues(Arc<[AtomicU64; UnknownKind::ALL.len()]>);

impl UnknownValues {
    pub fn count(&self, kind: UnknownKind) -> u64 {
        self.0[kind as usize].load(Ordering::Relaxed)
    }

    /// Every kind with its count, in the order of `UnknownKind::ALL`.
    pub fn counts(&self) -> impl Iterator<Item = (UnknownKind, u64)> {
        UnknownKind::ALL.into_iter().map(|kind| (kind, self.count(kind)))
    }

    pub(super) fn add(&self, kind: UnknownKind) {
        self.0[kind as usize].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_counter() {
        let values = UnknownValues::default();
        for (times, kind) in (1..).zip(UnknownKind::ALL) {
            (0..times).for_each(|_| values.clone().add(kind));
        }
        let counts: Vec<_> = values.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=UnknownKind::ALL.len() as u64).collect::<Vec<_>>());
    }
}
