//! Whether a record is known by its bytes, compared with what is held, or decoded: what is answered, kept, told and
//! shown is the same.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use prost::Message as _;
use pulse_proto::model::{CollectorId, ConnectionId, DataSource, SourceId, UnixMillis};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::resource::v1 as wire;
use pulse_proto::served::registry::v1 as served;
use pulse_registry::health::Tables;
use pulse_registry::ingest::{Limits, Recall, decode};
use pulse_registry::state::view::profile::Profile;
use pulse_registry::state::view::tally::Tallies;
use pulse_registry::state::{
    Answer, Applied, Boundary, Changes, Input, KeptConnection, Link, Pair, Publisher, RecordRow, Remembered,
    Resource, Retention, Stand, State, Write, feed,
};
use pulse_registry::store::Store as _;
use pulse_registry::store::journal::Journal;
use pulse_registry::store::memory::Memory;
use wire::RecordPart as Part;

const CASES: u32 = 400;
const NAS: usize = 0;
const CONNECTIONS: [(&str, DataSource); 2] = [("nas", DataSource::Truenas), ("agents", DataSource::Agent)];
const SECTIONS: [&str; 3] = ["system", "pools", "disks"];
const PARTS: [Part; 8] = [
    Part::Incidents,
    Part::UsableCapacity,
    Part::PoolMembership,
    Part::ReplicationTarget,
    Part::Interfaces,
    Part::Temperature,
    Part::ScrubSchedule,
    Part::Snapshots,
];

/// What there is at a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Host,
    Pool,
    Dataset,
    Disk(u8),
}

#[derive(Clone, Debug)]
enum Op {
    /// Something is or becomes so at the source, which tells of it later.
    Is {
        at: usize,
        what: What,
        text: u8,
        number: u8,
    },
    Goes {
        at: usize,
        what: What,
    },
    Tell(Telling),
    Say(Stand),
    Restart,
}

#[derive(Clone, Debug)]
struct Telling {
    at: usize,
    begin: bool,
    end: bool,
    /// The sender does not tell these parts.
    kept: Vec<Part>,
    /// The section that failed: what is known of it is told again, or nothing.
    failed: Option<(usize, bool)>,
    /// Everything is told once more in the same batch, with this number.
    again: Option<u8>,
    /// Decoded before what follows is, and applied after that was decoded.
    waits: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let at = || 0..CONNECTIONS.len();
    let what = || {
        prop_oneof![Just(What::Host), Just(What::Pool), Just(What::Dataset), (0..2_u8).prop_map(What::Disk)]
    };
    let telling = (
        at(),
        prop_oneof![6 => Just((true, true)), 2 => Just((false, false)), 1 => Just((true, false)), 1 => Just((false, true))],
        prop_oneof![Just(Vec::new()), prop::sample::subsequence(PARTS.to_vec(), 1..PARTS.len())],
        prop::option::weighted(0.3, (0..SECTIONS.len(), any::<bool>())),
        prop::option::weighted(0.2, 0..3_u8),
        prop::bool::weighted(0.3),
    );
    let telling = telling.prop_map(|(at, (begin, end), kept, failed, again, waits)| {
        Op::Tell(Telling { at, begin, end, kept, failed, again, waits })
    });
    let is = (at(), what(), 0..2_u8, 0..3_u8);
    prop_oneof![
        8 => is.prop_map(|(at, what, text, number)| Op::Is { at, what, text, number }),
        1 => (at(), what()).prop_map(|(at, what)| Op::Goes { at, what }),
        12 => telling,
        1 => prop_oneof![Just(Stand::Same), Just(Stand::Different)].prop_map(Op::Say),
        1 => Just(Op::Restart),
    ]
}

fn source_id(at: usize, what: What) -> String {
    let root = if at == NAS { "system:nas" } else { "host-1" };
    match what {
        What::Host => root.to_owned(),
        What::Pool => format!("{root}/pool:tank"),
        What::Dataset => format!("{root}/dataset:tank"),
        What::Disk(n) => format!("{root}/disk:{n}"),
    }
}

