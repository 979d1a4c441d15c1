//! Makes a store of `tests/stores` with a release's own binary. Run by hand, see the README there:
//! `cargo run -p pulse-tests --features stores --bin make-stores -- registry PROGRAM NAME`.

use anyhow::{Context as _, bail};
use clap::Parser;
use pulse_tests::harness::fleet::Service;
use pulse_tests::stores::{ask, keep};

mod connections;
mod records;

#[derive(Parser)]
struct Arguments {
    /// `registry` or `collector`
    part: String,
    /// The release's binary
    program: String,
    /// The store's name
    name: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Arguments { part, program, name } = Arguments::parse();
    let program = std::fs::canonicalize(program)?.to_str().context("a path of words")?.to_owned();
    let folder = tempfile::tempdir()?;
    let settings = if part == "collector" { connections::SETTINGS } else { "" };
    let mut service = Service::start(program.leak(), folder.path(), settings).await?;
    match part.as_str() {
        "registry" => records::feed(service.grpc()).await?,
        "collector" => connections::create(service.grpc()).await?,
        other => bail!("{other} is neither registry nor collector"),
    }
    // What it says of its store, not of what it still has in memory.
    service.terminate().await?;
    service.up().await?;
    let said = match part.as_str() {
        "registry" => ask::registry(service.grpc()).await?,
        _ => ask::collector(service.grpc()).await?,
    };
    service.terminate().await?;
    keep(&name, &service.data(), &said)
}
