//! Collector and registry as they are released, with every appliance connected.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{Connection, CreateConnectionRequest};
use pulse_proto::pb::registry::v1::SummarizeResourcesRequest;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::resource::v1::ResourceType;
use pulse_tests::bench::bed::UNPACED;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::usage::Usage;
use tonic::transport::Channel;

use super::Plan;
use super::appliances::{Address, Counts, World};

/// Connections added at the same time.
const ADDED_TOGETHER: usize = 16;
/// How often it is asked whether all is there.
const LOOK_EVERY: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_mins(10);
/// After everything was read first: what is read later, and seldom, is over by then.
const SETTLE: Duration = Duration::from_secs(45);

pub(crate) struct Fleet {
    pub(crate) pair: Pair,
    pub(crate) first_full_state: Duration,
}

pub(crate) struct Steady {
    pub(crate) logins_per_appliance: f64,
    pub(crate) calls_per_min: f64,
    pub(crate) bytes_per_min: f64,
    pub(crate) collector_cores: f64,
    pub(crate) collector_rss_mb: f64,
    pub(crate) registry_cores: f64,
    pub(crate) registry_rss_mb: f64,
}

impl Fleet {
    /// Returns when the registry shows all of every appliance.
    pub(crate) async fn start(world: &mut World) -> anyhow::Result<Self> {
        let all = world.counts().await?;
        let count = world.addresses.len();
        let pair = Pair::start_with(UNPACED, &format!("[connections]\nmax = {count}{UNPACED}")).await?;
        let began = Instant::now();
        let collector = ConnectionServiceClient::connect(format!("http://{}", pair.collector.grpc())).await?;
        stream::iter(world.addresses.iter().enumerate())
            .map(|(number, address)| create(collector.clone(), number, address))
            .buffer_unordered(ADDED_TOGETHER)
            .try_collect::<Vec<()>>()
            .await?;
        let registry = ResourceServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
        loop {
            let found = found(registry.clone()).await?;
            if found == (u64::try_from(count)?, all.pools + all.datasets, all.disks) {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "only {found:?} of {all:?} are known after {PATIENCE:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(Self { pair, first_full_state: began.elapsed() })
    }

    pub(crate) async fn steady(&self, world: &mut World, plan: Plan) -> anyhow::Result<Steady> {
        tokio::time::sleep(SETTLE.min(plan.steady)).await;
        let collector = Usage::of(self.pair.collector.process().pid()?)?;
        let registry = Usage::of(self.pair.registry.process().pid()?)?;
        let (before, began) = (world.counts().await?, Instant::now());
        tokio::time::sleep(plan.steady).await;
        let (after, took) = (world.counts().await?, began.elapsed());
        let collector_after = Usage::of(self.pair.collector.process().pid()?)?;
        let registry_after = Usage::of(self.pair.registry.process().pid()?)?;
        let count = as_f64(u64::try_from(plan.appliances)?);
        let per_min = |counter: fn(&Counts) -> u64| {
            as_f64(counter(&after) - counter(&before)) / count / took.as_secs_f64() * 60.0
        };
        Ok(Steady {
            // What the naive poller took is counted apart.
            logins_per_appliance: as_f64(after.logins - world_logins_before(plan)) / count,
            calls_per_min: per_min(|counts| counts.calls),
            bytes_per_min: per_min(|counts| counts.bytes),
            collector_cores: collector_after.cores_since(&collector, took),
            collector_rss_mb: collector_after.rss_mb,
            registry_cores: registry_after.cores_since(&registry, took),
            registry_rss_mb: registry_after.rss_mb,
        })
    }
}

/// The naive poller logged in once to each appliance that it read.
fn world_logins_before(plan: Plan) -> u64 {
    u64::try_from(plan.naive.min(plan.appliances)).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

/// The name the connection of an appliance has.
pub(crate) fn name_of(number: usize) -> String {
    format!("nas-{number:04}")
}

async fn create(
    mut collector: ConnectionServiceClient<Channel>,
    number: usize,
    address: &Address,
) -> anyhow::Result<()> {
    let connection = Connection {
        name: name_of(number),
        host: address.host.clone(),
        port: u32::from(address.port),
        username: address.user.clone(),
        api_key: address.api_key.clone(),
        fingerprint: address.fingerprint.clone(),
        ..Connection::default()
    };
    let request = CreateConnectionRequest { connection: Some(connection), validate_only: false };
    collector.create_connection(request).await.with_context(|| format!("add appliance {number}"))?;
    Ok(())
}

/// Hosts, pools and datasets, disks.
async fn found(mut registry: ResourceServiceClient<Channel>) -> anyhow::Result<(u64, u64, u64)> {
    let summary = registry.summarize_resources(SummarizeResourcesRequest::default()).await?.into_inner();
    let of = |kind: ResourceType| {
        let row = summary.by_type.iter().find(|row| row.r#type() == kind);
        row.map_or(0, |row| u64::try_from(row.count).unwrap_or(0))
    };
    Ok((of(ResourceType::Host), of(ResourceType::Storage), of(ResourceType::PhysicalDisk)))
}
