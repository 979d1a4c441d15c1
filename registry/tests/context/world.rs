//! A registry's state without sockets, and a home with two systems to feed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use pulse_proto::model::{CollectorId, ConnectionId, Epoch, Revision, Sequence, UnixMillis};
use pulse_proto::pb::registry::v1::Batch;
use pulse_proto::pb::resource::v1::{
    AgentFacet, AlertLevel, Capacity, Certificate, ConnectionState, ConnectionStatus, DataSource, Incident,
    IngestRecord, Metrics, NetworkShareFacet, PhysicalDiskFacet, ProtectionTaskFacet, ResourceType,
    SectionOutcome, SectionReport, StorageFacet, StorageTopology, TrueNasFacet, Vdev, VdevGroup, ZfsDataset,
    ZfsPool, ZfsScan, storage_facet,
};
use pulse_proto::served::registry::v1 as served;
use pulse_registry::alert::Book;
use pulse_registry::context::asked::Asking;
use pulse_registry::context::fleet::{self, Scope, Topics};
use pulse_registry::context::memo::Memo;
use pulse_registry::context::pack::{Draft, Packed, pack};
use pulse_registry::context::redact::{Policy, Pseudonyms};
use pulse_registry::context::render::Rendering;
use pulse_registry::context::single;
use pulse_registry::health::Tables;
use pulse_registry::ingest::{Limits, Recall, decode};
use pulse_registry::query::filter::Filter;
use pulse_registry::query::sight::Sight;
use pulse_registry::state::{Boundary, Input, Removal, State};

pub(crate) const NOW: UnixMillis = UnixMillis::new(1_790_000_000_000);
const LIMITS: Limits = Limits { batch_records_max: 10_000, batch_bytes_max: 64 << 20 };
const HOUR: u64 = 3_600_000;
const TIB: u64 = 1 << 40;

/// As a registry decodes it.
fn decoded(batch: &Batch) -> Input {
    let batch = served::Batch::decode(batch.encode_to_vec().as_slice()).unwrap();
    decode::batch(batch, &CollectorId::parse("c").unwrap(), LIMITS, &mut Recall::default()).unwrap()
}

#[allow(clippy::unnecessary_wraps, reason = "as fields of messages want it")]
pub(crate) fn ago(hours: u64) -> Option<prost_types::Timestamp> {
    Some(pulse_proto::convert::timestamp_to_wire(UnixMillis::new(NOW.get() - hours * HOUR)))
}

