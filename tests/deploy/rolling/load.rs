//! What goes on while pods are replaced: a collector of the test's own that sends batches and counts what is
//! acknowledged, and a watcher that goes on by its token. Both come back when the registry is ready again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::ingest_service_client::IngestServiceClient;
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{Hello, IngestRequest, IngestResponse, WatchResourcesRequest};
use pulse_proto::pb::resource::v1::{Resource, Status};
use pulse_tests::harness::feeder::{batch, pool};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use super::pod::Caller;

pub(super) const COLLECTOR: &str = "load";
pub(super) const CONNECTION: &str = "loaded";
/// 1,000 records a second: half of what a full fleet tells.
const EVERY: Duration = Duration::from_millis(20);
const RECORDS: u64 = 20;
/// Batches write these many sets of records in turn.
const SETS: u64 = 3;
const IN_FLIGHT_MAX: u64 = 8;

/// How far the test is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stage {
    /// Times that the registry has become ready.
    pub(super) ready: u64,
    pub(super) feeding_ends: bool,
    /// The watcher ends once it has come so far.
    pub(super) revision: Option<u64>,
}

/// Streams batches until the stage says that it ends; over how many streams. `acked` is told the sequence that is durable.
pub(super) async fn feed(
    caller: Caller,
    mut stage: watch::Receiver<Stage>,
    acked: watch::Sender<u64>,
) -> anyhow::Result<u64> {
    for streams in 1.. {
        let ready = stage.borrow_and_update().ready;
        match stream(&caller, &mut stage, &acked).await {
            Ok(()) => return Ok(streams),
            Err(Ended::Wrong(error)) => return Err(error),
            Err(Ended::Away) => drop(stage.wait_for(|stage| stage.ready > ready).await?),
        }
    }
    bail!("it fed no more")
}

/// How a stream ended.
enum Ended {
    /// The registry goes, or is not there.
    Away,
    Wrong(anyhow::Error),
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Wrong(error)
    }
}

async fn stream(
    caller: &Caller,
    stage: &mut watch::Receiver<Stage>,
    acked: &watch::Sender<u64>,
) -> Result<(), Ended> {
    let (outbox, mut inbound) = open(caller).await?;
    let said = next(&mut inbound).await?;
    let Said::Welcome(welcome) = said else { return Err(Ended::Wrong(anyhow::anyhow!("{said:?}"))) };
    let cursor = welcome.cursors.iter().find(|cursor| cursor.connection == CONNECTION);
    let mut sent = cursor.map_or(0, |cursor| cursor.sequence);
    let known = *acked.borrow();
    if sent < known {
        let lost = anyhow::anyhow!("batch {known} was acknowledged, and the registry is at {sent}");
        return Err(Ended::Wrong(lost));
    }
    // What was durable before its answer came.
    acked.send_replace(sent);
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        let done = *acked.borrow();
        let ends = stage.borrow().feeding_ends;
        if ends && sent == done {
            return Ok(());
        }
        tokio::select! {
            _ = ticks.tick(), if !ends && sent - done < IN_FLIGHT_MAX => {
                sent += 1;
                let message = Some(Message::Batch(numbered(sent)));
                outbox.send(IngestRequest { message }).await.map_err(|_closed| Ended::Away)?;
            }
            said = next(&mut inbound) => match said? {
                Said::Ack(ack) if ack.sequence == done + 1 => drop(acked.send_replace(ack.sequence)),
                other => return Err(Ended::Wrong(anyhow::anyhow!("after batch {done}: {other:?}"))),
            },
            _ = stage.changed() => {}
        }
    }
}

async fn open(caller: &Caller) -> anyhow::Result<(mpsc::Sender<IngestRequest>, Streaming<IngestResponse>)> {
    let mut client = IngestServiceClient::new(caller.reach().await?);
    let hello = Hello {
        collector_id: COLLECTOR.to_owned(),
        protocol_version: 1,
        software: "tests".to_owned(),
        connections: vec![CONNECTION.to_owned()],
    };
    let (outbox, outgoing) = mpsc::channel(64);
    outbox.send(IngestRequest { message: Some(Message::Hello(hello)) }).await?;
    Ok((outbox, client.ingest(ReceiverStream::new(outgoing)).await?.into_inner()))
}

