//! What a process uses, as the kernel counts it.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

/// Clock ticks a second; Linux has told programs this number since ever.
const TICKS: f64 = 100.0;

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    cpu_seconds: f64,
    pub rss_mb: f64,
}

impl Usage {
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name of the program may hold spaces; numbers begin behind it.
        let (_, rest) = stat.rsplit_once(')').context("a stat line")?;
        let ticks = |at: usize| -> Option<f64> { rest.split_whitespace().nth(at)?.parse().ok() };
        let cpu_seconds = (ticks(11).context("utime")? + ticks(12).context("stime")?) / TICKS;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kib: f64 = rss.trim().trim_end_matches("kB").trim().parse()?;
        Ok(Self { cpu_seconds, rss_mb: kib / 1_024.0 })
    }

    pub fn cpu_since(&self, before: &Self) -> Duration {
        Duration::from_secs_f64((self.cpu_seconds - before.cpu_seconds).max(0.0))
    }

    pub fn cores_since(&self, before: &Self, took: Duration) -> f64 {
        (self.cpu_seconds - before.cpu_seconds) / took.as_secs_f64()
    }
}

/// Processor use of the server and of the load generator, which share the machine.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    server: (u32, Usage),
    own: Usage,
    began: Instant,
}

impl Shares {
    pub fn begin(server: u32) -> anyhow::Result<Self> {
        let own = Usage::of(std::process::id())?;
        Ok(Self { server: (server, Usage::of(server)?), own, began: Instant::now() })
    }

    /// Cores that the server and the load generator used since.
    pub fn end(&self) -> anyhow::Result<(f64, f64)> {
        let took = self.began.elapsed();
        let server = Usage::of(self.server.0)?.cores_since(&self.server.1, took);
        Ok((server, Usage::of(std::process::id())?.cores_since(&self.own, took)))
    }

    /// Says so.
    pub fn tell(&self, what: &str) -> anyhow::Result<()> {
        let (server, own) = self.end()?;
        eprintln!("{what}: server {server:.2} cores, load generator {own:.2} cores");
        Ok(())
    }
}
