//! The files of `deploy/`, looked at by the tools that will read them and run as
//! far as one machine can: image, manifests, units, and the order of a roll-out.
#![allow(clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod clients;
mod grace;
mod guarded;
mod guides;
mod image;
mod manifests;
mod operators;
mod prometheus;
mod rolling;
mod rules;
mod units;
mod version;

use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::Context as _;
use pulse_tests::task::root;

/// A file below `deploy/`.
fn deployed(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

fn text(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(deployed(path)).with_context(|| format!("read deploy/{path}"))
}

/// Runs a tool to its end; its output, whatever it thinks.
fn tool(command: &mut Command) -> anyhow::Result<(Output, String)> {
    let output = command.output().with_context(|| format!("start {}", command.get_program().display()))?;
    let said =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    Ok((output, said))
}
