//! What each process uses from round to round. Tasks and descriptors come back to what they were; memory may grow by a quarter
//! and a little, which a leak outgrows within rounds and an allocator does not.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::Instant;

use crate::harness::http_get;
use crate::harness::process::Process;
use crate::harness::usage::Usage;

const RSS_GROWTH: f64 = 0.25;
const RSS_SLACK_MB: f64 = 16.0;
/// Reads under way and connections that are being closed, whatever the number of appliances.
const SLACK: usize = 8;
/// A subscription that the appliance ended is asked for again after a minute, by a task that waits for it.
const SUBSCRIBE_AGAIN: Duration = Duration::from_secs(90);

/// What a process uses while all is quiet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    pub rss_mb: f64,
    pub tasks: usize,
    pub descriptors: usize,
}

impl Use {
    pub async fn of(name: &str, process: &Process) -> anyhow::Result<Self> {
        let usage = Usage::of(process.pid()?).with_context(|| format!("the {name} has ended by itself"))?;
        let tasks = gauge(process.http_addr(), &format!("pulse_{name}_tasks")).await?;
        Ok(Self { rss_mb: usage.rss_mb, tasks, descriptors: usage.descriptors })
    }
}

async fn gauge(http: SocketAddr, name: &str) -> anyhow::Result<usize> {
    let (_, text) = http_get(http, "/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.with_context(|| format!("{name} in the metrics"))?.trim().parse().context("a whole number")
}

/// One process from its warm-up to now.
#[derive(Clone, Debug)]
struct Life {
    name: &'static str,
    pid: u32,
    /// After its first whole round; before that it is warming up.
    warm: Option<Use>,
    now: Use,
    rounds: u32,
}

#[derive(Clone, Debug, Default)]
pub struct Lives {
    lives: Vec<Life>,
    subscriptions_ended: Vec<Instant>,
}

impl Lives {
    pub fn subscription_ended(&mut self, now: Instant) {
        self.subscriptions_ended.push(now);
    }

    /// Takes down what a process uses at the end of a round.
    pub fn note(&mut self, name: &'static str, pid: u32, used: Use) {
        match self.lives.iter_mut().find(|life| life.pid == pid) {
            Some(life) => {
                life.now = used;
                life.rounds += 1;
                life.warm.get_or_insert(used);
            }
            None => self.lives.push(Life { name, pid, warm: None, now: used, rounds: 0 }),
        }
    }

    /// Of this process, what it must not use more of than it does.
    pub fn check(&mut self, pid: u32, used: Use, appliances: usize, now: Instant) -> anyhow::Result<()> {
        self.subscriptions_ended.retain(|at| now.duration_since(*at) < SUBSCRIBE_AGAIN);
        let Some((name, warm)) =
            self.lives.iter().find(|life| life.pid == pid).and_then(|life| Some((life.name, life.warm?)))
        else {
            return Ok(());
        };
        let slack = SLACK + appliances;
        let tasks = warm.tasks + slack + self.subscriptions_ended.len();
        ensure!(
            used.tasks <= tasks,
            "the {name} has {} tasks, and had {} when it was warm",
            used.tasks,
            warm.tasks
        );
        ensure!(
            used.descriptors <= warm.descriptors + slack,
            "the {name} has {} open files and sockets, and had {} when it was warm",
            used.descriptors,
            warm.descriptors
        );
        ensure!(
            used.rss_mb <= warm.rss_mb * (1.0 + RSS_GROWTH) + RSS_SLACK_MB,
            "the {name} uses {:.1} MB, and used {:.1} MB when it was warm",
            used.rss_mb,
            warm.rss_mb
        );
        Ok(())
    }
}

impl fmt::Display for Lives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "process    rounds  memory (MB)       tasks        open files")?;
        for Life { name, warm, now, rounds, .. } in &self.lives {
            let Some(warm) = warm else { continue };
            writeln!(
                f,
                "{name:<10} {rounds:>6}  {:>6.1} -> {:>6.1}  {:>4} -> {:>4}  {:>4} -> {:>4}",
                warm.rss_mb, now.rss_mb, warm.tasks, now.tasks, warm.descriptors, now.descriptors
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(rss_mb: f64, tasks: usize, descriptors: usize) -> Use {
        Use { rss_mb, tasks, descriptors }
    }

    #[tokio::test]
    async fn a_process_is_warm_after_its_first_round_and_then_keeps_what_it_has() {
        let now = Instant::now();
        let mut lives = Lives::default();
        lives.note("collector", 1, used(20.0, 10, 10));
        assert!(lives.check(1, used(500.0, 500, 500), 4, now).is_ok(), "it is warming up");
        lives.note("collector", 1, used(40.0, 50, 20));
        assert!(lives.check(1, used(66.0, 62, 32), 4, now).is_ok());
        for (odd, word) in
            [(used(66.1, 50, 20), "MB"), (used(40.0, 63, 20), "tasks"), (used(40.0, 50, 33), "open files")]
        {
            let told = lives.check(1, odd, 4, now).expect_err("too much").to_string();
            assert!(told.contains(word) && told.contains("collector"), "{told}");
        }
        lives.subscription_ended(now);
        assert!(lives.check(1, used(40.0, 63, 20), 4, now).is_ok());
        assert!(lives.check(1, used(40.0, 63, 20), 4, now + Duration::from_mins(2)).is_err());
        assert!(lives.check(2, used(500.0, 500, 500), 4, now).is_ok(), "another process");
    }
}
