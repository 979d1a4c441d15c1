//! Fleets as their collectors would tell them, each with something an operator
//! asks about. Records as they go over the wire; knows no registry.

use prost_types::Timestamp;
use pulse_proto::pb::resource::v1::{
    AgentFacet, AlertLevel, AppFacet, Capacity, Certificate, ConnectionState, ConnectionStatus, Incident,
    IngestRecord, Metrics, NetworkShareFacet, PhysicalDiskFacet, ProtectionTaskFacet, ResourceType,
    SectionOutcome, SectionReport, Service, SoftwareUpdate, StorageFacet, StorageTopology, TrueNasFacet, Ups,
    Vdev, VdevGroup, VmFacet, ZfsDataset, ZfsPool, ZfsScan, storage_facet,
};

const TIB: u64 = 1 << 40;
const GIB: u64 = 1 << 30;
const SECTIONS: [&str; 8] = ["system", "pools", "datasets", "disks", "shares", "apps", "vms", "tasks"];
/// Of the largest fleet.
pub const SYSTEMS: usize = 1_000;

/// One system, as it is told at a moment.
#[derive(Clone, Debug)]
pub struct Told {
    pub connection: String,
    pub status: ConnectionStatus,
    pub sections: Vec<SectionReport>,
    pub records: Vec<IngestRecord>,
}

/// What a fleet looks like now, and what it looked like before, where that matters.
#[derive(Clone, Debug)]
pub struct Fleet {
    pub name: &'static str,
    pub before: Vec<Told>,
    pub now: Vec<Told>,
}

/// All of them; times are seconds before `now`.
pub fn fleets(now: i64) -> Vec<Fleet> {
    let at = Clock(now);
    let healthy = || alpha(at, Changes::default());
    let one = |name, now: Told| Fleet { name, before: vec![healthy()], now: vec![now] };
    let degraded = Changes { failed_disk: true, ..Changes::default() };
    vec![
        Fleet { name: "healthy", before: vec![], now: vec![healthy()] },
        one("degraded", alpha(at, degraded)),
        one("resilvering", alpha(at, Changes { resilver: true, ..degraded })),
        one("full", alpha(at, Changes { full: true, ..Changes::default() })),
        one("stale", alpha(at, Changes { silent: true, ..Changes::default() })),
        one("backup-failed", alpha(at, Changes { backup_failed: true, ..Changes::default() })),
        one("ha-failover", alpha(at, Changes { failover: true, ..Changes::default() })),
        Fleet {
            name: "thousand",
            before: vec![],
            now: (0..SYSTEMS).map(|number| member(at, number)).collect(),
        },
    ]
}

#[derive(Clone, Copy)]
struct Clock(i64);

impl Clock {
    #[allow(clippy::unnecessary_wraps, reason = "as fields of messages want it")]
    fn ago(self, seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds: self.0 - seconds, nanos: 0 })
    }
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// How a system differs from one that is well.
#[derive(Clone, Copy, Default)]
struct Changes {
    failed_disk: bool,
    resilver: bool,
    full: bool,
    silent: bool,
    backup_failed: bool,
    failover: bool,
}

/// A system with one of everything.
fn alpha(at: Clock, changes: Changes) -> Told {
    let connection = "alpha";
    let mut records = vec![host(at, connection, changes), pool(at, connection, 6, changes)];
    records.push(boot_pool(at, connection));
    records.extend((0..6).map(|number| disk(connection, number, changes)));
    let media = if changes.full { 8_900 } else { 3_000 };
    records.push(dataset(at, connection, "tank/media", media * GIB, changes));
    records.push(dataset(at, connection, "tank/home", 700 * GIB, Changes::default()));
    records.push(secret(connection));
    records.push(share(connection, "smb", "media", "tank/media"));
    records.push(share(connection, "nfs", "home", "tank/home"));
    records.push(app(connection));
    records.push(vm(connection));
    records.extend(tasks(at, connection, changes));
    let silent = if changes.silent { 3 * HOUR } else { 0 };
    let status = ConnectionStatus {
        name: connection.to_owned(),
        state: if changes.silent { ConnectionState::BackingOff } else { ConnectionState::Live }.into(),
        reason: if changes.silent { "connect: timed out after 10 s" } else { "" }.to_owned(),
        since: at.ago(silent),
        ..ConnectionStatus::default()
    };
    Told { connection: connection.to_owned(), status, sections: sections(at, silent), records }
}

