//! The writer on a journal whose disk fails: nothing is acknowledged that is
//! not durable, and afterwards all goes on.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{CollectorId, DataSource, Epoch, Revision, Sequence, UnixMillis};
use pulse_registry::clock::Clock;
use pulse_registry::health::Tables;
use pulse_registry::ingest::writer::{Closed, Outcome, StreamId};
use pulse_registry::ingest::{Handle, Observer, Writer};
use pulse_registry::state::{Answer, Batch, Boundary, Feed, Input, RejectReason, Retention, State, feed};
use pulse_registry::store::Store;
use pulse_registry::store::journal::{Journal, Options};
use tokio::sync::{OnceCell, mpsc};

use crate::faulty::{Faulty, Step};
use crate::rows::{after, files, held, id, record, reopened};

/// Tells of checkpoints.
struct Telling(mpsc::UnboundedSender<Result<(), String>>);

impl Observer for Telling {
    fn committed(&self, _took: Duration, _batches: usize, _rows: usize) {}
    fn failed(&self, _error: &str) {}
    fn answered(&self, _answers: &[Answer]) {}
    fn published(&self, _revision: Revision, _changes: usize) {}

    fn checkpointed(&self, _took: Duration) {
        drop(self.0.send(Ok(())));
    }

    fn checkpoint_failed(&self, error: &str) {
        drop(self.0.send(Err(error.to_owned())));
    }
}

pub(crate) struct Running {
    pub(crate) handle: Handle,
    /// The one batches go over.
    stream: OnceCell<StreamId>,
    pub(crate) feed: Feed,
    task: tokio::task::JoinHandle<()>,
    checkpoints: mpsc::UnboundedReceiver<Result<(), String>>,
}

pub(crate) fn start(data_dir: &Path, disk: Arc<Faulty>, options: Options) -> Running {
    let store: Arc<dyn Store> = Arc::new(Journal::open_with(data_dir, "registry", disk, options).unwrap());
    let judge = Arc::new(Tables::default());
    let loaded = store.load().unwrap();
    let state = State::restore(
        (judge.clone(), Boundary::default()),
        loaded.revision,
        loaded.connections,
        loaded.links,
        (loaded.remembered, Retention::default()),
        UnixMillis::new(0),
    );
    let (publisher, feed) = feed::channel(state.view().clone());
    let (tell, checkpoints) = mpsc::unbounded_channel();
    let observer = Arc::new(Telling(tell));
    let (writer, handle) = Writer::new(state, judge, store, publisher, Clock::default(), observer);
    Running { handle, stream: OnceCell::new(), feed, task: tokio::spawn(writer.run()), checkpoints }
}

fn batch(sequence: u64) -> Input {
    Input::Batch(Box::new(Batch {
        collector: CollectorId::parse("c").unwrap(),
        connection: id("nas"),
        epoch: Epoch(1),
        sequence: Sequence(sequence),
        source: DataSource::Truenas,
        snapshot_begin: false,
        snapshot_end: false,
        upserts: vec![record("nas", &format!("p{sequence}")).into()],
        removals: Vec::new(),
        sections: None,
        status: None,
        digest: None,
        base: None,
        kept: BTreeSet::new(),
        refused: Vec::new(),
    }))
}

impl Running {
    async fn open(&self) -> Result<StreamId, Closed> {
        let collector = CollectorId::parse("c").unwrap();
        self.handle
            .open(&collector, vec![id("nas")], std::collections::BTreeMap::new())
            .await
            .map(|(stream, _)| stream)
    }

    async fn submit(&self, sequence: u64) -> Vec<Answer> {
        let stream = self.stream.get_or_init(async || self.open().await.unwrap()).await;
        let (reply, mut answers) = mpsc::channel(1);
        self.handle.submit(stream, batch(sequence), reply, self.handle.room(1).await.unwrap()).await.unwrap();
        match answers.recv().await.unwrap() {
            Outcome::Answered(answers) => answers,
            Outcome::Superseded => panic!("it is the newest stream"),
        }
    }

