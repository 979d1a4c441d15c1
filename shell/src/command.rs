//! How a command of either binary prints and ends.

use std::fmt::Display;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::table::complain;

/// How client commands print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON object per line.
    Json,
}

/// The whole of a binary. What still blocks when its work is done, a disk that hangs for one, keeps nobody waiting.
pub fn run(binary: &str, work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return finish(binary, Err(error.into())),
    };
    let code = finish(binary, runtime.block_on(work));
    runtime.shutdown_background();
    code
}

/// 0: done, 1: failed, which is said with its causes. 2, not understood, is the parser's.
fn finish(binary: &str, done: anyhow::Result<ExitCode>) -> ExitCode {
    match done {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{binary}: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// What went wrong, and then what to do about it.
pub fn remedied(fault: impl Display, remedy: impl Display) -> anyhow::Error {
    anyhow::anyhow!("{fault}; {remedy}")
}

/// An address as people type it: without a scheme it is plain HTTP.
pub fn url(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("http://{address}") }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let pipe = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.downcast_ref::<std::io::Error>().is_some_and(pipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_may_be_left_out() {
        assert_eq!(url("127.0.0.1:7660"), "http://127.0.0.1:7660");
        assert_eq!(url("https://pulse.example:7660"), "https://pulse.example:7660");
    }
}
