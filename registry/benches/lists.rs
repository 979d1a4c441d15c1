//! The read side in one process, without the network: what lists, gets and
//! sums cost while batches come in, and what a resource takes of memory.
//!
//! `cargo bench -p pulse-registry --bench lists -- [RESOURCES]`, a million by default.

#![allow(clippy::print_stdout, reason = "a bench talks to the person who runs it")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use pulse_proto::model::{
    Capacity, CollectorId, ConnectionId, ConnectionState, ConnectionStatus, DataSource, Epoch, Facets,
    Identity, IngestRecord, ResourceType, SectionName, SectionOutcome, SectionReport, Sequence, SourceId,
    Storage, StorageTopology, UnixMillis,
};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::served::registry::v1::resource_service_server::ResourceService as _;
use pulse_registry::health::Tables;
use pulse_registry::service::resource::{Options, ResourceApi};
use pulse_registry::state::feed::{self, Publisher};
use pulse_registry::state::{Batch, Boundary, Input, State, Upsert};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Request;

const PER_CONNECTION: usize = 1_000;
const BATCH: usize = 100;
/// Each question is asked until one of both is reached.
const ASKED_MAX: usize = 200;
const ASKING_MAX: Duration = Duration::from_secs(4);
const NOW: UnixMillis = UnixMillis::new(1_800_000_000_000);

struct Fleet {
    state: State,
    publisher: Publisher,
    api: ResourceApi,
    connections: usize,
    sequences: Vec<u64>,
    applied: Vec<Duration>,
}

fn record(connection: usize, row: usize, version: u64) -> IngestRecord {
    let system = format!("system:nas-{connection:05}");
    let (kind, topology, place) = match row {
        0 => (ResourceType::Host, None, String::new()),
        1..=4 => (ResourceType::Storage, Some(StorageTopology::Pool), format!("/pool:tank{row}")),
        5..=599 => (ResourceType::Storage, Some(StorageTopology::Dataset), format!("/dataset:tank1/d{row}")),
        600..=899 => (ResourceType::PhysicalDisk, None, format!("/disk:sd{row}")),
        _ => (ResourceType::AppContainer, None, format!("/app:app{row}")),
    };
    let name =
        place.split_once(':').map_or_else(|| format!("nas-{connection:05}"), |(_, name)| name.to_owned());
    let storage = topology.map(|topology| Storage {
        topology,
        kind: format!("zfs-{}", topology.token()),
        pool: "tank1".to_owned(),
        path: format!("/mnt/{name}"),
        zfs: None,
    });
    // One in fifty is not well, in every connection.
    let state = match (kind, row % 50) {
        (ResourceType::Storage, 3) => "DEGRADED",
        _ => "ONLINE",
    };
    let used = (row as u64 * 7_919 + version) % 1_000_000;
    IngestRecord {
        source_id: SourceId::parse(&format!("{system}{place}")).expect("a source id"),
        parent_source_id: (row > 0).then(|| SourceId::parse(&system).expect("a source id")),
        resource_type: kind,
        name,
        section: SectionName::parse("pools").expect("a section"),
        state: state.to_owned(),
        identity: Identity::default(),
        capacity: Some(Capacity {
            total_bytes: Some(1_000_000),
            used_bytes: Some(used),
            available_bytes: Some(1_000_000 - used),
            ..Capacity::default()
        }),
        // What a record of some eight hundred bytes more would weigh.
        tags: vec!["x".repeat(850)],
        incidents: Vec::new(),
        facets: Facets { storage: storage.map(Box::new), ..Facets::default() },
    }
}

impl Fleet {
    fn new(connections: usize) -> Self {
        let state = State::new(Arc::new(Tables::default()), Boundary::default());
        let (publisher, feed) = feed::channel(state.view().clone());
        let api = ResourceApi::new(feed, "bench", Options::default(), CancellationToken::new());
        let sequences = vec![0; connections];
        Self { state, publisher, api, connections, sequences, applied: Vec::new() }
    }

    /// Rows of one connection, applied and shown.
    fn batch(&mut self, connection: usize, rows: impl Iterator<Item = usize>, version: u64) {
        self.sequences[connection] += 1;
        let first = self.sequences[connection] == 1;
        let section = SectionName::parse("pools").expect("a section");
        let report = SectionReport {
            section: section.clone(),
            outcome: SectionOutcome::Fresh,
            observed_at: Some(NOW),
            since: None,
            interval: Duration::from_secs(30),
            error: String::new(),
        };
        let status = ConnectionStatus {
            name: format!("NAS {connection}"),
            state: ConnectionState::Live,
            reason: String::new(),
            since: None,
            labels: BTreeMap::from([("site".to_owned(), format!("dc-{}", connection % 100))]),
        };
        let batch = Batch {
            collector: CollectorId::parse("bench").expect("an id"),
            connection: ConnectionId::parse(&format!("nas-{connection:05}")).expect("an id"),
            epoch: Epoch(1),
            sequence: Sequence(self.sequences[connection]),
            source: DataSource::Truenas,
            snapshot_begin: first,
            snapshot_end: false,
            upserts: rows.map(|row| Upsert::from(record(connection, row, version))).collect(),
            removals: Vec::new(),
            sections: first.then(|| BTreeMap::from([(section, report)])),
            status: first.then_some(status),
            digest: None,
            base: None,
            kept: BTreeSet::new(),
            refused: Vec::new(),
        };
        let begin = Instant::now();
        let applied = self.state.apply(Input::Batch(Box::new(batch)), NOW);
        self.publisher.publish(Arc::new(self.state.view().clone()), applied.changes);
        self.applied.push(begin.elapsed());
    }

