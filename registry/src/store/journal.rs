//! The embedded engine: an append-only journal with checkpoints. A commit is one
//! frame, one write and one sync at the end of the last segment; a checkpoint
//! holds everything before the segments that follow it.

mod archive;
mod aside;
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
mod unread;

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pulse_proto::model::Revision;
use tracing::warn;

pub use self::archive::{Restored, Saved, restore, restore_stream, save, save_stream};
pub use self::aside::is_put_aside;
use self::disk::{Disk, OsDisk};
use self::header::unreadable;
use self::place::Place;
use self::read::Plan;
use self::tail::{Mark, Tail};
use self::unread::Unread;
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
    /// Rows that cannot be read. Locked after the tail, so that what is written anew leaves it in the order of commits.
    unread: Mutex<Unread>,
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
        let unreadable_rows = origin::begin(data_dir, &folder, new_id, &disk)?;
        let load::All { mut loaded, unread, has_new_unread, changes, end } =
            load::load(Plan::open(&folder, None)?)?;
        // Not before it is known to be ours: what a later release has begun is left to it.
        place::clear_unfinished(&folder, &*disk)?;
        loaded.damaged.extend(unreadable_rows);
        let place = Place { folder, registry_id: end.registry_id.clone(), disk };
        place.forget_before(end.first_segment);
        let mut tail = Tail::open(&place, &end, changes)?;
        match tail.repair(&place) {
            // What is there can be read; the first commit tries again.
            Err(error @ StoreError::Full { .. }) => warn!(%error, "the store does not take writes"),
            other => other?,
        }
        if has_new_unread {
            // From now on they count as old, whatever is told meanwhile. Where that cannot be written they stand as they are.
            let put_aside = tail.put(&place, end.revision, |out| unread.encode(out));
            if let Err(error) = put_aside {
                warn!(%error, "rows that cannot be read could not be put aside");
            }
        }
        Ok(Self {
            place,
            options,
            tail: Mutex::new(tail),
            first_segment: Mutex::new(end.first_segment),
            loaded: Mutex::new(Some(loaded)),
            unread: Mutex::new(unread),
            _lock: lock,
        })
    }

    pub fn path(&self) -> &PathBuf {
        &self.place.folder
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that fails here has failed")]
impl Journal {
    /// A commit of steps that this release would not write.
    fn write_raw(&self, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut tail = held(&self.tail);
        let revision = tail.revision();
        tail.put(&self.place, revision, fill).unwrap();
    }

    /// Stores a record as a later release might: this one cannot read it.
    pub(crate) fn spoil(&self, connection: &str, source_id: &str) {
        let step = rows::record_as_written(source_id, None, b"of a later release");
        self.write_raw(|out| rows::group(connection, out, |out| out.extend_from_slice(&step)));
    }
}

impl Store for Journal {
    fn load(&self) -> Result<Loaded, StoreError> {
        if let Some(loaded) = held(&self.loaded).take() {
            return Ok(loaded);
        }
        let _files = held(&self.first_segment);
        let end = held(&self.tail).end();
        let all = load::load(Plan::open(&self.place.folder, Some(end))?)?;
        // The next checkpoint keeps them, whenever they were found.
        *held(&self.unread) = all.unread;
        Ok(all.loaded)
    }

    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
        *held(&self.loaded) = None;
        let mut tail = held(&self.tail);
        tail.append(&self.place, revision, writes)?;
        held(&self.unread).overtaken_by(writes);
        Ok(())
    }

    fn recover(&self) -> Result<(), StoreError> {
        held(&self.tail).recover(&self.place)
    }

    fn wants_checkpoint(&self) -> bool {
        held(&self.tail).wants_checkpoint(self.options.checkpoint_bytes_min)
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
        common: &mut dyn Iterator<Item = Write>,
        connections: &mut dyn Iterator<Item = KeptConnection>,
    ) -> Result<(), StoreError> {
        let Ticket { segment, commit, revision, written } = ticket;
        let mut unread = Vec::new();
        held(&self.unread).encode(&mut unread);
        let checkpoint =
            checkpoint::write(&self.place, segment, commit, revision, common, &unread, connections)?;
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