/// As its source tells it, but for parts that it does not know.
fn record(at: usize, what: What, (text, number): (u8, u8), kept: &[Part]) -> wire::IngestRecord {
    let knows = |part| !kept.contains(&part);
    let bytes = u64::from(number) << 30;
    let section = match what {
        What::Host => 0,
        What::Pool | What::Dataset => 1,
        What::Disk(_) => 2,
    };
    let parent = match what {
        What::Host => String::new(),
        What::Disk(_) if at == NAS && knows(Part::PoolMembership) => source_id(at, What::Pool),
        _ => source_id(at, What::Host),
    };
    let state = if text == 0 { "ONLINE" } else { "DEGRADED" };
    let mut record = wire::IngestRecord {
        source_id: source_id(at, what),
        parent_source_id: parent,
        name: format!("{what:?}, and a text that is longer than what differs"),
        section: SECTIONS[section].to_owned(),
        ..wire::IngestRecord::default()
    };
    let storage = |topology: wire::StorageTopology, kind: &str, zfs| wire::StorageFacet {
        topology: topology.into(),
        r#type: kind.to_owned(),
        zfs: Some(zfs),
        ..wire::StorageFacet::default()
    };
    let incident = wire::Incident {
        provider: "truenas".to_owned(),
        native_id: "a".to_owned(),
        klass: "Klass".to_owned(),
        level: wire::AlertLevel::Warning.into(),
        ..wire::Incident::default()
    };
    if text == 1 && knows(Part::Incidents) {
        record.incidents.push(incident);
    }
    match what {
        What::Host => {
            record.r#type = wire::ResourceType::Host.into();
            let interfaces =
                vec![wire::NetworkInterface { name: "eno1".to_owned(), ..wire::NetworkInterface::default() }];
            let is_known = knows(Part::Interfaces);
            record.identity = Some(wire::Identity {
                hostnames: vec!["machine".to_owned()],
                // Of one machine where the numbers are the same.
                mac_addresses: if is_known { vec![format!("3c:ec:ef:00:11:2{text}")] } else { Vec::new() },
                ..wire::Identity::default()
            });
            record.agent = Some(wire::AgentFacet {
                memory_total_bytes: Some(bytes),
                interfaces: if is_known { interfaces } else { Vec::new() },
                ..wire::AgentFacet::default()
            });
        }
        What::Pool => {
            record.r#type = wire::ResourceType::Storage.into();
            state.clone_into(&mut record.state);
            let usable = knows(Part::UsableCapacity).then_some(bytes);
            record.capacity = Some(wire::Capacity {
                used_bytes: usable,
                raw_used_bytes: Some(bytes),
                ..wire::Capacity::default()
            });
            let schedule =
                wire::ScrubSchedule { threshold_days: Some(number.into()), ..wire::ScrubSchedule::default() };
            let pool = wire::ZfsPool {
                allocated_bytes: Some(bytes),
                scrub_schedule: knows(Part::ScrubSchedule).then_some(schedule),
                ..wire::ZfsPool::default()
            };
            let zfs = wire::storage_facet::Zfs::ZfsPool(pool);
            record.storage = Some(storage(wire::StorageTopology::Pool, "zfs-pool", zfs));
        }
        What::Dataset => {
            record.r#type = wire::ResourceType::Storage.into();
            let dataset = wire::ZfsDataset {
                used_bytes: Some(bytes),
                replication_target: text == 1 && knows(Part::ReplicationTarget),
                snapshot_count: knows(Part::Snapshots).then_some(number.into()),
                ..wire::ZfsDataset::default()
            };
            let zfs = wire::storage_facet::Zfs::ZfsDataset(dataset);
            record.storage = Some(storage(wire::StorageTopology::Dataset, "zfs-dataset", zfs));
        }
        What::Disk(n) => {
            record.r#type = wire::ResourceType::PhysicalDisk.into();
            let mut disk = wire::PhysicalDiskFacet {
                name: format!("sd{n}"),
                serial: format!("WD-123456{n}{text}"),
                size_bytes: Some(bytes),
                temperature_celsius: knows(Part::Temperature).then_some(40.0 + 15.0 * f64::from(number)),
                ..wire::PhysicalDiskFacet::default()
            };
            if at == NAS && knows(Part::PoolMembership) {
                state.clone_into(&mut record.state);
                "tank".clone_into(&mut disk.pool);
                disk.read_errors = Some(number.into());
            }
            record.physical_disk = Some(disk);
        }
    }
    record
}

/// What was answered and what changed.
type Told = (Vec<Answer>, Option<Arc<Changes>>);

/// A registry that recalls, or one that decodes everything.
struct Side {
    recalls: bool,
    state: State,
    publisher: Publisher,
    recalled: [Recall; CONNECTIONS.len()],
    store: Memory,
    /// All that was written, in order.
    written: Vec<Write>,
    waiting: VecDeque<Input>,
}

