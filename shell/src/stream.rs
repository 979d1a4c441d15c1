//! `-` where a command takes a file: its standard input and output, for pipes.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::ensure;

pub fn is_meant(path: &Path) -> bool {
    path == Path::new("-")
}

/// What is written here is bytes, and nothing a terminal shows.
pub fn output() -> anyhow::Result<File> {
    let output = io::stdout();
    ensure!(!output.is_terminal(), "this is not for a terminal; send it to a file or a pipe");
    Ok(File::from(output.as_fd().try_clone_to_owned()?))
}

pub fn input() -> anyhow::Result<File> {
    let input = io::stdin();
    ensure!(!input.is_terminal(), "this comes from a file or a pipe, not from a terminal");
    Ok(File::from(input.as_fd().try_clone_to_owned()?))
}
