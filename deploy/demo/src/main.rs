//! The one-command demo: simulated appliances, both services, a receiver of alerts and a look at the result, all in this process and
//! on loopback. Ctrl-C stops everything.

mod fleet;
mod outside;
mod places;
mod story;

use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use pulse_collector::app::App as Collector;
use pulse_collector::config::Config as CollectorConfig;
use pulse_registry::app::App as Registry;
use pulse_registry::config::Config as RegistryConfig;
use pulse_shell::logs::{self, Format};
use pulse_shell::table::{complain, print};
use pulse_shell::{serve, trace};

use self::fleet::Fleet;
use self::outside::Outside;
use self::places::Places;

/// Longest stop of a service before the process just ends.
const STOP: Duration = Duration::from_secs(5);
const HINT: &str = "another registry or demo may be running; stop it, or use --any-ports";

/// Simulated TrueNAS systems, collected and served over gRPC on loopback.
#[derive(Debug, Parser)]
#[command(name = "demo", version = pulse_shell::VERSION, about, max_term_width = 100)]
struct Cli {
    /// What happens after the first table.
    #[arg(long, value_enum, default_value = "none")]
    fault: Fault,
    /// Appliances; their API lines take turns: 25.10, 26.0, 25.04, 24.10.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=200))]
    appliances: u16,
    /// Use any free ports instead of 7660, 7661, 7670 and 7671.
    #[arg(long)]
    any_ports: bool,
    /// Stop by itself after the first table and the fault, if any.
    #[arg(long)]
    once: bool,
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    /// What the services log, on stderr.
    #[arg(long, default_value = "warn,audit=off")]
    log_level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For programs: where everything is, as one JSON object in one line when the first table would come, and nothing else.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fault {
    /// Nothing breaks; changes are shown as they come.
    None,
    /// A disk of a pool fails: the pool goes to warning, a new disk resilvers, and it is back online.
    Degrade,
    /// An appliance goes away and comes back.
    Unplug,
}

/// `cargo demo -- --once` and `cargo demo --once` are the same: cargo's alias ends with a separator of its own.
fn without_separator(arguments: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
    arguments.enumerate().filter(|(i, argument)| *i != 1 || argument != "--").map(|(_, argument)| argument)
}

/// One that is free now: the registry is told where the collector will answer before that starts.
fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.port())
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse_from(without_separator(std::env::args()));
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("demo: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What is running when a stop comes is stopped, and waited for: a registry may be writing.
async fn run(cli: &Cli) -> anyhow::Result<()> {
    logs::start(logs::Options {
        service: "pulse-demo",
        format: Format::Auto,
        level: &cli.log_level,
        audit: None,
        traces: &trace::Config::default(),
    })?;
    let mut stop = pin!(serve::stop_signal());
    let folder = tempfile::tempdir().context("make a folder for the demo's data")?;
    let (fleet, outside) = tokio::select! {
        started = around(cli) => started?,
        stopped = &mut stop => return stopped,
    };
    let mut config = RegistryConfig::embedded(&folder.path().join("registry"));
    if !cli.any_ports {
        config.grpc.listen.set_port(7660);
        config.http.listen.set_port(7661);
    }
    let collector_port = if cli.any_ports { free_port()? } else { 7670 };
    config.console.collectors = vec![format!("http://127.0.0.1:{collector_port}")];
    config.notify.receivers = outside.receivers()?;
    let registry = Registry::start(config).await.context(HINT)?;
    let mut config = CollectorConfig::embedded(&folder.path().join("collector"), registry.grpc_addr());
    config.grpc.listen.set_port(collector_port);
    if !cli.any_ports {
        config.http.listen.set_port(7671);
    }
    let told = collect(cli, &fleet, outside, &registry, config, stop).await;
    registry.shutdown();
    match tokio::time::timeout(STOP, registry.wait()).await {
        Ok(stopped) => told.and(stopped),
        Err(_late) => told,
    }
}

/// What the services will find around them.
async fn around(cli: &Cli) -> anyhow::Result<(Fleet, Outside)> {
    let fleet = fleet::start(cli.appliances).await?;
    let outside = Outside::start(Arc::clone(&fleet.spare)).await?;
    Ok((fleet, outside))
}

async fn collect(
    cli: &Cli,
    fleet: &Fleet,
    outside: Outside,
    registry: &Registry,
    config: CollectorConfig,
    mut stop: Pin<&mut impl Future<Output = anyhow::Result<()>>>,
) -> anyhow::Result<()> {
    let collector = Collector::start(config).await.context(HINT)?;
    let places = Places {
        registry: registry.grpc_addr(),
        registry_http: registry.http_addr(),
        collector: collector.grpc_addr(),
        collector_http: collector.http_addr(),
        outside: outside.addr,
    };
    let told = tokio::select! {
        told = story::tell(cli, fleet, &places, outside.news) => told,
        stopped = &mut stop => stopped,
    };
    if cli.output == Output::Table {
        print(&["stopping ...".to_owned()])?;
    }
    collector.shutdown();
    match tokio::time::timeout(STOP, collector.wait()).await {
        Ok(stopped) => told.and(stopped),
        Err(_late) => told,
    }
}
