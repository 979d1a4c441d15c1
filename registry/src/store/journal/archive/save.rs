//! Copies a journal into one file, while a registry may be writing to it. Files
//! are opened before they are read, segments only grow, and each frame is
//! checked: what is copied is the journal as it was at one commit.

use std::path::Path;

use pulse_proto::model::Revision;

use super::folder_of;
use crate::store::StoreError;
use crate::store::journal::FOLDER;
use crate::store::journal::disk::{Disk, OsDisk};
use crate::store::journal::file::FrameFile;
use crate::store::journal::frame::FrameKind;
use crate::store::journal::header::{Header, Kind, new_salt};
use crate::store::journal::place::{CHECKPOINT, failed};
use crate::store::journal::read::{Piece, Plan};

/// A checkpoint may take the place of what is being opened; hardly this often.
const ATTEMPTS_MAX: usize = 8;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub registry_id: String,
    pub revision: Revision,
    pub bytes: u64,
}

/// Writes the journal in `data_dir` to `to`, which has that name only once it is complete and durable.
pub fn save(data_dir: &Path, to: &Path) -> Result<Saved, StoreError> {
    let folder = data_dir.join(FOLDER);
    let unfinished = to.with_added_extension("tmp");
    let mut attempt = 0;
    let saved = loop {
        attempt += 1;
        let before = salt(&folder)?;
        match copy(&folder, &unfinished) {
            Err(_) if attempt < ATTEMPTS_MAX && salt(&folder)? != before => {}
            other => break other,
        }
    };
    let saved = saved.and_then(|saved| {
        let named = OsDisk.rename(&unfinished, to).and_then(|()| OsDisk.sync_folder(folder_of(to)));
        named.map_err(|error| failed(to, &error))?;
        Ok(saved)
    });
    if saved.is_err() {
        drop(OsDisk.remove(&unfinished));
    }
    saved
}

/// Which checkpoint is there: each has its own.
fn salt(folder: &Path) -> Result<u32, StoreError> {
    let path = folder.join(CHECKPOINT);
    let opened = std::fs::File::open(&path);
    let mut file = opened.map_err(|error| StoreError::Open {
        path: path.display().to_string(),
        reason: format!("{error}; is this the data_dir of a registry that has run?"),
    })?;
    Ok(Header::read(&mut file, &path, Kind::Checkpoint)?.salt)
}

fn copy(folder: &Path, to: &Path) -> Result<Saved, StoreError> {
    let plan = Plan::open(folder, None)?;
    let header = Header { kind: Kind::Archive, salt: new_salt(), number: 0, ..plan.header().clone() };
    let mut file = FrameFile::create(&OsDisk, to, &header, 1)?;
    let end = plan.read(&mut |piece| match piece {
        Piece::File(header) => {
            let revision = header.revision.0;
            file.put(FrameKind::File, revision, |out| out.extend_from_slice(&header.encode()))
        }
        Piece::Rows(rows) => {
            file.put(FrameKind::Rows, rows.revision, |out| out.extend_from_slice(&rows.payload))
        }
    })?;
    file.put(FrameKind::End, end.revision.0, |_| {})?;
    file.sync()?;
    Ok(Saved { registry_id: end.registry_id, revision: end.revision, bytes: file.at() })
}
