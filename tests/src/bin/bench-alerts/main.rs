//! `cargo xtask bench alerts`: rules asked of what changes in a large fleet, and
//! of everything after a start.
#![allow(clippy::print_stderr, reason = "a bench talks to the person who runs it")]

use clap::Parser;
use pulse_tests::bench::alerts::{Measured, Plan, measure};
use pulse_tests::bench::as_f64;
use pulse_tests::task::bench::{Arguments, Figure, print};

const MINUTE_MS: f64 = 60_000.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let plan = if arguments.quick { Plan::QUICK } else { Plan::FULL };
    eprintln!("filling a registry with {} resources ...", plan.resources);
    let Measured { minute_ms, changed, due, process_cores, pass_ms, ready_ms, cold_ms, firing } =
        measure(plan).await?;
    eprintln!(
        "{changed} changes, {due} looks that were due, {firing} alerts fire; the whole process took {process_cores:.2} cores \
         meanwhile"
    );
    // Who looks at everything by the same rules once a minute, and no more often, pays a pass.
    let per_change = |ms: f64| ms * 1e3 / as_f64(changed);
    let share = |ms: f64| ms * 100.0 / MINUTE_MS;
    let figures = [
        Figure::new("evaluation_ms_per_minute", "ms", minute_ms, pass_ms),
        Figure::new("evaluation_us_per_change", "us", per_change(minute_ms), per_change(pass_ms)),
        Figure::new("evaluation_core_percent", "%", share(minute_ms), share(pass_ms)),
        // Beside the time that the registry takes to read what it kept.
        Figure::new("cold_start_ms", "ms", cold_ms, ready_ms),
    ];
    print(&figures, arguments.json)
}
