//! One ingest stream of the load generator: sends batches without waiting for
//! each ack, within what the registry grants, and checks every answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use prost::Message as _;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::{
    Batch, Heartbeat, Hello, IngestRequest, IngestResponse, SectionObservation,
};
use pulse_proto::pb::resource::v1::{
    ConnectionState, ConnectionStatus, DataSource, SectionOutcome, SectionReport,
};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::record::{Shape, connection_id};
use super::wire::Client;

const INGEST: &str = "/pulse.registry.v1.IngestService/Ingest";
const EPOCH: u64 = 1;
/// So long that nothing grows stale while it is measured.
const INTERVAL_SECONDS: i64 = 3_600;
const SECTIONS: [&str; 4] = ["datasets", "disks", "pools", "system"];
/// Tags in `IngestRequest` and `Batch`.
const BATCH_TAG: u32 = 2;
const UPSERTS_TAG: u32 = 7;

/// What one batch brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub connection: u32,
    /// First record, and how many.
    pub first: u32,
    pub count: u32,
    /// The state they are in.
    pub change: u32,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Some records changed.
    Change,
    /// The same, with sections and status: the first of a connection.
    First,
    /// All there is.
    Snapshot,
}

/// An answer to a batch.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    pub part: Part,
    pub revision: u64,
    pub took: Duration,
}

#[derive(Debug)]
struct Sent {
    part: Part,
    sequence: u64,
    at: Instant,
}

#[derive(Debug)]
pub struct Lane {
    shape: Arc<Shape>,
    outbox: mpsc::Sender<Bytes>,
    inbound: Streaming<Bytes>,
    window: usize,
    sent: VecDeque<Sent>,
}

impl Lane {
    pub async fn open(address: &str, name: &str, shape: Arc<Shape>) -> anyhow::Result<Self> {
        let hello = Hello {
            collector_id: name.to_owned(),
            protocol_version: 1,
            software: "bench".to_owned(),
            connections: Vec::new(),
        };
        let (outbox, outgoing) = mpsc::channel(1_024);
        outbox.send(IngestRequest { message: Some(Message::Hello(hello)) }.encode_to_vec().into()).await?;
        let mut inbound =
            Client::connect(address).await?.streaming(INGEST, ReceiverStream::new(outgoing)).await?;
        let first = IngestResponse::decode(inbound.message().await?.context("the stream ended")?)?;
        let Some(Said::Welcome(welcome)) = first.message else { bail!("expected Welcome, got {first:?}") };
        let window = usize::try_from(welcome.max_unacked_batches)?;
        Ok(Self { shape, outbox, inbound, window, sent: VecDeque::new() })
    }

    /// Another batch may be sent before an ack is taken.
    pub fn has_room(&self) -> bool {
        self.sent.len() < self.window
    }

    pub fn is_idle(&self) -> bool {
        self.sent.is_empty()
    }

    pub async fn send(&mut self, part: Part, sequence: u64) -> anyhow::Result<()> {
        let message = batch(&self.shape, part, sequence);
        self.sent.push_back(Sent { part, sequence, at: Instant::now() });
        self.outbox.send(message).await.context("the stream ended")
    }

    /// Says that nothing changed since `sequence`; not answered.
    pub async fn heartbeat(&mut self, connection: u32, sequence: u64) -> anyhow::Result<()> {
        let observed_at = Some(now());
        let heartbeat = Heartbeat {
            connection: connection_id(connection),
            epoch: EPOCH,
            digest: digest(connection, sequence),
            observations: SECTIONS
                .map(|section| SectionObservation { section: section.to_owned(), observed_at })
                .to_vec(),
        };
        let request = IngestRequest { message: Some(Message::Heartbeat(heartbeat)) };
        self.outbox.send(request.encode_to_vec().into()).await.context("the stream ended")
    }

    /// The next ack, which must be that of the oldest batch. May be dropped while it waits.
    pub async fn ack(&mut self) -> anyhow::Result<Acked> {
        let answer = self.inbound.message().await?.context("the stream ended")?;
        let answer = IngestResponse::decode(answer)?;
        let Some(Said::Ack(ack)) = answer.message else { bail!("expected an ack, got {answer:?}") };
        let Sent { part, sequence, at } = self.sent.pop_front().context("an ack of nothing")?;
        let expected = (connection_id(part.connection), EPOCH, sequence);
        ensure!((ack.connection, ack.epoch, ack.sequence) == expected, "the ack is not that of {expected:?}");
        Ok(Acked { part, revision: ack.revision, took: at.elapsed() })
    }
}

/// A batch as it travels.
fn batch(shape: &Shape, part: Part, sequence: u64) -> Bytes {
    let Part { connection, first, count, change, kind } = part;
    let whole = kind != Kind::Change;
    let head = Batch {
        connection: connection_id(connection),
        epoch: EPOCH,
        sequence,
        source: DataSource::Truenas.into(),
        snapshot_begin: kind == Kind::Snapshot,
        snapshot_end: kind == Kind::Snapshot,
        sections: if whole { SECTIONS.map(report).to_vec() } else { Vec::new() },
        status: whole.then(|| ConnectionStatus {
            name: connection_id(connection),
            state: ConnectionState::Live.into(),
            ..ConnectionStatus::default()
        }),
        digest: digest(connection, sequence),
        ..Batch::default()
    };
    let mut body = Vec::with_capacity(512 + count as usize * 1_100);
    head.encode_raw(&mut body);
    for record in first..first + count {
        shape.append(&mut body, UPSERTS_TAG, connection, record, change);
    }
    let mut message = Vec::with_capacity(body.len() + 8);
    prost::encoding::encode_key(BATCH_TAG, prost::encoding::WireType::LengthDelimited, &mut message);
    prost::encoding::encode_varint(body.len() as u64, &mut message);
    message.extend_from_slice(&body);
    message.into()
}

/// The sender's name for a state: any 32 bytes that differ between states.
fn digest(connection: u32, sequence: u64) -> Bytes {
    let mut name = [0; 32];
    name[..4].copy_from_slice(&connection.to_be_bytes());
    name[4..12].copy_from_slice(&sequence.to_be_bytes());
    name.to_vec().into()
}

fn report(section: &str) -> SectionReport {
    SectionReport {
        section: section.to_owned(),
        outcome: SectionOutcome::Fresh.into(),
        observed_at: Some(now()),
        interval: Some(prost_types::Duration { seconds: INTERVAL_SECONDS, nanos: 0 }),
        ..SectionReport::default()
    }
}

fn now() -> prost_types::Timestamp {
    let now = jiff::Timestamp::now();
    prost_types::Timestamp { seconds: now.as_second(), nanos: now.subsec_nanosecond() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_the_contract_decodes() {
        let shape = Shape::new().unwrap();
        let part = Part { connection: 12, first: 100, count: 3, change: 7, kind: Kind::Snapshot };
        let request = IngestRequest::decode(batch(&shape, part, 9)).unwrap();
        let Some(Message::Batch(batch)) = request.message else { panic!("{request:?}") };
        assert_eq!((batch.connection.as_str(), batch.sequence, batch.upserts.len()), ("nas-0012", 9, 3));
        assert_eq!(batch.sections.len(), SECTIONS.len());
        assert_eq!(batch.upserts[2].source_id, "system:nas-0012/dataset:tank-003/data-102");
    }
}
