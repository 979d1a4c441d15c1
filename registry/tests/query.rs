//! The read side from outside: requests against views built by hand.

/// Where the fixture looks for it.
pub use pulse_registry::state;

#[path = "../src/query/fixture.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the inline tests")]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fixture::{Seed, capacity};
use futures_util::StreamExt as _;
use prost::Message as _;
use pulse_proto::model::{
    ConnectionId, ResourceType, Revision, SectionName, SectionOutcome, SectionReport, Severity,
    StorageTopology, UnixMillis,
};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};
use pulse_proto::served::registry::v1::resource_service_server::ResourceService;
use pulse_registry::service::resource::{Options, ResourceApi};
use pulse_registry::state::change::{Change, Changes};
use pulse_registry::state::feed::{self, HISTORY_CHANGES_MAX, Publisher};
use pulse_registry::state::resource::Resource;
use pulse_registry::state::view::{Shard, View};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const OBSERVED: UnixMillis = UnixMillis::new(1_700_000_000_000);

/// As a client reads it.
fn read<C: prost::Message + Default>(served: &impl prost::Message) -> C {
    C::decode(served.encode_to_vec().as_slice()).expect("the same message")
}

struct Registry {
    publisher: Publisher,
    api: ResourceApi,
    draining: CancellationToken,
    resources: BTreeMap<String, Arc<Resource>>,
    revision: u64,
}

impl Registry {
    fn new(seeds: impl IntoIterator<Item = Seed>, options: Options) -> Self {
        let resources: BTreeMap<String, Arc<Resource>> =
            seeds.into_iter().map(|seed| (seed.id().to_string(), seed.build())).collect();
        let (publisher, feed) = feed::channel(view(1, &resources));
        let draining = CancellationToken::new();
        let api = ResourceApi::new(feed, "registry-1", options, draining.clone());
        Self { publisher, api, draining, resources, revision: 1 }
    }

    /// Publishes one revision.
    fn change(&mut self, changed: &[Seed], removed: &[Seed]) {
        self.revision += 1;
        let mut items = Vec::new();
        for seed in changed {
            let after = Seed { revision: self.revision, ..seed.clone() }.build();
            let before = self.resources.insert(seed.id().to_string(), Arc::clone(&after));
            items.push(match before {
                None => Change::Added(after),
                Some(before) => Change::Changed { before, after },
            });
        }
        for seed in removed {
            items.extend(self.resources.remove(&*seed.id().text()).map(Change::Removed));
        }
        items.sort_by(|left, right| left.id().cmp(right.id()));
        let changes = Changes::new(Revision(self.revision), OBSERVED, items);
        self.publisher.publish(Arc::new(view(self.revision, &self.resources)), [Arc::new(changes)]);
    }

    async fn list(&self, request: pb::ListResourcesRequest) -> Result<pb::ListResourcesResponse, Status> {
        self.api.list_resources(Request::new(request)).await.map(|answer| read(&answer.into_inner()))
    }

    async fn names(&self, filter: &str, order_by: &str) -> Vec<String> {
        let request = pb::ListResourcesRequest {
            filter: filter.to_owned(),
            order_by: order_by.to_owned(),
            ..pb::ListResourcesRequest::default()
        };
        let listed = self.list(request).await.expect("a list");
        listed.resources.into_iter().map(|resource| resource.name).collect()
    }

    async fn watch(&self, filter: &str, resume_token: &str) -> Result<Watch, Status> {
        let request = pb::WatchResourcesRequest {
            filter: filter.to_owned(),
            resume_token: resume_token.to_owned(),
            read_mask: None,
        };
        let stream = self.api.watch_resources(Request::new(request)).await?.into_inner();
        Ok(Watch { stream })
    }
}

struct Watch {
    stream: <ResourceApi as ResourceService>::WatchResourcesStream,
}

impl Watch {
    async fn next(&mut self) -> Result<pb::WatchResourcesResponse, Status> {
        let message = tokio::time::timeout(Duration::from_mins(10), self.stream.next()).await;
        message.expect("a message in time").expect("the stream is open").map(|message| read(&message))
    }

    async fn message(&mut self) -> pb::WatchResourcesResponse {
        self.next().await.expect("no error")
    }
}

fn told(message: &pb::WatchResourcesResponse) -> Vec<(Kind, Removal, String)> {
    let name =
        |event: &pb::ResourceEvent| event.resource.as_ref().map(|r| r.name.clone()).unwrap_or_default();
    message.events.iter().map(|event| (event.kind(), event.removal(), name(event))).collect()
}

