//! `cargo xtask bench restart`: back after kill -9, and memory, beside etcd.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::etcd::{Etcd, bytes_per_key};
use pulse_tests::bench::restart;
use pulse_tests::bench::times::millis;
use pulse_tests::task::bench::{Arguments, Figure, print};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { restart::Plan::QUICK } else { restart::Plan::FULL };
    print(&figures(plan).await?, arguments.json)
}

async fn figures(plan: restart::Plan) -> anyhow::Result<Vec<Figure>> {
    eprintln!("measuring the registry ...");
    let measured = restart::measure(plan).await?;
    eprintln!("measuring etcd ...");
    let (ready, bytes) = etcd(plan).await.unwrap_or_else(|error| {
        let none = pulse_tests::bench::missing("etcd", &error);
        (none, none)
    });
    Ok(vec![
        Figure::new("ready_ms_1m", "ms", measured.ready_ms, ready),
        Figure::new("ready_ms_1m_changed", "ms", measured.ready_changed_ms, ready),
        Figure::new("bytes_per_resource_1m", "B", measured.bytes_per_resource, bytes),
        Figure::new("bytes_per_resource_1m_changed", "B", measured.bytes_per_resource_changed, bytes),
        Figure::new("bytes_per_resource_restarted_1m", "B", measured.bytes_per_resource_restarted, bytes),
    ])
}

/// Milliseconds until a read is answered, and bytes of memory for each key.
async fn etcd(plan: restart::Plan) -> anyhow::Result<(f64, f64)> {
    let mut etcd = Etcd::start().await?;
    let empty = etcd.usage()?;
    etcd.fill(plan.resources).await?;
    let bytes = bytes_per_key(&empty, &etcd.usage()?, plan.resources);
    Ok((millis(etcd.restart().await?), bytes))
}
