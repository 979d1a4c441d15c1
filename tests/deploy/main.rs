//! The files of `deploy/`, looked at by the tools that will read them and run as
//! far as one machine can: image, manifests, units, and the order of a roll-out.
#![allow(clippy::expect_used, clippy::print_stderr, reason = "tests")]

mod clients;
mod compose;
mod grace;
mod guarded;
mod guides;
mod image;
mod manifests;
mod metrics;
mod operators;
mod prometheus;
mod rolling;
mod rules;
mod secrets;
mod units;
mod version;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use pulse_tests::task::root;
use serde_json::Value;

/// A file below `deploy/`.
fn deployed(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

fn text(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(deployed(path)).with_context(|| format!("read deploy/{path}"))
}

/// The JSON that a script prints for a text, by the Python whose programs lie in that folder.
fn python(programs: &Path, script: &str, input: &str) -> anyhow::Result<Vec<Value>> {
    let mut python = Command::new(programs.join("python"));
    python.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = python.spawn()?;
    let mut to_it = child.stdin.take().context("a piped stream")?;
    to_it.write_all(input.as_bytes())?;
    drop(to_it);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a tool to its end; its output, whatever it thinks.
fn tool(command: &mut Command) -> anyhow::Result<(Output, String)> {
    let output = command.output().with_context(|| format!("start {}", command.get_program().display()))?;
    let said =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    Ok((output, said))
}
