//! `bench ingest`: changed records a second that are durable, with few and
//! with many resources present, and how fast an unchanged fleet is confirmed.

use std::time::Duration;

use anyhow::ensure;

use super::bed::Bed;
use super::load::{Load, Run};
use super::record::connection_id;
use super::usage::Shares;

/// Streams that the fleet is spread over.
const STREAMS: usize = 4;
/// More resources than this are audited by sample.
const AUDIT_MAX: u64 = 100_000;
const SAMPLE: u32 = 47;
const ROUNDS_ALONE: usize = 5;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Resources present, small to large.
    pub sizes: [u64; 3],
    pub per_connection: u32,
    /// How long changes are sent at each size.
    pub time: Duration,
    /// Rounds of heartbeats over the whole fleet.
    pub rounds: usize,
}

impl Plan {
    pub const FULL: Self = Self {
        sizes: [10_000, 100_000, 1_000_000],
        per_connection: 1_000,
        time: Duration::from_secs(12),
        rounds: 200,
    };
    pub const QUICK: Self = Self {
        sizes: [1_000, 2_000, 4_000],
        per_connection: 1_000,
        time: Duration::from_secs(2),
        rounds: 200,
    };
}

#[derive(Debug)]
pub struct Measured {
    /// By size.
    pub changes: [Run; 3],
    pub heartbeats: Run,
    pub snapshots: Run,
    /// Cores of registry and load generator, at the smallest size.
    pub cores: (f64, f64),
}

pub async fn measure(plan: Plan) -> anyhow::Result<Measured> {
    let bed = Bed::start().await?;
    let mut load = Load::open(&bed.address(), STREAMS, plan.per_connection).await?;
    let mut changes: [Run; 3] = Default::default();
    let mut cores = None;
    let (mut heartbeats, mut snapshots) = (Run::default(), Run::default());
    for (at, (size, result)) in plan.sizes.into_iter().zip(&mut changes).enumerate() {
        let grown = load.grow(size).await?;
        eprintln!("{size} resources are there ({:.0} new ones a second)", grown.per_second());
        // Once over pages that were never changed, then measured.
        load.change_for(plan.time / 4).await?;
        let shares = Shares::begin(bed.pid()?)?;
        *result = load.change_for(plan.time).await?;
        let used = shares.end()?;
        eprintln!(
            "{size} resources: {:.0} changed records a second, ack p50 {:.1} ms, p99 {:.1} ms; registry {:.2} cores, load generator {:.2} cores",
            result.per_second(),
            result.acks.rank(50),
            result.acks.rank(99),
            used.0,
            used.1,
        );
        cores.get_or_insert(used);
        if at == 1 {
            let shares = Shares::begin(bed.pid()?)?;
            heartbeats = load.heartbeats(plan.rounds).await?;
            shares.tell("heartbeats")?;
            snapshots = load.snapshots().await?;
        }
        audit(&bed, &load, plan).await?;
    }
    Ok(Measured { changes, heartbeats, snapshots, cores: cores.unwrap_or_default() })
}

/// Changes at the smallest size, told round by round, with the process that a profiler may join.
pub async fn alone(plan: Plan) -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let mut load = Load::open(&bed.address(), STREAMS, plan.per_connection).await?;
    load.grow(plan.sizes[0]).await?;
    eprintln!("process {}", bed.pid()?);
    for _ in 0..ROUNDS_ALONE {
        let shares = Shares::begin(bed.pid()?)?;
        let run = load.change_for(plan.time / 4).await?;
        let used = shares.end()?;
        eprintln!("{:.0} changed records a second; registry {:.2} cores", run.per_second(), used.0);
    }
    audit(&bed, &load, plan).await
}

/// Every record is listed with its last acked change, and nothing else is.
async fn audit(bed: &Bed, load: &Load, plan: Plan) -> anyhow::Result<()> {
    let acked = load.changes();
    let change = |connection, record| acked.get(&(connection, record / super::BATCH)).copied();
    let all = load.resources();
    if all <= AUDIT_MAX {
        let found = bed.audit("", change).await?;
        ensure!(found == all, "{found} of {all} acked records are listed");
        return Ok(());
    }
    let total = bed.page("", 1).await?.total_size;
    ensure!(u64::try_from(total)? == all, "{total} of {all} acked records are listed");
    let connections = u32::try_from(all / u64::from(plan.per_connection))?;
    for connection in (0..connections).step_by(SAMPLE as usize) {
        let filter = format!("connection = \"{}\"", connection_id(connection));
        let found = bed.audit(&filter, change).await?;
        ensure!(
            found == u64::from(plan.per_connection),
            "{found} records of connection {connection} are listed"
        );
    }
    Ok(())
}
