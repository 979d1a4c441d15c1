//! One ingest stream: hello, welcome, then messages to the writer and its
//! answers back. Reads no further while too much is unanswered, or waits for the
//! writer.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use prometheus_client::metrics::gauge::Gauge;
use prost::Message as _;
use pulse_proto::PROTOCOL_VERSION;
use pulse_proto::model::{CollectorId, ConnectionId};
use pulse_proto::pb::registry::v1 as wire;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::served::registry::v1::ingest_request::Message;
use pulse_proto::served::registry::v1::ingest_service_server::IngestService;
use pulse_proto::served::registry::v1::{Batch, IngestRequest};
use pulse_shell::access::Caller;
use pulse_shell::trace;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::field::Empty;
use tracing::{Instrument as _, Span, debug, info, warn};

use crate::error;
use crate::ingest::writer::{Closed, Outcome, StreamId};
use crate::ingest::{Handle, Limits, Observer, Recall, decode};
use crate::state::lease::Cursor;
use crate::state::{Answer, Feed, Input, RejectReason, Rejected};

/// A client that connects says hello within this time.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// Connections one hello may name.
const HELLO_CONNECTIONS_MAX: usize = 20_000;
/// When a client whose stream was ended may be back.
const RECONNECT: Duration = Duration::from_secs(1);
/// Messages on their way to a client that reads slowly.
const OUTBOX_MAX: usize = 16;

#[derive(Clone, Debug)]
pub struct Options {
    pub limits: Limits,
    pub unacked_batches_max: usize,
    pub heartbeat_interval: Duration,
    /// `PULSE_ENABLE_TRUENAS`: off refuses what TrueNAS connections bring.
    pub enable_truenas: bool,
    /// Stored connections that are not shown while it is off.
    pub hidden: Arc<BTreeSet<ConnectionId>>,
}

/// The ingest service.
#[derive(Clone)]
pub struct IngestApi {
    writer: Handle,
    feed: Feed,
    registry_id: Arc<str>,
    options: Options,
    observer: Arc<dyn Observer>,
    streams: Gauge,
    draining: CancellationToken,
}

impl IngestApi {
    /// `observer` hears of what is refused before the writer sees it; `streams` counts what is open.
    pub fn new(
        writer: Handle,
        feed: Feed,
        registry_id: &str,
        options: Options,
        observer: Arc<dyn Observer>,
        streams: Gauge,
        draining: CancellationToken,
    ) -> Self {
        Self { writer, feed, registry_id: Arc::from(registry_id), options, observer, streams, draining }
    }
}

type Outbox = mpsc::Sender<Result<wire::IngestResponse, Status>>;

#[tonic::async_trait]
impl IngestService for IngestApi {
    type IngestStream =
        std::pin::Pin<Box<dyn Stream<Item = Result<wire::IngestResponse, Status>> + Send + 'static>>;

