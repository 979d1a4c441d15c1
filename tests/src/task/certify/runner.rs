//! Every test run once: what there is, and how each ended. Knows how to ask the runner that is there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::outcome::{Outcome, Reader, listed_by_nextest, of_junit};
use super::step;
use super::verdict::Step;
use crate::evidence::TestId;
use crate::task::test::has_nextest;
use crate::task::{cargo, root};

/// Of `.config/nextest.toml`.
const PROFILE: &str = "certify";

#[derive(Debug)]
pub struct Ran {
    pub step: Step,
    pub listed: BTreeSet<TestId>,
    pub outcomes: Vec<Outcome>,
}

/// Runs `cargo xtask test`, then asks what should have run.
pub fn run(line: &str, command: &mut Command) -> anyhow::Result<Ran> {
    if !has_nextest() {
        let (mut ran, mut list) = (Reader::default(), Reader::default());
        let step = step(line, command, |line| ran.line(line))?;
        let listing = "cargo test --workspace -- --list";
        super::step(listing, cargo().args(["test", "--workspace", "--", "--list"]), |line| list.line(line))?;
        return Ok(Ran { step, listed: list.listed(), outcomes: ran.outcomes() });
    }
    let report = report();
    // One of a run before would pass for that of this run.
    match std::fs::remove_file(&report) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("remove {}", report.display()));
        }
        _ => {}
    }
    let step = step(line, command.env("NEXTEST_PROFILE", PROFILE), |_| {})?;
    let read = std::fs::read_to_string(&report).map_err(anyhow::Error::from).and_then(|xml| of_junit(&xml));
    // Without outcomes the verdict is NO_GO: what went before is not thrown away.
    let outcomes = read.unwrap_or_else(|error| {
        println!("{}: {error:#}", report.display());
        Vec::new()
    });
    let listing = ["nextest", "list", "--workspace", "--message-format", "json"];
    let printed = cargo().args(listing).current_dir(root()).output().context("list the tests")?.stdout;
    let listed = listed_by_nextest(&String::from_utf8_lossy(&printed)).unwrap_or_default();
    Ok(Ran { step, listed, outcomes })
}

fn report() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("nextest").join(PROFILE).join("junit.xml")
}
