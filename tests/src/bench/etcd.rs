//! etcd as a reference: the real process with its defaults, on loopback, spoken
//! to with the few messages that are needed. Owns nothing of the registry.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use prost::Message as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tonic::Streaming;

use super::bed::folder;
use super::fanout::Writer;
use super::load::Run;
use super::wire::Client;
use super::{BATCH, as_f64};
use crate::harness::usage::Usage;
use crate::harness::within;
use crate::task::tools;

const TXN: &str = "/etcdserverpb.KV/Txn";
const RANGE: &str = "/etcdserverpb.KV/Range";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const VALUE_BYTES: usize = 1_024;
/// Clients of their own connection, and transactions on the way of each: where its throughput is best here.
const CLIENTS: usize = 4;
const IN_FLIGHT: usize = 16;
/// Above its default of 2 GB, which one run would fill.
const QUOTA_BYTES: u64 = 8 << 30;
/// Tag of the events in `WatchResponse`.
const EVENTS_TAG: u32 = 11;
const PREFIX: &[u8] = b"/pulse/";
const PREFIX_END: &[u8] = b"/pulse0";

// The part of etcd's rpc.proto that is spoken here.

#[derive(Clone, PartialEq, prost::Message)]
struct TxnRequest {
    #[prost(message, repeated, tag = "2")]
    success: Vec<RequestOp>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RequestOp {
    #[prost(message, optional, tag = "2")]
    put: Option<PutRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PutRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TxnResponse {
    #[prost(bool, tag = "2")]
    succeeded: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    range_end: Bytes,
    #[prost(int64, tag = "3")]
    limit: i64,
    #[prost(bool, tag = "9")]
    count_only: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RangeResponse {
    #[prost(message, repeated, tag = "2")]
    kvs: Vec<KeyValue>,
    #[prost(bool, tag = "3")]
    more: bool,
    #[prost(int64, tag = "4")]
    count: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WatchRequest {
    #[prost(message, optional, tag = "1")]
    create: Option<WatchCreateRequest>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WatchCreateRequest {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    range_end: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WatchResponse {
    #[prost(bool, tag = "3")]
    created: bool,
}

#[derive(Debug)]
pub struct Etcd {
    child: Child,
    address: String,
    peer: String,
    /// Kept last: it goes when the process is down.
    folder: TempDir,
}

impl Etcd {
    /// Installs it when it is not there yet.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = folder()?;
        let (address, peer) = (free_address()?, free_address()?);
        let child = spawn(folder.path(), &address, &peer).await?;
        Ok(Self { child, address, peer, folder })
    }

    /// kill -9 and a start on the same data; returns when a read is answered, and how long that took.
    pub async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.child.kill().await?;
        let began = Instant::now();
        self.child = spawn(self.folder.path(), &self.address, &self.peer).await?;
        ensure!(self.count().await? > 0, "etcd lost everything");
        Ok(began.elapsed())
    }

    pub fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id().context("etcd has ended")?)
    }

    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("etcd has ended")
    }

    pub async fn client(&self) -> anyhow::Result<Client> {
        Client::connect(&self.address).await
    }

    /// Keys that are there.
    pub async fn count(&self) -> anyhow::Result<i64> {
        let request = RangeRequest { count_only: true, ..range(PREFIX, 0) };
        let answer = RangeResponse::decode(self.client().await?.unary(RANGE, request).await?)?;
        Ok(answer.count)
    }

    /// Batches over `keys` keys until `goes_on` says no, by several clients.
    pub async fn put(&self, keys: u64, goes_on: impl Fn(u64) -> bool) -> anyhow::Result<Run> {
        let mut puts = Puts::connect(self, keys).await?;
        let (began, mut run, mut sent) = (Instant::now(), Run::default(), 0);
        loop {
            let more = goes_on(sent);
            if more && puts.send().await? {
                sent += 1;
            } else if puts.is_idle() {
                break;
            } else {
                run.acks.add(puts.acked().await?);
                run.records += u64::from(BATCH);
            }
        }
        run.took = began.elapsed();
        let due = i64::try_from(keys.min(sent * u64::from(BATCH)))?;
        ensure!(self.count().await? >= due, "etcd lacks keys that it acknowledged");
        Ok(run)
    }

    pub async fn put_for(&self, keys: u64, time: Duration) -> anyhow::Result<Run> {
        let until = Instant::now() + time;
        self.put(keys, |_| Instant::now() < until).await
    }

    pub async fn fill(&self, keys: u64) -> anyhow::Result<Run> {
        self.put(keys, |sent| sent < keys / u64::from(BATCH)).await
    }

    /// A batch so often, until dropped: a background for what is measured.
    pub async fn put_steadily(&self, keys: u64, every: Duration) -> anyhow::Result<()> {
        let mut puts = Puts::connect(self, keys).await?;
        let mut ticks = tokio::time::interval(every);
        loop {
            ticks.tick().await;
            puts.send().await?;
            puts.ack().await?;
        }
    }

    /// Watches of all keys, over a connection for every 64.
    pub async fn watch(&self, watchers: usize) -> anyhow::Result<Vec<Streaming<Bytes>>> {
        let mut streams = Vec::new();
        let mut client = self.client().await?;
        for watcher in 0..watchers {
            if watcher % 64 == 63 {
                client = self.client().await?;
            }
            let create = WatchCreateRequest { key: PREFIX.into(), range_end: PREFIX_END.into() };
            let first = WatchRequest { create: Some(create) }.encode_to_vec().into();
            let open = tokio_stream::once(first).chain(tokio_stream::pending());
            let mut stream = client.streaming(WATCH, open).await?;
            let answer = stream.message().await?.context("the watch ended")?;
            ensure!(WatchResponse::decode(answer)?.created, "the watch was not created");
            streams.push(stream);
        }
        Ok(streams)
    }

    /// All keys with values, page by page; how many.
    pub async fn list(&self, client: &mut Client, page: i64) -> anyhow::Result<u64> {
        let (mut request, mut count) = (range(PREFIX, page), 0);
        loop {
            let answer = RangeResponse::decode(client.unary(RANGE, request.clone()).await?)?;
            count += answer.kvs.len() as u64;
            let Some(last) = answer.kvs.last().filter(|_| answer.more) else { return Ok(count) };
            request.key = [&last.key[..], b"\0"].concat().into();
        }
    }

    /// A page in the middle of the keys.
    pub async fn page(&self, client: &mut Client, from: u64, limit: i64) -> anyhow::Result<()> {
        client.unary(RANGE, RangeRequest { key: key(from), ..range(PREFIX, limit) }).await.map(drop)
    }

    pub async fn get(&self, client: &mut Client, at: u64) -> anyhow::Result<()> {
        let request = RangeRequest { key: key(at), ..RangeRequest::default() };
        client.unary(RANGE, request).await.map(drop)
    }
}

/// Events in a message of a watch.
pub fn events(message: &Bytes) -> u64 {
    super::wire::count(message, EVENTS_TAG)
}

/// Transactions over several connections.
pub struct Puts {
    clients: Vec<Client>,
    value: [Bytes; 2],
    keys: u64,
    sent: u64,
    on_the_way: FuturesUnordered<BoxFuture<'static, anyhow::Result<Duration>>>,
}

impl Puts {
    pub async fn connect(etcd: &Etcd, keys: u64) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(etcd.client().await?);
        }
        // Bytes without a pattern: nothing in between may make them smaller.
        let value = || Bytes::from((0..VALUE_BYTES).map(|_| rand::random()).collect::<Vec<u8>>());
        Ok(Self { clients, value: [value(), value()], keys, sent: 0, on_the_way: FuturesUnordered::new() })
    }

    async fn acked(&mut self) -> anyhow::Result<Duration> {
        self.on_the_way.next().await.context("nothing is on the way")?
    }
}

