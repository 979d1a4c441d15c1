//! `cargo xtask bench alerts`: rules asked of what changes in a large fleet, and
//! of everything after a start.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::alerts::{Plan, measure};
use pulse_tests::task::bench::{Arguments, print};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    eprintln!("filling a registry with {} resources ...", plan.resources);
    let measured = measure(plan).await?;
    eprintln!(
        "{} changes, {} looks that were due, {} alerts fire; the whole process took {:.2} cores meanwhile",
        measured.changed, measured.due, measured.firing, measured.process_cores
    );
    print(&measured.figures(), arguments.json)
}
