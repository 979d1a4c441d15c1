//! The project's tasks behind `cargo xtask`. Each prints what it runs and stops
//! at the first failure.
#![allow(clippy::print_stdout, reason = "a task talks to the person who runs it")]

pub mod bench;
pub mod certify;
pub mod check;
pub mod crash;
mod debian;
pub mod docs;
pub mod fuzz;
pub mod image;
pub mod sbom;
pub mod screenshots;
pub mod soak;
pub mod test;
pub mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The workspace's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a command in the root folder and fails when it does.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    println!("$ {line}");
    let status = command.current_dir(root()).status().with_context(|| format!("start `{line}`"))?;
    ensure!(status.success(), "`{line}` failed: {status}");
    Ok(())
}

/// The cargo that runs this task.
fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