/// One of very many; few of them have trouble.
fn member(at: Clock, number: usize) -> Told {
    let connection = format!("nas-{number:04}");
    let changes = Changes {
        failed_disk: number % 83 == 7,
        full: number % 211 == 11,
        silent: number % 131 == 17,
        backup_failed: number % 71 == 23,
        ..Changes::default()
    };
    let mut records = vec![host(at, &connection, Changes::default()), pool(at, &connection, 4, changes)];
    records.extend((0..4).map(|number| disk(&connection, number, changes)));
    records.push(dataset(at, &connection, "tank/media", GIB * (100 + number as u64), Changes::default()));
    records.push(replication(at, &connection, changes));
    let silent = if changes.silent { 3 * HOUR } else { 0 };
    let status = ConnectionStatus {
        name: connection.clone(),
        state: if changes.silent { ConnectionState::BackingOff } else { ConnectionState::Live }.into(),
        reason: if changes.silent { "connect: no route to host" } else { "" }.to_owned(),
        since: at.ago(silent),
        labels: [("site".to_owned(), format!("site-{}", number % 7))].into(),
    };
    Told { connection, status, sections: sections(at, silent), records }
}

fn sections(at: Clock, silent: i64) -> Vec<SectionReport> {
    let section = |name: &str| SectionReport {
        section: name.to_owned(),
        outcome: SectionOutcome::Fresh.into(),
        observed_at: at.ago(silent),
        interval: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        ..SectionReport::default()
    };
    SECTIONS.map(section).to_vec()
}

fn record(connection: &str, id: &str, kind: ResourceType, section: &str, name: &str) -> IngestRecord {
    let root = format!("system:{connection}");
    let is_host = kind == ResourceType::Host;
    IngestRecord {
        source_id: if is_host { root.clone() } else { format!("{root}/{id}") },
        parent_source_id: if is_host { String::new() } else { root },
        r#type: kind.into(),
        name: name.to_owned(),
        section: section.to_owned(),
        ..IngestRecord::default()
    }
}

fn host(at: Clock, connection: &str, changes: Changes) -> IngestRecord {
    let text = str::to_owned;
    let service =
        |name: &str, state: &str| Service { name: text(name), enabled: Some(true), state: text(state) };
    IngestRecord {
        state: text("READY"),
        agent: Some(AgentFacet {
            hostname: text(connection),
            cpu_model: text("AMD EPYC 7313P"),
            cpu_count: Some(32),
            memory_total_bytes: Some(128 * GIB),
            ecc_memory: Some(true),
            product: text("TRUENAS-M30"),
            serial: text("A1-118822"),
            boot_time: at.ago(41 * DAY),
            ..AgentFacet::default()
        }),
        truenas: Some(TrueNasFacet {
            version: text("25.10.1"),
            product_type: text("ENTERPRISE"),
            system_state: text("READY"),
            failover_status: text(if changes.failover { "MASTER" } else { "SINGLE" }),
            failover_node: text(if changes.failover { "B" } else { "" }),
            failover_licensed: changes.failover.then_some(true),
            failover_disabled_reasons: if changes.failover { vec![text("NO_PONG")] } else { vec![] },
            services: vec![service("cifs", "RUNNING"), service("nfs", "RUNNING")],
            certificates: vec![Certificate {
                name: text("web"),
                not_after: at.ago(-9 * DAY),
                expired: Some(false),
                ..Certificate::default()
            }],
            ups: Some(Ups { identifier: text("ups"), charge_percent: Some(100.0), ..Ups::default() }),
            update: Some(SoftwareUpdate {
                state: text("AVAILABLE"),
                available: Some(true),
                version: text("25.10.2"),
                ..SoftwareUpdate::default()
            }),
            ..TrueNasFacet::default()
        }),
        metrics: Some(Metrics {
            cpu_percent: Some(12.0),
            memory_total_bytes: Some(128 * GIB),
            memory_used_bytes: Some(48 * GIB),
            uptime_seconds: Some(41 * 86_400),
            ..Metrics::default()
        }),
        ..record(connection, "", ResourceType::Host, "system", connection)
    }
}

