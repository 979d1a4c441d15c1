//! A disk that works for a while, then fails for some steps, and works again.
//! What it does follows from its seed and the steps it is asked for.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use pulse_registry::store::journal::disk::{Disk, OsDisk, Output};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Steps that succeed between two times of trouble.
const GOOD_STEPS: std::ops::RangeInclusive<u32> = 2..=20;
/// Steps that fail in a row.
const BAD_STEPS: std::ops::RangeInclusive<u32> = 1..=6;

#[derive(Clone)]
pub(crate) struct FailingDisk(Arc<Mutex<Weather>>);

struct Weather {
    rng: StdRng,
    /// Faults have begun.
    is_on: bool,
    good_steps: u32,
    trouble: Option<(Trouble, u32)>,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// Writes get somewhere and fail.
    ShortWrites,
    /// The same, and say why.
    NoSpace,
    /// Syncs fail; what should have been synced is there, or in part, or not.
    Syncs,
    /// Whatever is tried fails.
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Write,
    Sync,
    Name,
}

impl Weather {
    fn check(&mut self, step: Step) -> io::Result<()> {
        if !self.is_on {
            return Ok(());
        }
        let Some((trouble, left)) = self.trouble else {
            self.good_steps -= 1;
            if self.good_steps == 0 {
                let all = [Trouble::ShortWrites, Trouble::NoSpace, Trouble::Syncs, Trouble::Everything];
                let trouble = all[self.rng.random_range(0..all.len())];
                self.trouble = Some((trouble, self.rng.random_range(BAD_STEPS)));
            }
            return Ok(());
        };
        let error = match (trouble, step) {
            (Trouble::NoSpace, Step::Write) => ErrorKind::StorageFull,
            (Trouble::ShortWrites, Step::Write) | (Trouble::Syncs, Step::Sync) | (Trouble::Everything, _) => {
                ErrorKind::Other
            }
            _ => return Ok(()),
        };
        self.trouble = Some((trouble, left - 1)).filter(|(_, left)| *left > 0);
        if self.trouble.is_none() {
            self.good_steps = self.rng.random_range(GOOD_STEPS);
        }
        Err(error.into())
    }
}

impl FailingDisk {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let good_steps = rng.random_range(GOOD_STEPS);
        Self(Arc::new(Mutex::new(Weather { rng, is_on: false, good_steps, trouble: None })))
    }

    /// From now on steps may fail.
    pub(crate) fn begin(&self) {
        self.with(|weather| weather.is_on = true);
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Weather) -> T) -> T {
        ask(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check(&self, step: Step) -> io::Result<()> {
        self.with(|weather| weather.check(step))
    }

    /// How much of so many bytes is there after all.
    fn part_of(&self, bytes: usize) -> usize {
        self.with(|weather| weather.rng.random_range(0..=bytes))
    }

    fn file(&self, path: &Path, output: Box<dyn Output>) -> io::Result<Box<dyn Output>> {
        let input = File::open(path)?;
        Ok(Box::new(FailingFile { output, input, disk: self.clone(), unsynced: Vec::new() }))
    }
}

impl fmt::Debug for FailingDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailingDisk")
    }
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.check(Step::Name)?;
        self.file(path, OsDisk.create(path)?)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.check(Step::Name)?;
        self.file(path, OsDisk.open(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Step::Name)?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Step::Name)?;
        OsDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.check(Step::Sync)?;
        OsDisk.sync_folder(folder)
    }
}

#[derive(Debug)]
struct FailingFile {
    output: Box<dyn Output>,
    /// The same file, to be read.
    input: File,
    disk: FailingDisk,
    /// What was written since the last sync, oldest first, with what stood there before.
    unsynced: Vec<(u64, Vec<u8>)>,
}

impl FailingFile {
    /// What is there now, zeros where there is nothing.
    fn before(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let (mut before, mut read) = (vec![0; bytes], 0);
        while read < bytes {
            match self.input.read_at(&mut before[read..], at + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(before)
    }
}

impl Output for FailingFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.unsynced.push((at, self.before(at, bytes.len())?));
        if let Err(error) = self.disk.check(Step::Write) {
            self.output.write(at, &bytes[..self.disk.part_of(bytes.len())])?;
            return Err(error);
        }
        self.output.write(at, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let unsynced = std::mem::take(&mut self.unsynced);
        let Err(error) = self.disk.check(Step::Sync) else { return self.output.sync() };
        // The kernel has let go of pages it could not write.
        for (at, before) in unsynced.into_iter().rev() {
            let kept = self.disk.part_of(before.len());
            self.output.write(at + kept as u64, &before[kept..])?;
        }
        Err(error)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.check(Step::Write)?;
        self.output.cut(length)
    }
}
