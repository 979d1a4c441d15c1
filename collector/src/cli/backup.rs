//! `pulse-collector backup` and `restore`. They work on data_dir and talk to no
//! collector.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use pulse_shell::leftovers::Store;
use pulse_shell::{serve, stream, table};

use super::remedied;
use crate::config::Config;
use crate::connection::store::{KeySource, STORE_FILE, archive};

/// The key that opens the credentials is not in it: keep that elsewhere.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The backup; `-`: standard output.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file that `backup` wrote; `-`: standard input.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Restore although data_dir holds connections, which are kept beside it under another name.
    #[arg(long)]
    force: bool,
}

/// For `leftovers`.
pub(super) fn store(config: &Config) -> Store<'_> {
    Store { data_dir: &config.data_dir, name: STORE_FILE, is_put_aside: archive::is_put_aside }
}

pub(super) fn save(config: &Config, arguments: &BackupArgs) -> anyhow::Result<()> {
    let (copy, connections) = archive::copy(&config.data_dir).map_err(remedied)?;
    let told = |to: &str| format!("saved {connections} connections to {to}; their key is not in it");
    if stream::is_meant(&arguments.to) {
        stream::output()?.write_all(&copy).context("write to standard output")?;
        table::complain(&told("standard output"));
        return Ok(());
    }
    archive::write(&arguments.to, &copy).map_err(remedied)?;
    table::print(&[told(&arguments.to.display().to_string())])?;
    Ok(())
}

pub(super) fn restore(config: &Config, key: &KeySource, arguments: &RestoreArgs) -> anyhow::Result<()> {
    serve::refuse_root(&config.data_dir)?;
    let from = &arguments.from;
    let input = if stream::is_meant(from) {
        stream::input()?
    } else {
        File::open(from).with_context(|| format!("open {}", from.display()))?
    };
    let copy = archive::read(input).map_err(remedied)?;
    let restored = archive::restore(&config.data_dir, key, &copy, arguments.force).map_err(remedied)?;
    let mut lines = vec![format!("restored {} connections", restored.connections)];
    lines
        .extend(restored.aside.iter().map(|path| format!("what was there before is now {}", path.display())));
    table::print(&lines)?;
    Ok(())
}