pub(crate) struct World {
    pub(crate) state: State,
    sequence: u64,
    /// When it takes things in.
    pub(crate) now: UnixMillis,
    pub(crate) memo: Memo,
    pub(crate) pseudonyms: Pseudonyms,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            state: State::new(Arc::new(Tables::default()), Boundary::default()),
            sequence: 0,
            now: NOW,
            memo: Memo::default(),
            pseudonyms: Pseudonyms::new([7; 32]),
        }
    }

    /// A whole snapshot of a connection whose sections were read `hours` ago.
    pub(crate) fn put(&mut self, connection: &str, name: &str, hours: u64, upserts: Vec<IngestRecord>) {
        self.put_as(
            connection,
            ConnectionStatus {
                name: name.to_owned(),
                state: ConnectionState::Live.into(),
                ..ConnectionStatus::default()
            },
            hours,
            upserts,
        );
    }

    /// A connection of which nothing was read.
    pub(crate) fn announce(&mut self, connection: &str, status: ConnectionStatus) {
        self.sequence += 1;
        let batch = Batch {
            connection: connection.to_owned(),
            epoch: self.sequence,
            sequence: 1,
            source: DataSource::Truenas.into(),
            status: Some(status),
            ..Batch::default()
        };
        let input = decoded(&batch);
        self.state.apply(input, self.now);
    }

    /// The connection goes with all that it brought.
    pub(crate) fn remove(&mut self, connection: &str) {
        self.sequence += 1;
        let removal = Removal {
            collector: CollectorId::parse("c").unwrap(),
            connection: ConnectionId::parse(connection).unwrap(),
            epoch: Epoch(self.sequence),
            sequence: Sequence(1),
            own_epoch: None,
        };
        self.state.apply(Input::Removal(removal), self.now);
        assert!(self.state.view().shards().all(|shard| shard.connection.as_str() != connection));
    }

    pub(crate) fn put_as(
        &mut self,
        connection: &str,
        status: ConnectionStatus,
        hours: u64,
        upserts: Vec<IngestRecord>,
    ) {
        self.sequence += 1;
        let is_empty = upserts.is_empty();
        let read_at = UnixMillis::new(self.now.get() - hours * HOUR);
        let section = |name: &str| SectionReport {
            section: name.to_owned(),
            outcome: SectionOutcome::Fresh.into(),
            observed_at: Some(pulse_proto::convert::timestamp_to_wire(read_at)),
            interval: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
            ..SectionReport::default()
        };
        let batch = Batch {
            connection: connection.to_owned(),
            epoch: self.sequence,
            sequence: 1,
            source: DataSource::Truenas.into(),
            snapshot_begin: true,
            snapshot_end: true,
            upserts,
            sections: ["system", "pools", "datasets", "disks", "shares", "tasks", "apps", "vms"]
                .map(section)
                .to_vec(),
            status: Some(status),
            ..Batch::default()
        };
        let input = decoded(&batch);
        let Input::Batch(decoded) = &input else { panic!() };
        assert_eq!(decoded.refused, [], "every record is taken");
        let applied = self.state.apply(input, self.now);
        assert!(is_empty || self.state.view().revision > Revision(0), "{applied:?}");
    }

    pub(crate) fn render(&self, draft: &Draft, policy: Policy, max_tokens: usize) -> Packed {
        let known = self.memo.names(self.state.view(), &Sight::whole());
        let rendering = Rendering { now: NOW, policy, pseudonyms: &self.pseudonyms, known: &known };
        pack(draft, max_tokens, rendering)
    }

    /// From somebody from whom `floor` is hidden.
    pub(crate) fn asking<T>(&self, floor: Policy, ask: impl FnOnce(&Asking<'_>) -> T) -> T {
        let (view, sight) = (self.state.view(), Sight::whole());
        let known = self.memo.names(view, &sight);
        ask(&Asking { view, sight: &sight, pseudonyms: &self.pseudonyms, known: &known, floor })
    }

    pub(crate) fn fleet(&self, filter: &str, policy: Policy, max_tokens: usize) -> Packed {
        self.fleet_with(&Book::default(), filter, policy, max_tokens)
    }

    pub(crate) fn fleet_with(&self, book: &Book, filter: &str, policy: Policy, max_tokens: usize) -> Packed {
        let filter = Filter::parse(filter).unwrap();
        let since = UnixMillis::new(NOW.get() - 24 * HOUR);
        let scope = Scope { filter, sight: Sight::whole(), since, max_tokens, topics: Topics::default() };
        self.render(&fleet::draft(self.state.view(), book, &self.memo, &scope, NOW), policy, max_tokens)
    }

    /// The fleet for somebody who is limited to these labels.
    pub(crate) fn part(
        &self,
        labels: &BTreeMap<String, String>,
        policy: Policy,
        max_tokens: usize,
    ) -> Packed {
        let view = self.state.view();
        let sight = Sight::of(view, labels);
        let known = self.memo.names(view, &sight);
        let filter = Filter::parse_reworded("", labels, &|_, _| Ok(None)).unwrap();
        let since = UnixMillis::new(NOW.get() - 24 * HOUR);
        let scope = Scope { filter, sight, since, max_tokens, topics: Topics::default() };
        let draft = fleet::draft(view, &Book::default(), &self.memo, &scope, NOW);
        let rendering = Rendering { now: NOW, policy, pseudonyms: &self.pseudonyms, known: &known };
        pack(&draft, max_tokens, rendering)
    }

    pub(crate) fn single(&self, name: &str, policy: Policy, max_tokens: usize) -> Packed {
        let view = self.state.view();
        let found = self.asking(Policy::None, |asking| asking.resource(name)).unwrap();
        let since = UnixMillis::new(NOW.get() - 24 * HOUR);
        let scope = single::Scope { sight: Sight::whole(), since, now: NOW };
        self.render(&single::draft(view, &Book::default(), &found, &scope).unwrap(), policy, max_tokens)
    }
}

