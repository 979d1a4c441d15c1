//! `cargo xtask bench watch`: fan-out to watchers beside etcd.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::etcd::{self, Etcd, Puts};
use pulse_tests::bench::fanout::{Delivered, Pace, Watchers};
use pulse_tests::bench::usage::Shares;
use pulse_tests::bench::{loopback, missing, watch};
use pulse_tests::task::bench::{Arguments, Figure, print};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { watch::Plan::QUICK } else { watch::Plan::FULL };
    print(&figures(plan).await?, arguments.json)
}

/// What the registry is to reach.
const TARGET_VS_ETCD: f64 = 5.0;

async fn figures(plan: watch::Plan) -> anyhow::Result<Vec<Figure>> {
    eprintln!("measuring the registry ...");
    let measured = watch::measure(plan).await?;
    eprintln!("measuring etcd ...");
    let mut etcd = [0.0; 4];
    for (watchers, result) in plan.watchers.into_iter().zip(&mut etcd) {
        let run = reference(plan, watchers, Pace::Slowest(plan.time)).await;
        *result = run.map_or_else(|error| missing("etcd", &error), |run| run.per_second());
    }
    let timed = reference(plan, plan.watchers[1], Pace::Every(watch::EVERY, plan.timed)).await;
    let etcd_rank = |percent| timed.as_ref().map_or(0.0, |run| run.times.rank(percent));
    let rates = measured.delivered.each_ref().map(Delivered::per_second);
    // What the same bytes take when they are only passed on.
    let loopback = loopback::bytes_per_second(plan.time / 2)? / measured.delivered[1].bytes_per_event();
    let by = if etcd[1] > 0.0 { rates[1] / etcd[1] } else { 0.0 };
    let (alone, watched) = measured.ingest;
    Ok(vec![
        Figure::new("deliveries_per_s_1", "1/s", rates[0], etcd[0]),
        Figure::new("deliveries_per_s_16", "1/s", rates[1], etcd[1]),
        Figure::new("deliveries_per_s_128", "1/s", rates[2], etcd[2]),
        Figure::new("deliveries_per_s_1000", "1/s", rates[3], etcd[3]),
        Figure::new("deliveries_per_s_128_distinct", "1/s", measured.distinct.per_second(), rates[2]),
        Figure::new("end_to_end_p50_ms_16", "ms", measured.timed.times.rank(50), etcd_rank(50)),
        Figure::new("end_to_end_p99_ms_16", "ms", measured.timed.times.rank(99), etcd_rank(99)),
        Figure::new("ratio_vs_etcd_16", "x", by, TARGET_VS_ETCD),
        Figure::new("deliveries_per_s_16_of_plain_tcp", "1/s", rates[1], loopback),
        Figure::new("deliveries_per_s_128_of_plain_tcp", "1/s", rates[2], loopback),
        Figure::new("ingest_with_1000_watchers", "1/s", watched, alone),
    ])
}

async fn reference(plan: watch::Plan, watchers: usize, pace: Pace) -> anyhow::Result<Delivered> {
    let etcd = Etcd::start().await?;
    etcd.fill(plan.resources).await?;
    let open = Watchers::new(etcd.watch(watchers).await?, etcd::events);
    let mut puts = Puts::connect(&etcd, plan.resources).await?;
    let shares = Shares::begin(etcd.pid()?)?;
    let run = open.measure(&mut puts, pace).await?;
    shares.tell(&format!("etcd, {watchers} watchers, {:.0} events a second", run.per_second()))?;
    Ok(run)
}
