//! Puts a backup in place of a journal. It may be a stream, so it is read once:
//! beside what is there, which is put aside when all of it has come and is whole.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulse_proto::model::Revision;

use super::folder_of;
use crate::store::StoreError;
use crate::store::journal::disk::{Disk, OsDisk};
use crate::store::journal::file::FrameFile;
use crate::store::journal::frame::{FrameKind, Frames, Next};
use crate::store::journal::header::{HEADER_BYTES, Header, Kind, unreadable};
use crate::store::journal::load::load;
use crate::store::journal::place::{Place, failed, lock};
use crate::store::journal::read::Plan;
use crate::store::journal::{FOLDER, aside, header};
use crate::store::redb::{FILE_NAME, Redb};

/// A journal that is being restored. It gets its name when it is complete and what was there is out of the way.
const RESTORING: &str = "journal.restoring";
/// As messages name a backup that has no file.
const STREAM: &str = "standard input";

/// What was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Of the registry that was saved.
    pub saved_id: String,
    /// Made anew: a token of the registry that was saved could name a revision that is another one now.
    pub registry_id: String,
    pub revision: Revision,
    pub connections: usize,
    pub records: usize,
    /// Rows that were damaged before they were saved.
    pub damaged: Vec<String>,
    /// What was there before.
    pub aside: Vec<PathBuf>,
}

/// Restores `from` into `data_dir` as a registry of its own, called `new_id`.
pub fn restore(data_dir: &Path, from: &Path, new_id: &str, force: bool) -> Result<Restored, StoreError> {
    let file = File::open(from).map_err(|error| of_backup(from, unreadable(from, &error)))?;
    put_back(data_dir, Backup::open(from, Box::new(file))?, new_id, force)
}

/// The same from a stream, such as a pipe.
pub fn restore_stream(
    data_dir: &Path,
    input: impl Read + 'static,
    new_id: &str,
    force: bool,
) -> Result<Restored, StoreError> {
    put_back(data_dir, Backup::open(Path::new(STREAM), Box::new(input))?, new_id, force)
}

fn put_back(data_dir: &Path, mut backup: Backup, new_id: &str, force: bool) -> Result<Restored, StoreError> {
    let (journal, old_file) = (data_dir.join(FOLDER), data_dir.join(FILE_NAME));
    // Held until what is there is out of the way.
    let _running = refuse_running(&journal, &old_file, data_dir)?;
    let present: Vec<PathBuf> =
        [&journal, &old_file].into_iter().filter(|path| path.exists()).cloned().collect();
    if let Some(path) = present.first().filter(|_| !force) {
        return Err(StoreError::Occupied { path: path.display().to_string() });
    }
    let folder = data_dir.join(RESTORING);
    let was_interrupted = folder.exists();
    if was_interrupted {
        fs::remove_dir_all(&folder).map_err(|error| failed(&folder, &error))?;
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| failed(&folder, &error))?;
    let place = Place { folder: folder.clone(), registry_id: new_id.to_owned(), disk: Arc::new(OsDisk) };
    let unpacked = backup
        .unpack(&place)
        .and_then(|revision| Ok((revision, load(Plan::open(&folder, None)?)?.loaded)))
        .inspect_err(|_| {
            // Where a restore was cut off before, the folder goes on to say that what was there is not in its place.
            if !was_interrupted {
                drop(fs::remove_dir_all(&folder));
            }
        });
    let (revision, loaded) = unpacked.map_err(|error| of_backup(&backup.path, error))?;
    let mut aside = Vec::new();
    for path in present {
        let to = aside::replaced(&path);
        OsDisk.rename(&path, &to).map_err(|error| failed(&path, &error))?;
        aside.push(to);
    }
    let named = OsDisk.rename(&folder, &journal).and_then(|()| OsDisk.sync_folder(data_dir));
    named.map_err(|error| failed(&journal, &error))?;
    Ok(Restored {
        saved_id: backup.header.registry_id,
        registry_id: loaded.registry_id,
        revision,
        connections: loaded.connections.len(),
        records: loaded.connections.iter().map(|(_, _, rows)| rows.len()).sum(),
        damaged: loaded.damaged,
        aside,
    })
}

/// What is wrong with a file of a journal is wrong with the backup that it came in: what was there before is untouched.
fn of_backup(backup: &Path, error: StoreError) -> StoreError {
    let path = backup.display().to_string();
    let held = |file: String, reason| {
        let name = Path::new(&file).file_name().filter(|_| file != path);
        name.map_or_else(|| String::clone(&reason), |name| format!("in its {}: {reason}", name.display()))
    };
    match error {
        StoreError::Damaged { path: file, offset, reason } => {
            StoreError::Backup { offset, reason: held(file, reason), path }
        }
        StoreError::Foreign { path: file, reason } => {
            StoreError::NoBackup { reason: held(file, reason), path }
        }
        StoreError::Format { found, known, .. } => StoreError::BackupFormat { path, found, known },
        StoreError::Open { path: file, reason } => {
            StoreError::BackupUnread { reason: held(file, reason), path }
        }
        other => other,
    }
}