    pub(crate) async fn stop(self) {
        drop(self.handle);
        self.task.await.unwrap();
    }
}

fn is_acked(answers: &[Answer], at: u64) -> bool {
    matches!(answers, [Answer::Ack { revision, .. }] if *revision == Revision(at))
}

fn is_exhausted(answers: &[Answer]) -> bool {
    matches!(answers, [Answer::Reject { reason: RejectReason::Exhausted, .. }])
}

#[tokio::test]
async fn whatever_step_of_a_commit_fails_the_batch_is_refused_and_comes_again() {
    let failures = [
        (ErrorKind::StorageFull, 0, "a full disk"),
        (ErrorKind::Other, 0, "a short write"),
        (ErrorKind::Other, 1, "a failed sync"),
    ];
    for (kind, step, what) in failures {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Faulty::default());
        let running = start(folder.path(), disk.clone(), Options::default());
        assert!(is_acked(&running.submit(1).await, 1), "{what}");

        disk.fail_nth(step, kind);
        assert!(is_exhausted(&running.submit(2).await), "{what}");
        let view = running.feed.view();
        assert_eq!((view.len(), view.revision), (1, Revision(1)), "{what}: shown is what is durable");
        assert!(is_acked(&running.submit(2).await, 2), "{what}: it comes again, and revisions are gapless");
        assert!(is_acked(&running.submit(3).await, 3), "{what}");
        assert_eq!(running.feed.after(Revision(0), 9).unwrap().len(), 3);
        running.stop().await;
        assert_eq!(reopened(folder.path()), after(3), "{what}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_until_there_is_space_and_readers_notice_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let mut running = start(folder.path(), disk.clone(), Options::default());
    assert!(is_acked(&running.submit(1).await, 1));
    disk.before(|step| matches!(step, Step::Write(_) | Step::Create(_)).then_some(ErrorKind::StorageFull));
    for _ in 0..4 {
        let answers = running.submit(2).await;
        assert!(is_exhausted(&answers), "{answers:?}");
        assert_eq!(running.feed.view().len(), 1);
    }
    // Who came now and heard of nothing held would count anew, below what is held.
    assert_eq!(running.open().await, Err(Closed::Store));
    running.stream = OnceCell::new();
    // What is on disk now is what a start after a crash would find.
    assert_eq!(reopened(crate::rows::copy(folder.path()).path()), after(1));
    disk.heal();
    assert!(is_acked(&running.submit(2).await, 2));
    running.stop().await;
    assert_eq!(reopened(folder.path()), after(2));
}

#[tokio::test]
async fn a_checkpoint_is_written_beside_the_writer() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { checkpoint_bytes_min: 0 };
    let mut running = start(folder.path(), Arc::new(Faulty::default()), options);
    let mut sequence = 0;
    for _ in 0..3 {
        // A first batch at the latest, then whenever as much came as there is.
        loop {
            sequence += 1;
            assert!(is_acked(&running.submit(sequence).await, sequence));
            if let Ok(done) = running.checkpoints.try_recv() {
                done.unwrap();
                break;
            }
        }
    }
    running.stop().await;
    assert!(files(folder.path(), "segment-").len() <= 2, "old segments are gone");
    let store = crate::rows::open(folder.path());
    assert_eq!(held(&store.load().unwrap()), after(sequence));
}

#[tokio::test]
async fn a_failed_checkpoint_costs_no_batch() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let mut running = start(folder.path(), disk.clone(), Options { checkpoint_bytes_min: 0 });
    disk.before(|step| match step {
        Step::Write(path) if path.to_string_lossy().contains("checkpoint-") => Some(ErrorKind::StorageFull),
        _ => None,
    });
    for sequence in 1..=3 {
        assert!(is_acked(&running.submit(sequence).await, sequence));
    }
    let error = running.checkpoints.recv().await.unwrap().unwrap_err();
    assert!(error.contains("no space left"), "{error}");
    assert!(is_acked(&running.submit(4).await, 4));
    running.stop().await;
    assert_eq!(reopened(folder.path()), after(4));
}
