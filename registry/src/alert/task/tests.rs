//! What a whole pass skips is not passed over in silence.

use std::collections::BTreeMap;

use pulse_proto::model::{
    ConnectionId, Pool, ResourceType, SectionName, SectionOutcome, SectionReport, Severity, Vdev, VdevGroup,
    Zfs,
};
use pulse_proto::pb::registry::v1 as pb;

use super::*;
use crate::alert::condition::Counted;
use crate::alert::engine::Keeping;
use crate::alert::feed;
use crate::health::Tables;
use crate::ingest::Writer;
use crate::query::fixture::Seed;
use crate::state::{
    Answer, Boundary, Change, Changes, Document, Notes, Resource, Shard, State, View, feed as resources,
};
use crate::store::memory::Memory;

struct Deaf;

impl Observer for Deaf {
    fn evaluated(&self, _why: Why, _resources: usize, _took: Duration) {}
    fn passed(&self, _took: Duration) {}
    fn stepped(&self, _step: Step) {}
    fn left_out(&self, _cases: u64) {}
}

impl ingest::Observer for Deaf {
    fn committed(&self, _took: Duration, _batches: usize, _rows: usize) {}
    fn failed(&self, _error: &str) {}
    fn answered(&self, _answers: &[Answer]) {}
    fn published(&self, _revision: Revision, _changes: usize) {}
    fn checkpointed(&self, _took: Duration) {}
    fn checkpoint_failed(&self, _error: &str) {}
}

/// Takes what is to be kept.
fn store(clock: &Clock) -> ingest::Handle {
    let judge = Arc::new(Tables::default());
    let state = State::new(Arc::<Tables>::clone(&judge), Boundary::default());
    let (publisher, _) = resources::channel(state.view().clone());
    let (store, deaf) = (Arc::new(Memory::default()), Arc::new(Deaf));
    let (writer, handle) = Writer::new(state, judge, store, publisher, clock.clone(), deaf);
    tokio::spawn(writer.run());
    handle
}

/// One device, and it has no errors.
fn pool() -> Arc<Resource> {
    let seed = Seed::new(ResourceType::Storage, 1, "nas").build();
    let mut record = seed.document.record().expect("a record");
    let device = Vdev { name: "sda".to_owned(), checksum_errors: Some(0), ..Vdev::default() };
    let groups = vec![VdevGroup { role: "data".to_owned(), vdevs: vec![device] }];
    record.facets.storage.as_mut().expect("a facet").zfs =
        Some(Zfs::Pool(Pool { groups, ..Pool::default() }));
    Arc::new(Resource { document: Document::of(&record), ..(*seed).clone() })
}

fn view(revision: u64, all: Vec<Arc<Resource>>, now: UnixMillis) -> View {
    let section = SectionName::parse("pools").expect("a section");
    let report = SectionReport {
        section: section.clone(),
        outcome: SectionOutcome::Fresh,
        observed_at: Some(now),
        since: None,
        interval: Duration::from_mins(1),
        error: String::new(),
    };
    let nas = ConnectionId::parse("nas").expect("an id");
    View::of(Revision(revision), [Shard::build(None, nas, None, BTreeMap::from([(section, report)]), all)])
}

#[tokio::test]
async fn what_went_before_a_pass_that_is_ordered_is_remembered() {
    let clock = Clock::default();
    let (now, pool) = (clock.now(), pool());
    let (publisher, feed_of_resources) = resources::channel(view(1, vec![Arc::clone(&pool)], now));
    let (engine, book, _) = Engine::restore(&Notes::new(), Keeping::default(), now);
    let (alerts, _feed) = feed::channel(book);
    let (store, stop) = (store(&clock), CancellationToken::new());
    let (task, handle) = Task::new(engine, alerts, feed_of_resources, store, clock, Arc::new(Deaf), stop);
    tokio::spawn(task.run());
    let counts = async || {
        let known = handle.remembered().await.expect("it runs");
        known.0.get(&pool.id).is_some_and(|memory| memory.counted != Counted::default())
    };
    // It begins with a pass.
    assert!(!counts().await, "there is nothing but zeros");

    let gone = Changes::new(Revision(2), now, vec![Change::Removed(Arc::clone(&pool))]);
    publisher.publish(Arc::new(view(2, Vec::new(), now)), [Arc::new(gone)]);
    // Heard before what changed, and a pass follows.
    let rule = pb::AlertRule {
        id: "mine".to_owned(),
        name: "mine".to_owned(),
        severity: Severity::Warning.to_wire(),
        condition: Some(pb::alert_rule::Condition::Expression("state = DEGRADED".to_owned())),
        ..pb::AlertRule::default()
    };
    handle.run(Command::CreateRule(rule)).await.expect("it is well formed");
    assert!(counts().await, "what went is remembered as it was looked at");
}
