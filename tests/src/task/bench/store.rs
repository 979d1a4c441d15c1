//! `cargo xtask bench store`: starts the release build that measures the
//! embedded stores. The engines are optional dependencies of that build only.

use anyhow::ensure;

use super::release;

pub fn run(json: bool) -> anyhow::Result<()> {
    let mut command = release("bench-store", "bench-store");
    if json {
        command.arg("--json");
    }
    let status = command.status()?;
    ensure!(status.success(), "the bench failed: {status}");
    Ok(())
}