impl Writer for Puts {
    async fn send(&mut self) -> anyhow::Result<bool> {
        if self.on_the_way.len() >= CLIENTS * IN_FLIGHT {
            return Ok(false);
        }
        let batch = self.sent;
        self.sent += 1;
        let rounds = self.keys / u64::from(BATCH);
        let value = &self.value[usize::from(batch / rounds % 2 == 1)];
        let put = |at| RequestOp {
            put: Some(PutRequest {
                key: key((batch % rounds) * u64::from(BATCH) + at),
                value: value.clone(),
            }),
        };
        let request = TxnRequest { success: (0..u64::from(BATCH)).map(put).collect() }.encode_to_vec();
        let mut client = self.clients[usize::try_from(batch % CLIENTS as u64)?].clone();
        let began = Instant::now();
        self.on_the_way.push(Box::pin(async move {
            let answer = TxnResponse::decode(client.unary_encoded(TXN, request.into()).await?)?;
            ensure!(answer.succeeded, "etcd refused a transaction");
            Ok(began.elapsed())
        }));
        Ok(true)
    }

    fn is_idle(&self) -> bool {
        self.on_the_way.is_empty()
    }

    async fn ack(&mut self) -> anyhow::Result<()> {
        self.acked().await.map(drop)
    }
}

fn key(at: u64) -> Bytes {
    [PREFIX, format!("nas-{:04}/{:03}", at / 1_000, at % 1_000).as_bytes()].concat().into()
}

fn range(from: &'static [u8], limit: i64) -> RangeRequest {
    RangeRequest { key: from.into(), range_end: PREFIX_END.into(), limit, count_only: false }
}

/// Bound and let go again: etcd does not tell which port the kernel chose.
fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

async fn spawn(folder: &Path, address: &str, peer: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(tools::etcd()?);
    let (client_url, peer_url) = (format!("http://{address}"), format!("http://{peer}"));
    command.arg("--data-dir").arg(folder.join("etcd")).args(["--name", "bench", "--log-level", "info"]);
    command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    command.args(["--initial-cluster", &format!("bench={peer_url}")]);
    command.args(["--quota-backend-bytes", &QUOTA_BYTES.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("start etcd")?;
    let mut lines = BufReader::new(child.stderr.take().context("a piped stream")?).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains("ready to serve client requests") {
                return Ok(());
            }
        }
        anyhow::bail!("etcd ended before it served")
    };
    within("etcd to serve", ready).await?;
    // Its log is read on, so that it does not wait for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(child)
}

/// Bytes of memory for each key, over an empty etcd's.
pub fn bytes_per_key(empty: &Usage, full: &Usage, keys: u64) -> f64 {
    (full.rss_mb - empty.rss_mb) * 1_048_576.0 / as_f64(keys.max(1))
}
