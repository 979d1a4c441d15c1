//! The project's tasks: `cargo xtask --help`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pulse_tests::task;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of the Pulse TrueNAS integration")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what the tests need, then run all of them
    Test {
        /// Passed on to the test runner, e.g. a name filter
        filter: Vec<String>,
    },
    /// Format, lints, contract and dependency checks
    Check,
    /// Promise the contract as it is now (refused when it breaks an earlier promise)
    Promise,
    /// Write the tables that documents quote anew
    Docs,
    /// Take the pictures that the documentation shows, of the console in a browser
    Screenshots,
    /// Feed damaged input to what decodes bytes from a NAS (`-- --help` for its options)
    Fuzz {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// List what the two services are made of (CycloneDX)
    Sbom(task::sbom::Options),
    /// Lay out the files of the container image
    Image(task::image::Options),
    /// Kill the registry under load, again and again, and audit what it acknowledged
    Crash {
        #[command(flatten)]
        options: task::crash::Options,
    },
    /// Run the pair under random changes, faults and kills, and check that it ends up with what every appliance says
    Soak(task::soak::Arguments),
    /// Check, test and measure everything, and write docs/certification.md with the verdict
    Certify(task::certify::Options),
    /// Measure, in a release build
    Bench {
        name: task::bench::Name,
        #[command(flatten)]
        options: task::bench::Options,
    },
}

/// Of a line that is not understood, as `sysexits` has it: 1 and 2 are answers of `certify`.
const USAGE: u8 = 64;

fn main() -> anyhow::Result<ExitCode> {
    // `cargo xtask -- test` is `cargo xtask test`: cargo's alias ends with a separator of its own.
    let arguments = std::env::args().enumerate().filter(|(i, argument)| *i != 1 || argument != "--");
    let arguments = match Arguments::try_parse_from(arguments.map(|(_, argument)| argument)) {
        Ok(arguments) => arguments,
        Err(told) => {
            told.print()?;
            return Ok(ExitCode::from(if told.use_stderr() { USAGE } else { 0 }));
        }
    };
    let done = match arguments.task {
        Task::Certify(options) => return task::certify::run(options),
        Task::Test { filter } => task::test::all(&filter),
        Task::Check => task::check::all(),
        Task::Promise => task::check::promise(),
        Task::Docs => task::docs::all(),
        Task::Screenshots => task::screenshots::take(),
        Task::Fuzz { arguments } => task::fuzz::run(&arguments),
        Task::Sbom(options) => task::sbom::run(&options),
        Task::Image(options) => task::image::all(&options),
        Task::Crash { options } => task::crash::run(options),
        Task::Soak(arguments) => task::soak::run(&arguments),
        Task::Bench { name, options } => task::bench::run(name, &options),
    };
    done.map(|()| ExitCode::SUCCESS)
}