fn view(revision: u64, resources: &BTreeMap<String, Arc<Resource>>) -> View {
    let mut shards: BTreeMap<ConnectionId, Vec<Arc<Resource>>> = BTreeMap::new();
    for resource in resources.values() {
        shards.entry(resource.connection.clone()).or_default().push(Arc::clone(resource));
    }
    let section = SectionName::parse("pools").expect("a section");
    let report = SectionReport {
        section: section.clone(),
        outcome: SectionOutcome::Fresh,
        observed_at: Some(OBSERVED),
        since: None,
        interval: Duration::from_secs(30),
        error: String::new(),
    };
    let shards = shards.into_iter().map(|(connection, resources)| {
        let sections = BTreeMap::from([(section.clone(), report.clone())]);
        Shard::build(None, connection, None, sections, resources)
    });
    View::of(Revision(revision), shards)
}

fn pool(number: u64) -> Seed {
    let connection = if number.is_multiple_of(2) { "nas-a" } else { "nas-b" };
    Seed { name: format!("tank{number:03}"), ..Seed::new(ResourceType::Storage, number, connection) }
}

fn host(number: u64) -> Seed {
    Seed { name: format!("host{number}"), ..Seed::new(ResourceType::Host, number, "nas-a") }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

#[tokio::test]
async fn one_resource_is_found_by_id() {
    let registry = Registry::new([pool(1), host(0)], Options::default());
    let get = |id: String, paths: Vec<&str>| {
        let paths = paths.into_iter().map(str::to_owned).collect();
        let request = pb::GetResourceRequest { id, read_mask: Some(prost_types::FieldMask { paths }) };
        let answer = registry.api.get_resource(Request::new(request));
        async { answer.await.map(|answer| read::<pb::GetResourceResponse>(&answer.into_inner())) }
    };
    let id = pool(1).id().to_string();
    let answer = get(id.clone(), vec![]).await.expect("found");
    assert_eq!(answer.revision, 1);
    let resource = answer.resource.expect("a resource");
    assert_eq!((resource.id.as_str(), resource.name.as_str()), (id.as_str(), "tank001"));
    assert_eq!(resource.observed_at.map(|at| at.seconds), Some(1_700_000_000));

    let masked = get(id.clone(), vec!["name"]).await.expect("found").resource;
    let expected =
        pulse_proto::pb::resource::v1::Resource { name: "tank001".to_owned(), ..Default::default() };
    assert_eq!(masked, Some(expected));

    let missing = get(pool(77).id().to_string(), vec![]).await.expect_err("not there");
    assert_eq!(missing.code(), Code::NotFound);
    let info = missing.get_details_resource_info().expect("says what is missing");
    assert_eq!(info.resource_name, pool(77).id().to_string());

    for (id, paths, field) in [("tank", vec![], "id"), (id.as_str(), vec!["nme"], "read_mask")] {
        let error = get(id.to_owned(), paths).await.expect_err("refused");
        assert_eq!(error.code(), Code::InvalidArgument);
        let violations = error.get_details_bad_request().expect("violations").field_violations;
        assert_eq!(violations[0].field, field);
    }
}

#[tokio::test]
async fn lists_filter_and_order() {
    let worst = Seed { severity: Severity::Critical, ..pool(2) };
    let full = Seed { capacity: Some(capacity(10, 9)), ..pool(1) };
    let half = Seed { capacity: Some(capacity(10, 5)), ..pool(3) };
    let registry = Registry::new([worst, full, half, host(0)], Options::default());
    assert_eq!(registry.names("", "").await, ["host0", "tank001", "tank002", "tank003"]);
    assert_eq!(registry.names("type = storage", "name desc").await, ["tank003", "tank002", "tank001"]);
    assert_eq!(registry.names("severity >= warning", "").await, ["tank002"]);
    assert_eq!(
        registry.names("connection = nas-b", "capacity.used_ratio desc").await,
        ["tank001", "tank003"]
    );
    assert_eq!(registry.names(&format!("id = {}", pool(3).id()), "").await, ["tank003"]);
    assert_eq!(registry.names("connection = elsewhere", "").await, Vec::<String>::new());
    assert_eq!(registry.names("observed_at = 2023-11-14T22:13:20Z type = host", "").await, ["host0"]);
    assert_eq!(registry.names("type = vm OR type = host", "").await, ["host0"]);
}

#[tokio::test]
async fn every_page_shows_the_first_ones_revision() {
    let mut registry = Registry::new((0..95).map(pool), Options::default());
    let request = |token: &str| pb::ListResourcesRequest {
        page_size: 10,
        page_token: token.to_owned(),
        order_by: "name desc".to_owned(),
        filter: "type = storage".to_owned(),
        ..pb::ListResourcesRequest::default()
    };
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = registry.list(request(&token)).await.expect("a page");
        assert_eq!((page.revision, page.total_size), (1, 95));
        assert!(page.resources.len() <= 10);
        seen.extend(page.resources.into_iter().map(|resource| resource.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        // Meanwhile the world moves on: a pool in front goes, one in the middle changes, one is new.
        let step = registry.revision;
        registry.change(&[pool(50), pool(200 + step)], &[pool(94 - step)]);
    }
    let expected: Vec<String> = (0..95).rev().map(|number| pool(number).name).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_page_token_continues_only_what_it_began() {
    let mut registry = Registry::new((0..10).map(pool), Options::default());
    let request = |filter: &str, order_by: &str, page_token: &str| pb::ListResourcesRequest {
        page_size: 3,
        page_token: page_token.to_owned(),
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
        read_mask: None,
    };
    let first = registry.list(request("", "name", "")).await.expect("a page");
    let token = first.next_page_token;
    for (filter, order_by, token) in [
        ("type = storage", "name", token.as_str()),
        ("", "name desc", token.as_str()),
        ("", "name", "rubbish"),
        ("", "name", first.resume_token.as_str()),
    ] {
        let error = registry.list(request(filter, order_by, token)).await.expect_err("refused");
        assert_eq!((error.code(), reason(&error).as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    }

    // Another process with the same state finds the list again; after a change it cannot.
    let other = Registry::new((0..10).map(pool), Options::default());
    let second = other.list(request("", "name", &token)).await.expect("found again");
    assert_eq!(second.resources[0].name, "tank003");
    registry.change(&[pool(3)], &[]);
    assert!(registry.list(request("", "name", &token)).await.is_ok(), "kept here");
    let mut moved = Registry::new((0..10).map(pool), Options::default());
    moved.change(&[pool(3)], &[]);
    let expired = moved.list(request("", "name", &token)).await.expect_err("not kept there");
    assert_eq!((expired.code(), reason(&expired).as_str()), (Code::OutOfRange, "REVISION_EXPIRED"));

    let negative = pb::ListResourcesRequest { page_size: -1, ..request("", "", "") };
    assert_eq!(registry.list(negative).await.expect_err("refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn large_questions_get_the_same_answers() {
    let registry = Registry::new((0..5_000).map(pool), Options::default());
    let all = registry
        .list(pb::ListResourcesRequest { page_size: 2_000, ..pb::ListResourcesRequest::default() })
        .await
        .expect("a page");
    assert_eq!((all.total_size, all.resources.len()), (5_000, 1_000));
    let ids: BTreeSet<&str> = all.resources.iter().map(|resource| resource.id.as_str()).collect();
    assert_eq!(ids.len(), 1_000);
    assert!(all.resources.is_sorted_by(|left, right| left.id < right.id));
}

#[tokio::test]
async fn a_list_sorted_page_by_page_is_the_list_sorted_at_once() {
    // Far more rows than a page, so that the first page is sorted alone.
    let seeds = (0..300).map(|number| Seed {
        severity: Severity::ALL[usize::try_from(number % 4).expect("small")],
        capacity: (number % 7 != 0).then(|| capacity(100, number * 37 % 100)),
        ..pool(number)
    });
    let registry = Registry::new(seeds, Options::default());
    for order_by in ["", "name desc", "severity desc, capacity.used_ratio", "observed_at, type, name"] {
        let whole = registry
            .list(pb::ListResourcesRequest {
                page_size: 1_000,
                order_by: order_by.to_owned(),
                ..pb::ListResourcesRequest::default()
            })
            .await
            .expect("one page");
        let mut paged = Vec::new();
        let mut page_token = String::new();
        // The page size may differ from page to page.
        for page_size in [7, 3, 40, 1, 100, 1_000] {
            let request = pb::ListResourcesRequest {
                page_size,
                page_token,
                order_by: order_by.to_owned(),
                // Another filter, so that nothing of the list above is kept for it.
                filter: "revision >= 0".to_owned(),
                read_mask: None,
            };
            let page = registry.list(request).await.expect("a page");
            paged.extend(page.resources);
            page_token = page.next_page_token;
        }
        assert_eq!(page_token, "");
        assert_eq!(paged, whole.resources, "{order_by}");
    }
}

#[tokio::test]
async fn large_resources_travel_in_messages_that_clients_accept() {
    const CLIENT_ACCEPTS: usize = 4 << 20;
    let large = |number| Seed { name: format!("{number:03}{}", "x".repeat(100_000)), ..pool(number) };
    let registry = Registry::new((0..60).map(large), Options::default());
    let (mut seen, mut pages, mut page_token) = (BTreeSet::new(), 0, String::new());
    loop {
        let request =
            pb::ListResourcesRequest { page_size: 1_000, page_token, ..pb::ListResourcesRequest::default() };
        let page = registry.list(request).await.expect("a page");
        assert!(page.encoded_len() < CLIENT_ACCEPTS);
        seen.extend(page.resources.into_iter().map(|resource| resource.id));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.len(), pages > 1), (60, true));

    let mut watch = registry.watch("", "").await.expect("a watch");
    let mut watched = BTreeSet::new();
    loop {
        let message = watch.message().await;
        assert!(message.encoded_len() < CLIENT_ACCEPTS);
        assert_eq!(message.resume_token.is_empty(), !message.initial_list_end);
        watched.extend(message.events.into_iter().filter_map(|event| event.resource).map(|r| r.id));
        if message.initial_list_end {
            break;
        }
    }
    assert_eq!(watched, seen);
}

#[tokio::test]
async fn a_summary_counts_each_byte_once() {
    let dataset = Seed {
        topology: Some(StorageTopology::Dataset),
        capacity: Some(capacity(10, 1)),
        ..Seed::new(ResourceType::Storage, 9, "nas-a")
    };
    let pools = (0..3).map(|number| Seed { capacity: Some(capacity(10, 4)), ..pool(number) });
    let registry = Registry::new(pools.chain([dataset, host(0)]), Options::default());
    let summarize = |filter: &str| {
        let request = pb::SummarizeResourcesRequest { filter: filter.to_owned() };
        registry.api.summarize_resources(Request::new(request))
    };
    let all = summarize("").await.expect("a summary").into_inner();
    assert_eq!((all.total, all.revision), (5, 1));
    assert_eq!(all.pool_capacity.and_then(|capacity| capacity.used_bytes), Some(12));
    let storage = all.by_type.iter().find(|row| row.count == 4).expect("storage");
    assert_eq!(storage.capacity.and_then(|capacity| capacity.total_bytes), Some(30));
    let badge = all.by_source[0].badge.clone().expect("a badge");
    assert!(!badge.label.is_empty() && !badge.tone.is_empty());
    assert_eq!(summarize("connection = nas-b").await.expect("a summary").into_inner().total, 1);
    assert_eq!(summarize("nme = x").await.expect_err("refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_watch_lists_and_then_tells() {
    let mut registry = Registry::new([pool(1), pool(2), host(0)], Options::default());
    let mut watch = registry.watch("type = storage severity <= warning", "").await.expect("a watch");
    let first = watch.message().await;
    let none = Removal::Unspecified;
    let mut listed = told(&first);
    listed.sort();
    assert_eq!(
        listed,
        [(Kind::Existing, none, "tank001".to_owned()), (Kind::Existing, none, "tank002".to_owned())]
    );
    assert!(first.initial_list_end && !first.resume_token.is_empty() && first.revision == 1);

    registry.change(&[Seed { severity: Severity::Warning, ..pool(1) }, host(0)], &[]);
    let changed = watch.message().await;
    assert_eq!(told(&changed), [(Kind::Changed, none, "tank001".to_owned())]);
    assert_eq!((changed.revision, changed.events[0].revision), (2, 2));
    registry.change(&[Seed { severity: Severity::Critical, ..pool(1) }], &[pool(2)]);
    assert_eq!(
        told(&watch.message().await),
        [
            (Kind::Removed, Removal::Filtered, "tank001".to_owned()),
            (Kind::Removed, Removal::Deleted, "tank002".to_owned())
        ]
    );

    let mut again =
        registry.watch("type = storage severity <= warning", &first.resume_token).await.expect("kept");
    let caught_up = again.message().await;
    assert_eq!(told(&caught_up).len(), 2);
    assert_eq!(caught_up.revision, 3);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_keeps_its_token_fresh() {
    let mut registry = Registry::new([pool(1), host(0)], Options::default());
    let mut watch = registry.watch("type = storage", "").await.expect("a watch");
    assert!(watch.message().await.initial_list_end);
    registry.change(&[host(0)], &[]);
    let started = tokio::time::Instant::now();
    let bookmark = watch.message().await;
    assert_eq!(started.elapsed().as_secs(), 30);
    assert!(bookmark.bookmark && bookmark.events.is_empty());
    assert_eq!(bookmark.revision, 2, "what the filter hides moves the token, too");
    let mut resumed = registry.watch("type = storage", &bookmark.resume_token).await.expect("kept");
    assert!(resumed.message().await.bookmark);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_off_and_told_why() {
    let mut registry = Registry::new((0..8).map(pool), Options::default());
    let mut watch = registry.watch("", "").await.expect("a watch");
    // Each revision becomes a message of its own; nobody takes them.
    for _ in 0..8 {
        registry.change(&[pool(0)], &[]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    let error = loop {
        match watch.next().await {
            Ok(message) => assert!(message.revision <= registry.revision),
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), reason(&error).as_str()), (Code::ResourceExhausted, "SLOW_WATCHER"));
}

#[tokio::test(start_paused = true)]
async fn who_falls_out_of_the_history_is_cut_off_at_once() {
    let mut registry = Registry::new([pool(0)], Options::default());
    let mut watch = registry.watch("", "").await.expect("a watch");
    for _ in 0..4 {
        registry.change(&[pool(0)], &[]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let started = tokio::time::Instant::now();
    let items = vec![Change::Added(pool(1).build()); HISTORY_CHANGES_MAX];
    for revision in 6..9 {
        let changes = Changes::new(Revision(revision), OBSERVED, items.clone());
        registry.publisher.publish(Arc::new(view(revision, &registry.resources)), [Arc::new(changes)]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let error = loop {
        if let Err(error) = watch.next().await {
            break error;
        }
    };
    assert_eq!((error.code(), reason(&error).as_str()), (Code::ResourceExhausted, "SLOW_WATCHER"));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_the_newest_and_not_every_step() {
    let mut registry = Registry::new([pool(0)], Options::default());
    let mut watch = registry.watch("", "").await.expect("a watch");
    assert!(watch.message().await.initial_list_end);
    for _ in 0..100 {
        registry.change(&[pool(0)], &[]);
        tokio::task::yield_now().await;
    }
    let mut messages = 0;
    loop {
        let message = watch.message().await;
        messages += 1;
        if message.revision == registry.revision {
            assert_eq!(message.events[0].resource.as_ref().map(|r| r.revision), Some(101));
            break;
        }
    }
    assert!(messages <= 5, "{messages} messages for one resource");
}

#[tokio::test]
async fn a_token_that_cannot_be_resumed_is_refused_at_once() {
    let mut registry = Registry::new([pool(0)], Options::default());
    let list = registry.list(pb::ListResourcesRequest::default()).await.expect("a list");
    let (_publisher, feed) = feed::channel(View::default());
    let other = ResourceApi::new(feed, "registry-2", Options::default(), CancellationToken::new());
    let request = pb::WatchResourcesRequest { resume_token: list.resume_token.clone(), ..Default::default() };
    let error = other.watch_resources(Request::new(request)).await.expect_err("another registry");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::InvalidArgument, "INVALID_RESUME_TOKEN"));

    // Enough changes to push the first ones out of the history.
    let item = Change::Added(pool(1).build());
    let items = vec![item; HISTORY_CHANGES_MAX];
    for revision in 2..5 {
        registry.revision = revision;
        let changes = Changes::new(Revision(revision), OBSERVED, items.clone());
        registry.publisher.publish(Arc::new(view(revision, &registry.resources)), [Arc::new(changes)]);
    }
    let mut watch = registry.watch("", &list.resume_token).await.expect("the view has what is missed");
    assert_eq!(watch.message().await.revision, 4);
    let mut newest = view(5, &registry.resources);
    newest.past.horizon.floor = Revision(4);
    registry.publisher.publish(Arc::new(newest), []);
    let error = registry.watch("", &list.resume_token).await.err().expect("not kept");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::OutOfRange, "HISTORY_EXPIRED"));

    let error = registry.watch("observed_at > 2026-01-01T00:00:00Z", "").await.err().expect("refused");
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn watches_are_counted_and_end_with_the_registry() {
    let registry = Registry::new([pool(0)], Options { watchers_max: 1, ..Options::default() });
    let mut watch = registry.watch("", "").await.expect("a watch");
    assert!(watch.message().await.initial_list_end);
    let error = registry.watch("", "").await.err().expect("one too many");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::ResourceExhausted, "TOO_MANY_WATCHERS"));
    registry.draining.cancel();
    let error = watch.next().await.expect_err("the registry stops");
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Unavailable, "DRAINING"));
    let error = registry.watch("", "").await.err().expect("no new ones");
    assert_eq!(error.code(), Code::Unavailable);
}

#[test]
fn every_filter_in_the_guide_is_one() {
    let guide = include_str!("../../docs/queries.md");
    let block = guide.split("```filter\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    for line in block.lines() {
        pulse_registry::query::filter::Filter::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    for (field, _) in pulse_registry::query::filter::field::FIELDS {
        assert!(guide.contains(&format!("`{field}`")), "{field} is not in the guide");
    }
}
