//! Which Debian packages files of this system are from, as dpkg knows them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) architecture: String,
}

/// The packages of these files, each once. Without one is no file: whoever scans the image would not see it.
pub(super) fn of_files<'a>(paths: impl IntoIterator<Item = &'a Path>) -> anyhow::Result<BTreeSet<Package>> {
    paths.into_iter().map(|path| installed(&owner(path)?)).collect()
}

/// One that is installed.
pub(super) fn installed(name: &str) -> anyhow::Result<Package> {
    let format = "--showformat=${Version} ${Architecture} ${Package}\n";
    let text = said(Command::new("dpkg-query").args(["--show", format, name]))?;
    let mut words = text.split_whitespace().map(str::to_owned);
    let mut word = || words.next().with_context(|| format!("dpkg says {text:?} of {name}"));
    Ok(Package { version: word()?, architecture: word()?, name: word()? })
}

/// Where `/lib` is a link, older packages still say `/lib`, newer ones `/usr/lib`, whatever the loader says.
fn owner(path: &Path) -> anyhow::Result<String> {
    let merged = Path::new("/usr").join(path.strip_prefix("/")?);
    let real = path.canonicalize()?;
    let ways = [path, &merged, &real];
    let found =
        ways.into_iter().find_map(|way| said(Command::new("dpkg-query").arg("--search").arg(way)).ok());
    let found = found.with_context(|| format!("no Debian package has {}", path.display()))?;
    let (packages, _) = found.split_once(": ").with_context(|| format!("dpkg says {found:?}"))?;
    Ok(packages.split(',').next().unwrap_or(packages).trim().to_owned())
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.env("LC_ALL", "C").output().context("start dpkg-query")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}
