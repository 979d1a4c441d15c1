//! Drives the core over a gRPC stream: connect, hello, welcome, then messages
//! both ways until the stream breaks, and again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pb::ingest_request::Message;
use pb::ingest_response::Message as Said;
use pb::ingest_service_client::IngestServiceClient;
use pulse_proto::PROTOCOL_VERSION;
use pulse_proto::model::CollectorId;
use pulse_proto::pb::registry::v1 as pb;
use pulse_shell::answer::told;
use pulse_shell::client::Bearer;
use pulse_shell::tls::connector::{self, ClientFiles};
use pulse_shell::tls::failure::Failure;
use pulse_shell::trace;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Endpoint;
use tracing::field::Empty;
use tracing::{Span, debug, error, info, warn};

use super::core::{Core, Notice};
use super::known::Known;
use super::mailbox::{Mailbox, Update};
use crate::target::backoff::{Wait, delay};

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const WELCOME_DEADLINE: Duration = Duration::from_secs(20);
/// A dead peer is noticed within this and the next.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);
/// Messages handed to the transport and not sent yet.
const OUTBOX_MAX: usize = 4;
/// Time to hand over the newest states at a stop.
const FAREWELL: Duration = Duration::from_secs(3);
const SOFTWARE: &str = concat!("pulse-collector/", env!("CARGO_PKG_VERSION"));

#[derive(Clone, Debug)]
pub struct Options {
    /// `https://host:port` of the registry, or `http://`.
    pub address: String,
    /// Read at each connect, like the token: a change needs no restart.
    pub files: ClientFiles,
    pub token_file: Option<PathBuf>,
    pub collector: CollectorId,
}

/// How the uplink does, for readiness, metrics and people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub connected: bool,
    pub registry_id: String,
    pub last_error: String,
    pub acked: u64,
    pub refused: u64,
    pub resyncs: u64,
    pub reconnects: u64,
    /// Batches on their way without an answer.
    pub unanswered: usize,
}

struct Uplink {
    core: Core,
    known: Known,
    mailbox: Arc<Mailbox>,
    link: watch::Sender<Link>,
    /// Traces of batches without an answer, by connection: each has at most one.
    deliveries: BTreeMap<String, Span>,
}

