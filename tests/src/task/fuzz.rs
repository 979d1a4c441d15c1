//! `cargo xtask fuzz`: starts the release build that feeds the decoders.

use anyhow::ensure;

use super::bench::release;

pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut command = release("fuzz", "fuzz");
    let status = command.args(arguments).status()?;
    ensure!(status.success(), "something was found, or the run failed: {status}");
    Ok(())
}
