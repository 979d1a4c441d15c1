//! Names the commit that a release is made of. Other builds say `dev`: they would
//! be built anew with each commit.

use std::process::Command;

/// For builds without a repository beside them, such as that of a container.
const COMMIT: &str = "PULSE_COMMIT";

fn main() {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rerun-if-changed=build.rs");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let told = std::env::var(COMMIT).ok().filter(|told| !told.is_empty());
    let commit = told.or_else(|| is_release.then(head).flatten()).unwrap_or_else(|| "dev".to_owned());
    println!("cargo::rustc-env=PULSE_VERSION={version} ({commit})");
}

/// The commit that is checked out, marked when files differ from it.
fn head() -> Option<String> {
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={log}");
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}, changed") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
