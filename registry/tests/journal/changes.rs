//! Rows told by what differs: whatever is told, cut off, refused by the disk or
//! put into a checkpoint, what is read back is what whole rows would have been.

use std::cell::Cell;
use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use prost::Message as _;
use pulse_proto::model::{CollectorId, Revision, UnixMillis};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::resource::v1 as wire;
use pulse_proto::served::registry::v1 as served;
use pulse_registry::health::Tables;
use pulse_registry::ingest::{Limits, Recall, decode};
use pulse_registry::state::{Boundary, KeptConnection, Publisher, Remembered, Retention, State, Write, feed};
use pulse_registry::store::Store as _;
use pulse_registry::store::journal::{Journal, Options, restore, save};
use pulse_registry::store::memory::Memory;

use crate::faulty::{Faulty, Step};
use crate::rows::{after, commit, files, id, last_segment, reopened};

const CASES: u32 = 300;
const RECORDS: u8 = 3;

#[derive(Clone, Debug)]
enum Op {
    Tell {
        numbers: [u64; 3],
        text: u8,
        /// All of it once more in the same batch, with this number.
        again: Option<u64>,
        /// The commit is shared with what comes next.
        waits: bool,
    },
    Remove(u8),
    RemoveAll,
    Checkpoint,
    Restart,
    /// The next commit fails at this step.
    Fail(usize),
    /// A crash, with so much of the last commit on disk.
    Tear(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    let number = || prop_oneof![3 => 1_u64..1_000, 1 => any::<u64>()];
    let tell = (
        prop::array::uniform3(number()),
        prop_oneof![9 => Just(0_u8), 1 => Just(1)],
        prop::option::weighted(0.2, number()),
        prop::bool::weighted(0.3),
    );
    prop_oneof![
        12 => tell.prop_map(|(numbers, text, again, waits)| Op::Tell { numbers, text, again, waits }),
        1 => (0..RECORDS).prop_map(Op::Remove),
        1 => Just(Op::RemoveAll),
        2 => Just(Op::Checkpoint),
        2 => Just(Op::Restart),
        2 => (0..3_usize).prop_map(Op::Fail),
        2 => any::<prop::sample::Index>().prop_map(Op::Tear),
    ]
}

fn collector() -> CollectorId {
    CollectorId::parse("c").unwrap()
}

fn source_id(of: u8) -> String {
    format!("system:nas/pool:{of}")
}

fn record(of: u8, [a, b, c]: [u64; 3], text: u8) -> wire::IngestRecord {
    let pool = wire::ZfsPool {
        name: "a name that is longer than what differs".to_owned(),
        guid: "and a guid, for a difference to be worth it".to_owned(),
        allocated_bytes: Some(c),
        ..wire::ZfsPool::default()
    };
    wire::IngestRecord {
        source_id: source_id(of),
        r#type: wire::ResourceType::Storage.into(),
        name: format!("pool {of} {text}"),
        section: "pools".to_owned(),
        state: "ONLINE".to_owned(),
        capacity: Some(wire::Capacity { used_bytes: Some(a), total_bytes: Some(b), ..Default::default() }),
        storage: Some(wire::StorageFacet {
            topology: wire::StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            zfs: Some(wire::storage_facet::Zfs::ZfsPool(pool)),
            ..wire::StorageFacet::default()
        }),
        ..wire::IngestRecord::default()
    }
}

struct Registry {
    folder: tempfile::TempDir,
    disk: Arc<Faulty>,
    journal: Option<Journal>,
    state: State,
    publisher: Publisher,
    recall: Recall,
    /// Applied and not committed.
    pending: Vec<Write>,
    /// What is durable, of whole rows; and what was before the last commit.
    whole: Memory,
    before: Vec<KeptConnection>,
    /// Where the last commit begins, if its segment is the last one.
    begins: Option<u64>,
    changes: usize,
}

fn restored(rows: Vec<KeptConnection>, journal: &Journal) -> (State, Publisher, Recall) {
    let revision = journal.load().unwrap().revision;
    let (judge, past) = (Arc::new(Tables::default()), (Remembered::default(), Retention::default()));
    let due = UnixMillis::new(u64::MAX >> 1);
    let state = State::restore((judge, Boundary::default()), revision, rows, Vec::new(), past, due);
    let (publisher, feed) = feed::channel(state.view().clone());
    (state, publisher, Recall::new(feed))
}

impl Registry {
    fn new() -> Self {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Arc::new(Faulty::default()));
        let options = Options { checkpoint_bytes_min: 0 };
        let journal = Journal::open_with(folder.path(), "registry", disk.clone(), options).unwrap();
        let (state, publisher, recall) = restored(Vec::new(), &journal);
        Self {
            folder,
            disk,
            journal: Some(journal),
            state,
            publisher,
            recall,
            pending: Vec::new(),
            whole: Memory::default(),
            before: Vec::new(),
            begins: None,
            changes: 0,
        }
    }

