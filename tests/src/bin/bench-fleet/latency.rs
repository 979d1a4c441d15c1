//! How long a change on an appliance takes to a client that watches the registry.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::WatchResourcesRequest;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use tokio::sync::mpsc;

use super::Plan;
use super::appliances::{POOLS, World, now_us};
use super::fleet::{Fleet, as_f64, name_of};

/// A change that is not seen by then is lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Changes come apart, as they do in a fleet, not in one burst.
const APART: Duration = Duration::from_millis(40);
const POOL_FILTER: &str = "type = storage AND topology = pool";

pub(crate) struct Latency {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

struct Seen {
    connection: String,
    pool: String,
    state: String,
    at_us: u64,
}

pub(crate) async fn measure(fleet: &Fleet, world: &mut World, plan: Plan) -> anyhow::Result<Latency> {
    let mut client = ResourceServiceClient::connect(format!("http://{}", fleet.pair.registry.grpc())).await?;
    let request =
        WatchResourcesRequest { filter: POOL_FILTER.to_owned(), ..WatchResourcesRequest::default() };
    let mut stream = client.watch_resources(request).await?.into_inner();
    while !stream.message().await?.context("the watch ended")?.initial_list_end {}
    let (sender, mut seen) = mpsc::unbounded_channel();
    let watcher = tokio::spawn(async move {
        while let Ok(Some(message)) = stream.message().await {
            let at_us = now_us();
            for resource in message.events.into_iter().filter_map(|event| event.resource) {
                let Some(storage) = resource.storage else { continue };
                let (connection, pool) = (resource.connection_name, storage.pool);
                let _gone = sender.send(Seen { connection, pool, state: resource.state, at_us });
            }
        }
    });
    let mut waiting: BTreeMap<(String, String), (&str, u64)> = BTreeMap::new();
    let mut took = Vec::with_capacity(plan.changes);
    for change in 0..plan.changes {
        // Each pool goes down in one round and comes back in the next.
        let rounds = plan.appliances * POOLS;
        let (place, down) = (change % rounds, (change / rounds).is_multiple_of(2));
        // A stride that meets every appliance in turn.
        let (appliance, pool) = (place * 7 % plan.appliances, place / plan.appliances);
        let at = world.change(appliance, pool, down).await?;
        let state = if down { "DEGRADED" } else { "ONLINE" };
        waiting.insert((name_of(appliance), format!("tank{pool}")), (state, at));
        let pause = tokio::time::sleep(APART);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                Some(news) = seen.recv() => take(&mut waiting, &mut took, news),
            }
        }
    }
    while !waiting.is_empty() {
        let news = tokio::time::timeout(PATIENCE, seen.recv()).await.context("a change was never seen")?;
        take(&mut waiting, &mut took, news.context("the watch ended")?);
    }
    watcher.abort();
    ensure!(!took.is_empty(), "nothing was measured");
    took.sort_unstable();
    let at = |percent: usize| as_f64(took[(took.len() * percent / 100).min(took.len() - 1)]) / 1_000.0;
    Ok(Latency { p50_ms: at(50), p99_ms: at(99) })
}

fn take(waiting: &mut BTreeMap<(String, String), (&str, u64)>, took: &mut Vec<u64>, news: Seen) {
    let key = (news.connection, news.pool);
    if let Some((_, at)) = waiting.get(&key).filter(|(state, _)| *state == news.state) {
        took.push(news.at_us.saturating_sub(*at));
        waiting.remove(&key);
    }
}
