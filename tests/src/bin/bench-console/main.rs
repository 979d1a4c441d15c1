//! `cargo xtask bench console`: pages of 1,000 systems with 100,000 resources
//! while changes come in, beside what they are to stay below.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::console::{Plan, figures, measure};
use pulse_tests::task::bench::{Arguments, print};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    eprintln!("measuring pages of {} resources ...", plan.resources);
    print(&figures(&measure(plan).await?), arguments.json)
}
