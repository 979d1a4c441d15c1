//! kill -9 in the middle of commits: what was acknowledged must be there, and
//! of a batch all or nothing. Says nothing about a power cut, which only the
//! sync before the acknowledgement answers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use pulse_tests::task::bench::Figure;

use crate::engine::Engine;
use crate::rows::{batch, revision_of};

const ROUNDS: usize = 20;
const BATCH: usize = 50;

/// Commits the same rows again and again, each time with a new revision.
pub(crate) fn write<E: Engine>(folder: &Path) -> anyhow::Result<()> {
    let engine = E::open(folder)?;
    let mut out = std::io::stdout().lock();
    let mut revision = engine.load(&mut |_, _| {})?;
    loop {
        revision += 1;
        engine.commit(revision, &batch(0, BATCH, revision))?;
        writeln!(out, "{revision}")?;
        out.flush()?;
    }
}

/// How many of the kills left everything acknowledged, and no half batch.
pub(crate) fn rounds<E: Engine>(folder: &Path, name: &str) -> anyhow::Result<Figure> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut intact = 0_u32;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["write", name])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("the writer has an output")?;
        let mut lines = BufReader::new(stdout).lines();
        // Each round dies at another place in the life of the writer.
        let heard = lines.nth(round * 3 + 2).context("the writer ended by itself")??;
        child.kill()?;
        child.wait()?;
        // What it said before it died counts too.
        let acknowledged = lines.map_while(Result::ok).last().unwrap_or(heard).parse::<u64>();
        intact += u32::from(check::<E>(folder.path(), acknowledged?)?);
    }
    ensure!(intact > 0, "no round of {name} was intact");
    let rounds = u32::try_from(ROUNDS)?;
    Ok(Figure::new(format!("{name}.kills_survived"), "", f64::from(intact), f64::from(rounds)))
}

fn check<E: Engine>(folder: &Path, acknowledged: u64) -> anyhow::Result<bool> {
    let engine = E::open(folder)?;
    let mut found = Vec::new();
    let revision = engine.load(&mut |_, value| found.push(revision_of(value)))?;
    let whole = found.len() == BATCH && found.iter().all(|row| *row == Some(revision));
    Ok(revision >= acknowledged && whole)
}
