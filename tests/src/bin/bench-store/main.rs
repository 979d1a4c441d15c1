//! Embedded stores side by side, with the registry's own pattern: rows of a
//! connection next to each other, one synced commit per batch, everything read
//! at start; then the registry's own engines with its own rows. The reference is
//! a plain file that takes the same bytes.
#![allow(clippy::print_stdout, reason = "a bench talks to the person who runs it")]

mod engine;
mod kill;
mod measure;
mod records;
mod rows;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use engine::{Fjall, Plain, Redb};
use pulse_tests::task;

#[derive(Parser)]
struct Arguments {
    /// One JSON object per figure instead of a table
    #[arg(long)]
    json: bool,
    /// Only the registry's engines, with few records
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Subcommand)]
enum Role {
    /// Commit for ever and say so, until killed
    Write { engine: String, folder: PathBuf },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::Write { engine, folder }) if engine == "redb" => kill::write::<Redb>(&folder),
        Some(Role::Write { engine, folder }) if engine == "fjall" => kill::write::<Fjall>(&folder),
        Some(Role::Write { engine, .. }) => anyhow::bail!("no engine {engine}"),
        None => {
            // Beside the build, not in /tmp, which may be memory.
            let folder = tempfile::tempdir_in(task::root().join("target"))?;
            if arguments.quick {
                let size = records::Size { connections: 100, groups: 5 };
                return task::bench::print(&records::run(folder.path(), &size, true)?, arguments.json);
            }
            let plain = measure::run::<Plain>(folder.path())?;
            let redb = measure::run::<Redb>(folder.path())?;
            let fjall = measure::run::<Fjall>(folder.path())?;
            let mut figures = redb.beside(&plain, "redb");
            figures.extend(fjall.beside(&plain, "fjall"));
            figures.push(kill::rounds::<Redb>(folder.path(), "redb")?);
            figures.push(kill::rounds::<Fjall>(folder.path(), "fjall")?);
            let size = records::Size { connections: 1_000, groups: 100 };
            figures.extend(records::run(folder.path(), &size, true)?);
            let size = records::Size { connections: 10_000, groups: 200 };
            figures.extend(records::run(folder.path(), &size, false)?);
            figures.sort_by(|a, b| a.figure.cmp(&b.figure));
            task::bench::print(&figures, arguments.json)
        }
    }
}
