//! `cargo xtask bench store`: starts the release build that measures the
//! embedded stores. The engines are optional dependencies of that build only.

use anyhow::ensure;

use super::{Options, release};

pub fn run(options: &Options) -> anyhow::Result<()> {
    let status = release("bench-store", "bench-store").args(options.arguments()).status()?;
    ensure!(status.success(), "the bench failed: {status}");
    Ok(())
}
