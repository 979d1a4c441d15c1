//! A mirror fed by any interleaving of changes, slow reading and broken
//! streams holds, wherever it has a token, exactly that revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use proptest::prelude::*;
use prost::Message as _;
use pulse_proto::model::{ConnectionId, ResourceType, Revision, Severity, UnixMillis};
use pulse_proto::pb::registry::v1::WatchResourcesResponse;
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::resource::v1 as wire;

use super::{Audiences, Scope, Step, Watcher};
use crate::query::filter::Filter;
use crate::query::fixture::Seed;
use crate::query::mask::Mask;
use crate::query::show;
use crate::query::token::Seal;
use crate::state::change::{Change, Changes};
use crate::state::feed::{self, Feed, NotKept, Publisher, Resumption};
use crate::state::past::{Past, Remembered, Retention};
use crate::state::resource::Resource;
use crate::state::row::Write;
use crate::state::view::{Shard, View};
use crate::watch::limits::Limits;
use crate::watch::resume;

const CONNECTIONS: [&str; 3] = ["a", "b", "c"];
/// Who read at a pace of their own; all but the last ask the same.
const READERS: usize = 3;
const RELEASES: [&str; 2] = ["one", "other"];
const TIGHT: Limits = Limits { events: 1, scan: 3, revisions: 3, changes: 12, kept_bytes: 4_096 };

#[derive(Clone, Debug)]
enum Act {
    /// One revision: each number gets a severity and a place, or goes away.
    Commit(Vec<(u64, Option<Wanted>)>),
    /// A reader takes one step.
    Read(usize),
    /// The stream breaks; the reader goes on with its last token, if it has one.
    Reconnect(usize),
    /// The reader forgets everything.
    Restart(usize),
    /// The registry is killed and comes back; readers go on with their last tokens.
    Crash,
    /// ... and comes back as another release, which shows things in another way.
    Upgrade,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    severity: usize,
    connection: usize,
}

/// As a client reads it.
fn read(served: &pulse_proto::encoded::EncodedParts) -> WatchResourcesResponse {
    WatchResourcesResponse::decode(served.encode_to_vec().as_slice()).expect("the same message")
}

struct World {
    resources: BTreeMap<u64, Arc<Resource>>,
    views: Vec<Arc<View>>,
    publisher: Publisher,
    feed: Feed,
    past: Past,
    /// What was made durable.
    remembered: Remembered,
}

impl World {
    fn new() -> Self {
        let (publisher, feed) = feed::channel(View::default());
        let mut remembered = Remembered::default();
        remembered.begin(Revision(0), RELEASES[0], false);
        let past = Past::restore(remembered.clone(), Revision(0), Retention::default());
        Self { resources: BTreeMap::new(), views: vec![Arc::default()], publisher, feed, past, remembered }
    }

    /// A process ends and another begins with what is durable.
    fn crash(&mut self, shown_by: &str) {
        let mut view = (**self.views.last().expect("the first")).clone();
        let (revision, _) = self.remembered.begin(view.revision, shown_by, false);
        self.past = Past::restore(self.remembered.clone(), revision, Retention::default());
        view.past = self.past.clone();
        if view.revision != revision {
            view.revision = revision;
            self.views.push(Arc::new(view.clone()));
        }
        (self.publisher, self.feed) = feed::channel(view);
    }

    fn commit(&mut self, wanted: &[(u64, Option<Wanted>)]) {
        let wanted: BTreeMap<u64, Option<Wanted>> = wanted.iter().copied().collect();
        let revision = Revision(self.views.len() as u64);
        let mut items = Vec::new();
        for (number, wanted) in wanted {
            let before = self.resources.get(&number).cloned();
            let after = wanted.map(|Wanted { severity, connection }| {
                let seed = Seed::new(ResourceType::Storage, number, CONNECTIONS[connection]);
                let created = before.as_ref().map(|before| before.created.0);
                let severity = Severity::ALL[severity];
                Seed { severity, revision: revision.0, created, ..seed }.build()
            });
            match (before, after) {
                (None, None) => {}
                (None, Some(after)) => items.push(Change::Added(after)),
                (Some(before), Some(after)) => items.push(Change::Changed { before, after }),
                (Some(before), None) => items.push(Change::Removed(before)),
            }
        }
        if items.is_empty() {
            return;
        }
        for item in &items {
            let number = item.id().number();
            match item {
                Change::Added(after) | Change::Changed { after, .. } => {
                    self.resources.insert(number, Arc::clone(after));
                }
                Change::Removed(_) => {
                    self.resources.remove(&number);
                }
            }
        }
        let changes = Changes::new(revision, UnixMillis::new(0), items);
        let mut writes = Vec::new();
        self.past.take(&changes, &mut writes);
        for write in writes {
            match write {
                Write::Tombstone(tombstone) => self.remembered.tombstones.push(tombstone),
                Write::Entry(entry) => self.remembered.entries.push(entry),
                other => panic!("{other:?}"),
            }
        }
        let mut view = View::of(revision, self.shards());
        view.past = self.past.clone();
        let view = Arc::new(view);
        self.views.push(Arc::clone(&view));
        self.publisher.publish(view, [Arc::new(changes)]);
    }

