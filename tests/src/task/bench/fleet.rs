//! `cargo xtask bench fleet`: builds the release binaries and starts the bench that runs them.

use anyhow::ensure;

use super::super::{cargo, run as run_command};
use super::{Options, release};

pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "--bins", "--package", "pulse-collector"]);
    run_command(build.args(["--package", "pulse-registry"]))?;
    let mut command = release("bench-fleet", "bench-fleet");
    command.args(options.arguments());
    let status = command.status()?;
    ensure!(status.success(), "the bench failed: {status}");
    Ok(())
}
