//! `cargo xtask crash`: kills the registry under load and audits what is left.

use super::{cargo, run as run_command};
use crate::crash::{self, Disk, Plan, Report};

/// How often and on how much.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Options {
    /// How many times the registry is killed
    #[arg(long, default_value_t = 300)]
    pub kills: usize,
    /// Replays a run; without it, one is drawn and printed
    #[arg(long)]
    pub seed: Option<u64>,
    /// Connections that are written to
    #[arg(long, default_value_t = 4)]
    pub connections: usize,
    /// The disk never fails
    #[arg(long)]
    pub good_disk: bool,
}

pub fn run(options: Options) -> anyhow::Result<()> {
    let Options { kills, seed, connections, good_disk } = options;
    let disk = if good_disk {
        run_command(cargo().args(["build", "--quiet", "--bins", "--package", "pulse-registry"]))?;
        Disk::Good
    } else {
        let example = ["build", "--quiet", "--package", "pulse-tests", "--example", "failing-registry"];
        run_command(cargo().args(example))?;
        Disk::Failing
    };
    let seed = seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("seed {seed}: {kills} kills, {connections} connections, {disk:?} disk");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let told = |report: &Report| {
        if report.kills.is_multiple_of(25) {
            println!("{} kills, {} batches acknowledged so far", report.kills, report.acked_batches);
        }
    };
    let done = runtime.block_on(crash::run(Plan { seed, kills, connections, disk }, told));
    let report = done.map_err(|error| error.context(format!("seed {seed}; replay it with --seed {seed}")))?;
    let Report {
        kills,
        acked_batches,
        unheard_batches,
        resumed_watches,
        audited_records,
        refusals,
        failed_starts,
        answered_deeds,
        unanswered_deeds,
    } = report;
    println!(
        "{kills} kills: {acked_batches} acknowledged batches all there, {unheard_batches} more that were durable before \
         their answer, {audited_records} records whole, {resumed_watches} watches resumed without gap or phantom"
    );
    println!(
        "{answered_deeds} acknowledgements, silences and changes of a rule were answered and are there; {unanswered_deeds} were \
         on their way"
    );
    if disk == Disk::Failing {
        println!("the disk failed {refusals} times under load and prevented {failed_starts} starts");
    }
    Ok(())
}
