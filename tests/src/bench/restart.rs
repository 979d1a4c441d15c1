//! `bench restart`: how long a registry takes to be back after kill -9, and the
//! memory that a resource takes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use pulse_proto::pb::registry::v1::{GetResourceRequest, GetResourceResponse};
use tokio::time::Instant;

use super::as_f64;
use super::bed::Bed;
use super::load::Load;
use super::times::millis;
use crate::harness::http_get;

const STREAMS: usize = 4;
const LOADED: &str = "vocabularies of contexts are loaded";
const GET: &str = "/pulse.registry.v1.ResourceService/GetResource";

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub resources: u64,
    pub per_connection: u32,
    pub restarts: usize,
    /// For so long records change in a second run, so that most of what is read back are changes.
    pub changes: Duration,
}

impl Plan {
    pub const FULL: Self =
        Self { resources: 1_000_000, per_connection: 1_000, restarts: 3, changes: Duration::from_secs(20) };
    pub const QUICK: Self =
        Self { resources: 5_000, per_connection: 1_000, restarts: 2, changes: Duration::from_secs(1) };
}

/// What is killed right after a change must show it.
const SHORT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Measured {
    /// The median.
    pub ready_ms: f64,
    /// Over an empty registry, right after everything came in.
    pub bytes_per_resource: f64,
    /// The same after the changes of the second run.
    pub bytes_per_resource_changed: f64,
    /// The same after a restart.
    pub bytes_per_resource_restarted: f64,
    /// As `ready_ms`, after many changes of each record.
    pub ready_changed_ms: f64,
}

pub async fn measure(plan: Plan) -> anyhow::Result<Measured> {
    let grown = run(plan, SHORT).await?;
    let changed = run(plan, plan.changes).await?;
    let (ready_changed_ms, bytes_per_resource_changed) =
        (changed.ready_ms, changed.bytes_per_resource_changed);
    Ok(Measured { bytes_per_resource_changed, ready_changed_ms, ..grown })
}

async fn run(plan: Plan, changes: Duration) -> anyhow::Result<Measured> {
    let mut bed = Bed::start().await?;
    started(&bed).await;
    let empty = bed.usage()?.rss_mb;
    let mut load = Load::open(&bed.address(), STREAMS, plan.per_connection).await?;
    load.grow(plan.resources).await?;
    let per_resource = |rss_mb: f64| (rss_mb - empty) * 1_048_576.0 / as_f64(plan.resources);
    let bytes_per_resource = per_resource(bed.usage()?.rss_mb);
    // Acked means kept: what is killed right after a change must show it.
    load.change_for(changes).await?;
    let bytes_per_resource_changed = per_resource(bed.usage()?.rss_mb);
    let id = bed.page("", 1).await?.resources.pop().context("a resource")?.id;
    let mut ready = Vec::new();
    for _ in 0..plan.restarts {
        bed.registry.kill9().await?;
        let began = Instant::now();
        bed.registry.up().await?;
        let (status, said) = http_get(bed.registry.process().http_addr(), "/readyz").await?;
        ensure!(status == 200, "it serves and is not ready: {status} {said}");
        let request = GetResourceRequest { id: id.clone(), read_mask: None };
        let answer = GetResourceResponse::decode(bed.client().await?.unary(GET, request).await?)?;
        ready.push(began.elapsed());
        ensure!(answer.resource.is_some_and(|resource| resource.id == id), "{id} is lost");
    }
    started(&bed).await;
    let bytes_per_resource_restarted = per_resource(bed.usage()?.rss_mb);
    let acked = load.changes();
    let change = |connection, record| acked.get(&(connection, record / super::BATCH)).copied();
    let found = bed.audit("", change).await?;
    ensure!(found == plan.resources, "{found} of {} acked records came back", plan.resources);
    ready.sort_unstable();
    let median = ready.get(ready.len() / 2).copied().context("a restart")?;
    let ready_ms = millis(median);
    Ok(Measured {
        ready_ms,
        bytes_per_resource,
        bytes_per_resource_changed,
        bytes_per_resource_restarted,
        ready_changed_ms: ready_ms,
    })
}

/// What a start does last takes memory that no resource has a part in: it is there both before and after.
async fn started(bed: &Bed) {
    bed.registry.process().logs("the vocabularies to be loaded", |line| line.contains(LOADED)).await;
}
