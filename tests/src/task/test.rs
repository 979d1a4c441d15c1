//! `cargo xtask test`: installs what the tests need, builds the binaries they
//! start, and runs every test.

use std::process::{Command, Stdio};

use super::{cargo, run, tools};

pub fn all(filter: &[String]) -> anyhow::Result<()> {
    tools::install()?;
    tools::alertmanager()?;
    tools::prometheus()?;
    tools::chromium()?;
    tools::go::go()?;
    tools::kubernetes::kubectl()?;
    tools::kubernetes::scanners()?;
    tools::kubernetes::operators()?;
    tools::kubernetes::systemd_analyze()?;
    run(cargo().args(["build", "--workspace", "--bins"]))?;
    if has_nextest() {
        run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]).args(filter))
    } else {
        run(cargo().args(["test", "--workspace", "--no-fail-fast"]).args(filter))
    }
}

/// Whether tests are run by nextest here.
pub fn has_nextest() -> bool {
    Command::new("cargo-nextest")
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
