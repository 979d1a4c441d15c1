//! Where the files of a journal are, and what they are called.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::header::unreadable;
use crate::store::StoreError;

pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const LOCK: &str = "LOCK";
const SEGMENT_PREFIX: &str = "segment-";
/// Of files that are being made; after a crash they are worth nothing.
const UNFINISHED: &str = "tmp";

/// One journal on disk.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) registry_id: String,
    pub(super) disk: Arc<dyn Disk>,
}

impl Place {
    pub(super) fn checkpoint(&self) -> PathBuf {
        self.folder.join(CHECKPOINT)
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        segment(&self.folder, number)
    }

    /// A file in the making.
    pub(super) fn unfinished(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.{UNFINISHED}"))
    }

    /// Gives a finished file its name, for good.
    pub(super) fn publish(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let named = self.disk.rename(from, to).and_then(|()| self.disk.sync_folder(&self.folder));
        named.map_err(|error| failed(to, &error))
    }

    /// Removes segments before `first`, which a checkpoint holds. One that stays is removed the next time.
    pub(super) fn forget_before(&self, first: u64) {
        for number in segments(&self.folder).unwrap_or_default().into_iter().take_while(|n| *n < first) {
            drop(self.disk.remove(&self.segment(number)));
        }
    }
}

pub(super) fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{SEGMENT_PREFIX}{number:020}"))
}

/// Numbers of the segments that are there, ascending.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(SEGMENT_PREFIX)?.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what a crash left unfinished.
pub(super) fn clear_unfinished(folder: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            disk.remove(&path).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

/// Refuses a second process. The lock ends with the file that is returned, or with its process.
pub(super) fn lock(folder: &Path) -> Result<fs::File, StoreError> {
    let path = folder.join(LOCK);
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| unreadable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: folder.display().to_string() }),
        Err(fs::TryLockError::Error(error)) => Err(unreadable(&path, &error)),
    }
}

/// A write that did not succeed.
pub(super) fn failed(path: &Path, error: &io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StoreError::Full { path: path.display().to_string() }
        }
        _ => StoreError::Engine(format!("{}: {error}", path.display())),
    }
}
