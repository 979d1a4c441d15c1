//! A binary run to its end, as an operator runs it.

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::process::binary;
use super::within;

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
