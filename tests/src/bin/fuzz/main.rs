//! `cargo xtask fuzz [TARGET] [--seconds N]`: feeds damaged inputs to the decoders of what a NAS says until something breaks. What
//! breaks one is kept in `tests/corpus`, and fed again by every test run.
#![allow(clippy::print_stdout, reason = "a task talks to the person who runs it")]

mod targets;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use pulse_tests::fuzz::{Until, run};

#[derive(Debug, Parser)]
struct Arguments {
    /// One target; all of them when left out
    target: Option<String>,
    /// For each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Repeats a run
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { target: wanted, seconds, seed } = Arguments::parse();
    let seed = seed.unwrap_or_else(rand::random);
    let targets: Vec<_> = targets::all()
        .into_iter()
        .filter(|target| wanted.as_ref().is_none_or(|wanted| target.name == wanted))
        .collect();
    anyhow::ensure!(!targets.is_empty(), "there is no such target");
    println!("seed {seed}");
    let mut found = false;
    for target in &targets {
        match run(target, seed, Until::Elapsed(Duration::from_secs(seconds))) {
            Ok(fed) => println!("{:<14} {fed} inputs, nothing found", target.name),
            Err(finding) => {
                let folder = targets::corpus().join(finding.target);
                fs::create_dir_all(&folder)?;
                let path = folder.join(format!("{seed:016x}"));
                fs::write(&path, &finding.input)?;
                println!("{:<14} {}\n  kept in {}", target.name, finding.what, path.display());
                found = true;
            }
        }
    }
    Ok(if found { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
