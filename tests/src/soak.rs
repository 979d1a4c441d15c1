//! A bounded run of the real pair against simulated appliances of every API line, under changes, faults and kills that follow from
//! one seed. After each round everything wrong is lifted, and a model checks that the registry shows what every appliance says,
//! that nothing was removed that had not gone, and that neither process keeps more than it had.
#![allow(clippy::print_stdout, reason = "a soak talks to the person who runs it")]

pub mod change;
pub mod fault;
pub mod life;
pub mod member;
pub mod model;
pub mod plan;
mod quiet;
mod witness;

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use self::life::Lives;
use self::member::Member;
use self::plan::{Act, Pace, Service, Step};
use self::witness::Witness;
use crate::harness::fleet::Pair;

/// A hang costs a call this long, instead of half a minute.
const COLLECTOR: &str = "[poll]\ncall_timeout = \"2s\"\n";

/// When no further round begins. The first one always does.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Rounds(u64),
    Elapsed(Duration),
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub seed: u64,
    pub until: Until,
    pub appliances: usize,
    pub pace: Pace,
}

/// What was done, and what both processes used at its end.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub rounds: u64,
    pub changes: usize,
    pub faults: usize,
    pub kills: usize,
    /// Facts that the model compared, over all rounds.
    pub facts: usize,
    pub lives: Lives,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, changes, faults, kills, facts, lives } = self;
        writeln!(
            f,
            "{rounds} rounds: {changes} changes, {faults} faults, {kills} kills; {facts} facts compared"
        )?;
        write!(f, "{lives}")
    }
}

/// Runs until it is time to stop, or something is wrong: then the error says what, and the seed repeats it.
pub async fn run(options: Options) -> anyhow::Result<Report> {
    let mut soak = Soak::start(options).await?;
    let began = Instant::now();
    for number in 0.. {
        let over = match options.until {
            Until::Rounds(rounds) => number >= rounds,
            Until::Elapsed(limit) => number > 0 && began.elapsed() >= limit,
        };
        if over {
            break;
        }
        soak.round(number).await.with_context(|| {
            format!("round {number} of seed {} with {} appliances", options.seed, options.appliances)
        })?;
    }
    Ok(soak.report)
}

struct Soak {
    options: Options,
    began: Instant,
    pair: Pair,
    fleet: Vec<Member>,
    witness: Witness,
    /// Services that are down, and before which act they are started again.
    down: Vec<(usize, Service)>,
    act: usize,
    report: Report,
}

impl Soak {
    async fn start(options: Options) -> anyhow::Result<Self> {
        let mut fleet = Vec::new();
        for number in 0..options.appliances {
            fleet.push(Member::start(number).await?);
        }
        let pair = Pair::start_with("", COLLECTOR).await?;
        for member in &mut fleet {
            let created =
                pair.create(member.settings()).await.with_context(|| format!("add {}", member.name))?;
            member.connection = created.id;
        }
        let witness = Witness::default();
        witness.follow(pair.registry.grpc()).await?;
        let began = Instant::now();
        let mut soak = Self {
            options,
            began,
            pair,
            fleet,
            witness,
            down: Vec::new(),
            act: 0,
            report: Report::default(),
        };
        soak.rest().await.context("before anything was wrong")?;
        Ok(soak)
    }

    async fn round(&mut self, number: u64) -> anyhow::Result<()> {
        self.say(&format!("round {number}"));
        for Step { act, pause } in
            plan::round(self.options.seed, number, self.options.appliances, self.options.pace)
        {
            self.act += 1;
            self.end_what_is_due(self.act).await?;
            self.perform(act).await?;
            // The load itself, not a wait for something.
            tokio::time::sleep(pause).await;
        }
        self.rest().await?;
        self.report.rounds += 1;
        Ok(())
    }

    async fn perform(&mut self, act: Act) -> anyhow::Result<()> {
        match act {
            Act::Change { on, change } => {
                let member = &mut self.fleet[on];
                let changed = member.change(change);
                let words = format!("{} {}: {changed}", member.name, member.model.line);
                self.report.changes += 1;
                self.say(&words);
            }
            Act::Fault { on, fault, acts } => {
                let until = self.act + acts;
                let member = &mut self.fleet[on];
                let words = format!("{} {}: {fault}, for {acts} acts", member.name, member.model.line);
                member.fault(&fault, until).await;
                if fault.kind == fault::Kind::EndSubscription {
                    self.report.lives.subscription_ended(Instant::now());
                }
                self.report.faults += 1;
                self.say(&words);
            }
            Act::Kill { service, acts } => {
                if self.down.iter().all(|(_, down)| *down != service) {
                    self.check_logs()?;
                    self.say(&format!("kill -9 of the {service:?}, for {acts} acts"));
                    match service {
                        Service::Collector => self.pair.collector.kill9().await?,
                        Service::Registry => self.pair.registry.kill9().await?,
                    }
                    self.down.push((self.act + acts, service));
                    self.report.kills += 1;
                }
            }
        }
        Ok(())
    }

    async fn end_what_is_due(&mut self, act: usize) -> anyhow::Result<()> {
        for member in &mut self.fleet {
            member.cure(act).await;
        }
        let (due, later) = std::mem::take(&mut self.down).into_iter().partition(|(until, _)| *until <= act);
        self.down = later;
        let due: Vec<(usize, Service)> = due;
        for (_, service) in due {
            match service {
                Service::Collector => self.pair.collector.up().await?,
                Service::Registry => {
                    self.pair.registry.up().await?;
                    self.witness.follow(self.pair.registry.grpc()).await?;
                }
            }
        }
        Ok(())
    }

    fn say(&self, words: &str) {
        println!("{:8.2} s  {words}", self.began.elapsed().as_secs_f64());
    }
}
