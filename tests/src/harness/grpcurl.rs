//! The real grpcurl, as an operator runs it: through reflection, without stubs.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::task::tools;

/// What a run of grpcurl said.
#[derive(Debug)]
pub struct Answer {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// The gRPC code it failed with, e.g. `NotFound`; `OK` when it did not.
    pub fn code(&self) -> &str {
        if self.success {
            return "OK";
        }
        let code = self.stderr.lines().find_map(|line| line.trim().strip_prefix("Code: "));
        code.unwrap_or("no code")
    }

    pub fn json(&self) -> anyhow::Result<serde_json::Value> {
        ensure!(self.success, "grpcurl failed: {}", self.stderr);
        serde_json::from_str(&self.stdout).with_context(|| format!("read {:?}", self.stdout))
    }
}

/// Runs a shell line that starts with `grpcurl`, its default ports replaced by those of a running pair.
pub async fn line(line: &str, registry: SocketAddr, collector: SocketAddr) -> anyhow::Result<Answer> {
    let tool = tools::tool("grpcurl");
    ensure!(tool.exists(), "grpcurl is not installed in {}; run `cargo xtask test`", tool.display());
    let line = line
        .replace("127.0.0.1:7660", &registry.to_string())
        .replace("127.0.0.1:7670", &collector.to_string());
    let script = line.replacen("grpcurl", "exec \"$GRPCURL\"", 1);
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).env("GRPCURL", &tool).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("run grpcurl")?;
    Ok(Answer {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
