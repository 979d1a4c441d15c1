//! `cargo xtask bench list`: lists, pages and single resources beside etcd.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::etcd::Etcd;
use pulse_tests::bench::list;
use pulse_tests::bench::times::Times;
use pulse_tests::task::bench::{Arguments, Figure, print};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { list::Plan::QUICK } else { list::Plan::FULL };
    print(&figures(plan).await?, arguments.json)
}

/// What the registry is to stay below.
const TARGET_FULL_MS: f64 = 100.0;
/// Keys lie in one order; a filter costs etcd's client nothing here, for it has none.
#[derive(Default)]
struct Reference {
    full: Times,
    page: Times,
    get: Times,
}

async fn figures(plan: list::Plan) -> anyhow::Result<Vec<Figure>> {
    eprintln!("measuring the registry ...");
    let measured = list::measure(plan).await?;
    eprintln!("measuring etcd ...");
    let etcd = etcd(plan).await.unwrap_or_else(|error| {
        pulse_tests::bench::missing("etcd", &error);
        Reference::default()
    });
    Ok(vec![
        Figure::new("full_list_50k_ms", "ms", measured.full.rank(50), etcd.full.rank(50)),
        Figure::new("full_list_50k_server_cpu_ms", "ms", measured.full_server_ms, TARGET_FULL_MS),
        Figure::new("page_500_p50_ms", "ms", measured.page.rank(50), etcd.page.rank(50)),
        Figure::new("page_500_p99_ms", "ms", measured.page.rank(99), etcd.page.rank(99)),
        Figure::new("page_500_quiet_p50_ms", "ms", measured.page_quiet.rank(50), etcd.page.rank(50)),
        Figure::new("page_500_quiet_p99_ms", "ms", measured.page_quiet.rank(99), etcd.page.rank(99)),
        Figure::new("get_p50_ms", "ms", measured.get.rank(50), etcd.get.rank(50)),
        Figure::new("get_p99_ms", "ms", measured.get.rank(99), etcd.get.rank(99)),
        Figure::new("get_quiet_p50_ms", "ms", measured.get_quiet.rank(50), etcd.get.rank(50)),
        Figure::new("get_quiet_p99_ms", "ms", measured.get_quiet.rank(99), etcd.get.rank(99)),
    ])
}

/// A page of values and a get while the same changes come in; the whole list without.
async fn etcd(plan: list::Plan) -> anyhow::Result<Reference> {
    let etcd = Etcd::start().await?;
    etcd.fill(plan.resources).await?;
    let mut client = etcd.client().await?;
    let mut reference = Reference::default();
    for _ in 0..plan.lists {
        let began = Instant::now();
        let listed = etcd.list(&mut client, 1_000).await?;
        reference.full.add(began.elapsed());
        anyhow::ensure!(listed == plan.resources, "etcd listed {listed} of {} keys", plan.resources);
    }
    let reads = async {
        for _ in 0..plan.pages {
            let began = Instant::now();
            etcd.page(&mut client, plan.resources / 2, plan.page.into()).await?;
            reference.page.add(began.elapsed());
        }
        for number in 0..plan.gets as u64 {
            let began = Instant::now();
            etcd.get(&mut client, number * 7_919 % plan.resources).await?;
            reference.get.add(began.elapsed());
        }
        anyhow::Ok(())
    };
    tokio::select! {
        read = reads => read?,
        ended = etcd.put_steadily(plan.resources, list::EVERY) => anyhow::bail!("changes ended: {ended:?}"),
    }
    Ok(reference)
}
