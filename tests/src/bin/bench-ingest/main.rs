//! `cargo xtask bench ingest`: durable ingest beside etcd and PostgreSQL.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::etcd::Etcd;
use pulse_tests::bench::postgres::Postgres;
use pulse_tests::bench::{ingest, missing};
use pulse_tests::task::bench::{Arguments, Figure, print};

#[derive(Debug, Parser)]
struct Asked {
    #[command(flatten)]
    arguments: Arguments,
    /// Changes at the smallest size for some seconds, without references: for a profiler
    #[arg(long)]
    alone: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Asked { arguments, alone } = Asked::parse();
    let plan = if arguments.quick { ingest::Plan::QUICK } else { ingest::Plan::FULL };
    if alone {
        return ingest::alone(plan).await;
    }
    print(&figures(plan).await?, arguments.json)
}

/// What the registry is to reach.
const TARGET_VS_ETCD: f64 = 3.0;
const TARGET_VS_POSTGRES: f64 = 3.0;
const TARGET_UNCHANGED: f64 = 2_000_000.0;

async fn figures(plan: ingest::Plan) -> anyhow::Result<Vec<Figure>> {
    eprintln!("measuring etcd ...");
    let etcd = etcd(plan).await.unwrap_or_else(|error| missing("etcd", &error));
    eprintln!("measuring PostgreSQL ...");
    let postgres = postgres(plan).await.unwrap_or_else(|error| missing("PostgreSQL", &error));
    eprintln!("measuring the registry ...");
    let measured = ingest::measure(plan).await?;
    let [small, middle, large] = &measured.changes;
    let rate = small.per_second();
    let by = |reference: f64| if reference > 0.0 { rate / reference } else { 0.0 };
    let (registry_cores, generator_cores) = measured.cores;
    Ok(vec![
        Figure::new("durable_records_per_s_10k", "1/s", rate, etcd),
        Figure::new("durable_records_per_s_100k", "1/s", middle.per_second(), etcd),
        Figure::new("durable_records_per_s_1m", "1/s", large.per_second(), etcd),
        Figure::new("unchanged_resources_per_s", "1/s", measured.heartbeats.per_second(), TARGET_UNCHANGED),
        Figure::new("equal_snapshot_resources_per_s", "1/s", measured.snapshots.per_second(), etcd),
        Figure::new("ratio_vs_etcd", "x", by(etcd), TARGET_VS_ETCD),
        Figure::new("ratio_vs_postgres", "x", by(postgres), TARGET_VS_POSTGRES),
        Figure::new("ratio_1m_vs_10k", "x", large.per_second() / rate.max(1.0), 1.0),
        Figure::new("ack_p50_ms_10k", "ms", small.acks.rank(50), 0.0),
        Figure::new("ack_p99_ms_10k", "ms", small.acks.rank(99), 0.0),
        Figure::new("registry_cores", "cores", registry_cores, 2.0),
        Figure::new("generator_cores", "cores", generator_cores, registry_cores),
    ])
}

async fn etcd(plan: ingest::Plan) -> anyhow::Result<f64> {
    let etcd = Etcd::start().await?;
    let keys = plan.sizes[0];
    etcd.fill(keys).await?;
    let run = etcd.put_for(keys, plan.time).await?;
    eprintln!("etcd 3.5: {:.0} records a second, ack p99 {:.1} ms", run.per_second(), run.acks.rank(99));
    Ok(run.per_second())
}

async fn postgres(plan: ingest::Plan) -> anyhow::Result<f64> {
    let postgres = Postgres::start().await?;
    let run = postgres.upsert_for(u32::try_from(plan.sizes[0])?, plan.time).await?;
    eprintln!("PostgreSQL {}: {:.0} records a second", postgres.version().await?, run.per_second());
    Ok(run.per_second())
}