/// Runs until `shutdown`. The registry may come and go; the newest states are kept meanwhile.
pub async fn run(
    options: Options,
    known: Known,
    mailbox: Arc<Mailbox>,
    link: watch::Sender<Link>,
    shutdown: CancellationToken,
) {
    let core = Core::new(known.epoch(), known.former().clone());
    let mut uplink = Uplink { core, known, mailbox, link, deliveries: BTreeMap::new() };
    let mut attempt = 0;
    while !shutdown.is_cancelled() {
        let began = Instant::now();
        let ended = tokio::select! {
            ended = uplink.converse(&options, &shutdown) => ended,
            () = stopped_for_good(&shutdown) => break,
        };
        uplink.core.disconnected();
        uplink.deliveries.clear();
        let was_connected = uplink.link.borrow().connected;
        if was_connected && began.elapsed() > Duration::from_secs(10) {
            attempt = 0;
        }
        if let Err(reason) = &ended {
            warn!(
                registry = options.address,
                reason, "no stream to the registry; states are kept and it is tried again"
            );
        }
        uplink.link.send_modify(|link| {
            link.connected = false;
            link.unanswered = 0;
            link.reconnects += u64::from(was_connected);
            link.last_error = ended.err().unwrap_or_default();
        });
        let pause = delay(Wait::Transient, attempt, rand::random());
        attempt = attempt.saturating_add(1);
        tokio::select! {
            () = tokio::time::sleep(pause.min(Duration::from_secs(15))) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn stopped_for_good(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
}

impl Uplink {
    /// One stream from connect to end. `Ok` when it ended because we stop.
    async fn converse(&mut self, options: &Options, shutdown: &CancellationToken) -> Result<(), String> {
        let endpoint = Endpoint::from_shared(options.address.clone())
            .map_err(|error| format!("registry.address {:?}: {error}", options.address))?
            .connect_timeout(CONNECT_DEADLINE)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_DEADLINE)
            .keep_alive_while_idle(true);
        let bearer =
            Bearer::read(options.token_file.as_deref(), &endpoint).map_err(|error| format!("{error:#}"))?;
        let connecting = connector::connect(endpoint, &options.files);
        let channel = connecting.await.map_err(|failure| match failure {
            Failure::Authority => {
                format!("{failure}; name the PEM file of that authority as registry.ca_file")
            }
            Failure::Tls => format!("{failure}; registry.address has to begin with https://"),
            other => other.to_string(),
        })?;
        let (outbox, outgoing) = mpsc::channel(OUTBOX_MAX);
        self.absorb()?;
        let hello = pb::Hello {
            collector_id: options.collector.to_string(),
            protocol_version: PROTOCOL_VERSION,
            software: SOFTWARE.to_owned(),
            connections: self.core.connections().map(ToString::to_string).collect(),
        };
        send(&outbox, Message::Hello(hello)).await?;
        let mut client = IngestServiceClient::with_interceptor(channel, bearer);
        let opening = async {
            let answer = client.ingest(ReceiverStream::new(outgoing)).await;
            let mut inbound = answer.map_err(|status| told(&status))?.into_inner();
            let first = inbound.message().await.map_err(|status| told(&status))?;
            match first.and_then(|first| first.message) {
                Some(Said::Welcome(welcome)) => Ok((inbound, welcome)),
                other => Err(format!("expected Welcome, got {other:?}")),
            }
        };
        let opened = tokio::time::timeout(WELCOME_DEADLINE, opening).await;
        let (inbound, welcome) = opened.map_err(|_late| "no Welcome came in time".to_owned())??;
        info!(
            registry = options.address,
            registry_id = welcome.registry_id,
            "stream to the registry is open"
        );
        self.link.send_modify(|link| {
            link.connected = true;
            link.registry_id.clone_from(&welcome.registry_id);
            link.last_error.clear();
        });
        let notices = self.core.welcomed(&welcome, Instant::now());
        self.note(notices)?;
        self.exchange(inbound, &outbox, shutdown).await
    }

    async fn exchange(
        &mut self,
        mut inbound: Streaming<pb::IngestResponse>,
        outbox: &mpsc::Sender<pb::IngestRequest>,
        shutdown: &CancellationToken,
    ) -> Result<(), String> {
        let mut waiting: Option<Message> = None;
        loop {
            let now = Instant::now();
            if waiting.is_none() {
                waiting = self.core.poll(now);
            }
            if waiting.is_none() && shutdown.is_cancelled() && self.core.is_settled() {
                return Ok(());
            }
            let due = self.core.next_due(now);
            let later = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                permit = outbox.reserve(), if waiting.is_some() => {
                    let permit = permit.map_err(|_gone| "the stream is closed".to_owned())?;
                    let message = waiting.take().map(|message| self.traced(message));
                    permit.send(pb::IngestRequest { message });
                }
                message = inbound.message() => match message {
                    Ok(Some(pb::IngestResponse { message: Some(message) })) => {
                        let notices = self.core.received(message, Instant::now());
                        self.note(notices)?;
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return Err("the registry ended the stream".to_owned()),
                    Err(status) => return Err(told(&status)),
                },
                () = self.mailbox.filled() => self.absorb()?,
                () = later, if waiting.is_none() => {}
                () = shutdown.cancelled(), if !shutdown.is_cancelled() => {}
            }
        }
    }

    /// A batch goes on with the trace of what it tells, until it is answered.
    fn traced(&mut self, message: Message) -> Message {
        let Message::Batch(mut batch) = message else { return message };
        let span = tracing::info_span!(
            target: trace::TARGET, "deliver", otel.kind = "client",
            connection = batch.connection, sequence = batch.sequence, records = batch.upserts.len(), trace_id = Empty,
        );
        trace::follow(&span, &batch.traceparent);
        batch.traceparent = trace::traceparent(&span);
        self.deliveries.insert(batch.connection.clone(), span);
        self.link.send_modify(|link| link.unanswered = self.deliveries.len());
        Message::Batch(batch)
    }

    /// Takes the newest states. They are written down as known before anything of them is sent.
    fn absorb(&mut self) -> Result<(), String> {
        let updates = self.mailbox.take();
        let held = updates.iter().filter(|(_, update)| matches!(update, Update::State(_)));
        let ids: Vec<_> = held.map(|(id, _)| id.clone()).collect();
        let kept = self.known.add(ids).map_err(|error| error.to_string());
        let notices = self.core.update(updates);
        kept.and_then(|()| self.note(notices))
    }

    fn note(&mut self, notices: Vec<Notice>) -> Result<(), String> {
        for notice in notices {
            if let Notice::Acked { connection, .. } | Notice::Refused { connection, .. } = &notice {
                self.deliveries.remove(connection.as_str());
                self.link.send_modify(|link| link.unanswered = self.deliveries.len());
            }
            match notice {
                Notice::Acked { connection, sequence, revision } => {
                    debug!(%connection, sequence, revision, "batch is durable");
                    self.link.send_modify(|link| link.acked += 1);
                }
                Notice::Removed(connection) => {
                    info!(%connection, "removed at the registry");
                    self.known.remove(&connection).map_err(|error| error.to_string())?;
                }
                Notice::Left(connection) => {
                    warn!(
                        %connection,
                        "deleted here, and brought since by another collector, or by this one as of a start that it does \
                         not know any more: it stays at the registry until it is removed where it is brought \
                         (`pulse-collector connections remove`); where nobody does, add it here again and remove it then",
                    );
                    self.known.remove(&connection).map_err(|error| error.to_string())?;
                }
                Notice::Refused { connection, message, records } => {
                    warn!(%connection, message, ?records, "the registry refused");
                    self.link.send_modify(|link| link.refused += 1);
                }
                Notice::Fenced { connection, current } => {
                    error!(%connection, epoch = current, "another collector holds this connection: delete it there or here");
                }
                Notice::Resync { connection, reason } => {
                    info!(%connection, reason, "the registry asks for a full snapshot");
                    self.link.send_modify(|link| link.resyncs += 1);
                }
                Notice::Odd(what) => warn!(what, "the registry said something unexpected"),
            }
        }
        Ok(())
    }
}

async fn send(outbox: &mpsc::Sender<pb::IngestRequest>, message: Message) -> Result<(), String> {
    let request = pb::IngestRequest { message: Some(message) };
    outbox.send(request).await.map_err(|_gone| "the stream is closed".to_owned())
}
