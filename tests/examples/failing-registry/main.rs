//! The registry as it is, on a disk that fails now and then: short writes, no
//! space, syncs that fail and lose what they should have kept. Started by
//! `cargo xtask crash` as `failing-registry serve --config FILE`.

mod faults;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pulse_registry::app::App;
use pulse_registry::config::Config;
use pulse_registry::store::journal::Options;
use pulse_shell::{logs, serve};

use self::faults::FailingDisk;

/// Small, so that checkpoints meet faults too.
const CHECKPOINT_BYTES: u64 = 64 * 1024;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Decides which steps fail
    #[arg(long, env = "FAULTS_SEED")]
    seed: u64,
    /// Steps may fail while the registry starts, too
    #[arg(long, env = "FAULTS_AT_START")]
    at_start: bool,
}

#[derive(Subcommand)]
enum Command {
    Serve {
        #[arg(long)]
        config: PathBuf,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { command: Command::Serve { config }, seed, at_start } = Arguments::parse();
    let config = Config::read(Some(&config), &[]).0.context("the settings")?;
    logs::start(logs::Options {
        service: "failing-registry",
        format: config.log.format,
        level: &config.log.level,
        audit: Some(&config.audit),
        traces: &config.traces,
    })?;
    let disk = FailingDisk::new(seed);
    if at_start {
        disk.begin();
    }
    let start = async {
        let options = Options { checkpoint_bytes_min: CHECKPOINT_BYTES };
        let app = App::start_on(config, Arc::new(disk.clone()), options).await?;
        disk.begin();
        Ok(app)
    };
    serve::until_stopped(Box::pin(start), App::shutdown, App::wait).await
}
