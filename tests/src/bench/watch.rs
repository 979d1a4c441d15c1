//! `bench watch`: how many events a second reach watchers when every watcher
//! sees every change, how late they are, and what watchers cost ingest.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use prost::Message as _;
use pulse_proto::pb::registry::v1::{WatchResourcesRequest, WatchResourcesResponse};
use tonic::Streaming;

use super::bed::Bed;
use super::fanout::{Delivered, Pace, Watchers, Writer};
use super::load::Load;
use super::record::connection_id;
use super::usage::Shares;

const WATCH: &str = "/pulse.registry.v1.ResourceService/WatchResources";
/// Tag of the events in `WatchResourcesResponse`.
const EVENTS_TAG: u32 = 1;
/// Watches of one connection.
const STREAMS_PER_CONNECTION: usize = 64;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// More than the registry may coalesce over: so every change is its own event.
    pub resources: u64,
    pub per_connection: u32,
    pub watchers: [usize; 4],
    pub time: Duration,
    /// Batches for the times, at [`EVERY`].
    pub timed: u64,
}

/// 2,000 changes a second: far from what either side can take, so that times are not those of a queue.
pub const EVERY: Duration = Duration::from_millis(50);

impl Plan {
    pub const FULL: Self = Self {
        resources: 50_000,
        per_connection: 1_000,
        watchers: [1, 16, 128, 1_000],
        time: Duration::from_secs(8),
        timed: 300,
    };
    pub const QUICK: Self = Self {
        resources: 20_000,
        per_connection: 1_000,
        watchers: [1, 16, 64, 200],
        time: Duration::from_secs(1),
        timed: 20,
    };
}

#[derive(Debug)]
pub struct Measured {
    /// By number of watchers.
    pub delivered: [Delivered; 4],
    /// The third number of watchers, each with a filter of its own that all resources match.
    pub distinct: Delivered,
    /// With the second number of watchers, paced.
    pub timed: Delivered,
    /// Records a second without watchers, and with the most of them, each on one connection.
    pub ingest: (f64, f64),
}

impl Writer for Load {
    async fn send(&mut self) -> anyhow::Result<bool> {
        self.send_one().await
    }

    fn is_idle(&self) -> bool {
        Self::is_idle(self)
    }

    async fn ack(&mut self) -> anyhow::Result<()> {
        self.ack_one().await.map(drop)
    }
}

pub async fn measure(plan: Plan) -> anyhow::Result<Measured> {
    let bed = Bed::start().await?;
    let mut load = Load::open(&bed.address(), 1, plan.per_connection).await?;
    load.grow(plan.resources).await?;
    let mut delivered = Vec::new();
    for watchers in plan.watchers {
        let open = watch(&bed, watchers, |_| String::new()).await?;
        let shares = Shares::begin(bed.pid()?)?;
        let run = Watchers::new(open, events).measure(&mut load, Pace::Slowest(plan.time)).await?;
        shares.tell(&format!("{watchers} watchers, {:.0} events a second", run.per_second()))?;
        delivered.push(run);
    }
    let [_, some, many, most] = plan.watchers;
    let open = watch(&bed, many, |watcher| format!("NOT name = \"nobody-{watcher}\"")).await?;
    let distinct = Watchers::new(open, events).measure(&mut load, Pace::Slowest(plan.time)).await?;
    let open = watch(&bed, some, |_| String::new()).await?;
    let timed = Watchers::new(open, events).measure(&mut load, Pace::Every(EVERY, plan.timed)).await?;
    witness(&bed, &mut load, plan).await?;
    let ingest = ingest(&bed, &mut load, plan, most).await?;
    let delivered = delivered.try_into().ok().context("a run for each number")?;
    Ok(Measured { delivered, distinct, timed, ingest })
}

pub fn events(message: &Bytes) -> u64 {
    super::wire::count(message, EVENTS_TAG)
}

/// Watches from now on, without an initial list.
async fn watch(
    bed: &Bed,
    watchers: usize,
    filter: impl Fn(usize) -> String,
) -> anyhow::Result<Vec<Streaming<Bytes>>> {
    let mut client = bed.client().await?;
    let resume_token = bed.page("", 1).await?.resume_token;
    let mut streams = Vec::new();
    for watcher in 0..watchers {
        if watcher % STREAMS_PER_CONNECTION == STREAMS_PER_CONNECTION - 1 {
            client = bed.client().await?;
        }
        let resume_token = resume_token.clone();
        let request = WatchResourcesRequest { filter: filter(watcher), resume_token, read_mask: None };
        streams.push(client.server_streaming(WATCH, request).await?);
    }
    Ok(streams)
}

/// One watcher that looks into what it is told: after a round over the fleet it knows what was acked.
async fn witness(bed: &Bed, load: &mut Load, plan: Plan) -> anyhow::Result<()> {
    let mut stream = watch(bed, 1, |_| String::new()).await?.pop().context("a stream")?;
    let resources = usize::try_from(plan.resources)?;
    let mirror = async {
        let mut seen = BTreeMap::new();
        while seen.len() < resources {
            let message = stream.message().await?.context("the watch ended")?;
            for event in WatchResourcesResponse::decode(message)?.events {
                let resource = event.resource.context("an event carries its resource")?;
                seen.insert(resource.id.clone(), resource);
            }
        }
        anyhow::Ok(seen)
    };
    let round = load.change_batches(resources / super::BATCH as usize);
    let (seen, sent) = tokio::join!(crate::harness::within("all changes", mirror), round);
    sent?;
    let acked = load.changes();
    let change = |connection, record| acked.get(&(connection, record / super::BATCH)).copied();
    for resource in seen?.values() {
        let (connection, record, right) = super::record::shows(resource, change)
            .with_context(|| format!("{} was never sent", resource.id))?;
        ensure!(right, "the watcher did not see the change of record {record} of connection {connection}");
    }
    Ok(())
}

/// Changes a second without watchers, then with as many as can be, each with a filter for one connection.
async fn ingest(bed: &Bed, load: &mut Load, plan: Plan, watchers: usize) -> anyhow::Result<(f64, f64)> {
    let alone = load.change_for(plan.time).await?.per_second();
    let connections = plan.resources / u64::from(plan.per_connection);
    let filter = |watcher: usize| {
        let connection = u32::try_from(watcher as u64 % connections).unwrap_or_default();
        format!("connection = \"{}\" AND topology = pool", connection_id(connection))
    };
    let mut readers = tokio::task::JoinSet::new();
    for mut stream in watch(bed, watchers, filter).await? {
        readers.spawn(async move {
            let mut seen = 0;
            while let Ok(Some(message)) = stream.message().await {
                seen += events(&message);
            }
            seen
        });
    }
    let watched = load.change_for(plan.time).await?.per_second();
    ensure!(readers.try_join_next().is_none(), "a watch ended while it was measured");
    readers.shutdown().await;
    Ok((alone, watched))
}
