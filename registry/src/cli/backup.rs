//! `pulse-registry backup` and `restore`. They work on data_dir and talk to no
//! registry.

use std::path::PathBuf;

use clap::Args;
use pulse_shell::leftovers::Store;
use pulse_shell::{serve, stream, table};

use crate::config::Config;
use crate::store::journal;

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The backup. A file of that name is replaced once the new one is complete; `-`: standard output.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// The restored registry holds what was saved, at the revision it had, under a new identity: resume tokens and page
/// tokens of before are refused, clients list again, and collectors send what the backup does not have.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// A file that `backup` wrote; `-`: standard input.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Restore although data_dir holds data, which is kept beside it under another name.
    #[arg(long)]
    force: bool,
}

/// For `leftovers`.
pub(super) fn store(config: &Config) -> Store<'_> {
    Store { data_dir: &config.data_dir, name: journal::FOLDER, is_put_aside: journal::is_put_aside }
}

pub(super) fn save(config: &Config, arguments: &BackupArgs) -> anyhow::Result<()> {
    if stream::is_meant(&arguments.to) {
        let saved = journal::save_stream(&config.data_dir, stream::output()?)?;
        table::complain(&told(&saved, "standard output"));
        return Ok(());
    }
    let saved = journal::save(&config.data_dir, &arguments.to)?;
    table::print(&[told(&saved, &arguments.to.display().to_string())])?;
    Ok(())
}

fn told(saved: &journal::Saved, to: &str) -> String {
    let journal::Saved { registry_id, revision, bytes } = saved;
    format!("saved registry {registry_id} at revision {revision} to {to} ({})", table::size(*bytes))
}

pub(super) fn restore(config: &Config, arguments: &RestoreArgs) -> anyhow::Result<()> {
    let new_id = uuid::Uuid::new_v4().to_string();
    serve::own_folder(&config.data_dir)?;
    serve::refuse_root(&config.data_dir)?;
    let restored = if stream::is_meant(&arguments.from) {
        journal::restore_stream(&config.data_dir, stream::input()?, &new_id, arguments.force)?
    } else {
        journal::restore(&config.data_dir, &arguments.from, &new_id, arguments.force)?
    };
    let mut lines = vec![format!(
        "restored registry {} as {} at revision {}: {} connections, {} records",
        restored.saved_id, restored.registry_id, restored.revision, restored.connections, restored.records,
    )];
    lines
        .extend(restored.aside.iter().map(|path| format!("what was there before is now {}", path.display())));
    lines.extend(restored.damaged.iter().map(|row| format!("was damaged before it was saved: {row}")));
    table::print(&lines)?;
    Ok(())
}