    async fn ingest(
        &self,
        request: Request<Streaming<IngestRequest>>,
    ) -> Result<Response<Self::IngestStream>, Status> {
        let caller = Caller::of(request.extensions());
        let inbound = request.into_inner();
        let (outbox, responses) = mpsc::channel(OUTBOX_MAX);
        let api = self.clone();
        tokio::spawn(async move {
            api.streams.inc();
            let ended = api.converse(&caller, inbound, &outbox).await;
            api.streams.dec();
            if let Err(status) = ended {
                // The client may be gone.
                drop(outbox.send(Err(status)).await);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}

impl IngestApi {
    async fn converse(
        &self,
        caller: &Caller,
        mut inbound: Streaming<IngestRequest>,
        outbox: &Outbox,
    ) -> Result<(), Status> {
        let hello = tokio::time::timeout(HELLO_DEADLINE, inbound.message());
        let first = tokio::select! {
            first = hello => first.map_err(|_late| error::invalid("hello", "HELLO_MISSING", "no Hello came in time"))??,
            () = self.draining.cancelled() => return Err(draining()),
        };
        let Some(Message::Hello(hello)) = first.and_then(|first| first.message) else {
            return Err(error::invalid("hello", "HELLO_MISSING", "the first message must be Hello"));
        };
        if !caller.may_be(&hello.collector_id) {
            let said = format!("this credential is not for the collector {:?}", hello.collector_id);
            return Err(error::reasoned(Code::PermissionDenied, "OTHER_COLLECTOR", &said, []));
        }
        let (collector, stream) = self.welcome(hello, caller, outbox).await?;
        let outcome = self.take_messages(caller, &collector, &stream, &mut inbound, outbox).await;
        info!(%collector, "ingest stream ended");
        outcome
    }

    async fn welcome(
        &self,
        hello: wire::Hello,
        caller: &Caller,
        outbox: &Outbox,
    ) -> Result<(CollectorId, StreamId), Status> {
        let wire::Hello { collector_id, protocol_version, software, connections } = hello;
        let collector = CollectorId::parse(&collector_id)
            .map_err(|bad| error::invalid("hello.collector_id", "INVALID_COLLECTOR_ID", bad.reason()))?;
        if protocol_version != PROTOCOL_VERSION {
            let said = format!("{protocol_version} is not spoken here; {PROTOCOL_VERSION} is");
            return Err(error::invalid("hello.protocol_version", "UNKNOWN_PROTOCOL_VERSION", &said));
        }
        if connections.len() > HELLO_CONNECTIONS_MAX {
            let said = format!("more than {HELLO_CONNECTIONS_MAX}");
            return Err(error::invalid("hello.connections", "TOO_MANY_CONNECTIONS", &said));
        }
        info!(%collector, software, connections = connections.len(), "ingest stream opened");
        // A malformed id is held by nobody, so there is nothing to tell about it.
        let ids = connections.iter().filter_map(|id| ConnectionId::parse(id).ok()).collect();
        let (stream, cursors) = self.writer.open(&collector, ids, caller.scope()).await.map_err(closed)?;
        let welcome = Said::Welcome(wire::Welcome {
            protocol_version: PROTOCOL_VERSION,
            registry_id: self.registry_id.to_string(),
            cursors: cursors.into_iter().map(cursor_to_wire).collect(),
            max_batch_records: u32_of(self.options.limits.batch_records_max),
            max_batch_bytes: u32_of(self.options.limits.batch_bytes_max),
            max_unacked_batches: u32_of(self.options.unacked_batches_max),
            heartbeat_interval: prost_types::Duration::try_from(self.options.heartbeat_interval).ok(),
        });
        say(outbox, welcome).await?;
        Ok((collector, stream))
    }

    /// One answer message comes for each input, so a place for it is always free.
    async fn take_messages(
        &self,
        caller: &Caller,
        collector: &CollectorId,
        stream: &StreamId,
        inbound: &mut Streaming<IngestRequest>,
        outbox: &Outbox,
    ) -> Result<(), Status> {
        let pending_max = self.options.unacked_batches_max.max(1);
        let (reply, mut answers) = mpsc::channel::<Outcome>(pending_max);
        // Of what was handed over and is not answered, in that order.
        let mut pending: VecDeque<Span> = VecDeque::new();
        let mut recall = Recall::new(self.feed.clone());
        let mut reading = true;
        while reading || !pending.is_empty() {
            tokio::select! {
                Some(outcome) = answers.recv(), if !pending.is_empty() => {
                    let span = pending.pop_front().unwrap_or_else(Span::none);
                    let Outcome::Answered(answers) = outcome else {
                        return Err(error::reasoned(
                            Code::Aborted,
                            "STREAM_SUPERSEDED",
                            "the collector has opened another stream",
                            [],
                        ));
                    };
                    for answer in answers {
                        span.in_scope(|| note(collector, &answer));
                        say(outbox, answer_to_wire(answer)).await?;
                    }
                }
                message = inbound.message(), if reading && pending.len() < pending_max => match message {
                    Ok(Some(message)) => {
                        let span = span(&message);
                        let room = self.writer.room(message.encoded_len()).await.map_err(|_stopped| draining())?;
                        let decoded = span.in_scope(|| self.decode(message, caller, collector, &mut recall));
                        // What is refused gives its room back before that is said: who does not read it must keep nobody waiting.
                        match decoded.map(|input| input.map(|input| (input, room))) {
                            Ok(Some((input, room))) => {
                                let submitted = self.writer.submit(stream, input, reply.clone(), room);
                                submitted.instrument(span.clone()).await.map_err(|_stopped| draining())?;
                                pending.push_back(span);
                            }
                            Ok(None) => return Err(error::invalid("hello", "SECOND_HELLO", "an ingest stream has one Hello")),
                            Err(answer) => {
                                self.observer.answered(std::slice::from_ref(&answer));
                                span.in_scope(|| note(collector, &answer));
                                say(outbox, answer_to_wire(answer)).await?;
                            }
                        }
                    }
                    Ok(None) => reading = false,
                    Err(status) if is_gone(&status) => {
                        debug!(%collector, %status, "ingest stream broke");
                        return Ok(());
                    }
                    // A message that cannot be read leaves no way to know what the next one means.
                    Err(status) => {
                        warn!(%collector, %status, "ingest stream ended: a message cannot be read");
                        return Err(status);
                    }
                },
                () = self.draining.cancelled(), if reading => reading = false,
            }
        }
        if self.draining.is_cancelled() { Err(draining()) } else { Ok(()) }
    }

    fn is_hidden(&self, connection: &str) -> bool {
        self.options.hidden.contains(connection)
    }

    /// `None` for a second Hello.
    fn decode(
        &self,
        request: IngestRequest,
        caller: &Caller,
        collector: &CollectorId,
        recall: &mut Recall,
    ) -> Result<Option<Input>, Answer> {
        if let Some((connection, epoch, sequence)) = about(&request)
            && !caller.may_bring(connection)
        {
            let message = "the credential of this stream is not for this connection";
            return Err(decode::refuse(connection, epoch, sequence, RejectReason::Invalid, message));
        }
        let off = |connection: &str, epoch, sequence| {
            let message = "PULSE_ENABLE_TRUENAS is off at the registry";
            Err(decode::refuse(connection, epoch, sequence, RejectReason::Disabled, message))
        };
        match request.message {
            Some(Message::Hello(_)) => Ok(None),
            Some(Message::Batch(batch)) if !self.options.enable_truenas && is_truenas(&batch) => {
                off(&batch.connection, batch.epoch, batch.sequence)
            }
            Some(Message::Batch(batch)) => {
                decode::batch(batch, collector, self.options.limits, recall).map(Some)
            }
            Some(Message::Heartbeat(heartbeat)) if self.is_hidden(&heartbeat.connection) => {
                off(&heartbeat.connection, heartbeat.epoch, 0)
            }
            // Removing what is not loaded would remove nothing, and it would come back.
            Some(Message::ConnectionRemoval(removal)) if self.is_hidden(&removal.connection) => {
                off(&removal.connection, removal.epoch, removal.sequence)
            }
            Some(Message::Heartbeat(heartbeat)) => decode::heartbeat(heartbeat, collector).map(Some),
            Some(Message::ConnectionRemoval(removal)) => decode::removal(&removal, collector).map(Some),
            None => Err(decode::refuse("", 0, 0, RejectReason::Invalid, "a message without content")),
        }
    }
}

/// Goes on with the trace of what a batch tells; heartbeats have none.
fn span(request: &IngestRequest) -> Span {
    let Some(Message::Batch(batch)) = &request.message else { return Span::none() };
    let span = tracing::info_span!(
        target: trace::TARGET, "ingest", otel.kind = "server",
        connection = batch.connection, sequence = batch.sequence, records = batch.upserts.len(), trace_id = Empty,
    );
    trace::follow(&span, &batch.traceparent);
    span
}

/// What a message is about: connection, epoch, sequence.
fn about(request: &IngestRequest) -> Option<(&str, u64, u64)> {
    match request.message.as_ref()? {
        Message::Hello(_) => None,
        Message::Batch(batch) => Some((&batch.connection, batch.epoch, batch.sequence)),
        Message::Heartbeat(heartbeat) => Some((&heartbeat.connection, heartbeat.epoch, 0)),
        Message::ConnectionRemoval(removal) => Some((&removal.connection, removal.epoch, removal.sequence)),
    }
}

/// The client ended or lost the stream: nobody is there to be told.
fn is_gone(status: &Status) -> bool {
    matches!(status.code(), Code::Cancelled | Code::Unknown | Code::Unavailable)
}

fn is_truenas(batch: &Batch) -> bool {
    batch.source() == pulse_proto::pb::resource::v1::DataSource::Truenas
}

async fn say(outbox: &Outbox, message: Said) -> Result<(), Status> {
    let response = wire::IngestResponse { message: Some(message) };
    outbox.send(Ok(response)).await.map_err(|_gone| Status::cancelled("the client is gone"))
}

fn closed(why: Closed) -> Status {
    match why {
        Closed::Stopped(_) => draining(),
        Closed::Store => error::reasoned(Code::Unavailable, "STORE", &why.to_string(), []),
    }
}

fn draining() -> Status {
    let details = ErrorDetails::with_retry_info(Some(RECONNECT));
    Status::with_error_details(Code::Unavailable, "the registry is stopping; connect again", details)
}

/// What an operator should see of an answer.
fn note(collector: &CollectorId, answer: &Answer) {
    match answer {
        Answer::Ack { connection, sequence, revision, .. } => {
            debug!(%collector, %connection, %sequence, %revision, "batch durable");
        }
        Answer::Reject { connection, sequence, message, records, .. } => {
            let first = records.first().map(|r| format!("{}: {} {}", r.source_id, r.field, r.message));
            warn!(%collector, connection, %sequence, message, first, "refused");
        }
        Answer::Resync { connection, reason } => {
            info!(%collector, %connection, reason, "full snapshot asked for");
        }
    }
}

fn answer_to_wire(answer: Answer) -> Said {
    match answer {
        Answer::Ack { connection, epoch, sequence, revision } => Said::Ack(wire::Ack {
            connection: connection.to_string(),
            epoch: epoch.0,
            sequence: sequence.0,
            revision: revision.0,
        }),
        Answer::Reject { connection, epoch, sequence, reason, message, records } => {
            let current_epoch = if let RejectReason::Fenced(current) = reason { current.0 } else { 0 };
            Said::Reject(wire::Reject {
                connection,
                epoch: epoch.0,
                sequence: sequence.0,
                reason: reason_to_wire(reason).into(),
                message,
                records: records.into_iter().map(rejected_to_wire).collect(),
                current_epoch,
            })
        }
        Answer::Resync { connection, reason } => {
            Said::Resync(wire::Resync { connection: connection.to_string(), reason: reason.to_owned() })
        }
    }
}

fn reason_to_wire(reason: RejectReason) -> wire::reject::Reason {
    use wire::reject::Reason;
    match reason {
        RejectReason::Records => Reason::Records,
        RejectReason::Fenced(_) => Reason::Fenced,
        RejectReason::OutOfSequence => Reason::OutOfSequence,
        RejectReason::TooLarge => Reason::TooLarge,
        RejectReason::Invalid => Reason::Invalid,
        RejectReason::Exhausted => Reason::Exhausted,
        RejectReason::Disabled => Reason::Disabled,
    }
}

fn rejected_to_wire(rejected: Rejected) -> wire::RecordRejection {
    let Rejected { source_id, field, message } = rejected;
    wire::RecordRejection { source_id, field, message }
}

fn cursor_to_wire((connection, cursor): (ConnectionId, Cursor)) -> wire::ConnectionCursor {
    wire::ConnectionCursor {
        connection: connection.to_string(),
        epoch: cursor.epoch.0,
        sequence: cursor.sequence.0,
        digest: cursor.digest.map(|digest| digest.0.to_vec().into()).unwrap_or_default(),
    }
}

fn u32_of(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
