//! `cargo xtask bench ingest`, `watch`, `list`, `restart`, `alerts`, `console` and `context`: builds the registry as it is released and starts the
//! bench that runs it.

use anyhow::ensure;

use super::super::cargo;
use super::{Options, release};

pub fn run(bench: &str, options: &Options) -> anyhow::Result<()> {
    let mut build = cargo();
    build.current_dir(super::super::root()).args(["build", "--quiet", "--release", "--bins"]);
    let built = build.args(["--package", "pulse-registry"]).status()?;
    ensure!(built.success(), "the release build failed: {built}");
    let status = release("bench-registry", bench)
        .args(Options { appliances: None, ..*options }.arguments())
        .status()?;
    ensure!(status.success(), "the bench failed: {status}");
    Ok(())
}