    fn durable(&self) -> Vec<KeptConnection> {
        self.whole.load().unwrap().connections
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    /// All that was not committed is forgotten.
    fn reload(&mut self) -> Result<(), TestCaseError> {
        let loaded = self.journal().load().unwrap();
        prop_assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
        prop_assert_eq!(&loaded.connections, &self.durable());
        self.pending.clear();
        (self.state, self.publisher, self.recall) = restored(loaded.connections, self.journal());
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), TestCaseError> {
        self.journal = None;
        let options = Options { checkpoint_bytes_min: 0 };
        let opened = Journal::open_with(self.folder.path(), "registry", self.disk.clone(), options);
        self.journal = Some(opened.unwrap());
        self.begins = None;
        self.reload()
    }

    fn apply(&mut self, batch: pb::Batch) {
        let cursor = self.state.cursor(&id("nas"), &collector());
        let sequence = cursor.map_or(1, |cursor| cursor.sequence.0 + 1);
        let batch = pb::Batch {
            connection: "nas".to_owned(),
            epoch: 1,
            sequence,
            source: wire::DataSource::Truenas.into(),
            sections: vec![wire::SectionReport {
                section: "pools".to_owned(),
                outcome: wire::SectionOutcome::Fresh.into(),
                observed_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
                interval: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
                ..wire::SectionReport::default()
            }],
            ..batch
        };
        let batch = served::Batch::decode(Bytes::from(batch.encode_to_vec())).unwrap();
        let input = decode::batch(batch, &collector(), Limits::default(), &mut self.recall).unwrap();
        self.pending.extend(self.state.apply(input, UnixMillis::new(1_000 + sequence)).writes);
    }

    /// `false`: the disk did not take it.
    fn commit(&mut self) -> bool {
        let at = |folder: &tempfile::TempDir| {
            let path = last_segment(folder.path());
            (path.clone(), std::fs::metadata(path).unwrap().len())
        };
        let (path, begins) = at(&self.folder);
        let revision = self.state.view().revision;
        let writes = std::mem::take(&mut self.pending);
        if self.journal().commit(revision, &writes).is_err() {
            return false;
        }
        self.begins = (at(&self.folder).0 == path).then_some(begins);
        self.changes += writes.iter().filter(|write| matches!(write, Write::Change(..))).count();
        self.before = self.durable();
        self.whole.commit(revision, &writes).unwrap();
        self.publisher.publish(Arc::new(self.state.view().clone()), None);
        true
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::Tell { numbers, text, again, waits } => {
                let once = (0..RECORDS).map(|of| record(of, *numbers, *text));
                let again =
                    again.iter().flat_map(|n| (0..RECORDS).map(|of| record(of, [*n, numbers[1], *n], *text)));
                self.apply(pb::Batch { upserts: once.chain(again).collect(), ..pb::Batch::default() });
                if !waits {
                    prop_assert!(self.commit());
                }
            }
            Op::Remove(of) => {
                self.apply(pb::Batch { removals: vec![source_id(*of)], ..pb::Batch::default() });
            }
            Op::RemoveAll => {
                let (connection, sequence) = (id("nas"), self.state.cursor(&id("nas"), &collector()));
                let Some(sequence) = sequence.map(|cursor| cursor.sequence.0 + 1) else { return Ok(()) };
                self.pending.push(Write::RemoveRecords(connection));
                let begin = pb::Batch {
                    snapshot_begin: true,
                    snapshot_end: true,
                    upserts: vec![record(0, [sequence; 3], 0)],
                    ..pb::Batch::default()
                };
                // What is held is written anew, as after a removal.
                self.state = State::new(Arc::new(Tables::default()), Boundary::default());
                let (publisher, feed) = feed::channel(self.state.view().clone());
                (self.publisher, self.recall) = (publisher, Recall::new(feed));
                self.apply(begin);
                prop_assert!(self.commit());
            }
            Op::Checkpoint => {
                prop_assert!(self.commit());
                let (_, mut rows) = self.state.snapshot().rows();
                if let Some(ticket) = self.journal().begin_checkpoint().unwrap() {
                    self.begins = None;
                    self.journal().finish_checkpoint(ticket, &mut std::iter::empty(), &mut rows).unwrap();
                }
            }
            Op::Restart => self.reopen()?,
            Op::Fail(step) => {
                self.disk.fail_nth(*step, ErrorKind::Other);
                let is_done = self.commit();
                self.disk.heal();
                if !is_done {
                    self.begins = None;
                    self.journal().recover().unwrap();
                    self.reload()?;
                }
            }
            Op::Tear(at) => {
                let Some(begins) = self.begins.take() else { return Ok(()) };
                self.journal = None;
                let path = last_segment(self.folder.path());
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                let left = usize::try_from(file.metadata().unwrap().len() - begins).unwrap();
                file.set_len(begins + at.index(left) as u64).unwrap();
                self.whole = Memory::default();
                let whole = self.before.iter().flat_map(|(id, row, rows)| {
                    let rows = rows.iter().map(|row| Write::Row(id.clone(), row.clone()));
                    std::iter::once(Write::Connection(id.clone(), Box::new(row.clone()))).chain(rows)
                });
                let whole: Vec<Write> = whole.collect();
                self.whole.commit(self.state.view().revision, &whole).unwrap();
                self.reopen()?;
            }
        }
        Ok(())
    }
}

