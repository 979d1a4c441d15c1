//! `cargo xtask bench console`: pages of 1,000 systems with 100,000 resources
//! while changes come in, beside what they are to stay below.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::as_f64;
use pulse_tests::bench::console::{Plan, measure};
use pulse_tests::task::bench::{Arguments, Figure, print};

const TARGET_MS: f64 = 100.0;
const TARGET_KB: f64 = 100.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    eprintln!("measuring pages of {} resources ...", plan.resources);
    let mut figures = Vec::new();
    for page in measure(plan).await? {
        let name = |what: &str| format!("{}_{what}", page.name);
        figures.push(Figure::new(name("first_ms"), "ms", page.first_ms, TARGET_MS));
        figures.push(Figure::new(name("p50_ms"), "ms", page.again.rank(50), TARGET_MS));
        figures.push(Figure::new(name("p99_ms"), "ms", page.again.rank(99), TARGET_MS));
        figures.push(Figure::new(name("cpu_ms"), "ms", page.cpu_ms, TARGET_MS));
        figures.push(Figure::new(name("kb"), "kB", as_f64(page.bytes as u64) / 1e3, TARGET_KB));
    }
    print(&figures, arguments.json)
}
