//! The uplink's core against the registry's state, joined by a line that loses
//! messages, with either side restarting at any moment: whatever happens, the
//! registry ends with the newest state, revisions are gapless, and what was
//! durable before a crash is there after it.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;
use prost::Message as _;
use pulse_collector::batch::Told;
use pulse_collector::uplink::{Core, Update};
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionState, ConnectionStatus, Epoch, Facets, Freshness, Identity,
    IngestRecord, ResourceId, ResourceType, Revision, SectionName, SectionOutcome, SectionReport, Severity,
    SourceId, Status, UnixMillis,
};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::served::registry::v1 as served;
use pulse_registry::ingest::{Limits, Recall, decode};
use pulse_registry::state::judge::{Judge, Judgement, Subject};
use pulse_registry::state::{Answer, Boundary, Change, Resource, Retention, State};
use pulse_registry::store::Store;
use pulse_registry::store::memory::Memory;
use tokio::time::Instant;

/// Severity is the length of the state; a host is as bad as its worst child.
struct Plain;

impl Judge for Plain {
    fn judge(&self, subject: &Subject<'_>) -> Judgement {
        let own = match subject.record.state.len() {
            0..=1 => Severity::Healthy,
            2 => Severity::Warning,
            _ => Severity::Critical,
        };
        let severity = subject.worst_child.map_or(own, |child| child.severity.max(own));
        Judgement { severity, reasons: Vec::new(), status: Status::Online }
    }

    fn freshness(&self, report: Option<&SectionReport>, now: UnixMillis) -> Freshness {
        match report.and_then(|report| Some((report, report.observed_at?))) {
            Some((report, at)) if now.since(at) < report.stale_after() => Freshness::Fresh,
            _ => Freshness::Stale,
        }
    }

