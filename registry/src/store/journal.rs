//! The embedded engine: an append-only journal with checkpoints. A commit is one
//! frame, one write and one sync at the end of the last segment; a checkpoint
//! holds everything before the segments that follow it.

mod archive;
mod checkpoint;
mod common;
pub mod disk;
mod file;
mod fold;
mod frame;
mod header;
mod load;
mod origin;
mod place;
mod read;
mod rows;
mod slice;
mod tail;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulse_proto::model::Revision;
use tracing::warn;

pub use self::archive::{Restored, Saved, restore, save};
use self::disk::{Disk, OsDisk};
use self::header::unreadable;
use self::place::Place;
use self::read::Plan;
use self::tail::{Mark, Tail};
use super::{Loaded, Store, StoreError, Ticket};
use crate::state::{KeptConnection, Write};

/// The journal's folder in `data_dir`.
pub const FOLDER: &str = "journal";
/// A checkpoint is not worth it for less than this.
pub const CHECKPOINT_BYTES_MIN: u64 = 64 * 1024 * 1024;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub checkpoint_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { checkpoint_bytes_min: CHECKPOINT_BYTES_MIN }
    }
}

#[derive(Debug)]
pub struct Journal {
    place: Place,
    options: Options,
    tail: Mutex<Tail>,
    /// The first segment after the checkpoint that counts. Held while files are replaced, and while all are read.
    first_segment: Mutex<u64>,
    /// What opening has read, until somebody asks or something changes.
    loaded: Mutex<Option<Loaded>>,
    /// Keeps other processes out.
    _lock: fs::File,
}

impl Journal {
    /// Opens the journal in `data_dir`. Where there is none it is made: of what the engine before this one left, or
    /// empty with `new_id` as the registry's identity.
    pub fn open(data_dir: &Path, new_id: &str) -> Result<Self, StoreError> {
        Self::open_with(data_dir, new_id, Arc::new(OsDisk), Options::default())
    }

    pub fn open_with(
        data_dir: &Path,
        new_id: &str,
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<Self, StoreError> {
        let folder = data_dir.join(FOLDER);
        archive::refuse_half_restored(data_dir)?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.and_then(|()| disk.sync_folder(data_dir)).map_err(|error| unreadable(&folder, &error))?;
        let lock = place::lock(&folder)?;
        place::clear_unfinished(&folder, &*disk)?;
        let unreadable_rows = origin::begin(data_dir, &folder, new_id, &disk)?;
        let (mut loaded, end) = load::load(Plan::open(&folder, None)?)?;
        loaded.damaged.extend(unreadable_rows);
        let place = Place { folder, registry_id: end.registry_id.clone(), disk };
        place.forget_before(end.first_segment);
        let mut tail = Tail::open(&place, &end)?;
        match tail.repair(&place) {
            // What is there can be read; the first commit tries again.
            Err(error @ StoreError::Full { .. }) => warn!(%error, "the store does not take writes"),
            other => other?,
        }
        Ok(Self {
            place,
            options,
            tail: Mutex::new(tail),
            first_segment: Mutex::new(end.first_segment),
            loaded: Mutex::new(Some(loaded)),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &PathBuf {
        &self.place.folder
    }
}

impl Store for Journal {
    fn load(&self) -> Result<Loaded, StoreError> {
        if let Some(loaded) = held(&self.loaded).take() {
            return Ok(loaded);
        }
        let _files = held(&self.first_segment);
        let end = held(&self.tail).end();
        load::load(Plan::open(&self.place.folder, Some(end))?).map(|(loaded, _)| loaded)
    }

    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
        *held(&self.loaded) = None;
        held(&self.tail).append(&self.place, revision, writes)
    }

    fn recover(&self) -> Result<(), StoreError> {
        held(&self.tail).recover(&self.place)
    }

    fn begin_checkpoint(&self) -> Result<Option<Ticket>, StoreError> {
        let mark = held(&self.tail).begin_checkpoint(&self.place, self.options.checkpoint_bytes_min)?;
        Ok(mark.map(|Mark { segment, commit, revision, written }| Ticket {
            segment,
            commit,
            revision,
            written,
        }))
    }

    fn finish_checkpoint(
        &self,
        ticket: Ticket,
        common: &[Write],
        connections: &mut dyn Iterator<Item = KeptConnection>,
    ) -> Result<(), StoreError> {
        let Ticket { segment, commit, revision, written } = ticket;
        let checkpoint = checkpoint::write(&self.place, segment, commit, revision, common, connections)?;
        let mut first_segment = held(&self.first_segment);
        if *first_segment >= segment {
            // A later one was faster.
            drop(self.place.disk.remove(&checkpoint.path));
            return Ok(());
        }
        self.place.publish(&checkpoint.path, &self.place.checkpoint())?;
        *first_segment = segment;
        self.place.forget_before(segment);
        held(&self.tail).checkpointed(&Mark { segment, commit, revision, written }, checkpoint.bytes);
        Ok(())
    }
}

/// What a thread that panicked left behind is either on disk or not; the lock guards no half-done change of memory.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
