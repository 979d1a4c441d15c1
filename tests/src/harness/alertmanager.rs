//! A real Alertmanager of Debian's package on a port of the kernel's choice.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{http_get, within};
use crate::task::tools;

/// Runs the program of an unpacked package, which looks for its templates below /usr/share, where that package's are
/// put before its eyes alone.
const BIND: &str =
    "mount --bind \"$0/usr/share\" /usr/share && exec \"$0/usr/bin/prometheus-alertmanager\" \"$@\"";

#[derive(Debug)]
pub struct Alertmanager {
    child: Child,
    addr: SocketAddr,
    /// Kept last: it goes when the program is down.
    _folder: TempDir,
}

impl Alertmanager {
    /// Tells what it is told to a webhook of the test, at once and one by one.
    pub async fn start(hook: SocketAddr) -> anyhow::Result<Self> {
        Self::start_at(hook, "127.0.0.1:0").await
    }

    /// `listen` is where it was before, when it comes back.
    pub async fn start_at(hook: SocketAddr, listen: &str) -> anyhow::Result<Self> {
        let root = tokio::task::spawn_blocking(tools::alertmanager).await??;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("alertmanager.yml");
        let text = format!(
            "route:\n  receiver: test\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 100ms\n\
             receivers:\n- name: test\n  webhook_configs:\n  - url: http://{hook}/\n"
        );
        std::fs::write(&config, text)?;
        let mut command = if root == Path::new("/") {
            Command::new("/usr/bin/prometheus-alertmanager")
        } else {
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "sh", "-c", BIND]).arg(&root);
            command
        };
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={listen}")).arg("--cluster.listen-address=");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start Alertmanager")?;
        let mut lines = BufReader::new(child.stderr.take().context("a piped stream")?).lines();
        let listening = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await? {
                if let Some((_, rest)) = line.split_once("msg=\"Listening on\" address=") {
                    return rest.split_whitespace().next().unwrap_or_default().parse().context("its address");
                }
                said.push_str(&line);
                said.push('\n');
            }
            anyhow::bail!("Alertmanager ended:\n{said}")
        };
        let addr = within("Alertmanager to listen", listening).await?;
        // It stops when nobody reads what it says.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, addr, _folder: folder })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it holds as active, as its API words it.
    pub async fn alerts(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let (status, body) = http_get(self.addr, "/api/v2/alerts").await?;
        anyhow::ensure!(status == 200, "status {status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }

    pub async fn kill9(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill -9")
    }
}
