//! Files that are there as a whole or not at all, and a folder that one process owns.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::error::StoreError;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const LOCK: &str = "collector.lock";
/// Behind the name of what was put aside, with a number.
const REPLACED: &str = "replaced-";

/// Held as long as the store is open; the system lets go of it when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the folder when it is not there.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        make_folder(folder).map_err(StoreError::io("making the folder", folder))?;
        let path = folder.join(LOCK);
        let file = owned(OpenOptions::new().write(true).create(true).truncate(false))
            .open(&path)
            .map_err(StoreError::io("opening", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(StoreError::io("locking", &path)(error)),
        }
    }
}

/// `None` when there is no such file.
pub(in crate::connection) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("opening", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(StoreError::io("reading", path))?;
    check_size(path, bytes.len(), limit)?;
    Ok(Some(bytes))
}

/// Writes beside, syncs, renames, syncs the folder: after a crash the old or the new file is there, never a part.
pub(super) fn replace(path: &Path, bytes: &[u8], limit: u64) -> Result<(), StoreError> {
    check_size(path, bytes.len(), limit)?;
    let beside = beside(path);
    // A leftover may have other permissions, or be a link.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("clearing", beside)(error));
        }
        _ => {}
    }
    let mut file = owned(OpenOptions::new().write(true).create_new(true))
        .open(&beside)
        .map_err(StoreError::io("making", &beside))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    written
        .and_then(|()| fs::rename(&beside, path))
        .and_then(|()| sync_folder(path))
        .map_err(StoreError::io("writing", path))
}

/// Gives a file a name that is free; which one.
pub(super) fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let mut number = 1_u32;
    let free = loop {
        let free = path.with_added_extension(format!("{REPLACED}{number}"));
        if !free.exists() {
            break free;
        }
        number += 1;
    };
    fs::rename(path, &free).and_then(|()| sync_folder(path)).map_err(StoreError::io("renaming", path))?;
    Ok(free)
}

/// Whether [`put_aside`] calls so what had the name `of`.
pub(super) fn is_put_aside(name: &str, of: &str) -> bool {
    let behind = name.strip_prefix(of).and_then(|behind| behind.strip_prefix('.'));
    let number = behind.and_then(|behind| behind.strip_prefix(REPLACED));
    number.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// What others than its owner may do to it and must not: anything, and its group may read it at most. A mounted secret
/// often gives its group that right.
pub(super) fn exposed(path: &Path) -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
        (mode & 0o037 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _unknown = path;
        None
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

fn check_size(path: &Path, bytes: usize, limit: u64) -> Result<(), StoreError> {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    if bytes > limit { Err(StoreError::TooLarge { path: path.to_owned(), bytes, limit }) } else { Ok(()) }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, FOLDER_MODE);
    builder.create(folder)
}

fn owned(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, FILE_MODE);
    options
}
