//! More than the registry can take, on loopback and for a bounded time: it sheds with clear codes, loses
//! nothing it acknowledged, and is well again without help. Collectors offer ten times the design rate, and then as
//! much as is taken, beside clients that ask without a pause. What was offered, accepted and shed is printed:
//! `cargo test -p pulse-tests --test load -- --nocapture`; rates are worth reading of a release build.
#![allow(clippy::print_stdout, reason = "the rates are worth reading")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::ingest_service_client::IngestServiceClient;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{
    GetInfrastructureContextRequest, Hello, IngestRequest, ListResourcesRequest, SummarizeResourcesRequest,
    WatchResourcesRequest,
};
use pulse_tests::bench::BATCH;
use pulse_tests::bench::bed::Bed;
use pulse_tests::bench::load::Load;
use pulse_tests::harness::command::run;
use pulse_tests::harness::feeder::{batch, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::within;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// 1,000 appliances of which each tells 20 changed records in ten seconds.
const DESIGN_RECORDS_PER_SECOND: f64 = 2_000.0;
const OVERLOAD: f64 = 10.0;
const STREAMS: usize = 10;
const PER_CONNECTION: u32 = 200;
const RESOURCES: u64 = 10_000;
const STORM: Duration = Duration::from_secs(4);
const READERS: usize = 4;
const GROWTH_MB_MAX: f64 = 400.0;
/// As [`Bed`] has it.
const WATCHERS_MAX: usize = 1_100;
const WATCHERS_PER_CONNECTION: usize = 500;
const WATCHERS_IN_STORM: usize = 20;

/// What may be said to somebody who is turned away.
fn is_clear(status: &Status) -> bool {
    let reasoned = status.get_details_error_info().is_some_and(|info| !info.reason.is_empty());
    matches!(status.code(), Code::ResourceExhausted | Code::Unavailable) && reasoned
}

/// Asks and asks until it is aborted.
async fn read_on(channel: Channel, number: usize, answered: Arc<AtomicU64>) -> Status {
    let mut resources = ResourceServiceClient::new(channel.clone());
    let mut contexts = ContextServiceClient::new(channel);
    loop {
        let asked = match number % 3 {
            0 => resources.summarize_resources(SummarizeResourcesRequest::default()).await.map(drop),
            1 => {
                let request = ListResourcesRequest { page_size: 200, ..Default::default() };
                resources.list_resources(request).await.map(drop)
            }
            _ => contexts
                .get_infrastructure_context(GetInfrastructureContextRequest::default())
                .await
                .map(drop),
        };
        match asked {
            Ok(()) => drop(answered.fetch_add(1, Ordering::Relaxed)),
            Err(status) if is_clear(&status) => tokio::task::yield_now().await,
            Err(status) => return status,
        }
    }
}

async fn audit(bed: &Bed, acked: &BTreeMap<(u32, u32), u32>) -> anyhow::Result<()> {
    let change = |connection, record| acked.get(&(connection, record / BATCH)).copied();
    let found = bed.audit("", change).await?;
    ensure!(found == RESOURCES, "{found} of {RESOURCES} resources show their last acked change");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_can_be_taken_costs_no_acked_record() -> anyhow::Result<()> {
    let mut bed = Bed::start().await?;
    let mut load = Load::open(&bed.address(), STREAMS, PER_CONNECTION).await?;
    load.grow(RESOURCES).await?;
    let before = bed.usage()?;
    let endpoint = Channel::from_shared(format!("http://{}", bed.address()))?;
    let channel = endpoint.connect().await?;

    // One watch more than there may be is refused, and says why. A connection has no room for all of them.
    let mut watches = Vec::new();
    let mut watching = ResourceServiceClient::new(endpoint.connect().await?);
    let nothing = WatchResourcesRequest { filter: "name = nothing".to_owned(), ..Default::default() };
    for number in 1..=WATCHERS_MAX {
        watches.push(watching.watch_resources(nothing.clone()).await?.into_inner());
        if number.is_multiple_of(WATCHERS_PER_CONNECTION) {
            watching = ResourceServiceClient::new(endpoint.connect().await?);
        }
    }
    let refused = watching.watch_resources(nothing.clone()).await.expect_err("one too many");
    ensure!(is_clear(&refused), "{refused:?}");
    println!("{} watches offered: {WATCHERS_MAX} accepted, 1 shed as {:?}", WATCHERS_MAX + 1, refused.code());

    // Some look on while it storms.
    watches.truncate(WATCHERS_IN_STORM);
    let answered = Arc::new(AtomicU64::new(0));
    let mut readers = JoinSet::new();
    for number in 0..READERS {
        readers.spawn(read_on(channel.clone(), number, Arc::clone(&answered)));
    }
    let offered = OVERLOAD * DESIGN_RECORDS_PER_SECOND;
    let tenfold = load.offer(offered, STORM).await?;
    println!(
        "offered {offered:.0} records/s, {OVERLOAD:.0} times the design rate: {} accepted, {} held back for a newer state, \
         none lost; slowest ack {:.0} ms",
        tenfold.records,
        tenfold.held_back,
        tenfold.acks.rank(100),
    );
    // Every one of them was offered, and became one or the other.
    let all = pulse_tests::bench::as_f64(tenfold.records + tenfold.held_back);
    ensure!(all >= 0.95 * offered * STORM.as_secs_f64(), "{all} were offered");
    // As fast as the registry takes it.
    let storm = load.change_for(STORM).await?;
    readers.abort_all();
    while let Some(ended) = readers.join_next().await {
        if let Ok(status) = ended {
            anyhow::bail!("a reader was turned away without a clear word: {status:?}");
        }
    }
    let times = storm.per_second() / DESIGN_RECORDS_PER_SECOND;
    let (reads, after) = (answered.load(Ordering::Relaxed), bed.usage()?);
    println!(
        "{:.0} records/s acked ({times:.1} times the design rate), {:.0} reads/s, slowest ack {:.0} ms, {:.0} MB more",
        storm.per_second(),
        pulse_tests::bench::as_f64(reads) / STORM.as_secs_f64(),
        storm.acks.rank(100),
        after.rss_mb - before.rss_mb,
    );
    ensure!(reads > 0, "nobody was answered meanwhile");
    ensure!(after.rss_mb - before.rss_mb < GROWTH_MB_MAX, "grew by {:.0} MB", after.rss_mb - before.rss_mb);

    // Well again at once: places are free, answers come, and everything acked is there. Also after kill -9.
    drop(watches);
    let free = async {
        while watching.watch_resources(nothing.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), free).await.context("places of watchers come back")?;
    let acked = load.changes();
    audit(&bed, &acked).await?;
    drop(load);
    bed.registry.kill9().await?;
    bed.registry.up().await?;
    audit(&bed, &acked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_listens_to_nothing_is_held_back_and_loses_nothing() -> anyhow::Result<()> {
    const BATCHES: u64 = 60_000;
    /// As little as the protocol lets a reader say that he takes.
    const WINDOW_BYTES: u32 = 4_096;
    let bed = Bed::start().await?;
    let before = bed.usage()?;
    let endpoint = Channel::from_shared(format!("http://{}", bed.address()))?;
    let channel = endpoint.initial_stream_window_size(WINDOW_BYTES).connect().await?;
    let (outbox, outgoing) = tokio::sync::mpsc::channel(8);
    let say = |message| IngestRequest { message: Some(message) };
    let hello = Hello {
        collector_id: "rude".to_owned(),
        protocol_version: 1,
        software: "tests".to_owned(),
        connections: vec![],
    };
    outbox.send(say(Message::Hello(hello))).await?;
    let mut answers =
        IngestServiceClient::new(channel).ingest(ReceiverStream::new(outgoing)).await?.into_inner();
    let one = |sequence: u64| {
        let state = if sequence.is_multiple_of(2) { "ONLINE" } else { "DEGRADED" };
        say(Message::Batch(batch("nas", 1, sequence, vec![pool("nas", "tank", state)])))
    };
    let mut sent = 0;
    while sent < BATCHES {
        let sending = outbox.send_timeout(one(sent + 1), Duration::from_secs(3)).await;
        if sending.is_err() {
            break;
        }
        sent += 1;
    }
    ensure!(sent < BATCHES, "everything was read of somebody who reads no answer");
    let grown = bed.usage()?.rss_mb - before.rss_mb;
    ensure!(grown < GROWTH_MB_MAX, "grew by {grown:.0} MB");
    // He listens at last, and every batch was taken once and in order.
    let mut acked = 0;
    while acked < sent {
        let answer = within("an answer", answers.message()).await?.context("the stream goes on")?;
        match answer.message {
            Some(Said::Welcome(_)) => {}
            Some(Said::Ack(ack)) => {
                acked += 1;
                ensure!(ack.sequence == acked, "{ack:?} in the place of {acked}");
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    println!("held back after {sent} batches, {grown:.0} MB more");
    Ok(())
}

/// A GET from an address of its own.
async fn status_from(source: [u8; 4], addr: SocketAddr, token: &str) -> anyhow::Result<String> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    let mut stream = socket.connect(addr).await?;
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_at_ten_times_his_rate_is_told_when_to_come_back_and_others_are_served() -> anyhow::Result<()>
{
    const PER_SECOND: u32 = 50;
    let folder = tempfile::tempdir()?;
    let home = folder.path().join("registry");
    let data = home.join("data").display().to_string();
    let made = run(
        "pulse-registry",
        &["--data-dir", &data, "tokens", "create", "--name", "core", "--role", "viewer"],
        &[],
        "",
    )
    .await?;
    ensure!(made.code == 0, "{}", made.stderr);
    let token = made.stdout.trim().to_owned();
    let settings = format!("[limits]\nrequests_per_second = {PER_SECOND}\n");
    let registry = Service::start("pulse-registry", &home, &settings).await?;
    let http = registry.process().http_addr();
    let bearer: tonic::metadata::MetadataValue<_> = format!("Bearer {token}").parse()?;
    let channel = Channel::from_shared(format!("http://{}", registry.grpc()))?.connect().await?;
    let mut loud = ResourceServiceClient::with_interceptor(channel, move |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        Ok(request)
    });
    let (mut served, mut refused) = (0, None);
    // Ten seconds' worth at once.
    for _ in 0..PER_SECOND * 10 {
        match loud.summarize_resources(SummarizeResourcesRequest::default()).await {
            Ok(_) => served += 1,
            Err(status) => refused = Some(status),
        }
    }
    ensure!(served >= PER_SECOND, "{served} are his by right");
    let refused = refused.context("he is slowed down")?;
    ensure!(refused.code() == Code::ResourceExhausted, "{refused:?}");
    println!(
        "{} calls offered at once: {served} accepted, the rest shed as {:?}",
        PER_SECOND * 10,
        refused.code()
    );
    let reason = refused.get_details_error_info().map(|info| info.reason);
    ensure!(reason.as_deref() == Some("TOO_FAST"), "{refused:?}");
    let delay =
        refused.get_details_retry_info().and_then(|info| info.retry_delay).context("when to come back")?;
    ensure!(delay <= Duration::from_secs(1), "{delay:?}");
    let calm = within("somebody else", status_from([127, 0, 0, 67], http, &token)).await?;
    ensure!(calm == "HTTP/1.1 200 OK", "{calm}");
    // He does as he was told.
    let again = async {
        loop {
            match loud.summarize_resources(SummarizeResourcesRequest::default()).await {
                Ok(_) => return anyhow::Ok(()),
                Err(status) => {
                    let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
                    tokio::time::sleep(told.context("when to come back")?).await;
                }
            }
        }
    };
    within("his turn", again).await
}
