//! One engine through the registry's day: filled, updated batch by batch,
//! started again.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use pulse_tests::task::bench::Figure;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::rows::{CONNECTIONS, RECORDS_PER_CONNECTION, batch};

const ROWS: usize = CONNECTIONS * RECORDS_PER_CONNECTION;
const SMALL: usize = 50;
const LARGE: usize = 1_000;
const SMALL_COMMITS: usize = 400;
const LARGE_COMMITS: usize = 60;
/// A step through the fleet that meets every connection before any twice.
const STRIDE: usize = 37 * RECORDS_PER_CONNECTION;
const STARTS: usize = 5;

pub(crate) struct Measured {
    fill: Duration,
    small: Vec<Duration>,
    large: Vec<Duration>,
    start: Vec<Duration>,
    disk_filled: u64,
    disk_updated: u64,
}

pub(crate) fn run<E: Engine>(folder: &Path) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir_in(folder)?;
    let folder = folder.path();
    let engine = E::open(folder)?;
    let mut revision = 0;
    let mut commit = |engine: &E, at: usize, count: usize| {
        revision += 1;
        let rows = batch(at, count, revision);
        let begin = Instant::now();
        engine.commit(revision, &rows)?;
        anyhow::Ok(begin.elapsed())
    };
    let mut fill = Duration::ZERO;
    for at in (0..ROWS).step_by(LARGE) {
        fill += commit(&engine, at, LARGE)?;
    }
    let disk_filled = size(folder)?;
    let mut small = Vec::new();
    for n in 0..SMALL_COMMITS {
        small.push(commit(&engine, n * STRIDE, SMALL)?);
    }
    let mut large = Vec::new();
    for n in 0..LARGE_COMMITS {
        large.push(commit(&engine, n * STRIDE * 10, LARGE)?);
    }
    let disk_updated = size(folder)?;
    drop(engine);
    let mut start = Vec::new();
    for _ in 0..STARTS {
        let (mut rows, mut bytes) = (0_usize, 0_usize);
        let mut each = |key: &[u8], value: &[u8]| {
            rows += 1;
            // Copied, as decoding a row would.
            bytes += key.to_vec().len() + value.to_vec().len();
        };
        let begin = Instant::now();
        let engine = E::open(folder)?;
        engine.load(&mut each)?;
        start.push(begin.elapsed());
        ensure!(bytes > ROWS * SMALL && (rows == ROWS || rows == 1), "read {rows} rows, {bytes} bytes");
    }
    Ok(Measured { fill, small, large, start, disk_filled, disk_updated })
}

impl Measured {
    /// These figures with another's as the reference.
    pub(crate) fn beside(&self, reference: &Self, name: &str) -> Vec<Figure> {
        let figure = |what: &str, unit, value, reference| {
            Figure::new(format!("{name}.{what}"), unit, value, reference)
        };
        let median = |of: fn(&Self) -> &Vec<Duration>| (rank(of(self), 50), rank(of(reference), 50));
        let tail = |of: fn(&Self) -> &Vec<Duration>| (rank(of(self), 99), rank(of(reference), 99));
        let (small, small_reference) = median(|m| &m.small);
        let (small_tail, small_tail_reference) = tail(|m| &m.small);
        let (large, large_reference) = median(|m| &m.large);
        let (start, start_reference) = median(|m| &m.start);
        vec![
            figure("fill_100000", "ms", millis(self.fill), millis(reference.fill)),
            figure("commit_50", "ms", small, small_reference),
            figure("commit_50_p99", "ms", small_tail, small_tail_reference),
            figure("commit_1000", "ms", large, large_reference),
            figure("start_100000", "ms", start, start_reference),
            figure("disk_filled", "MiB", mebi(self.disk_filled), mebi(reference.disk_filled)),
            // The data itself has not grown: the reference stays the filled file.
            figure("disk_updated", "MiB", mebi(self.disk_updated), mebi(reference.disk_filled)),
        ]
    }
}

pub(crate) fn rank(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = sorted.len().saturating_sub(1) * percent / 100;
    sorted.get(at).copied().map_or(0.0, millis)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[allow(clippy::cast_precision_loss, reason = "sizes below 2^52")]
pub(crate) fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Bytes that the files of a folder take.
pub(crate) fn size(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