impl Side {
    fn new(recalls: bool) -> Self {
        let state = State::new(Arc::new(Tables::default()), Boundary::default());
        Self::of(state, Memory::default(), recalls)
    }

    fn of(state: State, store: Memory, recalls: bool) -> Self {
        let (publisher, feed) = feed::channel(state.view().clone());
        let recall = || if recalls { Recall::new(feed.clone()) } else { Recall::default() };
        let recalled = [recall(), recall()];
        Self { recalls, recalled, state, publisher, store, written: Vec::new(), waiting: VecDeque::new() }
    }

    fn restart(&mut self) {
        let rows = self.kept().into_iter();
        let anew = |row: RecordRow| RecordRow { document: super::anew(&row.document), ..row };
        let rows =
            rows.map(|(id, row, records)| (id, row, records.into_iter().map(anew).collect())).collect();
        let links = self.state.view().links.iter().cloned().collect();
        let past = (Remembered::default(), Retention::default());
        let parts: (Arc<Tables>, Boundary) = Default::default();
        let due = UnixMillis::new(u64::MAX >> 1);
        let written = std::mem::take(&mut self.written);
        *self = Self::of(
            State::restore((parts.0, parts.1), self.state.view().revision, rows, links, past, due),
            std::mem::take(&mut self.store),
            self.recalls,
        );
        self.written = written;
    }

    /// What a journal makes of all that was written: the store in memory was told whole rows.
    fn read_back(&self) -> Vec<KeptConnection> {
        let folder = tempfile::tempdir().unwrap();
        let open = || Journal::open(folder.path(), "registry").unwrap();
        open().commit(self.state.view().revision, &self.written).unwrap();
        let loaded = open().load().unwrap();
        assert_eq!(loaded.damaged, Vec::<String>::new());
        loaded.connections
    }

    fn hear(&mut self, at: usize, batch: &[u8]) -> usize {
        let batch = served::Batch::decode(Bytes::copy_from_slice(batch)).unwrap();
        let collector = CollectorId::parse("c").unwrap();
        let input = decode::batch(batch, &collector, Limits::default(), &mut self.recalled[at]).unwrap();
        let Input::Batch(batch) = &input else { panic!("a batch") };
        let known = batch.upserts.iter().filter(|upsert| !upsert.is_decoded).count();
        self.waiting.push_back(input);
        known
    }

    fn apply_all(&mut self, now: UnixMillis) -> Vec<Told> {
        let waiting = std::mem::take(&mut self.waiting);
        let applied = waiting.into_iter().map(|input| {
            let applied = self.state.apply(input, now);
            self.tell(applied)
        });
        applied.collect()
    }

    fn tell(&mut self, Applied { answers, writes, changes }: Applied) -> Told {
        let view = self.state.view();
        self.store.commit(view.revision, &writes).unwrap();
        self.written.extend(writes);
        self.publisher.publish(Arc::new(view.clone()), changes.clone());
        (answers, changes)
    }

    fn kept(&self) -> Vec<KeptConnection> {
        self.store.load().unwrap().connections
    }

    fn say(&mut self, stand: Stand, now: UnixMillis) -> Option<Told> {
        let end = |at: usize| {
            let (connection, _) = CONNECTIONS[at];
            let id = SourceId::parse(&source_id(at, What::Host)).unwrap();
            (ConnectionId::parse(connection).unwrap(), id)
        };
        let link = Link {
            pair: Pair::of(end(0), end(1)),
            stand,
            reason: String::new(),
            who: "ops".to_owned(),
            at: now,
        };
        // Refused where it makes no sense: then nothing is said.
        let applied = self.state.link(link).ok()?;
        Some(self.tell(applied))
    }

    /// With what is counted of it, and found by.
    fn shown(&self) -> (Vec<(Resource, Profile)>, Tallies) {
        let view = self.state.view();
        let rows = view.shards().flat_map(|shard| {
            let rows = &shard.resources;
            rows.iter().enumerate().map(|(row, resource)| (Resource::clone(resource), rows.profile(row)))
        });
        (rows.collect(), view.tallies().clone())
    }
}

/// How often what matters came about, over all cases.
#[derive(Default)]
struct Seen {
    known_beside_kept: Cell<usize>,
    known_of_merged: Cell<usize>,
    changes: Cell<usize>,
}