fn pool(at: Clock, connection: &str, disks: usize, changes: Changes) -> IngestRecord {
    let failed = |number: usize| changes.failed_disk && number == 2;
    let leaf = |number: usize| Vdev {
        name: format!("sd{number}"),
        r#type: "DISK".to_owned(),
        state: if failed(number) { "FAULTED" } else { "ONLINE" }.to_owned(),
        disk: format!("sd{number}"),
        read_errors: Some(if failed(number) { 12 } else { 0 }),
        ..Vdev::default()
    };
    let state = if changes.failed_disk { "DEGRADED" } else { "ONLINE" };
    let raidz = Vdev {
        name: "raidz2-0".to_owned(),
        r#type: "RAIDZ2".to_owned(),
        state: state.to_owned(),
        children: (0..disks).map(leaf).collect(),
        ..Vdev::default()
    };
    let scan = if changes.resilver {
        ZfsScan {
            function: "RESILVER".to_owned(),
            state: "SCANNING".to_owned(),
            start_time: at.ago(3 * HOUR),
            percentage: Some(37.4),
            seconds_left: Some(18_200),
            ..ZfsScan::default()
        }
    } else {
        ZfsScan {
            function: "SCRUB".to_owned(),
            state: "FINISHED".to_owned(),
            end_time: at.ago(5 * DAY),
            errors: Some(0),
            ..ZfsScan::default()
        }
    };
    let used = if changes.full { 96 } else { 40 };
    let alert = Incident {
        provider: "truenas".to_owned(),
        native_id: format!("volume-{connection}"),
        klass: "VolumeStatus".to_owned(),
        level: AlertLevel::Critical.into(),
        text: "Pool tank state is DEGRADED: One or more devices are faulted.".to_owned(),
        started_at: at.ago(3 * HOUR),
        ..Incident::default()
    };
    IngestRecord {
        state: state.to_owned(),
        capacity: Some(Capacity {
            total_bytes: Some(10 * TIB),
            used_bytes: Some(10 * TIB / 100 * used),
            available_bytes: Some(10 * TIB / 100 * (100 - used)),
            ..Capacity::default()
        }),
        incidents: if changes.failed_disk { vec![alert] } else { vec![] },
        storage: Some(StorageFacet {
            topology: StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            pool: "tank".to_owned(),
            path: "/mnt/tank".to_owned(),
            zfs: Some(storage_facet::Zfs::ZfsPool(ZfsPool {
                name: "tank".to_owned(),
                state: state.to_owned(),
                scan: Some(scan),
                groups: vec![VdevGroup { role: "data".to_owned(), vdevs: vec![raidz] }],
                ..ZfsPool::default()
            })),
        }),
        ..record(connection, "pool:tank", ResourceType::Storage, "pools", "tank")
    }
}

