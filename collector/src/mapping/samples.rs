//! For tests: snapshots made of replies, those of the samples or others.

use std::path::PathBuf;
use std::time::Duration;

use pulse_proto::model::{ConnectionId, UnixMillis};

use super::{Mapped, records};
use crate::api::section::assemble;
use crate::api::{CallFailure, Section, Tag};
use crate::snapshot::Snapshot;

pub(super) const LINES: [&str; 2] = ["v25_10_0", "v26_0_0"];

/// Which reply is which, and the method that brings it.
pub(super) const METHODS: [(Section, Tag, &str); 24] = [
    (Section::System, Tag::SystemInfo, "system.info"),
    (Section::System, Tag::ProductType, "system.product_type"),
    (Section::System, Tag::HostId, "system.host_id"),
    (Section::System, Tag::GlobalId, "system.global.id"),
    (Section::System, Tag::SystemState, "system.state"),
    (Section::System, Tag::RebootInfo, "system.reboot.info"),
    (Section::System, Tag::FailoverStatus, "failover.status"),
    (Section::Pools, Tag::Pools, "pool.query"),
    (Section::Boot, Tag::BootPool, "boot.get_state"),
    (Section::Datasets, Tag::Datasets, "pool.dataset.query"),
    (Section::Replications, Tag::Replications, "replication.query"),
    (Section::Disks, Tag::Disks, "disk.query"),
    (Section::Alerts, Tag::Alerts, "alert.list"),
    (Section::Services, Tag::Services, "service.query"),
    (Section::Interfaces, Tag::Interfaces, "interface.query"),
    (Section::Apps, Tag::Apps, "app.query"),
    (Section::Vms, Tag::Vms, "vm.query"),
    (Section::Instances, Tag::Instances, "container.query"),
    (Section::SnapshotTasks, Tag::SnapshotTasks, "pool.snapshottask.query"),
    (Section::Scrubs, Tag::Scrubs, "pool.scrub.query"),
    (Section::Temperatures, Tag::Temperatures, "disk.temperatures"),
    (Section::Temperatures, Tag::TemperatureDays, "disk.temperature_agg"),
    (Section::Update, Tag::Update, "update.status"),
    (Section::Snapshots, Tag::Snapshots, "pool.dataset.query"),
];

pub(super) fn path(line: &str, method: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../fixtures/samples", line, &format!("{method}.json")].iter().collect()
}

pub(super) fn sample(line: &str, method: &str) -> String {
    let path = path(line, method);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All replies of a line, by tag.
pub(super) fn replies(line: &str) -> Vec<(Tag, String)> {
    METHODS
        .iter()
        .filter(|(_, _, method)| path(line, method).exists())
        .map(|(_, tag, method)| (*tag, sample(line, method)))
        .collect()
}

/// A snapshot of replies; sections none of whose replies are given were not tried.
pub(super) fn snapshot(replies: &[(Tag, String)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for section in Section::ALL {
        let own: Vec<(Tag, Result<&String, CallFailure>)> = replies
            .iter()
            .filter(|(tag, _)| METHODS.iter().any(|(of, known, _)| *of == section && known == tag))
            .map(|(tag, reply)| (*tag, Ok(reply)))
            .collect();
        if !own.is_empty() {
            let now = UnixMillis::new(1_787_389_313_000);
            snapshot.apply(section, assemble(section, &own), now, Duration::from_mins(1));
        }
    }
    snapshot
}

pub(super) fn connection() -> ConnectionId {
    ConnectionId::parse("conn-1").expect("an id")
}

pub(super) fn mapped(replies: &[(Tag, String)]) -> Mapped {
    records(&connection(), "the nas", &snapshot(replies))
}
