//! One running binary: started, watched through its log, stopped politely or
//! killed. Knows nothing of what the binary does.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::within;

/// A child process whose JSON log is kept for the test to read.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    lines: watch::Receiver<usize>,
    grpc: SocketAddr,
    http: SocketAddr,
}

/// Path of a binary of this workspace, built by `cargo xtask test` or `cargo build --workspace --bins`.
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("find the running test")?;
    let folder = test.ancestors().find(|path| path.join(name).is_file());
    folder.map(|path| path.join(name)).with_context(|| {
        format!("{name} is not built next to the tests; run `cargo build --workspace --bins` or `cargo xtask test`")
    })
}

impl Process {
    /// Starts `name serve --config FILE` and waits until it says where it serves.
    pub async fn serve(name: &str, config: &Path, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary(name)?);
        command.arg("serve").arg("--config").arg(config).envs(env.iter().copied());
        Self::start(name, command).await
    }

    /// The same, started by a command of the test's own, which becomes the service.
    pub async fn start(name: &str, mut command: Command) -> anyhow::Result<Self> {
        command.env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let stderr = child.stderr.take().context("a piped stream")?;
        let log = Arc::new(Mutex::new(String::new()));
        let (found, mut addresses) = watch::channel(None);
        let (count, lines) = watch::channel(0);
        tokio::spawn(follow(BufReader::new(stderr), Arc::clone(&log), found, count));
        let said = within(&format!("{name} to serve"), addresses.wait_for(Option::is_some))
            .await
            .map(|found| *found);
        let Ok(Some((grpc, http))) = said else {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            bail!("{name} ended before it served:\n{log}");
        };
        Ok(Self { child, log, lines, grpc, http })
    }

    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the process has ended by itself")
    }

    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Everything the process has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line of the log, of before or yet to come.
    pub async fn logs(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        self.logs_times(what, 1, is_it).await;
    }

    /// Waits for so many of them.
    pub async fn logs_times(&self, what: &str, times: usize, is_it: impl Fn(&str) -> bool) {
        let mut lines = self.lines.clone();
        let found =
            lines.wait_for(|_| self.log().lines().filter(|line| is_it(line)).nth(times - 1).is_some());
        let found = within(&format!("the log to say {what}"), found).await.is_ok();
        assert!(found, "the process ended without saying {what}:\n{}", self.log());
    }

    /// SIGKILL: no chance to flush anything.
    pub async fn kill9(mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("kill -9")
    }

    /// SIGTERM, then waits for the drain to end.
    pub async fn terminate(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().context("the process has ended by itself")?;
        let sent =
            Command::new("kill").args([OsStr::new("-TERM"), OsStr::new(&pid.to_string())]).status().await?;
        ensure!(sent.success(), "send SIGTERM");
        let status = within("the drain to end", self.child.wait()).await?;
        ensure!(status.success(), "ended with {status} instead of 0:\n{}", self.log());
        Ok(())
    }
}

type Addresses = Option<(SocketAddr, SocketAddr)>;

async fn follow(
    stream: BufReader<tokio::process::ChildStderr>,
    log: Arc<Mutex<String>>,
    found: watch::Sender<Addresses>,
    count: watch::Sender<usize>,
) {
    let mut lines = stream.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(addresses) = serving(&line) {
            found.send_replace(Some(addresses));
        }
        {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
        count.send_modify(|count| *count += 1);
    }
}

/// The line in which a service says where it serves.
fn serving(line: &str) -> Addresses {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let address = |name: &str| fields.get(name)?.as_str()?.parse().ok();
    Some((address("grpc.addr")?, address("http.addr")?))
}