fn boot_pool(at: Clock, connection: &str) -> IngestRecord {
    let mut pool = pool(at, connection, 2, Changes::default());
    pool.source_id = format!("system:{connection}/pool:boot-pool");
    "boot-pool".clone_into(&mut pool.name);
    pool.capacity = Some(Capacity {
        total_bytes: Some(100 * GIB),
        used_bytes: Some(9 * GIB),
        available_bytes: Some(91 * GIB),
        ..Capacity::default()
    });
    if let Some(storage) = &mut pool.storage {
        "boot-pool".clone_into(&mut storage.pool);
        if let Some(storage_facet::Zfs::ZfsPool(zfs)) = &mut storage.zfs {
            "boot-pool".clone_into(&mut zfs.name);
            zfs.boot_pool = true;
            for group in &mut zfs.groups {
                group.vdevs.iter_mut().for_each(|vdev| "MIRROR".clone_into(&mut vdev.r#type));
            }
        }
    }
    pool
}

fn disk(connection: &str, number: usize, changes: Changes) -> IngestRecord {
    let failed = changes.failed_disk && number == 2;
    let state = if failed { "FAULTED" } else { "ONLINE" };
    let name = format!("sd{number}");
    IngestRecord {
        state: state.to_owned(),
        parent_source_id: format!("system:{connection}/pool:tank"),
        physical_disk: Some(PhysicalDiskFacet {
            dev_path: format!("/dev/{name}"),
            name: name.clone(),
            model: "WDC WUH722020BLE6L4".to_owned(),
            serial: format!("2LG{number}{connection}K"),
            disk_type: "HDD".to_owned(),
            bus: "ATA".to_owned(),
            size_bytes: Some(20_000_588_955_648),
            pool: "tank".to_owned(),
            pool_role: "data".to_owned(),
            vdev_state: state.to_owned(),
            read_errors: Some(if failed { 12 } else { 0 }),
            write_errors: Some(0),
            checksum_errors: Some(0),
            temperature_celsius: Some(if number == 3 { 44.0 } else { 36.0 }),
            enclosure_slot: u32::try_from(number + 1).ok(),
            ..PhysicalDiskFacet::default()
        }),
        ..record(connection, &format!("disk:{name}"), ResourceType::PhysicalDisk, "disks", &name)
    }
}

fn dataset(at: Clock, connection: &str, name: &str, used: u64, changes: Changes) -> IngestRecord {
    IngestRecord {
        parent_source_id: format!("system:{connection}/pool:tank"),
        storage: Some(StorageFacet {
            topology: StorageTopology::Dataset.into(),
            r#type: "zfs-dataset".to_owned(),
            pool: "tank".to_owned(),
            path: format!("/mnt/{name}"),
            zfs: Some(storage_facet::Zfs::ZfsDataset(ZfsDataset {
                name: name.to_owned(),
                pool: "tank".to_owned(),
                kind: "FILESYSTEM".to_owned(),
                mountpoint: format!("/mnt/{name}"),
                mounted: Some(true),
                readonly: Some(false),
                used_bytes: Some(used),
                used_by_children_bytes: Some(0),
                used_by_dataset_bytes: Some(used - used / 5),
                used_by_snapshots_bytes: Some(used / 5),
                quota_bytes: changes.full.then_some(9_000 * GIB),
                snapshot_count: Some(48),
                newest_snapshot_at: at.ago(2 * HOUR),
                newest_snapshot_source: "dataset".to_owned(),
                ..ZfsDataset::default()
            })),
        }),
        ..record(connection, &format!("dataset:{name}"), ResourceType::Storage, "datasets", name)
    }
}

/// Encrypted, and locked on purpose.
fn secret(connection: &str) -> IngestRecord {
    let zfs = ZfsDataset {
        name: "tank/vault".to_owned(),
        pool: "tank".to_owned(),
        kind: "FILESYSTEM".to_owned(),
        encrypted: Some(true),
        locked: Some(false),
        key_loaded: Some(true),
        mounted: Some(true),
        used_bytes: Some(GIB),
        snapshot_count: Some(0),
        ..ZfsDataset::default()
    };
    IngestRecord {
        storage: Some(StorageFacet {
            topology: StorageTopology::Dataset.into(),
            r#type: "zfs-dataset".to_owned(),
            pool: "tank".to_owned(),
            zfs: Some(storage_facet::Zfs::ZfsDataset(zfs)),
            ..StorageFacet::default()
        }),
        ..record(connection, "dataset:tank/vault", ResourceType::Storage, "datasets", "tank/vault")
    }
}

fn share(connection: &str, protocol: &str, name: &str, dataset: &str) -> IngestRecord {
    IngestRecord {
        state: "ENABLED".to_owned(),
        network_share: Some(NetworkShareFacet {
            protocol: protocol.to_owned(),
            id: "1".to_owned(),
            path: format!("/mnt/{dataset}"),
            dataset: dataset.to_owned(),
            enabled: Some(true),
            ..NetworkShareFacet::default()
        }),
        ..record(connection, &format!("share:{protocol}:1"), ResourceType::NetworkShare, "shares", name)
    }
}

fn app(connection: &str) -> IngestRecord {
    let volume = pulse_proto::pb::resource::v1::AppVolume {
        source: "/mnt/tank/media".to_owned(),
        destination: "/media".to_owned(),
        ..Default::default()
    };
    IngestRecord {
        state: "RUNNING".to_owned(),
        app: Some(AppFacet {
            id: "jellyfin".to_owned(),
            state: "RUNNING".to_owned(),
            human_version: "10.9.11_1.1.4".to_owned(),
            latest_version: "1.2.0".to_owned(),
            upgrade_available: Some(true),
            container_count: Some(1),
            volumes: vec![volume],
            ..AppFacet::default()
        }),
        ..record(connection, "app:jellyfin", ResourceType::AppContainer, "apps", "jellyfin")
    }
}

fn vm(connection: &str) -> IngestRecord {
    IngestRecord {
        state: "RUNNING".to_owned(),
        vm: Some(VmFacet {
            id: "1".to_owned(),
            state: "RUNNING".to_owned(),
            vcpus: Some(4),
            memory_bytes: Some(8 * GIB),
            autostart: Some(true),
            dataset: "tank/media".to_owned(),
            ..VmFacet::default()
        }),
        ..record(connection, "vm:1", ResourceType::Vm, "vms", "gateway")
    }
}

fn replication(at: Clock, connection: &str, changes: Changes) -> IngestRecord {
    let (state, message) = if changes.backup_failed {
        ("ERROR", "ssh: connect to host attic port 22: No route to host")
    } else {
        ("FINISHED", "")
    };
    task(
        connection,
        "replication",
        "media to attic",
        state,
        ProtectionTaskFacet {
            schedule: "0 2 * * *".to_owned(),
            state_since: at.ago(5 * HOUR),
            message: message.to_owned(),
            direction: "PUSH".to_owned(),
            transport: "SSH".to_owned(),
            source_datasets: vec!["tank/media".to_owned()],
            target: "attic/media".to_owned(),
            remote: "attic".to_owned(),
            ..ProtectionTaskFacet::default()
        },
    )
}

fn tasks(at: Clock, connection: &str, changes: Changes) -> Vec<IngestRecord> {
    let snapshots_since = if changes.backup_failed { 9 * DAY } else { 2 * HOUR };
    let (cloud, said) =
        if changes.backup_failed { ("FAILED", "quota of the bucket is exceeded") } else { ("SUCCESS", "") };
    vec![
        replication(at, connection, changes),
        task(
            connection,
            "snapshot",
            "tank/home daily",
            "FINISHED",
            ProtectionTaskFacet {
                schedule: "0 0 * * *".to_owned(),
                state_since: at.ago(snapshots_since),
                source_datasets: vec!["tank/home".to_owned()],
                retention: "2 WEEK".to_owned(),
                ..ProtectionTaskFacet::default()
            },
        ),
        task(
            connection,
            "cloud-sync",
            "home to bucket",
            cloud,
            ProtectionTaskFacet {
                schedule: "0 4 * * 0".to_owned(),
                state_since: at.ago(30 * HOUR),
                message: said.to_owned(),
                target: "bucket/home".to_owned(),
                ..ProtectionTaskFacet::default()
            },
        ),
    ]
}

fn task(connection: &str, kind: &str, name: &str, state: &str, facet: ProtectionTaskFacet) -> IngestRecord {
    IngestRecord {
        state: state.to_owned(),
        protection_task: Some(ProtectionTaskFacet {
            kind: kind.to_owned(),
            id: "1".to_owned(),
            enabled: Some(true),
            state: state.to_owned(),
            ..facet
        }),
        ..record(connection, &format!("{kind}:1"), ResourceType::ProtectionTask, "tasks", name)
    }
}
