//! A disk whose steps can be made to fail, or looked at. No test cuts the power,
//! so nothing is really synced.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use pulse_registry::store::journal::disk::{Disk, OsDisk, Output};

/// One thing that is done to files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create(PathBuf),
    Open(PathBuf),
    Rename(PathBuf),
    Remove(PathBuf),
    SyncFolder(PathBuf),
    Write(PathBuf),
    Sync(PathBuf),
    Cut(PathBuf),
}

/// How a step fails. A write gets half way.
pub(crate) type Failure = io::ErrorKind;

type Hook = Box<dyn FnMut(&Step) -> Option<Failure> + Send>;

#[derive(Clone, Default)]
struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    hook: Option<Hook>,
    /// A failure has happened since `heal`.
    has_failed: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Faulty(Faults);

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    /// Asked before every step.
    pub(crate) fn before(&self, hook: impl FnMut(&Step) -> Option<Failure> + Send + 'static) {
        self.0.0.lock().unwrap().hook = Some(Box::new(hook));
    }

    /// The step after `n` others fails, once.
    pub(crate) fn fail_nth(&self, n: usize, failure: Failure) {
        let mut left = Some(n);
        self.before(move |_| {
            let now = left?;
            left = now.checked_sub(1);
            (now == 0).then_some(failure)
        });
    }

    /// Works again. Says whether anything had failed.
    pub(crate) fn heal(&self) -> bool {
        let mut state = self.0.0.lock().unwrap();
        state.hook = None;
        std::mem::take(&mut state.has_failed)
    }
}

impl Faults {
    fn check(&self, step: &Step) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        // The hook may look at files with disks of its own, never with this one.
        let failure = state.hook.as_mut().and_then(|hook| hook(step));
        failure.map_or(Ok(()), |kind| {
            state.has_failed = true;
            Err(kind.into())
        })
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.0.check(&Step::Create(path.to_owned()))?;
        let inner = OsDisk.create(path)?;
        Ok(Box::new(File { inner, path: path.to_owned(), faults: self.0.clone() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        self.0.check(&Step::Open(path.to_owned()))?;
        let inner = OsDisk.open(path)?;
        Ok(Box::new(File { inner, path: path.to_owned(), faults: self.0.clone() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.check(&Step::Rename(to.to_owned()))?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.check(&Step::Remove(path.to_owned()))?;
        OsDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.check(&Step::SyncFolder(folder.to_owned()))
    }
}

struct File {
    inner: Box<dyn Output>,
    path: PathBuf,
    faults: Faults,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({})", self.path.display())
    }
}

impl Output for File {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.faults.check(&Step::Write(self.path.clone())) {
            self.inner.write(at, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.write(at, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.faults.check(&Step::Sync(self.path.clone()))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.faults.check(&Step::Cut(self.path.clone()))?;
        self.inner.cut(length)
    }
}
