//! `cargo xtask bench context`: contexts of a million resources while changes
//! come in, and how many of the facts that operators ask for they hold.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::context::{Plan, measure};
use pulse_tests::context::coverage::{ask, percent, questions, table};
use pulse_tests::context::fleets::fleets;
use pulse_tests::task::bench::{Arguments, Figure, print};

/// What a context of a million resources is to stay below.
const TARGET_MS: f64 = 50.0;
const TARGET_PERCENT: f64 = 100.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    eprintln!("asking the questions of operators ...");
    let questions = questions()?;
    let mut answers = Vec::new();
    for fleet in fleets(jiff::Timestamp::now().as_second()) {
        answers.extend(ask(&fleet, &questions).await?.answers);
    }
    for line in table(&answers) {
        eprintln!("{line}");
    }
    eprintln!("measuring contexts of {} resources ...", plan.resources);
    let times = measure(plan).await?;
    let coverage = |figure: &str, budget: i32| {
        let value = percent(answers.iter().filter(|answer| answer.budget == budget));
        Figure::new(figure, "%", value, TARGET_PERCENT)
    };
    let figures = [
        Figure::new("p50_ms_1m", "ms", times.rank(50), TARGET_MS),
        Figure::new("p99_ms_1m", "ms", times.rank(99), TARGET_MS),
        coverage("coverage_1k_percent", 1_000),
        coverage("coverage_4k_percent", 4_000),
        coverage("coverage_16k_percent", 16_000),
    ];
    print(&figures, arguments.json)
}
