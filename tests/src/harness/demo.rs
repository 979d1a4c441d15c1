//! The demo as people start it, on any free ports, and what it tells programs of where everything is.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::process::binary;
use super::{http, within};

#[derive(Debug)]
pub struct Demo {
    _child: Child,
    told: Value,
    /// Kept last: what it stores goes when it is down.
    _folder: TempDir,
}

impl Demo {
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(binary("demo")?);
        command.args(["--any-ports", "--output", "json"]).env("TMPDIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start the demo")?;
        let mut lines = BufReader::new(child.stdout.take().context("a piped stream")?).lines();
        let line = within("the demo to say where it is", lines.next_line()).await?;
        let told = serde_json::from_str(&line.context("the demo ended")?)?;
        Ok(Self { _child: child, told, _folder: folder })
    }

    /// `port` is grpc or http.
    pub fn addr(&self, service: &str, port: &str) -> anyhow::Result<SocketAddr> {
        Ok(self.told[service][port].as_str().context("an address")?.parse()?)
    }

    /// Of the appliance that is not connected, in words for a command line.
    pub fn spare(&self, field: &str) -> String {
        let value = &self.told["spare"][field];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Plugs a disk into that appliance, or pulls it again; what was said about it.
    pub async fn swap_disk(&self) -> anyhow::Result<String> {
        let url = self.spare("disk");
        let (addr, path) =
            url.strip_prefix("http://").and_then(|url| url.split_once('/')).context("a URL")?;
        let (status, said) = http(addr.parse()?, "POST", &format!("/{path}")).await?;
        anyhow::ensure!(status == 200, "{status}: {said}");
        Ok(said)
    }
}