fn add(to: &Cell<usize>, what: usize) {
    to.set(to.get() + what);
}

fn play(ops: &[Op], seen: &Seen) -> Result<(), TestCaseError> {
    let (mut recalling, mut decoding) = (Side::new(true), Side::new(false));
    let mut there: [BTreeMap<What, (u8, u8)>; CONNECTIONS.len()] = Default::default();
    let mut sequences = [0; CONNECTIONS.len()];
    for (step, op) in ops.iter().enumerate() {
        let now = UnixMillis::new(10_000 + step as u64);
        let mut waits = false;
        match op {
            Op::Is { at, what, text, number } => {
                there[*at].insert(*what, (*text, *number));
                continue;
            }
            Op::Goes { at, what } => {
                there[*at].remove(what);
                continue;
            }
            Op::Tell(telling) => {
                let at = telling.at;
                sequences[at] += 1;
                let batch = batch(telling, &there[at], sequences[at]).encode_to_vec();
                let known = recalling.hear(at, &batch);
                prop_assert_eq!(decoding.hear(at, &batch), 0);
                if !telling.kept.is_empty() {
                    add(&seen.known_beside_kept, known);
                }
                if recalling.state.view().iter().any(|(_, resource)| resource.parts().is_some()) {
                    add(&seen.known_of_merged, known);
                }
                waits = telling.waits;
            }
            Op::Say(stand) => {
                prop_assert_eq!(recalling.say(*stand, now), decoding.say(*stand, now));
            }
            Op::Restart => {
                recalling.restart();
                decoding.restart();
                continue;
            }
        }
        if !waits {
            prop_assert_eq!(recalling.apply_all(now), decoding.apply_all(now), "after {:?}", op);
        }
        prop_assert_eq!(recalling.shown(), decoding.shown(), "after {:?}", op);
        prop_assert_eq!(recalling.kept(), decoding.kept(), "after {:?}", op);
    }
    add(&seen.changes, recalling.written.iter().filter(|write| matches!(write, Write::Change(..))).count());
    prop_assert_eq!(recalling.read_back(), recalling.kept());
    Ok(())
}

fn batch(telling: &Telling, there: &BTreeMap<What, (u8, u8)>, sequence: u64) -> pb::Batch {
    let Telling { at, begin, end, kept, failed, again, .. } = telling;
    let (connection, source) = CONNECTIONS[*at];
    let once = there.iter().map(|(what, values)| record(*at, *what, *values, kept));
    let again = again.iter().flat_map(|number| {
        there.iter().map(move |(what, (text, _))| record(*at, *what, (*text, *number), kept))
    });
    let is_told = |record: &wire::IngestRecord| match failed {
        Some((section, is_told)) => *is_told || record.section != SECTIONS[*section],
        None => true,
    };
    let report = |(at, section): (usize, &str)| {
        let has_failed = failed.is_some_and(|(section, _)| section == at);
        let outcome = if has_failed { wire::SectionOutcome::Failed } else { wire::SectionOutcome::Fresh };
        wire::SectionReport {
            section: section.to_owned(),
            outcome: outcome.into(),
            observed_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            interval: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            error: if has_failed { "it hangs".to_owned() } else { String::new() },
            ..wire::SectionReport::default()
        }
    };
    pb::Batch {
        connection: connection.to_owned(),
        epoch: 1,
        sequence,
        source: source.to_wire(),
        snapshot_begin: *begin,
        snapshot_end: *end,
        upserts: once.chain(again).filter(is_told).collect(),
        sections: SECTIONS.into_iter().enumerate().map(report).collect(),
        kept_parts: kept.iter().map(|part| (*part).into()).collect(),
        ..pb::Batch::default()
    }
}

#[test]
fn what_is_recalled_is_as_if_it_had_been_decoded() {
    let seen = Seen::default();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
    let played = TestRunner::new(config).run(&prop::collection::vec(op(), 1..60), |ops| play(&ops, &seen));
    played.unwrap();
    let Seen { known_beside_kept, known_of_merged, changes } = seen;
    let (kept, merged) = (known_beside_kept.get(), known_of_merged.get());
    // Some 140 of them, give or take 20.
    assert!(changes.get() > 40, "{} rows told by what differs", changes.get());
    assert!(kept > 300 && merged > 300, "{kept} beside kept parts and {merged} beside merged records");
}