pub(crate) fn host(connection: &str) -> IngestRecord {
    IngestRecord {
        source_id: format!("system:{connection}"),
        r#type: ResourceType::Host.into(),
        name: format!("{connection}-host"),
        section: "system".to_owned(),
        state: "READY".to_owned(),
        agent: Some(AgentFacet {
            hostname: format!("{connection}-host"),
            cpu_count: Some(16),
            memory_total_bytes: Some(64 << 30),
            ..AgentFacet::default()
        }),
        truenas: Some(TrueNasFacet {
            version: "25.10.0".to_owned(),
            system_state: "READY".to_owned(),
            certificates: vec![Certificate {
                name: "web".to_owned(),
                not_after: Some(pulse_proto::convert::timestamp_to_wire(UnixMillis::new(
                    NOW.get() + 240 * HOUR,
                ))),
                ..Certificate::default()
            }],
            ..TrueNasFacet::default()
        }),
        metrics: Some(Metrics {
            cpu_percent: Some(12.4),
            memory_total_bytes: Some(64 << 30),
            memory_used_bytes: Some(32 << 30),
            uptime_seconds: Some(41 * 86_400),
            ..Metrics::default()
        }),
        ..IngestRecord::default()
    }
}

fn vdev(name: &str, kind: &str, state: &str, children: Vec<Vdev>) -> Vdev {
    Vdev {
        name: name.to_owned(),
        r#type: kind.to_owned(),
        state: state.to_owned(),
        disk: if kind == "DISK" { name.to_owned() } else { String::new() },
        children,
        ..Vdev::default()
    }
}

/// A raidz2 of four disks in these states.
pub(crate) fn pool(connection: &str, name: &str, used: u64, disks: [&str; 4], scan: ZfsScan) -> IngestRecord {
    let state = if disks.iter().all(|state| *state == "ONLINE") { "ONLINE" } else { "DEGRADED" };
    let leaves = disks.iter().enumerate().map(|(at, state)| vdev(&format!("sd{at}"), "DISK", state, vec![]));
    IngestRecord {
        source_id: format!("system:{connection}/pool:{name}"),
        parent_source_id: format!("system:{connection}"),
        r#type: ResourceType::Storage.into(),
        name: name.to_owned(),
        section: "pools".to_owned(),
        state: state.to_owned(),
        capacity: Some(Capacity {
            total_bytes: Some(100 * TIB),
            used_bytes: Some(used * TIB),
            available_bytes: Some((100 - used) * TIB),
            ..Capacity::default()
        }),
        storage: Some(StorageFacet {
            topology: StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            pool: name.to_owned(),
            zfs: Some(storage_facet::Zfs::ZfsPool(ZfsPool {
                name: name.to_owned(),
                state: state.to_owned(),
                scan: Some(scan),
                groups: vec![VdevGroup {
                    role: "data".to_owned(),
                    vdevs: vec![vdev("raidz2-0", "RAIDZ2", state, leaves.collect())],
                }],
                ..ZfsPool::default()
            })),
            ..StorageFacet::default()
        }),
        ..IngestRecord::default()
    }
}

pub(crate) fn scrubbed(hours: u64) -> ZfsScan {
    ZfsScan {
        function: "SCRUB".to_owned(),
        state: "FINISHED".to_owned(),
        end_time: ago(hours),
        errors: Some(0),
        ..ZfsScan::default()
    }
}

pub(crate) fn resilver() -> ZfsScan {
    ZfsScan {
        function: "RESILVER".to_owned(),
        state: "SCANNING".to_owned(),
        percentage: Some(37.2),
        seconds_left: Some(18_100),
        ..ZfsScan::default()
    }
}

pub(crate) fn disk(connection: &str, at: usize, state: &str, errors: u64) -> IngestRecord {
    IngestRecord {
        source_id: format!("system:{connection}/disk:sd{at}"),
        parent_source_id: format!("system:{connection}/pool:tank"),
        r#type: ResourceType::PhysicalDisk.into(),
        name: format!("sd{at}"),
        section: "disks".to_owned(),
        state: state.to_owned(),
        physical_disk: Some(PhysicalDiskFacet {
            name: format!("sd{at}"),
            serial: format!("WD-20TB-{at}"),
            model: "WDC 20TB".to_owned(),
            pool: "tank".to_owned(),
            pool_role: "data".to_owned(),
            vdev_state: state.to_owned(),
            read_errors: Some(errors),
            temperature_celsius: Some(38.0),
            ..PhysicalDiskFacet::default()
        }),
        ..IngestRecord::default()
    }
}

