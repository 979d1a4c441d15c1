//! What a process uses, as the kernel counts it.

use std::time::Duration;

use anyhow::Context as _;

/// Clock ticks a second; Linux has told programs this number since ever.
const TICKS: f64 = 100.0;

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    cpu_seconds: f64,
    pub rss_mb: f64,
    /// Open files and sockets.
    pub descriptors: usize,
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
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Self { cpu_seconds, rss_mb: kib / 1_024.0, descriptors })
    }

    pub fn cpu_since(&self, before: &Self) -> Duration {
        Duration::from_secs_f64((self.cpu_seconds - before.cpu_seconds).max(0.0))
    }

    pub fn cores_since(&self, before: &Self, took: Duration) -> f64 {
        (self.cpu_seconds - before.cpu_seconds) / took.as_secs_f64()
    }
}
