//! `cargo xtask bench NAME [--json]`: measures, and prints each figure beside
//! what it is compared with.

pub mod fleet;
pub mod registry;
pub mod store;

use std::process::Command;

use clap::{Parser, ValueEnum};
use serde::Serialize;

use super::{cargo, root};

/// What a bench of the registry is told.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// One JSON object per figure instead of a table
    #[arg(long)]
    pub json: bool,
    /// Small and short: to see that it runs and is right, not how fast
    #[arg(long)]
    pub quick: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// A fleet of appliances against one collector and one registry; a naive poller is the reference
    Fleet,
    /// Durable ingest of changes and of unchanged fleets; etcd and PostgreSQL are the references
    Ingest,
    /// Deliveries to 1 to 1,000 watchers and how late they are; etcd is the reference
    Watch,
    /// The whole list, a page with a filter, one resource; etcd is the reference
    List,
    /// Ready after kill -9 with a million resources, and memory for each; etcd is the reference
    Restart,
    /// Rules asked of a million resources while 1 % changes in a minute, and of all after a start; a look at all each minute is the reference
    Alerts,
    /// Pages of 1,000 systems with 100,000 resources while changes come in; what they are to stay below is the reference
    Console,
    /// Contexts for AI of a million resources while changes come in, and the facts they hold
    Context,
    /// Embedded stores side by side: commits, load at start, size, kill -9
    Store,
}

/// How it is measured and shown.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Options {
    /// One JSON object per figure instead of a table
    #[arg(long)]
    pub json: bool,
    /// Small and short: to see that it runs, not how fast
    #[arg(long)]
    pub quick: bool,
    /// How many simulated appliances `fleet` has
    #[arg(long)]
    pub appliances: Option<usize>,
}

impl Options {
    /// As a bench's own binary takes them.
    fn arguments(&self) -> Vec<String> {
        let flags = [("--json", self.json), ("--quick", self.quick)];
        let mut arguments: Vec<String> =
            flags.into_iter().filter(|(_, is_set)| *is_set).map(|(flag, _)| flag.to_owned()).collect();
        arguments.extend(self.appliances.map(|count| format!("--appliances={count}")));
        arguments
    }
}

/// One measured figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub figure: String,
    pub value: f64,
    pub unit: &'static str,
    /// What the value is compared with, in the same unit.
    pub reference: f64,
    /// Value by reference.
    pub ratio: f64,
}

impl Figure {
    pub fn new(figure: impl Into<String>, unit: &'static str, value: f64, reference: f64) -> Self {
        let ratio = if reference == 0.0 { 0.0 } else { value / reference };
        Self { figure: figure.into(), value, unit, reference, ratio }
    }
}

pub fn run(name: Name, options: &Options) -> anyhow::Result<()> {
    match name {
        Name::Fleet => fleet::run(options),
        Name::Store => store::run(options),
        Name::Ingest => registry::run("bench-ingest", options),
        Name::Watch => registry::run("bench-watch", options),
        Name::List => registry::run("bench-list", options),
        Name::Restart => registry::run("bench-restart", options),
        Name::Alerts => registry::run("bench-alerts", options),
        Name::Console => registry::run("bench-console", options),
        Name::Context => registry::run("bench-context", options),
    }
}

/// A table for people, or one JSON object a line for programs.
pub fn print(figures: &[Figure], json: bool) -> anyhow::Result<()> {
    if json {
        for figure in figures {
            println!("{}", serde_json::to_string(figure)?);
        }
        return Ok(());
    }
    println!("{:<32} {:>12} {:<5} {:>12} {:>7}", "figure", "value", "unit", "reference", "ratio");
    for Figure { figure, value, unit, reference, ratio } in figures {
        println!("{figure:<32} {value:>12.2} {unit:<5} {reference:>12.2} {ratio:>7.2}");
    }
    Ok(())
}

/// A binary of this package in a release build; its output is the bench's output.
pub(super) fn release(feature: &str, binary: &str) -> Command {
    let mut command = cargo();
    command.current_dir(root()).args(["run", "--quiet", "--release", "--package", "pulse-tests"]);
    command.args(["--features", feature, "--bin", binary, "--"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_object_with_five_keys() {
        let figure = Figure::new("redb.commit_50", "ms", 3.0, 2.0);
        let json = serde_json::to_value(&figure).expect("a figure is JSON");
        let expected = serde_json::json!({
            "figure": "redb.commit_50", "value": 3.0, "unit": "ms", "reference": 2.0, "ratio": 1.5,
        });
        assert_eq!(json, expected);
    }
}
