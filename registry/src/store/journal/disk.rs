//! All that the journal does to files, behind one small face, so that a test can
//! make any step of it fail. Reading goes through plain files.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Whoever changes files.
pub trait Disk: Debug + Send + Sync + 'static {
    /// An empty file; one of that name is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;

    /// A file that is there, as it is.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>>;

    /// Puts a file in place of another.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// A file that is written.
pub trait Output: Debug + Send + 'static {
    /// All of `bytes`, from `at` on. After an error any part of them may be there.
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when what was written would survive a power cut. After an error it never will: the kernel may have
    /// forgotten which pages failed, so asking again proves nothing.
    fn sync(&mut self) -> io::Result<()>;

    /// Ends the file at `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
        Ok(Box::new(OsFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(OsFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

#[derive(Debug)]
struct OsFile(File);

impl Output for OsFile {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}
