//! The writer: nothing is answered before it is durable, and a store that
//! fails costs nothing that was acknowledged.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pulse_proto::model::{
    CollectorId, ConnectionId, DataSource, Epoch, Facets, Freshness, Identity, IngestRecord, ResourceType,
    Revision, SectionName, SectionOutcome, SectionReport, Sequence, SourceId, UnixMillis,
};
use pulse_registry::clock::Clock;
use pulse_registry::health::Tables;
use pulse_registry::ingest::writer::{Closed, Outcome, QUEUE_BYTES_MAX, StreamId};
use pulse_registry::ingest::{Handle, Observer, Statement, Writer};
use pulse_registry::state::{
    Answer, Batch, Boundary, Feed, Heartbeat, Input, LinkError, Note, Pair, RejectReason, Retention, Stand,
    State, Write, feed,
};
use pulse_registry::store::memory::Memory;
use pulse_registry::store::{Loaded, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// What comes at once has come by then, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Hears failures of the store, and nothing else.
#[derive(Default)]
struct Failures(Mutex<Vec<String>>);

impl Observer for Failures {
    fn committed(&self, _took: Duration, _batches: usize, _rows: usize) {}

    fn failed(&self, error: &str) {
        self.0.lock().unwrap().push(error.to_owned());
    }

    fn answered(&self, _answers: &[Answer]) {}
    fn published(&self, _revision: Revision, _changes: usize) {}
    fn checkpointed(&self, _took: Duration) {}
    fn checkpoint_failed(&self, _error: &str) {}
}

fn start<S: Store>(store: &Arc<S>) -> (Handle, Feed, tokio::task::JoinHandle<()>) {
    let (writer, handle, feed) = prepared(store, Arc::default());
    (handle, feed, tokio::spawn(writer.run()))
}

fn prepared<S: Store>(store: &Arc<S>, failures: Arc<Failures>) -> (Writer, Handle, Feed) {
    let judge = Arc::new(Tables::default());
    let loaded = store.load().unwrap();
    let start = UnixMillis::new(0);
    let past = (loaded.remembered, Retention::default());
    let state = State::restore(
        (judge.clone(), Boundary::default()),
        loaded.revision,
        loaded.connections,
        loaded.links,
        past,
        start,
    );
    let (publisher, feed) = feed::channel(state.view().clone());
    let store = Arc::clone(store) as Arc<dyn Store>;
    let (writer, handle) = Writer::new(state, judge, store, publisher, Clock::default(), failures);
    (writer, handle, feed)
}

fn batch(sequence: u64, name: &str) -> Input {
    let record = IngestRecord {
        source_id: SourceId::parse(&format!("system:nas/pool:{name}")).unwrap(),
        parent_source_id: None,
        resource_type: ResourceType::Storage,
        name: name.to_owned(),
        section: SectionName::parse("pools").unwrap(),
        state: "ONLINE".to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: Vec::new(),
        incidents: Vec::new(),
        facets: Facets::default(),
    };
    Input::Batch(Box::new(Batch {
        collector: CollectorId::parse("c").unwrap(),
        connection: ConnectionId::parse("nas").unwrap(),
        epoch: Epoch(1),
        sequence: Sequence(sequence),
        source: DataSource::Truenas,
        snapshot_begin: false,
        snapshot_end: false,
        upserts: vec![record.into()],
        removals: Vec::new(),
        sections: None,
        status: None,
        digest: None,
        base: None,
        kept: BTreeSet::new(),
        refused: Vec::new(),
    }))
}

/// Commits as the other does, but the next one waits until it is told how it ends.
#[derive(Default)]
struct Held {
    memory: Memory,
    next: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<bool>)>>,
}

impl Held {
    /// Hears when the next commit has begun, and says whether it succeeds.
    fn hold(&self) -> (oneshot::Receiver<()>, oneshot::Sender<bool>) {
        let ((began, begins), (ends, ended)) = (oneshot::channel(), oneshot::channel());
        *self.next.lock().unwrap() = Some((began, ended));
        (begins, ends)
    }
}

impl Store for Held {
    fn load(&self) -> Result<Loaded, StoreError> {
        self.memory.load()
    }

    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
        let held = self.next.lock().unwrap().take();
        if let Some((began, ended)) = held {
            began.send(()).unwrap();
            if !ended.blocking_recv().unwrap() {
                return Err(StoreError::Engine("no space is left".to_owned()));
            }
        }
        self.memory.commit(revision, writes)
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.memory.recover()
    }
}