    fn shards(&self) -> impl Iterator<Item = Shard> {
        let mut shards: BTreeMap<ConnectionId, Vec<Arc<Resource>>> = BTreeMap::new();
        for resource in self.resources.values() {
            shards.entry(resource.connection.clone()).or_default().push(Arc::clone(resource));
        }
        shards
            .into_iter()
            .map(|(connection, resources)| Shard::build(None, connection, None, BTreeMap::new(), resources))
    }

    fn shown(&self, revision: u64, filter: &Filter) -> BTreeMap<String, wire::Resource> {
        self.views[usize::try_from(revision).expect("small")]
            .iter()
            .filter(|(_, resource)| filter.matches(resource, None))
            .map(|(_, resource)| (resource.id.to_string(), show::decoded(resource, None)))
            .collect()
    }
}

struct Mirror {
    scope: Scope,
    watcher: Watcher,
    resources: BTreeMap<String, wire::Resource>,
    token: String,
    listed: bool,
    /// The newest revision of what it holds, token or not.
    seen: u64,
    /// A stream that broke in the middle of a stretch leaves it ahead of its token; until then it need not be exact.
    ahead: u64,
}

impl Mirror {
    fn new(filter: &Filter, audiences: &Audiences, feed: &Feed) -> Self {
        let seal = Seal::new("registry");
        let scope = Scope::new(audiences, filter.clone(), Mask::default(), seal).expect("can be watched");
        Self::begin(scope, feed)
    }

    fn begin(scope: Scope, feed: &Feed) -> Self {
        let watcher = Watcher::list(scope.clone(), &feed.view());
        Self {
            scope,
            watcher,
            resources: BTreeMap::new(),
            token: String::new(),
            listed: false,
            seen: 0,
            ahead: 0,
        }
    }

    fn reconnect(&mut self, feed: &Feed) {
        if self.token.is_empty() {
            *self = Self::begin(self.scope.clone(), feed);
            return;
        }
        let revision = resume::decode(&self.scope.seal, &self.token).expect("its own token");
        let scope = self.scope.clone();
        self.watcher = match feed.resume(revision) {
            Ok(Resumption::Changes) => Watcher::resume(scope, revision),
            Ok(Resumption::View(view)) => Watcher::catch_up(scope, revision, &view),
            Err(NotKept { floor, .. }) => {
                assert!(revision < floor && floor == feed.view().past.horizon.floor);
                *self = Self::begin(self.scope.clone(), feed);
                return;
            }
        };
        self.ahead = self.seen;
    }

    /// `true` when there is nothing left to read.
    fn read(&mut self, world: &World) -> Result<bool, TestCaseError> {
        let view = world.feed.view();
        match self.watcher.step(&view) {
            Step::Message(message) => self.apply(read(&message), world)?,
            Step::Working => {}
            Step::Idle => {
                let changes = world.feed.after(self.watcher.cursor(), 5).expect("all is kept");
                if changes.is_empty() {
                    self.apply(read(&self.watcher.bookmark()), world)?;
                    return Ok(true);
                }
                self.watcher.take(&changes);
            }
        }
        Ok(false)
    }