    fn next_transition(&self, report: &SectionReport, now: UnixMillis) -> Option<UnixMillis> {
        let at = report.observed_at? + report.stale_after();
        (at > now).then_some(at)
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// New state of a connection: pools, disks with serials, and whether disks could be read.
    Tell {
        connection: u8,
        pools: Vec<u8>,
        disks: Vec<(u8, u8)>,
        disks_read: bool,
    },
    Remove {
        connection: u8,
    },
    /// Lets so many messages through, and so many answers back.
    Carry {
        messages: u8,
        answers: u8,
    },
    /// The line breaks; what is on it is lost.
    Break,
    /// kill -9 of the registry; `lost` batches were applied but not yet durable.
    KillRegistry {
        after_apply: bool,
    },
    KillCollector,
    Wait {
        seconds: u16,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let tell = (
        0..3_u8,
        prop::collection::vec(0..9_u8, 0..4),
        prop::collection::vec((0..6_u8, 0..4_u8), 0..5),
        any::<bool>(),
    )
        .prop_map(|(connection, pools, disks, disks_read)| Op::Tell {
            connection,
            pools,
            disks,
            disks_read,
        });
    let op = prop_oneof![
        6 => tell,
        1 => (0..3_u8).prop_map(|connection| Op::Remove { connection }),
        8 => (0..5_u8, 0..5_u8).prop_map(|(messages, answers)| Op::Carry { messages, answers }),
        1 => Just(Op::Break),
        1 => any::<bool>().prop_map(|after_apply| Op::KillRegistry { after_apply }),
        1 => Just(Op::KillCollector),
        1 => (0..400_u16).prop_map(|seconds| Op::Wait { seconds }),
    ];
    prop::collection::vec(op, 1..60)
}

fn connection(n: u8) -> ConnectionId {
    ConnectionId::parse(&format!("nas-{n}")).unwrap()
}

fn record(
    connection: &ConnectionId,
    kind: ResourceType,
    name: &str,
    section: &str,
    state: &str,
) -> IngestRecord {
    let host = format!("system:{connection}");
    let below = |kind: &str| SourceId::parse(&format!("{host}/{kind}:{name}")).unwrap();
    let (source_id, parent) = match kind {
        ResourceType::Host => (SourceId::parse(&host).unwrap(), None),
        ResourceType::PhysicalDisk => (below("disk"), Some(host)),
        _ => (below("pool"), Some(host)),
    };
    IngestRecord {
        source_id,
        parent_source_id: parent.map(|parent| SourceId::parse(&parent).unwrap()),
        resource_type: kind,
        name: name.to_owned(),
        section: SectionName::parse(section).unwrap(),
        state: state.to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: Vec::new(),
        incidents: Vec::new(),
        facets: Facets::default(),
    }
}

struct World {
    now: UnixMillis,
    start: Instant,
    epoch: u64,
    core: Core,
    newest: BTreeMap<ConnectionId, Option<Arc<Told>>>,
    state: State,
    store: Memory,
    /// What a watcher has built from changes alone.
    mirror: BTreeMap<ResourceId, Arc<Resource>>,
    revision: Revision,
    answers: VecDeque<Answer>,
    connected: bool,
}

impl World {
    fn new() -> Self {
        Self {
            now: UnixMillis::new(1_000_000_000_000),
            start: Instant::now(),
            epoch: 1,
            core: Core::new(Epoch(1), BTreeSet::new()),
            newest: BTreeMap::new(),
            state: State::new(Arc::new(Plain), Boundary::default()),
            store: Memory::default(),
            mirror: BTreeMap::new(),
            revision: Revision(0),
            answers: VecDeque::new(),
            connected: false,
        }
    }

    fn instant(&self) -> Instant {
        self.start + self.now.since(UnixMillis::new(1_000_000_000_000))
    }

    fn tell(&mut self, n: u8, pools: &[u8], disks: &[(u8, u8)], disks_read: bool) {
        let id = connection(n);
        let before = self.newest.get(&id).cloned().flatten();
        let mut records: BTreeMap<SourceId, IngestRecord> = BTreeMap::new();
        let mut add = |record: IngestRecord| records.insert(record.source_id.clone(), record);
        add(record(&id, ResourceType::Host, "host", "system", ""));
        for pool in pools {
            let state = "x".repeat(usize::from(pool % 4));
            add(record(&id, ResourceType::Storage, &format!("p{}", pool / 3), "pools", &state));
        }
        if disks_read {
            for (name, serial) in disks {
                let mut disk = record(&id, ResourceType::PhysicalDisk, &format!("d{name}"), "disks", "");
                disk.identity.machine_id = format!("SERIAL-{serial}");
                add(disk);
            }
        } else if let Some(before) = &before {
            // What could not be read is kept as it was known.
            for item in before.items().filter(|item| item.section.as_str() == "disks") {
                let record = IngestRecord::try_from(item.wire()).expect("it was a record");
                records.insert(item.source_id.clone(), record);
            }
        }
        let now = self.now;
        let report = |name: &str, read: bool| SectionReport {
            section: SectionName::parse(name).unwrap(),
            outcome: if read { SectionOutcome::Fresh } else { SectionOutcome::Failed },
            observed_at: read.then_some(now),
            since: None,
            interval: std::time::Duration::from_secs(10),
            error: if read { String::new() } else { "hangs".to_owned() },
        };
        let sections = vec![report("system", true), report("pools", true), report("disks", disks_read)];
        let status = ConnectionStatus {
            name: format!("NAS {n}"),
            state: ConnectionState::Live,
            reason: String::new(),
            since: None,
            labels: BTreeMap::new(),
        };
        let told = Arc::new(Told::new(
            records.into_values().collect(),
            sections,
            status,
            BTreeSet::new(),
            before.as_deref(),
        ));
        self.newest.insert(id.clone(), Some(Arc::clone(&told)));
        self.core.update(BTreeMap::from([(id, Update::State(told))]));
    }

    fn remove(&mut self, n: u8) {
        let id = connection(n);
        self.newest.insert(id.clone(), None);
        self.core.update(BTreeMap::from([(id, Update::Removed)]));
    }

    /// Another one after some starts: a collector may be renamed.
    fn collector(&self) -> CollectorId {
        CollectorId::parse(&format!("c{}", self.epoch / 2)).unwrap()
    }

    fn connect(&mut self) {
        self.answers.clear();
        let collector = self.collector();
        let cursor = |id: &ConnectionId| Some((id.clone(), self.state.cursor(id, &collector)?.clone()));
        let cursors = self.core.connections().filter_map(cursor);
        let cursors = cursors.map(|(id, cursor)| pb::ConnectionCursor {
            connection: id.to_string(),
            epoch: cursor.epoch.0,
            sequence: cursor.sequence.0,
            digest: cursor.digest.map(|digest| digest.0.to_vec().into()).unwrap_or_default(),
        });
        // Small batches, so that snapshots come in chunks.
        let welcome = pb::Welcome {
            cursors: cursors.collect(),
            max_batch_records: 2,
            max_batch_bytes: 1_000_000,
            max_unacked_batches: 2,
            ..pb::Welcome::default()
        };
        let notices = self.core.welcomed(&welcome, self.instant());
        assert!(notices.is_empty(), "{notices:?}");
        self.connected = true;
    }

    /// One message to the registry: applied and durable, then answered.
    fn carry(&mut self, durable: bool) -> bool {
        if !self.connected {
            self.connect();
        }
        let Some(message) = self.core.poll(self.instant()) else { return false };
        let collector = self.collector();
        let input = match message {
            pb::ingest_request::Message::Batch(batch) => {
                let batch = served::Batch::decode(batch.encode_to_vec().as_slice()).unwrap();
                decode::batch(batch, &collector, Limits::default(), &mut Recall::default())
            }
            pb::ingest_request::Message::Heartbeat(heartbeat) => decode::heartbeat(heartbeat, &collector),
            pb::ingest_request::Message::ConnectionRemoval(removal) => decode::removal(&removal, &collector),
            pb::ingest_request::Message::Hello(_) => panic!("the core sends no Hello"),
        };
        let applied = self.state.apply(input.expect("what the core sends is well formed"), self.now);
        if durable {
            self.store.commit(self.state.view().revision, &applied.writes).unwrap();
            if let Some(changes) = applied.changes {
                self.follow(&changes);
            }
            self.answers.extend(applied.answers);
        }
        true
    }

    /// What a watcher does with a revision.
    fn follow(&mut self, changes: &pulse_registry::state::Changes) {
        assert_eq!(changes.revision, self.revision.next(), "revisions are gapless");
        self.revision = changes.revision;
        for change in &changes.items {
            match change {
                Change::Added(after) => {
                    assert!(self.mirror.insert(after.id, Arc::clone(after)).is_none(), "added twice");
                }
                Change::Changed { before, after } => {
                    assert_eq!(self.mirror.insert(after.id, Arc::clone(after)).as_ref(), Some(before));
                    assert_ne!(before, after);
                }
                Change::Removed(before) => assert_eq!(self.mirror.remove(&before.id).as_ref(), Some(before)),
            }
        }
        self.compare_with_view();
    }

    fn compare_with_view(&self) {
        let view: BTreeMap<_, _> =
            self.state.view().iter().map(|(_, resource)| (resource.id, Arc::clone(resource))).collect();
        assert_eq!(view, self.mirror, "a watcher sees what a reader sees");
        assert_eq!(self.state.view().revision, self.revision);
        for (shard, _) in self.state.view().iter() {
            assert!(shard.resources.is_sorted_by(|a, b| a.id < b.id));
        }
    }

    fn answer(&mut self) -> bool {
        let Some(answer) = self.answers.pop_front() else { return false };
        let message = match answer {
            Answer::Ack { connection, epoch, sequence, revision } => {
                pb::ingest_response::Message::Ack(pb::Ack {
                    connection: connection.to_string(),
                    epoch: epoch.0,
                    sequence: sequence.0,
                    revision: revision.0,
                })
            }
            Answer::Resync { connection, reason } => pb::ingest_response::Message::Resync(pb::Resync {
                connection: connection.to_string(),
                reason: reason.to_owned(),
            }),
            // A new collector may meet what the old one had sent last; nothing else is refused.
            other @ Answer::Reject { .. } => panic!("refused: {other:?}"),
        };
        let notices = self.core.received(message, self.instant());
        drop(notices);
        true
    }

    fn kill_registry(&mut self) {
        let loaded = self.store.load().unwrap();
        assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
        self.state = State::restore(
            (Arc::new(Plain), Boundary::default()),
            loaded.revision,
            loaded.connections,
            loaded.links,
            (loaded.remembered, Retention::default()),
            self.now,
        );
        self.compare_with_view();
        self.break_line();
    }

    fn kill_collector(&mut self) {
        self.epoch += 1;
        self.core = Core::new(Epoch(self.epoch), (1..self.epoch).collect());
        let all = self.newest.iter().map(|(id, newest)| {
            let update = newest.as_ref().map_or(Update::Removed, |told| Update::State(Arc::clone(told)));
            (id.clone(), update)
        });
        let all = all.collect();
        self.core.update(all);
        self.break_line();
    }

    fn break_line(&mut self) {
        self.answers.clear();
        self.core.disconnected();
        self.connected = false;
    }

    fn wait(&mut self, seconds: u16) {
        self.now = self.now + std::time::Duration::from_secs(u64::from(seconds));
        while let Some(applied) = self.state.tick(self.now) {
            self.store.commit(self.state.view().revision, &applied.writes).unwrap();
            if let Some(changes) = applied.changes {
                self.follow(&changes);
            }
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Tell { connection, pools, disks, disks_read } => {
                self.tell(*connection, pools, disks, *disks_read);
            }
            Op::Remove { connection } => self.remove(*connection),
            Op::Carry { messages, answers } => {
                for _ in 0..*messages {
                    self.carry(true);
                }
                for _ in 0..*answers {
                    self.answer();
                }
            }
            Op::Break => self.break_line(),
            Op::KillRegistry { after_apply } => {
                if *after_apply {
                    self.carry(false);
                }
                self.kill_registry();
            }
            Op::KillCollector => self.kill_collector(),
            Op::Wait { seconds } => self.wait(*seconds),
        }
    }

    /// Everything is carried both ways until nothing is left to say.
    fn settle(&mut self) {
        self.break_line();
        for _ in 0..1_000 {
            let sent = self.carry(true);
            let answered = self.answer();
            if !sent && !answered {
                break;
            }
        }
        assert!(self.core.is_settled(), "nothing is left to send");
        for (id, newest) in &self.newest {
            let shard = self.state.view().shard(id);
            let Some(newest) = newest else {
                assert!(shard.is_none(), "{id} was removed");
                continue;
            };
            let shard = shard.expect("a connection that was told");
            let mut held: BTreeMap<_, _> =
                shard.resources.iter().map(|r| (r.document.source_id.clone(), &r.document)).collect();
            for item in newest.items() {
                let told = IngestRecord::try_from(item.wire()).expect("it was a record");
                let held = held.remove(&item.source_id).expect("a record that was told");
                assert_eq!(held.record().expect("a record"), told);
            }
            let disks = &newest.sections[&SectionName::parse("disks").unwrap()];
            for left in held.values() {
                assert_eq!(left.section.as_str(), "disks", "only what could not be read again is kept");
                assert!(!disks.outcome.is_complete());
            }
            for resource in shard.resources.iter() {
                let parent = resource.parent.as_ref().map(|parent| parent.id);
                let host = shard.resources.iter().find(|r| r.resource_type() == ResourceType::Host);
                if resource.resource_type() != ResourceType::Host {
                    assert_eq!(parent, host.map(|host| host.id));
                }
            }
        }
        self.check_disk_ids();
    }

    /// A serial identifies a disk exactly when one disk has it.
    fn check_disk_ids(&self) {
        let disks = self.state.view().iter().map(|(_, r)| r);
        let disks: Vec<_> = disks.filter(|r| r.resource_type() == ResourceType::PhysicalDisk).collect();
        for disk in &disks {
            let serial = |disk: &Resource| disk.document.record().expect("a record").identity.machine_id;
            let sharers = disks.iter().filter(|other| serial(other) == serial(disk)).count();
            let scoped = pulse_registry::state::id::scoped(
                disk.source,
                ResourceType::PhysicalDisk,
                &disk.document.source_id,
            );
            assert_eq!(disk.id == scoped, sharers > 1, "{} {sharers}", serial(disk));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_registry_ends_with_the_newest_state(ops in ops()) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
        }
        world.settle();
    }
}
