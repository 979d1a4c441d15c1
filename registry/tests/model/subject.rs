//! The registry as its services are wired, spoken to by generated clients, on a
//! journal that is not really synced: no test cuts the power.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Answered;
use pulse_proto::pb::registry::v1::ingest_service_client::IngestServiceClient;
use pulse_proto::pb::registry::v1::reject::Reason;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{self as pb, IngestRequest, IngestResponse};
use pulse_proto::pb::resource::v1 as wire;
use pulse_proto::served::registry::v1::ingest_service_server::IngestServiceServer;
use pulse_registry::clock::Clock;
use pulse_registry::health::Tables;
use pulse_registry::ingest::{Limits, Observer, Writer};
use pulse_registry::service::ingest::{IngestApi, Options as IngestOptions};
use pulse_registry::service::resource::direct::Direct;
use pulse_registry::service::resource::{Options, ResourceApi};
use pulse_registry::state::{Answer, Boundary, Retention, State, feed};
use pulse_registry::store::Store;
use pulse_registry::store::journal::disk::{Disk, OsDisk, Output};
use pulse_registry::store::journal::{Journal, Options as JournalOptions};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::op::{AGENT, COLLECTORS, CONNECTIONS, Filter, Order, Stand, Thing, What};
use super::reference::{self, Batch, Heartbeat, Removal, Said};

pub(crate) type Page = pb::ListResourcesResponse;

const SECTIONS: [&str; 2] = ["even", "odd"];
const MESSAGE_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Subject {
    folder: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    writer: JoinHandle<()>,
    resources: ResourceServiceClient<Direct>,
    /// One for each collector.
    lines: Vec<Line>,
}

struct Line {
    outbox: mpsc::Sender<IngestRequest>,
    answers: Streaming<IngestResponse>,
}

