//! `cargo xtask image`: lays out every file of the container's final stage, and
//! nothing else. `deploy/Containerfile` copies the folder; the tests run it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::Args;

use super::{cargo, debian, root, run, sbom};

const SERVICES: [&str; 2] = ["pulse-collector", "pulse-registry"];
/// The user of the image: no name of any other system, no rights.
pub const USER: u32 = 65_532;
/// The only folder that is written to: a mount.
pub const DATA: &str = "var/lib/pulse";
/// Authorities of the build's system, which is Debian's.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(Args, Debug)]
pub struct Options {
    /// An empty folder, or one that is made
    #[arg(long, value_name = "FOLDER")]
    pub to: PathBuf,
    /// Profile of the build
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub profile: String,
}

pub fn all(options: &Options) -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--locked", "--profile", &options.profile]);
    run(build.args(SERVICES.iter().flat_map(|name| ["--package", name])))?;
    lay_out(&options.to, &built(&options.profile))
}

/// Where cargo puts what it built.
fn built(profile: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(if profile == "dev" { "debug" } else { profile })
}

/// From binaries that are there.
pub fn lay_out(image: &Path, binaries: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(image)?;
    ensure!(fs::read_dir(image)?.next().is_none(), "{} is not empty", image.display());
    let mut libraries = BTreeSet::new();
    for name in SERVICES {
        let binary = binaries.join(name);
        put(
            image,
            Path::new("usr/bin").join(name),
            &fs::read(&binary).with_context(|| told(&binary))?,
            0o755,
        )?;
        libraries.extend(needed(&binary)?);
    }
    for library in &libraries {
        let at = library.strip_prefix("/")?;
        put(image, at, &fs::read(library).with_context(|| told(library))?, 0o755)?;
    }
    let authorities =
        fs::read(AUTHORITIES).with_context(|| format!("{AUTHORITIES}: install ca-certificates"))?;
    put(image, &AUTHORITIES[1..], &authorities, 0o644)?;
    let user = format!("pulse:x:{USER}:{USER}:pulse:/{DATA}:/usr/sbin/nologin\n");
    put(image, "etc/passwd", user.as_bytes(), 0o644)?;
    put(image, "etc/group", format!("pulse:x:{USER}:\n").as_bytes(), 0o644)?;
    // A runtime puts its own in the place of this one.
    put(image, "etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
    put(image, "etc/nsswitch.conf", b"hosts: files dns\n", 0o644)?;
    let mut packages = debian::of_files(libraries.iter().map(PathBuf::as_path))?;
    // That file is made when the package is installed, and so is in none.
    packages.insert(debian::installed("ca-certificates")?);
    let bill = sbom::with_debian(sbom::bill()?, &packages)?;
    let about = Path::new("usr/share/doc/pulse-truenas");
    put(image, about.join("LICENSE"), &fs::read(root().join("LICENSE"))?, 0o644)?;
    put(image, about.join("sbom.cdx.json"), &serde_json::to_vec_pretty(&bill)?, 0o644)?;
    let data = image.join(DATA);
    fs::create_dir_all(&data)?;
    // A volume that is made anew takes over who owns this folder. Only root can give it away.
    if std::os::unix::fs::chown(&data, Some(USER), Some(USER)).is_err() {
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777))?;
    }
    Ok(())
}

/// The libraries a binary is loaded with, the loader among them.
fn needed(binary: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(binary).output().context("start ldd")?;
    ensure!(output.status.success(), "ldd {}: {}", binary.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let paths = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

fn put(image: &Path, at: impl AsRef<Path>, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let path = image.join(at);
    let folder = path.parent().context("a folder")?;
    fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes)).with_context(|| told(&path))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).with_context(|| told(&path))
}

fn told(path: &Path) -> String {
    path.display().to_string()
}