/// A machine as a source knows it.
fn host(connection: &str, source: DataSource, source_id: &str) -> Input {
    let Input::Batch(mut first) = batch(1, "machine") else { panic!("a batch") };
    first.connection = ConnectionId::parse(connection).unwrap();
    first.source = source;
    let record = IngestRecord {
        source_id: SourceId::parse(source_id).unwrap(),
        resource_type: ResourceType::Host,
        ..first.upserts.remove(0).document.record().unwrap()
    };
    first.upserts = vec![record.into()];
    Input::Batch(first)
}

async fn submit(handle: &Handle, stream: &StreamId, input: Input) -> Vec<Answer> {
    let (reply, mut answers) = mpsc::channel(1);
    handle.submit(stream, input, reply, handle.room(1).await.unwrap()).await.unwrap();
    match answers.recv().await.unwrap() {
        Outcome::Answered(answers) => answers,
        Outcome::Superseded => panic!("it is the newest stream"),
    }
}

#[tokio::test]
async fn a_failing_store_refuses_forgets_and_recovers() {
    let store = Arc::new(Memory::default());
    let (handle, feed, _task) = start(&store);
    let collector = CollectorId::parse("c").unwrap();
    let (stream, _) = handle.open(&collector, Vec::new(), std::collections::BTreeMap::new()).await.unwrap();
    assert!(matches!(&submit(&handle, &stream, batch(1, "one")).await[..], [Answer::Ack { .. }]));

    store.fail(true);
    for _ in 0..2 {
        let answers = submit(&handle, &stream, batch(2, "two")).await;
        assert!(
            matches!(&answers[..], [Answer::Reject { reason: RejectReason::Exhausted, message, .. }] if !message.is_empty()),
            "{answers:?}"
        );
    }
    assert_eq!(
        (feed.view().len(), feed.view().revision),
        (1, Revision(1)),
        "what is not durable is not shown"
    );

    store.fail(false);
    let answers = submit(&handle, &stream, batch(2, "two")).await;
    assert!(matches!(&answers[..], [Answer::Ack { revision: Revision(2), .. }]), "{answers:?}");
    assert_eq!(feed.view().len(), 2);
    assert_eq!(feed.after(Revision(0), 9).unwrap().len(), 2, "revisions stay gapless");
}

#[tokio::test]
async fn what_came_while_a_commit_failed_is_refused_each_in_its_way() {
    let store = Arc::new(Held::default());
    let (handle, feed, _task) = start(&store);
    let collector = CollectorId::parse("c").unwrap();
    let nas = ConnectionId::parse("nas").unwrap();
    let (stream, _) = handle.open(&collector, Vec::new(), std::collections::BTreeMap::new()).await.unwrap();
    submit(&handle, &stream, host("nas", DataSource::Truenas, "system:nas")).await;
    submit(&handle, &stream, host("agents", DataSource::Agent, "machine-1")).await;
    let (shown, revision) = (feed.view().len(), feed.view().revision);

    let (begins, ends) = store.hold();
    let first = submit(&handle, &stream, batch(2, "two"));
    let meanwhile = async {
        begins.await.unwrap();
        let backlog = handle.backlog();
        let link = Statement::Say {
            pair: Pair::of(
                (nas.clone(), SourceId::parse("system:nas").unwrap()),
                (ConnectionId::parse("agents").unwrap(), SourceId::parse("machine-1").unwrap()),
            ),
            stand: Stand::Same,
            reason: "the same serial".to_owned(),
            who: "ops".to_owned(),
        };
        let note = Note { key: Arc::from("silence"), value: Some(Arc::from(*b"until noon")) };
        let other = CollectorId::parse("d").unwrap();
        let asked = handle.open(&other, vec![nas.clone()], std::collections::BTreeMap::new());
        let all = async {
            tokio::join!(
                submit(&handle, &stream, batch(3, "three")),
                handle.link(link),
                handle.keep(vec![note]),
                asked
            )
        };
        let fails = async {
            // Everything is in the group behind the one that is held.
            tokio::task::yield_now().await;
            while backlog.depth() > 0 {
                tokio::task::yield_now().await;
            }
            store.memory.fail(true);
            ends.send(false).unwrap();
        };
        tokio::join!(all, fails).0
    };
    let (first, (second, linked, kept, asked)) = tokio::join!(first, meanwhile);
    for answers in [first, second] {
        assert!(
            matches!(&answers[..], [Answer::Reject { reason: RejectReason::Exhausted, .. }]),
            "{answers:?}"
        );
    }
    assert!(matches!(linked.unwrap(), Err(LinkError::Store(_))), "{:?}", feed.view().links);
    assert!(kept.unwrap().is_err_and(|why| why.contains("space")));
    assert!(matches!(asked, Err(Closed::Store)), "{asked:?}");
    assert_eq!((feed.view().len(), feed.view().revision), (shown, revision), "nothing of it is shown");
    assert_eq!(store.load().unwrap().remembered.notes.len(), 0);

    // And all of it can come again.
    store.memory.fail(false);
    for (sequence, name) in [(2, "two"), (3, "three")] {
        let answers = submit(&handle, &stream, batch(sequence, name)).await;
        assert!(matches!(&answers[..], [Answer::Ack { .. }]), "{answers:?}");
    }
    assert_eq!(feed.view().len(), shown + 2);
    assert_eq!(feed.after(revision, 9).unwrap().len(), 2, "revisions stay gapless");
    let other = CollectorId::parse("d").unwrap();
    let (_, cursors) = handle.open(&other, vec![nas], std::collections::BTreeMap::new()).await.unwrap();
    assert_eq!(cursors[0].1.sequence, Sequence(3));
}

