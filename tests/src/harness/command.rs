//! A binary run to its end, as an operator runs it.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::process::binary;
use super::within;
use crate::task::tools;

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `name args`, with variables and a text on stdin.
pub async fn run(name: &str, args: &[&str], env: &[(&str, &str)], stdin: &str) -> anyhow::Result<Ran> {
    let mut command = Command::new(binary(name)?);
    command.args(args).env_clear().envs(env.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {name}"))?;
    let mut input = child.stdin.take().context("a piped stream")?;
    // A program that does not read its stdin may be gone already.
    drop(input.write_all(stdin.as_bytes()).await);
    drop(input);
    let output = within(&format!("{name} {args:?}"), child.wait_with_output()).await?;
    Ok(Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs a script with the Python of the project's tools: JSON in, JSON out.
pub async fn python<T: serde::de::DeserializeOwned>(
    script: &str,
    input: &serde_json::Value,
) -> anyhow::Result<T> {
    let python = tools::tool("python");
    anyhow::ensure!(python.exists(), "{} is missing; run `cargo xtask test`", python.display());
    let mut child = Command::new(python)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.to_string().as_bytes()).await?;
    }
    let output = within(script, child.wait_with_output()).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{script} failed: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
