//! `cargo xtask soak`: builds both services and the soak as they are released, and runs it.

use anyhow::ensure;

use super::bench::release;
use super::{cargo, run as run_command};

#[derive(Clone, Copy, Debug, clap::Parser)]
pub struct Arguments {
    /// No round begins after that; the one under way is ended, with up to some minutes until all is quiet
    #[arg(long, default_value_t = 300)]
    pub seconds: u64,
    /// Repeats a run
    #[arg(long)]
    pub seed: Option<u64>,
    /// Simulated appliances, of all API lines in turn
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub appliances: u16,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--bins", "--package", "pulse-collector"]);
    run_command(build.args(["--package", "pulse-registry"]))?;
    let Arguments { seconds, seed, appliances } = arguments;
    let mut command = release("soak", "soak");
    command.arg(format!("--seconds={seconds}")).arg(format!("--appliances={appliances}"));
    command.args(seed.map(|seed| format!("--seed={seed}")));
    let status = command.status()?;
    ensure!(status.success(), "the soak failed: {status}");
    Ok(())
}