#[tokio::test]
async fn what_was_accepted_is_durable_when_the_writer_has_ended() {
    let store = Arc::new(Memory::default());
    let (handle, _feed, task) = start(&store);
    let collector = CollectorId::parse("c").unwrap();
    let (stream, _) = handle.open(&collector, Vec::new(), std::collections::BTreeMap::new()).await.unwrap();
    let (reply, mut answers) = mpsc::channel(100);
    for n in 1..=100 {
        let input = batch(n, &format!("p{n}"));
        handle.submit(&stream, input, reply.clone(), handle.room(1).await.unwrap()).await.unwrap();
    }
    drop((handle, reply));
    task.await.unwrap();
    let mut acked = 0;
    while let Some(Outcome::Answered(answers)) = answers.recv().await {
        acked += answers.iter().filter(|answer| matches!(answer, Answer::Ack { .. })).count();
    }
    let loaded = store.load().unwrap();
    assert_eq!((acked, loaded.connections[0].2.len()), (100, 100));
    assert_eq!(loaded.revision, Revision(100), "one revision for each batch that changed something");
}

#[tokio::test]
async fn what_waits_for_the_writer_has_room_by_its_bytes() {
    let store = Arc::new(Held::default());
    let (handle, _feed, _task) = start(&store);
    let collector = CollectorId::parse("c").unwrap();
    let (stream, _) = handle.open(&collector, Vec::new(), std::collections::BTreeMap::new()).await.unwrap();
    let (reply, mut answers) = mpsc::channel(2);
    // However large, it gets in when it is alone.
    let all = handle.room(usize::MAX).await.unwrap();
    let mut waiting = std::pin::pin!(handle.room(1));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    let (begins, ends) = store.hold();
    handle.submit(&stream, batch(1, "one"), reply.clone(), all).await.unwrap();
    assert!(futures_util::poll!(waiting.as_mut()).is_pending(), "it is not applied yet");
    assert_eq!(handle.backlog().bytes(), QUEUE_BYTES_MAX as usize);
    // Applied is enough: the disk is not waited for.
    let next = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap();
    begins.await.unwrap();
    handle.submit(&stream, batch(2, "two"), reply, next).await.unwrap();
    let all_again = handle.room(QUEUE_BYTES_MAX as usize);
    let _all_again = tokio::time::timeout(PATIENCE, all_again).await.unwrap().unwrap();
    ends.send(true).unwrap();
    for _ in 0..2 {
        let Some(Outcome::Answered(answers)) = answers.recv().await else { panic!("an answer") };
        assert!(matches!(&answers[..], [Answer::Ack { .. }]), "{answers:?}");
    }
}

