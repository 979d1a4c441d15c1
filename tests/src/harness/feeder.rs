//! A collector made by hand: speaks the ingest stream message by message, so
//! that tests decide what is sent and see every answer.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::ingest_service_client::IngestServiceClient;
use pulse_proto::pb::registry::v1::{Ack, Batch, Hello, IngestRequest, IngestResponse, Welcome};
use pulse_proto::pb::resource::v1::{
    AgentFacet, ConnectionState, ConnectionStatus, DataSource, Identity, IngestRecord, PhysicalDiskFacet,
    ResourceType, SectionOutcome, SectionReport, StorageFacet, StorageTopology, ZfsPool, storage_facet,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming};

use super::within;

/// One open stream.
#[derive(Debug)]
pub struct Feeder {
    outbox: mpsc::Sender<IngestRequest>,
    inbound: Streaming<IngestResponse>,
    pub welcome: Welcome,
}

impl Feeder {
    pub async fn open(registry: SocketAddr, collector: &str, connections: &[&str]) -> anyhow::Result<Self> {
        Self::open_as(registry, None, collector, connections).await
    }

    /// The same, with a token.
    pub async fn open_as(
        registry: SocketAddr,
        token: Option<&str>,
        collector: &str,
        connections: &[&str],
    ) -> anyhow::Result<Self> {
        let hello = Hello {
            collector_id: collector.to_owned(),
            protocol_version: 1,
            software: "tests".to_owned(),
            connections: connections.iter().map(|id| (*id).to_owned()).collect(),
        };
        let (outbox, mut inbound) = raw_as(registry, token, Message::Hello(hello)).await?;
        let first = within("Welcome", inbound.message()).await?.context("a first message")?;
        let Some(Said::Welcome(welcome)) = first.message else { bail!("expected Welcome, got {first:?}") };
        Ok(Self { outbox, inbound, welcome })
    }

    pub async fn send(&self, message: Message) -> anyhow::Result<()> {
        self.outbox.send(IngestRequest { message: Some(message) }).await.context("send")
    }

    /// The next answer; an error when the stream ended.
    pub async fn next(&mut self) -> anyhow::Result<Said> {
        let message = within("an answer", self.inbound.message()).await?;
        message.and_then(|message| message.message).context("the stream ended")
    }

    /// Sends a batch and waits for its ack, which must be the next answer.
    pub async fn put(&mut self, batch: Batch) -> anyhow::Result<Ack> {
        self.send(Message::Batch(batch)).await?;
        match self.next().await? {
            Said::Ack(ack) => Ok(ack),
            other => bail!("expected an ack, got {other:?}"),
        }
    }
}

/// Opens a stream with any first message.
pub async fn raw(
    registry: SocketAddr,
    first: Message,
) -> anyhow::Result<(mpsc::Sender<IngestRequest>, Streaming<IngestResponse>)> {
    raw_as(registry, None, first).await
}

async fn raw_as(
    registry: SocketAddr,
    token: Option<&str>,
    first: Message,
) -> anyhow::Result<(mpsc::Sender<IngestRequest>, Streaming<IngestResponse>)> {
    let mut client = IngestServiceClient::connect(format!("http://{registry}")).await?;
    let (outbox, outgoing) = mpsc::channel(64);
    outbox.send(IngestRequest { message: Some(first) }).await?;
    let mut request = Request::new(ReceiverStream::new(outgoing));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    let inbound = client.ingest(request).await?.into_inner();
    Ok((outbox, inbound))
}

/// A batch with live status and a fresh `pools` section.
pub fn batch(connection: &str, epoch: u64, sequence: u64, upserts: Vec<IngestRecord>) -> Batch {
    Batch {
        connection: connection.to_owned(),
        epoch,
        sequence,
        source: DataSource::Truenas.into(),
        upserts,
        sections: vec![section("pools", SectionOutcome::Fresh, 0)],
        status: Some(ConnectionStatus {
            name: connection.to_owned(),
            state: ConnectionState::Live.into(),
            ..ConnectionStatus::default()
        }),
        ..Batch::default()
    }
}

/// A section read so many seconds ago, every ten seconds.
pub fn section(name: &str, outcome: SectionOutcome, seconds_ago: u64) -> SectionReport {
    let now = jiff::Timestamp::now().as_second();
    let observed_at = outcome == SectionOutcome::Fresh;
    SectionReport {
        section: name.to_owned(),
        outcome: outcome.into(),
        observed_at: observed_at.then(|| prost_types::Timestamp {
            seconds: now - i64::try_from(seconds_ago).unwrap_or(0),
            nanos: 0,
        }),
        interval: Some(prost_types::Duration { seconds: 10, nanos: 0 }),
        ..SectionReport::default()
    }
}

/// A pool in a state.
pub fn pool(connection: &str, name: &str, state: &str) -> IngestRecord {
    IngestRecord {
        source_id: format!("system:{connection}/pool:{name}"),
        r#type: ResourceType::Storage.into(),
        name: name.to_owned(),
        section: "pools".to_owned(),
        state: state.to_owned(),
        storage: Some(StorageFacet {
            topology: StorageTopology::Pool.into(),
            r#type: "zfs-pool".to_owned(),
            pool: name.to_owned(),
            zfs: Some(storage_facet::Zfs::ZfsPool(ZfsPool {
                name: name.to_owned(),
                state: state.to_owned(),
                ..ZfsPool::default()
            })),
            ..StorageFacet::default()
        }),
        ..IngestRecord::default()
    }
}

/// A machine, as an agent or another source on it tells it.
pub fn host(source_id: &str, hostname: &str, mac: &str) -> IngestRecord {
    IngestRecord {
        source_id: source_id.to_owned(),
        r#type: ResourceType::Host.into(),
        name: hostname.to_owned(),
        section: "pools".to_owned(),
        identity: Some(Identity {
            hostnames: vec![hostname.to_owned()],
            mac_addresses: vec![mac.to_owned()],
            ..Identity::default()
        }),
        agent: Some(AgentFacet { cpu_model: "as the agent says".to_owned(), ..AgentFacet::default() }),
        ..IngestRecord::default()
    }
}

/// A disk with a serial.
pub fn disk(source_id: &str, parent: &str, serial: &str) -> IngestRecord {
    IngestRecord {
        source_id: source_id.to_owned(),
        parent_source_id: parent.to_owned(),
        r#type: ResourceType::PhysicalDisk.into(),
        name: source_id.to_owned(),
        section: "pools".to_owned(),
        identity: Some(Identity { machine_id: serial.to_owned(), ..Identity::default() }),
        physical_disk: Some(PhysicalDiskFacet {
            serial: serial.to_owned(),
            enclosure_slot: Some(7),
            ..PhysicalDiskFacet::default()
        }),
        ..IngestRecord::default()
    }
}
