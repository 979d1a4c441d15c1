//! `cargo xtask soak`: the soak, for as long as one likes. Fails with the first difference; its seed repeats the run.
#![allow(clippy::print_stdout, reason = "a soak talks to the person who runs it")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pulse_tests::soak::plan::Pace;
use pulse_tests::soak::{Options, Until, run};
use pulse_tests::task::soak::Arguments;

/// Dense enough to overlap, loose enough for what recovers by itself to begin to.
const PACE: Pace =
    Pace { acts: 72, pause_max: Duration::from_millis(800), logins_max: 2, takes_minutes: true };

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { seconds, seed, appliances } = Arguments::parse();
    let seed = seed.unwrap_or_else(rand::random);
    let again = format!("cargo xtask soak --seed {seed} --appliances {appliances} --seconds {seconds}");
    println!("seed {seed}, {appliances} appliances, {seconds} s: `{again}`");
    let until = Until::Elapsed(Duration::from_secs(seconds));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match runtime.block_on(run(Options { seed, until, appliances: appliances.into(), pace: PACE })) {
        Ok(report) => {
            println!("{report}\nPASSED: all appliances are shown as they are. Seed {seed}.");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            println!("FAILED: {}\nThe same again: `{again}`", causes.join(": "));
            Ok(ExitCode::FAILURE)
        }
    }
}
