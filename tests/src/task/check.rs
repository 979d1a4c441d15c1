//! `cargo xtask check`: everything the gate asks for besides the tests.

use std::process::Command;

use super::{cargo, root, run, tools};

/// The contract that clients were promised. New messages, fields and methods
/// may be added to `proto/`; what stands in here must stay.
const PROMISED: &str = "proto/promised.binpb";

pub fn all() -> anyhow::Result<()> {
    tools::install()?;
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(Command::new(tools::tool("buf")).arg("lint"))?;
    run(Command::new(tools::tool("buf")).args(["breaking", "--against", PROMISED]))?;
    run(Command::new(tools::tool("cargo-deny")).args(["check", "bans", "licenses", "sources"]))?;
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "--deny",
        "warnings",
    ]))
}

/// Promises the contract as it is now; refused when that would break an older promise.
pub fn promise() -> anyhow::Result<()> {
    tools::install()?;
    if root().join(PROMISED).exists() {
        run(Command::new(tools::tool("buf")).args(["breaking", "--against", PROMISED]))?;
    }
    run(Command::new(tools::tool("buf")).args(["build", "--exclude-source-info", "-o", PROMISED]))
}