/// A restore that was interrupted must not be followed by an empty registry.
pub(in crate::store::journal) fn refuse_half_restored(data_dir: &Path) -> Result<(), StoreError> {
    let folder = data_dir.join(RESTORING);
    if !data_dir.join(FOLDER).exists() && folder.exists() {
        let reason = "a restore was interrupted here; run `pulse-registry restore` again, or remove this folder to begin empty";
        return Err(StoreError::Open { path: folder.display().to_string(), reason: reason.to_owned() });
    }
    Ok(())
}

/// The returned locks keep a registry from starting meanwhile.
fn refuse_running(
    journal: &Path,
    old_file: &Path,
    data_dir: &Path,
) -> Result<(Option<File>, Option<Redb>), StoreError> {
    let running = journal.exists().then(|| lock(journal)).transpose()?;
    let old = match old_file.exists().then(|| Redb::open(data_dir, "")) {
        Some(Err(error @ StoreError::InUse { .. })) => return Err(error),
        // What cannot be opened is in nobody's use.
        other => other.and_then(Result::ok),
    };
    Ok((running, old))
}

struct Backup {
    /// As messages name it.
    path: PathBuf,
    input: Box<dyn Read>,
    header: Header,
}

impl Backup {
    fn open(path: &Path, mut input: Box<dyn Read>) -> Result<Self, StoreError> {
        let header = Header::read(&mut input, path, Kind::Archive).map_err(|error| of_backup(path, error))?;
        Ok(Self { path: path.to_owned(), input, header })
    }

    /// Hands out every frame before the end; returns the revision that the end names.
    fn read(
        &mut self,
        mut each: impl FnMut(FrameKind, u64, Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<Revision, StoreError> {
        let input = BufReader::with_capacity(1 << 20, &mut self.input);
        let mut frames = Frames::of_stream(input, self.header.salt, HEADER_BYTES as u64, 1);
        let mut end = None;
        loop {
            let at = frames.at();
            let damaged = |reason: &str| StoreError::Backup {
                path: self.path.display().to_string(),
                offset: at,
                reason: reason.to_owned(),
            };
            match (frames.next().map_err(|error| unreadable(&self.path, &error))?, end) {
                (Next::Frame(head, _), None) if head.kind == FrameKind::End => {
                    end = Some(Revision(head.revision));
                }
                (Next::Frame(head, payload), None) => each(head.kind, head.revision, payload)?,
                (Next::End, Some(revision)) => return Ok(revision),
                (Next::End, None) => return Err(damaged("its end is missing")),
                (Next::Frame(..), Some(_)) => return Err(damaged("something stands behind its end")),
                (Next::Broken(broken), _) => return Err(damaged(broken.reason)),
            }
        }
    }

    /// Writes its files as those of `place`.
    fn unpack(&mut self, place: &Place) -> Result<Revision, StoreError> {
        let mut current: Option<Unpacking> = None;
        let path = self.path.clone();
        let revision = self.read(|kind, revision, payload| {
            if kind == FrameKind::File {
                if let Some(done) = current.take() {
                    done.finish(revision)?;
                }
                current = Some(Unpacking::begin(&payload, &path, place)?);
                return Ok(());
            }
            let Some(current) = &mut current else { return Ok(()) };
            current.file.put(FrameKind::Rows, revision, |out| out.extend_from_slice(&payload))
        })?;
        if let Some(done) = current {
            done.finish(revision.0)?;
        }
        let synced = place.disk.sync_folder(&place.folder).and_then(|()| {
            let folder = folder_of(&place.folder);
            place.disk.sync_folder(folder)
        });
        synced.map_err(|error| failed(&place.folder, &error))?;
        Ok(revision)
    }
}

/// A file of the journal on its way out of the backup.
struct Unpacking {
    kind: Kind,
    file: FrameFile,
}

impl Unpacking {
    fn begin(header: &[u8], backup: &Path, place: &Place) -> Result<Self, StoreError> {
        let mut header = Header::of_journal(header, backup)?;
        header.salt = header::new_salt();
        header.registry_id.clone_from(&place.registry_id);
        let (path, first) = match header.kind {
            Kind::Segment => (place.segment(header.number), header.commit + 1),
            Kind::Checkpoint | Kind::Archive => (place.checkpoint(), 1),
        };
        Ok(Self { kind: header.kind, file: FrameFile::create(&*place.disk, &path, &header, first)? })
    }

    fn finish(mut self, revision: u64) -> Result<(), StoreError> {
        if self.kind == Kind::Checkpoint {
            self.file.put(FrameKind::End, revision, |_| {})?;
        }
        self.file.sync()
    }
}
