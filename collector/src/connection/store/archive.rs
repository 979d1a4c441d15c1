//! A copy of the store in one file or stream. Records stay sealed: without the
//! key, which is no part of it, a copy is worth nothing.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::file;
use super::keyring::{KeySource, Keyring};
use super::{FILE_BYTES_MAX, STORE_FILE, parse};

/// As messages name what came in.
const COPY: &str = "the backup";

/// What was put back.
#[derive(Debug, PartialEq, Eq)]
pub struct Restored {
    pub connections: usize,
    /// What was there before.
    pub aside: Option<PathBuf>,
}

/// The store in `folder` as it is now, and how many connections it has. A collector may be running: the file is
/// replaced as a whole.
pub fn copy(folder: &Path) -> Result<(Vec<u8>, usize), StoreError> {
    let path = folder.join(STORE_FILE);
    let Some(bytes) = file::read(&path, FILE_BYTES_MAX)? else {
        return Err(StoreError::Nothing { path });
    };
    let connections = parse(&path, &bytes)?.records.len();
    Ok((bytes, connections))
}

/// Writes a copy to a file, which has that name once it is complete.
pub fn write(to: &Path, copy: &[u8]) -> Result<(), StoreError> {
    let to = std::path::absolute(to).map_err(StoreError::io("finding", to))?;
    file::replace(&to, copy, FILE_BYTES_MAX)
}

/// From a file or a pipe; one that never ends is not read to its end.
pub fn read(from: impl io::Read) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = from.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| StoreError::Backup { why: error.to_string() })?;
    Ok(bytes)
}

/// Whether a restore calls so what it puts aside.
pub fn is_put_aside(name: &str) -> bool {
    file::is_put_aside(name, STORE_FILE)
}

/// Puts a copy into `folder`, where no collector may be running and the key must be the one that sealed it.
pub fn restore(folder: &Path, source: &KeySource, copy: &[u8], force: bool) -> Result<Restored, StoreError> {
    let envelope = parse(Path::new(COPY), copy).map_err(|error| match error {
        StoreError::Damaged { why, .. } => StoreError::Backup { why },
        other => other,
    })?;
    let _lock = file::Lock::take(folder)?;
    let path = folder.join(STORE_FILE);
    let is_there = path.exists();
    if is_there && !force {
        return Err(StoreError::Occupied { path });
    }
    if Keyring::open(folder, source, &path, true)?.opener(&envelope.key).is_none() {
        return Err(StoreError::BackupKey { wanted: envelope.key });
    }
    let aside = is_there.then(|| file::put_aside(&path)).transpose()?;
    file::replace(&path, copy, FILE_BYTES_MAX)?;
    Ok(Restored { connections: envelope.records.len(), aside })
}