#[test]
fn what_is_read_back_is_what_whole_rows_would_have_been() {
    let changes = Cell::new(0);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
    let played = TestRunner::new(config).run(&prop::collection::vec(op(), 1..30), |ops| {
        let mut registry = Registry::new();
        for op in &ops {
            registry.run(op)?;
        }
        prop_assert!(registry.commit());
        registry.reopen()?;
        changes.set(changes.get() + registry.changes);
        Ok(())
    });
    played.unwrap();
    assert!(changes.get() > 1_000, "{} changes are too few to say anything", changes.get());
}

/// As an earlier release left it: no file has changes, and each says so.
fn to_the_first_format(data_dir: &std::path::Path) {
    for path in files(data_dir, "").into_iter().filter(|path| !path.ends_with("LOCK")) {
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8..12].copy_from_slice(&1_u32.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..124]);
        bytes[124..128].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(&path, bytes).unwrap();
    }
}

fn formats(data_dir: &std::path::Path) -> Vec<u32> {
    let read = |path| u32::from_be_bytes(std::fs::read(path).unwrap()[8..12].try_into().unwrap());
    files(data_dir, "segment-").into_iter().map(read).collect()
}

#[test]
fn a_journal_of_the_first_format_goes_on_in_a_segment_that_older_releases_refuse() {
    let folder = tempfile::tempdir().unwrap();
    commit(&crate::rows::open(folder.path()), 1);
    to_the_first_format(folder.path());
    assert_eq!(formats(folder.path()), [1]);
    let store = crate::rows::open(folder.path());
    assert_eq!(formats(folder.path()), [1, 2], "before a change can come");
    commit(&store, 2);
    drop(store);
    commit(&crate::rows::open(folder.path()), 3);
    assert_eq!(formats(folder.path()), [1, 2], "once");
    assert_eq!(reopened(folder.path()), after(3));

    // The same where the disk is full at first.
    let folder = tempfile::tempdir().unwrap();
    commit(&crate::rows::open(folder.path()), 1);
    to_the_first_format(folder.path());
    let disk = Arc::new(Faulty::default());
    disk.before(|step| matches!(step, Step::Create(_)).then_some(ErrorKind::StorageFull));
    let store = Journal::open_with(folder.path(), "registry", disk.clone(), Options::default()).unwrap();
    store.commit(Revision(2), &[]).unwrap_err();
    assert_eq!(formats(folder.path()), [1]);
    disk.heal();
    commit(&store, 2);
    assert_eq!(formats(folder.path()), [1, 2]);
    drop(store);
    assert_eq!(reopened(folder.path()), after(2));
}

#[test]
fn a_backup_of_a_journal_that_began_in_the_first_format_is_one_of_this() {
    let folder = tempfile::tempdir().unwrap();
    commit(&crate::rows::open(folder.path()), 1);
    to_the_first_format(folder.path());
    let file = folder.path().join("backup");
    save(folder.path(), &file).unwrap();
    assert_eq!(std::fs::read(&file).unwrap()[8..12], 2_u32.to_be_bytes());
    // ... and one of that format can be restored.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8..12].copy_from_slice(&1_u32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&file, bytes).unwrap();
    let other = tempfile::tempdir().unwrap();
    restore(other.path(), &file, "new", false).unwrap();
    commit(&crate::rows::open(other.path()), 2);
    assert_eq!((reopened(other.path()), formats(other.path())), (after(2), vec![1, 2]));
}