pub(crate) fn dataset(connection: &str, name: &str, gib: u64) -> IngestRecord {
    IngestRecord {
        source_id: format!("system:{connection}/dataset:{name}"),
        parent_source_id: format!("system:{connection}/pool:tank"),
        r#type: ResourceType::Storage.into(),
        name: name.to_owned(),
        section: "datasets".to_owned(),
        storage: Some(StorageFacet {
            topology: StorageTopology::Dataset.into(),
            r#type: "zfs-dataset".to_owned(),
            pool: "tank".to_owned(),
            zfs: Some(storage_facet::Zfs::ZfsDataset(ZfsDataset {
                name: name.to_owned(),
                pool: "tank".to_owned(),
                kind: "FILESYSTEM".to_owned(),
                mountpoint: format!("/mnt/{name}"),
                mounted: Some(true),
                used_bytes: Some(gib << 30),
                used_by_snapshots_bytes: Some(1 << 30),
                snapshot_count: Some(12),
                newest_snapshot_at: ago(2),
                ..ZfsDataset::default()
            })),
            ..StorageFacet::default()
        }),
        ..IngestRecord::default()
    }
}

pub(crate) fn task(connection: &str, state: &str, hours: u64, message: &str) -> IngestRecord {
    IngestRecord {
        source_id: format!("system:{connection}/replication:1"),
        parent_source_id: format!("system:{connection}"),
        r#type: ResourceType::ProtectionTask.into(),
        name: "nightly to attic".to_owned(),
        section: "tasks".to_owned(),
        state: state.to_owned(),
        protection_task: Some(ProtectionTaskFacet {
            kind: "replication".to_owned(),
            state: state.to_owned(),
            enabled: Some(true),
            schedule: "0 2 * * *".to_owned(),
            state_since: ago(hours),
            message: message.to_owned(),
            source_datasets: vec!["tank/media".to_owned()],
            target: "attic/media".to_owned(),
            remote: "attic-host".to_owned(),
            ..ProtectionTaskFacet::default()
        }),
        ..IngestRecord::default()
    }
}

pub(crate) fn share(connection: &str, name: &str) -> IngestRecord {
    IngestRecord {
        source_id: format!("system:{connection}/share:smb:1"),
        parent_source_id: format!("system:{connection}"),
        r#type: ResourceType::NetworkShare.into(),
        name: name.to_owned(),
        section: "shares".to_owned(),
        state: "ENABLED".to_owned(),
        network_share: Some(NetworkShareFacet {
            protocol: "smb".to_owned(),
            path: "/mnt/tank/media".to_owned(),
            dataset: "tank/media".to_owned(),
            enabled: Some(true),
            ..NetworkShareFacet::default()
        }),
        ..IngestRecord::default()
    }
}

pub(crate) fn alert(text: &str) -> Incident {
    Incident {
        provider: "truenas".to_owned(),
        native_id: "n1".to_owned(),
        klass: "VolumeStatus".to_owned(),
        level: AlertLevel::Critical.into(),
        text: text.to_owned(),
        started_at: ago(3),
        ..Incident::default()
    }
}

/// One system with a disk that failed, and one that is well.
pub(crate) fn home() -> World {
    let mut world = World::new();
    let mut tank = pool("basement", "tank", 64, ["ONLINE", "FAULTED", "ONLINE", "ONLINE"], resilver());
    tank.incidents = vec![alert("Pool tank on basement-host is DEGRADED.")];
    world.put(
        "basement",
        "basement",
        0,
        vec![
            host("basement"),
            tank,
            disk("basement", 0, "ONLINE", 0),
            disk("basement", 1, "FAULTED", 12),
            dataset("basement", "tank/media", 9_000),
            dataset("basement", "tank/home", 300),
            share("basement", "media"),
            task("basement", "ERROR", 5, "ssh: attic-host: no route to host"),
        ],
    );
    world.put(
        "attic",
        "attic",
        0,
        vec![host("attic"), pool("attic", "attic", 20, ["ONLINE"; 4], scrubbed(72))],
    );
    world
}