impl Subject {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let running = Some(Running::start(folder.path()).await);
        Self { folder, running }
    }

    /// As after a kill: what is not on disk is gone.
    pub(crate) async fn restart(&mut self) {
        let Running { writer, .. } = self.running.take().unwrap();
        writer.abort();
        let _ended = writer.await;
        self.running = Some(Running::start(self.folder.path()).await);
    }

    fn line(&mut self, collector: usize) -> &mut Line {
        &mut self.running.as_mut().unwrap().lines[collector]
    }

    fn resources(&self) -> ResourceServiceClient<Direct> {
        self.running.as_ref().unwrap().resources.clone()
    }

    pub(crate) async fn batch(&mut self, batch: &Batch, answers: usize) -> Vec<(Said, u64)> {
        self.line(batch.draft.collector).ask(Message::Batch(to_wire(batch)), answers).await
    }

    pub(crate) async fn heartbeat(&mut self, heartbeat: &Heartbeat, answers: usize) -> Vec<(Said, u64)> {
        let Heartbeat { connection, collector, epoch, digest } = *heartbeat;
        let heartbeat = pb::Heartbeat {
            connection: CONNECTIONS[connection].to_owned(),
            epoch,
            digest: vec![digest; 32].into(),
            observations: Vec::new(),
        };
        self.line(collector).ask(Message::Heartbeat(heartbeat), answers).await
    }

    pub(crate) async fn removal(&mut self, removal: &Removal) -> Vec<(Said, u64)> {
        let Removal { connection, collector, epoch, sequence, own_epoch } = *removal;
        let connection = CONNECTIONS[connection].to_owned();
        let removal = pb::ConnectionRemoval { connection, epoch, sequence, own_epoch };
        self.line(collector).ask(Message::ConnectionRemoval(removal), 1).await
    }

    /// The revision that shows it, if it can be said.
    pub(crate) async fn say(&self, stand: Stand) -> Option<u64> {
        let end = |at: usize| {
            Some(pb::RecordRef {
                connection: CONNECTIONS[at].to_owned(),
                source_id: reference::source_id(at, What::Host),
            })
        };
        let (left, right) = (end(0), end(AGENT));
        let (who, reason) = ("ops".to_owned(), String::new());
        let mut client = self.resources();
        let said = match stand {
            Stand::Same => {
                let said = client.link_resources(pb::LinkResourcesRequest { left, right, reason, who }).await;
                said.map(|said| said.into_inner().revision)
            }
            Stand::Different => {
                let request = pb::UnlinkResourcesRequest { left, right, reason, who };
                client.unlink_resources(request).await.map(|said| said.into_inner().revision)
            }
            Stand::Forget => {
                let request = pb::DeleteResourceLinkRequest { left, right };
                client.delete_resource_link(request).await.map(|said| said.into_inner().revision)
            }
        };
        said.inspect_err(|status| assert_eq!(status.code(), tonic::Code::NotFound, "{status}")).ok()
    }

    pub(crate) async fn page(
        &self,
        filter: Filter,
        order: Order,
        size: i32,
        token: &str,
    ) -> Result<Page, Status> {
        let request = pb::ListResourcesRequest {
            page_size: size,
            page_token: token.to_owned(),
            filter: filter.text(),
            order_by: order.text().to_owned(),
            read_mask: None,
        };
        self.resources().list_resources(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn get(&self, id: &str) -> (wire::Resource, u64) {
        let request = pb::GetResourceRequest { id: id.to_owned(), read_mask: None };
        let found = self.resources().get_resource(request).await.unwrap().into_inner();
        (found.resource.unwrap(), found.revision)
    }

    pub(crate) async fn watch(&self, filter: Filter, token: &str) -> Streaming<pb::WatchResourcesResponse> {
        let request = pb::WatchResourcesRequest {
            filter: filter.text(),
            resume_token: token.to_owned(),
            read_mask: None,
        };
        self.resources().watch_resources(request).await.unwrap().into_inner()
    }
}

impl Running {
    async fn start(data_dir: &Path) -> Self {
        let options = JournalOptions::default();
        let store: Arc<dyn Store> =
            Arc::new(Journal::open_with(data_dir, "registry", Arc::new(Unsynced), options).unwrap());
        let mut loaded = store.load().unwrap();
        assert_eq!(loaded.damaged, Vec::<String>::new());
        let (revision, write) = loaded.remembered.begin(loaded.revision, "model", false);
        if let Some(write) = write {
            store.commit(revision, &[write]).unwrap();
        }
        let judge = Arc::new(Tables::default());
        let clock = Clock::default();
        let past = (loaded.remembered, Retention::default());
        let due = clock.now() + Duration::from_hours(1);
        let state = State::restore(
            (judge.clone(), Boundary::default()),
            revision,
            loaded.connections,
            loaded.links,
            past,
            due,
        );
        let (publisher, feed) = feed::channel(state.view().clone());
        let (writer, handle) = Writer::new(state, judge, store, publisher, clock, Arc::new(Silent));
        let draining = CancellationToken::new();
        let options = IngestOptions {
            limits: Limits::default(),
            unacked_batches_max: 8,
            heartbeat_interval: Duration::from_secs(10),
            enable_truenas: true,
            hidden: Arc::new(BTreeSet::new()),
        };
        let ingest = IngestApi::new(
            handle.clone(),
            feed.clone(),
            "registry",
            options,
            Arc::new(Silent),
            Gauge::default(),
            draining.clone(),
        );
        let api = ResourceApi::new(feed, "registry", Options::default(), draining).with_writer(handle);
        let writer = tokio::spawn(writer.run());
        let resources = ResourceServiceClient::new(Direct::new(api, MESSAGE_BYTES_MAX));
        let mut lines = Vec::new();
        for collector in COLLECTORS {
            lines.push(Line::open(ingest.clone(), collector).await);
        }
        Self { writer, resources, lines }
    }
}

impl Line {
    async fn open(ingest: IngestApi, collector: &str) -> Self {
        let (outbox, outgoing) = mpsc::channel(8);
        let hello = pb::Hello {
            collector_id: collector.to_owned(),
            protocol_version: pulse_proto::PROTOCOL_VERSION,
            software: String::new(),
            connections: Vec::new(),
        };
        outbox.send(IngestRequest { message: Some(Message::Hello(hello)) }).await.unwrap();
        let mut client = IngestServiceClient::new(IngestServiceServer::new(ingest));
        let mut answers = client.ingest(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
        let first = answers.message().await.unwrap().unwrap().message;
        assert!(matches!(first, Some(Answered::Welcome(_))), "{first:?}");
        Self { outbox, answers }
    }

    async fn ask(&mut self, message: Message, answers: usize) -> Vec<(Said, u64)> {
        self.outbox.send(IngestRequest { message: Some(message) }).await.unwrap();
        let mut said = Vec::new();
        for _ in 0..answers {
            let next = tokio::time::timeout(Duration::from_mins(1), self.answers.message()).await;
            said.push(match next.expect("an answer").unwrap().unwrap().message.unwrap() {
                Answered::Ack(ack) => (Said::Ack, ack.revision),
                Answered::Resync(_) => (Said::Resync, 0),
                Answered::Reject(reject) => match reject.reason() {
                    Reason::Records => (Said::Records, 0),
                    Reason::Fenced => (Said::Fenced, 0),
                    Reason::OutOfSequence => (Said::OutOfSequence, 0),
                    other => panic!("{other:?}: {reject:?}"),
                },
                other @ Answered::Welcome(_) => panic!("{other:?}"),
            });
        }
        said
    }
}

fn to_wire(batch: &Batch) -> pb::Batch {
    let Batch { draft, epoch, sequence, base, digest } = batch;
    let at = draft.connection;
    let source = if at == AGENT { wire::DataSource::Agent } else { wire::DataSource::Truenas };
    let section = |(section, is_complete): (usize, &Option<bool>)| {
        let outcome =
            if (*is_complete)? { wire::SectionOutcome::Fresh } else { wire::SectionOutcome::Failed };
        Some(wire::SectionReport {
            section: SECTIONS[section].to_owned(),
            outcome: outcome.into(),
            observed_at: Some(now()),
            interval: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            ..wire::SectionReport::default()
        })
    };
    pb::Batch {
        connection: CONNECTIONS[at].to_owned(),
        epoch: *epoch,
        sequence: *sequence,
        source: source.into(),
        snapshot_begin: draft.begin,
        snapshot_end: draft.end,
        upserts: draft.records.iter().map(|thing| record(at, *thing)).collect(),
        removals: draft.removals.iter().map(|what| reference::source_id(at, *what)).collect(),
        sections: draft.sections.iter().enumerate().filter_map(section).collect(),
        digest: vec![*digest; 32].into(),
        base_digest: base.map(|base| vec![base; 32].into()).unwrap_or_default(),
        ..pb::Batch::default()
    }
}

fn record(at: usize, thing: Thing) -> wire::IngestRecord {
    let is_host = thing.what == What::Host;
    let machine = wire::Identity {
        hostnames: vec![format!("machine-{}", thing.value)],
        mac_addresses: vec![format!("3c:ec:ef:00:11:2{}", thing.value)],
        ..wire::Identity::default()
    };
    // The second NAS is a machine of its own.
    let identity = (is_host && at != 1).then_some(machine);
    wire::IngestRecord {
        source_id: reference::source_id(at, thing.what),
        r#type: if is_host { wire::ResourceType::Host } else { wire::ResourceType::Storage }.into(),
        name: reference::name(at, thing.what),
        section: SECTIONS[thing.what.section()].to_owned(),
        state: reference::state(thing).to_owned(),
        identity,
        tags: reference::tags(thing),
        storage: (!is_host).then(|| wire::StorageFacet {
            topology: wire::StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            ..wire::StorageFacet::default()
        }),
        ..wire::IngestRecord::default()
    }
}

fn now() -> prost_types::Timestamp {
    let now = jiff::Timestamp::now();
    prost_types::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() }
}

struct Silent;

impl Observer for Silent {
    fn committed(&self, _took: Duration, _batches: usize, _rows: usize) {}
    fn failed(&self, error: &str) {
        panic!("the store failed: {error}");
    }
    fn answered(&self, _answers: &[Answer]) {}
    fn published(&self, _revision: pulse_proto::model::Revision, _changes: usize) {}
    fn checkpointed(&self, _took: Duration) {}
    fn checkpoint_failed(&self, error: &str) {
        panic!("the checkpoint failed: {error}");
    }
}

#[derive(Debug)]
struct Unsynced;

#[derive(Debug)]
struct UnsyncedFile(Box<dyn Output>);

impl Disk for Unsynced {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(UnsyncedFile(OsDisk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(UnsyncedFile(OsDisk.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl Output for UnsyncedFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write(at, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
}