async fn next(inbound: &mut Streaming<IngestResponse>) -> Result<Said, Ended> {
    let message = inbound.message().await.ok().flatten().ok_or(Ended::Away)?;
    Ok(message.message.context("an answer")?)
}

fn numbered(sequence: u64) -> pulse_proto::pb::registry::v1::Batch {
    let record = |number| {
        let mut record = pool(CONNECTION, &name(sequence, number), "ONLINE");
        record.tags = vec![format!("v{sequence}")];
        record
    };
    batch(CONNECTION, 1, sequence, (0..RECORDS).map(record).collect())
}

fn name(sequence: u64, number: u64) -> String {
    format!("p{}-{number}", sequence % SETS)
}

/// Every record shows the last batch that wrote it and was acknowledged.
pub(super) fn audit(acked: u64, listed: &BTreeMap<String, Resource>) -> anyhow::Result<()> {
    let of_load = listed.values().filter(|resource| resource.connection == CONNECTION);
    let found: BTreeMap<&str, &[String]> = of_load.map(|r| (r.name.as_str(), r.tags.as_slice())).collect();
    ensure!(found.len() as u64 == SETS * RECORDS, "{} records", found.len());
    for sequence in acked - SETS + 1..=acked {
        for number in 0..RECORDS {
            let (name, wanted) = (name(sequence, number), format!("v{sequence}"));
            let tags = found.get(name.as_str()).copied().unwrap_or_default();
            ensure!(tags == [wanted.clone()], "{name} shows {tags:?}, and {wanted} was acknowledged");
        }
    }
    Ok(())
}

/// A mirror of the registry that was listed once and goes on by its token.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) resources: BTreeMap<String, Resource>,
    /// Every status that each has shown.
    pub(super) statuses: BTreeMap<String, BTreeSet<Status>>,
    /// Times that it went on.
    pub(super) resumed: u64,
    token: String,
    revision: u64,
    is_listed: bool,
}

/// Watches until the stage's revision. `names` is told what was seen.
pub(super) async fn follow(
    caller: Caller,
    mut stage: watch::Receiver<Stage>,
    names: watch::Sender<BTreeSet<String>>,
) -> anyhow::Result<Watched> {
    let mut watched = Watched::default();
    loop {
        let ready = stage.borrow_and_update().ready;
        if watched.stream(&caller, &mut stage, &names).await? {
            return Ok(watched);
        }
        stage.wait_for(|stage| stage.ready > ready).await?;
    }
}

impl Watched {
    /// Whether it has come as far as it should; otherwise the registry is away.
    async fn stream(
        &mut self,
        caller: &Caller,
        stage: &mut watch::Receiver<Stage>,
        names: &watch::Sender<BTreeSet<String>>,
    ) -> anyhow::Result<bool> {
        let channel = caller.reach().await?;
        let request =
            WatchResourcesRequest { resume_token: self.token.clone(), ..WatchResourcesRequest::default() };
        let opened = ResourceServiceClient::new(channel).watch_resources(request).await;
        let mut stream = opened.context("the watch does not go on")?.into_inner();
        self.resumed += u64::from(self.is_listed);
        loop {
            if stage.borrow().revision.is_some_and(|revision| self.revision >= revision) {
                return Ok(true);
            }
            let message = tokio::select! {
                message = stream.message() => message,
                _ = stage.changed() => continue,
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(false),
                Err(status) if is_away(&status) => return Ok(false),
                Err(status) => return Err(status).context("the watch ended"),
            };
            for event in message.events {
                let kind = event.kind();
                let resource = event.resource.context("an event carries its resource")?;
                match kind {
                    Kind::Existing if self.is_listed => bail!("{} is listed anew: a gap", resource.id),
                    Kind::Removed => drop(self.resources.remove(&resource.id)),
                    _ => {
                        self.statuses.entry(resource.id.clone()).or_default().insert(resource.status());
                        names.send_if_modified(|names| names.insert(resource.name.clone()));
                        self.resources.insert(resource.id.clone(), resource);
                    }
                }
            }
            self.is_listed |= message.initial_list_end;
            if !message.resume_token.is_empty() {
                (self.token, self.revision) = (message.resume_token, message.revision);
            }
        }
    }
}

/// As a service that goes, or is gone, ends a call.
fn is_away(status: &tonic::Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal)
}
