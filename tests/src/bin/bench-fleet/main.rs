//! `cargo xtask bench fleet`: a collector and a registry as they are released, against a fleet of simulated appliances in a
//! process of their own; the same fleet read by a naive poller is the reference.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a bench talks to the person who runs it")]
#![allow(clippy::disallowed_methods, reason = "real time is what is measured")]

mod appliances;
mod fleet;
mod latency;
mod naive;

use std::time::Duration;

use clap::{Parser, Subcommand};
use pulse_tests::task::bench::{Figure, print};

#[derive(Debug, Parser)]
struct Arguments {
    /// Simulated appliances, each with 4 pools, 24 disks and 120 datasets
    #[arg(long, default_value_t = 1_000)]
    appliances: usize,
    /// A small fleet for a short time: to see that it runs, not how fast
    #[arg(long)]
    quick: bool,
    /// One JSON object per figure instead of a table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be the appliances (started by the bench itself)
    #[command(hide = true)]
    Appliances { count: usize },
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    appliances: usize,
    /// How long calls and bytes are counted in steady state.
    steady: Duration,
    /// Changes whose way to a watcher is timed.
    changes: usize,
    /// Appliances that the naive poller reads.
    naive: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(Role::Appliances { count }) = arguments.role {
        return runtime.block_on(appliances::serve(count));
    }
    let plan = if arguments.quick {
        let appliances = arguments.appliances.min(20);
        Plan { appliances, steady: Duration::from_secs(5), changes: 20, naive: 5 }
    } else {
        Plan { appliances: arguments.appliances, steady: Duration::from_mins(3), changes: 300, naive: 50 }
    };
    let figures = runtime.block_on(measure(plan))?;
    print(&figures, arguments.json)
}

async fn measure(plan: Plan) -> anyhow::Result<Vec<Figure>> {
    eprintln!("starting {} appliances ...", plan.appliances);
    let mut world = appliances::World::start(plan.appliances).await?;
    eprintln!("reading {} of them naively ...", plan.naive.min(plan.appliances));
    let naive = naive::measure(&mut world, plan).await?;
    eprintln!("connecting all of them ...");
    let fleet = fleet::Fleet::start(&mut world).await?;
    eprintln!("the whole fleet is known after {:.1} s; settling ...", fleet.first_full_state.as_secs_f64());
    let steady = fleet.steady(&mut world, plan).await?;
    eprintln!("timing {} changes ...", plan.changes);
    let latency = latency::measure(&fleet, &mut world, plan).await?;
    Ok(vec![
        Figure::new("logins_per_appliance", "1", steady.logins_per_appliance, naive.logins_per_hour),
        Figure::new("first_full_state_s", "s", fleet.first_full_state.as_secs_f64(), naive.cycle_s),
        Figure::new("calls_per_appliance_per_min", "1", steady.calls_per_min, naive.calls_per_min),
        Figure::new("bytes_per_appliance_per_min", "B", steady.bytes_per_min, naive.bytes_per_min),
        Figure::new("bytes_ratio_vs_naive", "x", naive.bytes_per_min / steady.bytes_per_min.max(1.0), 10.0),
        Figure::new("collector_cores", "cores", steady.collector_cores, 0.5),
        Figure::new("collector_rss_mb", "MB", steady.collector_rss_mb, 400.0),
        Figure::new("registry_cores", "cores", steady.registry_cores, 0.5),
        Figure::new("registry_rss_mb", "MB", steady.registry_rss_mb, 1_000.0),
        Figure::new("event_to_watch_p50_ms", "ms", latency.p50_ms, naive.cycle_s * 500.0),
        Figure::new("event_to_watch_p99_ms", "ms", latency.p99_ms, naive.cycle_s * 990.0),
    ])
}
