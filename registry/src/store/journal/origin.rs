//! Where a journal comes from: nothing, or the file of the engine before it.
//! Until the first checkpoint has its name, the old file counts.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tracing::{info, warn};

use super::disk::Disk;
use super::header::{HEADER_BYTES, fits, unreadable};
use super::place::{Place, clear_unfinished, segment, segments};
use super::{aside, checkpoint, tail};
use crate::state::Write;
use crate::store::redb::{FILE_NAME, Redb};
use crate::store::{Loaded, Store as _, StoreError};

/// Number of the first segment.
const FIRST: u64 = 1;

/// Makes the first checkpoint where there is none. Returns rows of an old file that could not be read.
pub(super) fn begin(
    data_dir: &Path,
    folder: &Path,
    new_id: &str,
    disk: &Arc<dyn Disk>,
) -> Result<Vec<String>, StoreError> {
    let mut place =
        Place { folder: folder.to_owned(), registry_id: new_id.to_owned(), disk: Arc::clone(disk) };
    let old_file = data_dir.join(FILE_NAME);
    let mut damaged = Vec::new();
    if !exists(&place.checkpoint())? {
        refuse_orphans(folder)?;
        clear_unfinished(folder, &**disk)?;
        let mut loaded = Loaded { registry_id: new_id.to_owned(), ..Loaded::default() };
        if exists(&old_file)? {
            info!(file = %old_file.display(), "taking over what the engine before this one holds");
            loaded = Redb::open(data_dir, new_id)?.load()?;
        }
        damaged = std::mem::take(&mut loaded.damaged);
        place.registry_id.clone_from(&loaded.registry_id);
        create(&place, loaded)?;
    }
    if exists(&old_file)? {
        put_aside(&old_file, data_dir, &**disk);
    }
    Ok(damaged)
}

fn create(place: &Place, loaded: Loaded) -> Result<(), StoreError> {
    let Loaded { registry_id, revision, connections, links, remembered, damaged: _ } = loaded;
    let links = links.into_iter().map(|link| Write::Link(Box::new(link)));
    let (mut common, mut connections) = (links.chain(remembered.writes()), connections.into_iter());
    if !fits(&registry_id) {
        let reason = format!("the identity {registry_id:?} is too long");
        return Err(StoreError::Open { path: place.folder.display().to_string(), reason });
    }
    tail::create(place, FIRST, 0, revision, 0)?;
    let written = checkpoint::write(place, FIRST, 0, revision, &mut common, &[], &mut connections)?;
    place.publish(&written.path, &place.checkpoint())
}

/// Segments without a checkpoint hold less than there was; only an empty first one is left by a crash.
fn refuse_orphans(folder: &Path) -> Result<(), StoreError> {
    for number in segments(folder).map_err(|error| unreadable(folder, &error))? {
        let path = segment(folder, number);
        let length = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
        if number != FIRST || length > HEADER_BYTES as u64 {
            let path = folder.join(super::place::CHECKPOINT).display().to_string();
            let reason = "it is missing, and there are segments that follow it".to_owned();
            return Err(StoreError::Damaged { path, offset: 0, reason });
        }
    }
    Ok(())
}

/// The old file stays, under a name that no release opens. One that cannot be renamed is ignored.
fn put_aside(old_file: &Path, data_dir: &Path, disk: &dyn Disk) {
    let aside = aside::migrated(old_file);
    let renamed = match exists(&aside) {
        Ok(false) => disk.rename(old_file, &aside).and_then(|()| disk.sync_folder(data_dir)),
        Ok(true) => Err(std::io::ErrorKind::AlreadyExists.into()),
        Err(error) => Err(std::io::Error::other(error)),
    };
    match renamed {
        Ok(()) => info!(file = %aside.display(), "the old file is kept; remove it when you like"),
        Err(error) => {
            warn!(file = %old_file.display(), %error, "the old file is not used and could not be renamed");
        }
    }
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| unreadable(path, &error))
}
