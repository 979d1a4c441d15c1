//! A real Prometheus of Debian's package that scrapes two services.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{http_get, within};
use crate::task::tools;

#[derive(Debug)]
pub struct Prometheus {
    _child: Child,
    addr: SocketAddr,
    /// Kept last: it goes when the program is down.
    _folder: TempDir,
}

impl Prometheus {
    /// `config` is a configuration that names `rules` as rules.yml.
    pub async fn start(config: &str, rules: &str) -> anyhow::Result<Self> {
        let program = tokio::task::spawn_blocking(tools::prometheus).await??;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("rules.yml"), rules)?;
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, config)?;
        // It does not tell which port it was given, so one is found that nobody has.
        let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", path.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={addr}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start Prometheus")?;
        let mut lines = BufReader::new(child.stderr.take().context("a piped stream")?).lines();
        let ready = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await? {
                if line.contains("Server is ready to receive web requests") {
                    return Ok(());
                }
                said.push_str(&line);
                said.push('\n');
            }
            anyhow::bail!("Prometheus ended:\n{said}")
        };
        within("Prometheus to be ready", ready).await?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { _child: child, addr, _folder: folder })
    }

    /// Data of one of its API's answers.
    pub async fn ask(&self, path: &str) -> anyhow::Result<Value> {
        let (status, body) = http_get(self.addr, path).await?;
        anyhow::ensure!(status == 200, "{path}: {status}: {body}");
        let answer: Value = serde_json::from_str(&body).with_context(|| format!("{path}: {body}"))?;
        Ok(answer["data"].clone())
    }

    /// The series that an expression finds now.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let escaped: Vec<String> = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let escaped = escaped.concat();
        let data = self.ask(&format!("/api/v1/query?query={escaped}")).await?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until an expression finds something: what is scraped comes at its own pace.
    pub async fn finds(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let found = until_some(|| self.query(expression));
        within(&format!("{expression} to find something"), found).await
    }

    /// Waits until a rule fires; its alerts as they would be sent.
    pub async fn fires(&self, rule: &str) -> anyhow::Result<Vec<Value>> {
        let firing = || async {
            let data = self.ask("/api/v1/alerts").await?;
            let alerts = data["alerts"].as_array().into_iter().flatten();
            let is_it = |alert: &&Value| alert["labels"]["alertname"] == rule && alert["state"] == "firing";
            Ok(alerts.filter(is_it).cloned().collect())
        };
        within(&format!("{rule} to fire"), until_some(firing)).await
    }
}

async fn until_some<F>(mut ask: impl FnMut() -> F) -> anyhow::Result<Vec<Value>>
where
    F: Future<Output = anyhow::Result<Vec<Value>>>,
{
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    loop {
        pace.tick().await;
        let found = ask().await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
}