    fn apply(&mut self, message: WatchResourcesResponse, world: &World) -> Result<(), TestCaseError> {
        prop_assert!(message.events.len() <= TIGHT.events);
        let mut ids: Vec<String> = Vec::new();
        for event in message.events {
            let kind = event.kind();
            self.seen = self.seen.max(event.revision);
            let resource = event.resource.expect("events carry their resource");
            ids.push(resource.id.clone());
            prop_assert_eq!(kind == Kind::Existing, !self.listed);
            if kind == Kind::Removed {
                self.resources.remove(&resource.id);
            } else {
                self.resources.insert(resource.id.clone(), resource);
            }
        }
        ids.dedup();
        self.listed |= message.initial_list_end;
        if message.resume_token.is_empty() {
            prop_assert!(!ids.is_empty());
            return Ok(());
        }
        prop_assert!(self.listed);
        self.token = message.resume_token;
        if message.revision < self.ahead {
            return Ok(());
        }
        let expected = world.shown(message.revision, self.scope.filter());
        prop_assert_eq!(&self.resources, &expected, "at revision {}", message.revision);
        Ok(())
    }
}

fn act() -> impl Strategy<Value = Act> {
    let wanted = (0_usize..4, 0..CONNECTIONS.len());
    let wanted = wanted.prop_map(|(severity, connection)| Wanted { severity, connection });
    let wanted = (0_u64..8, prop::option::weighted(0.6, wanted));
    prop_oneof![
        3 => prop::collection::vec(wanted, 1..6).prop_map(Act::Commit),
        9 => (0..READERS).prop_map(Act::Read),
        2 => (0..READERS).prop_map(Act::Reconnect),
        1 => (0..READERS).prop_map(Act::Restart),
        2 => Just(Act::Crash),
        1 => Just(Act::Upgrade),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn a_mirror_holds_the_revision_its_token_names(
        acts in prop::collection::vec(act(), 0..60),
        filter in prop::sample::select(vec!["", "severity >= warning", "connection = a", "NOT tags:even"]),
    ) {
        let filter = Filter::parse(filter).expect("a filter");
        let mut world = World::new();
        let audiences = Audiences::with(TIGHT, Counter::default());
        let asked = [&filter, &filter, &Filter::all()];
        let mut mirrors = asked.map(|filter| Mirror::new(filter, &audiences, &world.feed));
        let mut releases = 0_usize;
        for act in acts {
            match act {
                Act::Commit(wanted) => world.commit(&wanted),
                Act::Read(reader) => { mirrors[reader].read(&world)?; }
                Act::Reconnect(reader) => mirrors[reader].reconnect(&world.feed),
                Act::Restart(reader) => mirrors[reader] = Mirror::new(asked[reader], &audiences, &world.feed),
                Act::Crash | Act::Upgrade => {
                    releases += usize::from(matches!(act, Act::Upgrade));
                    world.crash(RELEASES[releases % 2]);
                    for mirror in &mut mirrors {
                        mirror.reconnect(&world.feed);
                    }
                }
            }
        }
        let head = world.feed.view().revision.0;
        for (mirror, filter) in mirrors.iter_mut().zip(asked) {
            while !mirror.read(&world)? {}
            prop_assert_eq!(&mirror.resources, &world.shown(head, filter));
        }
    }
}

#[test]
fn a_filter_on_the_time_of_observation_cannot_be_watched() {
    let filter = Filter::parse("type = storage AND observed_at > 2026-01-01T00:00:00Z").expect("a filter");
    let seal = Seal::new("registry");
    let error = Scope::new(&Audiences::default(), filter, Mask::default(), seal).expect_err("refused");
    assert_eq!(error.position, 20);
    assert!(error.problem.contains("freshness"), "{error}");
}

#[test]
fn one_stretch_takes_whole_revisions_within_its_bound() {
    let mut world = World::new();
    let wanted = Some(Wanted { severity: 0, connection: 0 });
    for number in 0..5 {
        world.commit(&[(number, wanted), (number + 100, wanted), (number + 200, wanted)]);
    }
    let audiences = Audiences::with(Limits { changes: 4, ..TIGHT }, Counter::default());
    let scope = Mirror::new(&Filter::all(), &audiences, &world.feed).scope;
    let mut watcher = Watcher::resume(scope, Revision(0));
    let changes = world.feed.after(Revision(0), 10).expect("kept");
    watcher.take(&changes);
    assert_eq!(watcher.cursor(), Revision(2), "three changes are too few, six are enough");
    watcher.take(&changes);
    assert_eq!(watcher.cursor(), Revision(2), "a busy watcher takes nothing");
    assert!(
        matches!(watcher.step(&world.feed.view()), Step::Message(message) if read(&message).resume_token.is_empty())
    );
}