#[test]
fn a_runtime_that_ends_first_is_no_failure_of_the_store() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle_of_runtime = runtime.handle().clone();
    let _within = handle_of_runtime.enter();
    let (store, failures) = (Arc::new(Held::default()), Arc::<Failures>::default());
    let (writer, handle, feed) = prepared(&store, Arc::clone(&failures));
    let (begins, ends) = store.hold();
    let (sent, mut both) = oneshot::channel();
    let client = async {
        let collector = CollectorId::parse("c").unwrap();
        let (stream, _) =
            handle.open(&collector, Vec::new(), std::collections::BTreeMap::new()).await.unwrap();
        let (reply, mut answers) = mpsc::channel(2);
        handle.submit(&stream, batch(1, "one"), reply.clone(), handle.room(1).await.unwrap()).await.unwrap();
        begins.await.unwrap();
        handle.submit(&stream, batch(2, "two"), reply, handle.room(1).await.unwrap()).await.unwrap();
        sent.send(()).unwrap();
        answers.recv().await.unwrap();
        answers.recv().await
    };
    let mut working = std::pin::pin!(async { tokio::join!(writer.run(), client) });
    let mut work = || {
        let polled = working.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        assert!(polled.is_pending(), "{:?}", failures.0.lock().unwrap());
        std::thread::yield_now();
    };
    while both.try_recv().is_err() {
        work();
    }
    // The commit under way is ended, and the next one is not begun.
    runtime.shutdown_background();
    ends.send(true).unwrap();
    while feed.view().revision < Revision(1) {
        work();
    }
    for _ in 0..3 {
        work();
    }
    assert_eq!(*failures.0.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn a_restart_gives_collectors_time_to_say_that_nothing_changed() {
    let (judge, store) = (Arc::new(Tables::default()), Memory::default());
    let mut state = State::new(judge.clone(), Boundary::default());
    let Input::Batch(mut first) = batch(1, "tank") else { panic!("a batch") };
    let section = SectionName::parse("pools").unwrap();
    let start = UnixMillis::new(1_000_000_000);
    let report = SectionReport {
        section: section.clone(),
        outcome: SectionOutcome::Fresh,
        observed_at: Some(start),
        since: None,
        interval: Duration::from_secs(10),
        error: String::new(),
    };
    first.sections = Some([(section.clone(), report)].into());
    let applied = state.apply(Input::Batch(first), start);
    store.commit(state.view().revision, &applied.writes).unwrap();

    // The registry was away for an hour; what it holds is as old.
    let back = start + Duration::from_hours(1);
    let due = back + Duration::from_secs(20);
    let restored = || {
        let loaded = store.load().unwrap();
        let past = (loaded.remembered, Retention::default());
        State::restore(
            (judge.clone(), Boundary::default()),
            loaded.revision,
            loaded.connections,
            loaded.links,
            past,
            due,
        )
    };
    let freshness = |state: &State| state.view().iter().map(|(_, r)| r.freshness).collect::<Vec<_>>();
    let mut silent = restored();
    assert_eq!(silent.tick(back), None);
    assert_eq!(freshness(&silent), [Freshness::Fresh]);
    assert!(silent.tick(due).is_some_and(|applied| applied.changes.is_some()));
    assert_eq!(freshness(&silent), [Freshness::Lost]);

    let mut heard = restored();
    let heartbeat = heartbeat("c", vec![(section, back)]);
    assert_eq!(heard.apply(heartbeat, back).changes, None, "nobody sees a difference");
    assert_eq!(heard.tick(due), None);
    assert_eq!(freshness(&heard), [Freshness::Fresh]);
}

fn heartbeat(collector: &str, observations: Vec<(SectionName, UnixMillis)>) -> Input {
    Input::Heartbeat(Heartbeat {
        collector: CollectorId::parse(collector).unwrap(),
        connection: ConnectionId::parse("nas").unwrap(),
        epoch: Epoch(1),
        digest: None,
        observations,
    })
}

#[test]
fn who_holds_a_connection_is_kept_as_soon_as_it_is_known_and_only_then() {
    let mut state = State::new(Arc::new(Tables::default()), Boundary::default());
    let now = UnixMillis::new(1_000_000_000);
    state.apply(batch(1, "tank"), now);
    let mut beat = |collector: &str| {
        let applied = state.apply(heartbeat(collector, Vec::new()), now);
        let rows = applied.writes.iter().map(|write| match write {
            Write::Connection(_, row) => (row.cursor.collector.to_string(), row.cursor.sequence.0),
            other => panic!("{other:?} is not its row"),
        });
        rows.collect::<Vec<_>>()
    };
    assert_eq!(beat("c"), []);
    // An earlier release did not keep who took it over, and its epoch is that of the one who did.
    assert_eq!(beat("other"), [("other".to_owned(), 1)]);
    assert_eq!(beat("other"), []);
}