    fn fill(&mut self) {
        for connection in 0..self.connections {
            for start in (0..PER_CONNECTION).step_by(BATCH) {
                self.batch(connection, start..start + BATCH, 0);
            }
        }
    }

    /// A batch between any two questions, so that nothing kept answers them.
    async fn ask<F: Future<Output = usize>>(&mut self, what: &str, question: impl Fn(ResourceApi) -> F) {
        let mut took = Vec::new();
        let begin = Instant::now();
        let mut size = 0;
        while took.len() < ASKED_MAX && begin.elapsed() < ASKING_MAX {
            let step = took.len();
            self.batch(step * 7 % self.connections, (step % 7..PER_CONNECTION).step_by(10), step as u64 + 1);
            let asked = Instant::now();
            size = question(self.api.clone()).await;
            took.push(asked.elapsed());
        }
        print(what, &mut took, size);
    }
}

fn print(what: &str, took: &mut [Duration], size: usize) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
    println!("{what:<58} p50 {:>9.3} ms  p99 {:>9.3} ms  of {size}", at(50), at(99));
}

async fn list(api: ResourceApi, filter: &str, order_by: &str) -> usize {
    let request = pb::ListResourcesRequest {
        page_size: 500,
        filter: filter.to_owned(),
        order_by: order_by.to_owned(),
        ..pb::ListResourcesRequest::default()
    };
    let answer = page(&api, request).await;
    usize::try_from(answer.total_size).expect("a size")
}

/// As a client reads it.
async fn page(api: &ResourceApi, request: pb::ListResourcesRequest) -> pb::ListResourcesResponse {
    let answer = api.list_resources(Request::new(request)).await.expect("a page").into_inner();
    pb::ListResourcesResponse::decode(answer.encode_to_vec().as_slice()).expect("the same message")
}

async fn list_all(api: ResourceApi, order_by: &str, paths: &[&str]) -> usize {
    let mut page_token = String::new();
    let mut seen = 0;
    loop {
        let request = pb::ListResourcesRequest {
            page_size: 1_000,
            page_token,
            order_by: order_by.to_owned(),
            read_mask: Some(prost_types::FieldMask {
                paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            }),
            ..pb::ListResourcesRequest::default()
        };
        let answer = page(&api, request).await;
        seen += answer.resources.len();
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return seen;
        }
    }
}

async fn sum(api: ResourceApi, filter: &str) -> usize {
    let request = pb::SummarizeResourcesRequest { filter: filter.to_owned() };
    let answer = api.summarize_resources(Request::new(request)).await.expect("a sum").into_inner();
    usize::try_from(answer.total).expect("a count")
}

async fn get(api: ResourceApi, id: &str) -> usize {
    let request = pb::GetResourceRequest { id: id.to_owned(), read_mask: None };
    usize::from(api.get_resource(Request::new(request)).await.is_ok())
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok());
    kib.unwrap_or_default() * 1_024
}

#[tokio::main]
async fn main() {
    let resources = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(1_000_000_usize);
    let connections = resources.div_ceil(PER_CONNECTION);
    let resources = connections * PER_CONNECTION;
    let before = resident_bytes();
    let mut fleet = Fleet::new(connections);
    fleet.fill();
    let mut applied = std::mem::take(&mut fleet.applied);
    print("fill: apply and publish 100 new", &mut applied, resources);
    println!("resident bytes per resource: {}", (resident_bytes() - before) / resources);

    let view = fleet.state.view();
    let middle = view.iter().nth(resources / 2 + 500).expect("a resource").1.clone();
    let id = middle.id.to_string();
    let parent = middle.parent.as_ref().expect("a parent").id.to_string();
    fleet.ask("get", |api| get(api, &id)).await;
    for filter in
        ["", "connection = nas-00007", "severity >= warning", "type = storage", "labels.site = dc-7"]
    {
        fleet.ask(&format!("sum: {filter}"), |api| sum(api, filter)).await;
    }
    let source_id = format!("source_id = \"{}\"", middle.document.source_id.as_str());
    let name = format!("name = \"{}\"", middle.name());
    let (id, parent_id) = (format!("id = {id}"), format!("parent_id = {parent}"));
    for (filter, order_by) in [
        ("", ""),
        ("", "name"),
        ("", "severity desc"),
        ("", "capacity.used_ratio desc"),
        ("severity >= warning", ""),
        ("severity >= warning", "severity desc, name"),
        ("severity = critical", ""),
        ("status = offline", ""),
        ("freshness = stale", ""),
        ("type = storage", ""),
        ("type = storage topology = pool", "name"),
        ("topology = pool severity >= warning", ""),
        ("connection = nas-00007", ""),
        ("labels.site = dc-7", ""),
        ("labels.site = dc-7 severity >= warning", ""),
        (&id, ""),
        (&parent_id, ""),
        (&source_id, ""),
        (&name, ""),
        ("name = nothing", ""),
        ("capacity.used_ratio > 0.99", ""),
        ("name:d59", ""),
    ] {
        fleet.ask(&format!("page of 500: {filter} / {order_by}"), |api| list(api, filter, order_by)).await;
    }
    if resources <= 100_000 {
        fleet.ask("whole list, by id", |api| list_all(api, "", &[])).await;
        fleet.ask("whole list, by name", |api| list_all(api, "name", &[])).await;
        fleet.ask("whole list, id and name only", |api| list_all(api, "", &["id", "name"])).await;
    }
    print("meanwhile: apply and publish 100 changed", &mut fleet.applied, resources);
    println!("resident bytes per resource at the end: {}", (resident_bytes() - before) / resources);
}
