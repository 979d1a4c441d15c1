//! The writer: nothing is answered before it is durable, and a store that
//! fails costs nothing that was acknowledged.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{
    CollectorId, ConnectionId, DataSource, Epoch, Facets, Freshness, Identity, IngestRecord, ResourceType,
    Revision, SectionName, SectionOutcome, SectionReport, Sequence, SourceId, UnixMillis,
};
use pulse_registry::clock::Clock;
use pulse_registry::health::Tables;
use pulse_registry::ingest::writer::{Outcome, StreamId};
use pulse_registry::ingest::{Handle, Observer, Writer};
use pulse_registry::state::{
    Answer, Batch, Boundary, Feed, Heartbeat, Input, RejectReason, Retention, State, feed,
};
use pulse_registry::store::Store;
use pulse_registry::store::memory::Memory;
use tokio::sync::mpsc;

struct Deaf;

impl Observer for Deaf {
    fn committed(&self, _took: Duration, _batches: usize, _rows: usize) {}
    fn failed(&self, _error: &str) {}
    fn answered(&self, _answers: &[Answer]) {}
    fn published(&self, _revision: Revision, _changes: usize) {}
    fn checkpointed(&self, _took: Duration) {}
    fn checkpoint_failed(&self, _error: &str) {}
}

fn start(store: &Arc<Memory>) -> (Handle, Feed, tokio::task::JoinHandle<()>) {
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
    let (writer, handle) = Writer::new(state, judge, store, publisher, Clock::default(), Arc::new(Deaf));
    (handle, feed, tokio::spawn(writer.run()))
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

async fn submit(handle: &Handle, stream: &StreamId, input: Input) -> Vec<Answer> {
    let (reply, mut answers) = mpsc::channel(1);
    handle.submit(stream, input, reply).await.unwrap();
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
async fn what_was_accepted_is_durable_when_the_writer_has_ended() {
    let store = Arc::new(Memory::default());
    let (handle, _feed, task) = start(&store);
    let collector = CollectorId::parse("c").unwrap();
    let (stream, _) = handle.open(&collector, Vec::new(), std::collections::BTreeMap::new()).await.unwrap();
    let (reply, mut answers) = mpsc::channel(100);
    for n in 1..=100 {
        handle.submit(&stream, batch(n, &format!("p{n}")), reply.clone()).await.unwrap();
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
    let heartbeat = Heartbeat {
        connection: ConnectionId::parse("nas").unwrap(),
        epoch: Epoch(1),
        digest: None,
        observations: vec![(section, back)],
    };
    assert_eq!(heard.apply(Input::Heartbeat(heartbeat), back).changes, None, "nobody sees a difference");
    assert_eq!(heard.tick(due), None);
    assert_eq!(freshness(&heard), [Freshness::Fresh]);
}
