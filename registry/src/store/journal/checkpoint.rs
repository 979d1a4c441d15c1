//! Writes everything that lives into one file, and puts it in place of the one
//! before. Until then, and after a failure, the old one counts.

use std::path::PathBuf;

use pulse_proto::model::Revision;

use super::file::FrameFile;
use super::frame::FrameKind;
use super::header::{FORMAT, Header, Kind, new_salt};
use super::place::{CHECKPOINT, Place};
use super::rows;
use crate::state::{KeptConnection, Write};
use crate::store::StoreError;

/// Rows of one frame.
const FRAME_BYTES: usize = 1024 * 1024;
/// Rows of no connection that are put in before the frame is looked at.
const COMMON_OF_FRAME: usize = 256;
/// Bytes after which what was written is synced, so that a commit never waits for a whole checkpoint to reach the disk.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// A checkpoint that is complete and durable, but does not count yet.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// Writes what stands before segment `first`. `unread` are groups of steps that no release so far could read.
pub(super) fn write(
    place: &Place,
    first: u64,
    commit: u64,
    revision: Revision,
    common: &mut dyn Iterator<Item = Write>,
    unread: &[u8],
    connections: &mut dyn Iterator<Item = KeptConnection>,
) -> Result<Written, StoreError> {
    let path = place.unfinished(&format!("{CHECKPOINT}-{first}"));
    let header = Header {
        format: FORMAT,
        kind: Kind::Checkpoint,
        salt: new_salt(),
        registry_id: place.registry_id.clone(),
        number: first,
        commit,
        revision,
        previous_length: 0,
    };
    let file = FrameFile::create(&*place.disk, &path, &header, 1);
    let written = file.and_then(|mut file| {
        fill(&mut file, revision, common, unread, connections)?;
        Ok(file.at())
    });
    match written {
        Ok(bytes) => Ok(Written { path, bytes }),
        Err(error) => {
            // Its room is needed more than the file.
            drop(place.disk.remove(&path));
            Err(error)
        }
    }
}

fn fill(
    file: &mut FrameFile,
    revision: Revision,
    common: &mut dyn Iterator<Item = Write>,
    unread: &[u8],
    connections: &mut dyn Iterator<Item = KeptConnection>,
) -> Result<(), StoreError> {
    let mut synced = 0;
    let mut frame: Vec<u8> = Vec::with_capacity(2 * FRAME_BYTES);
    let mut flush = |frame: &mut Vec<u8>, file: &mut FrameFile| {
        file.put(FrameKind::Rows, revision.0, |out| out.extend_from_slice(frame))?;
        frame.clear();
        if file.at() - synced >= SYNC_BYTES {
            file.sync()?;
            synced = file.at();
        }
        Ok(())
    };
    let mut some: Vec<Write> = Vec::with_capacity(COMMON_OF_FRAME);
    loop {
        some.clear();
        some.extend(common.take(COMMON_OF_FRAME));
        if some.is_empty() {
            break;
        }
        rows::encode(&some, &mut frame);
        if frame.len() >= FRAME_BYTES {
            flush(&mut frame, file)?;
        }
    }
    if !unread.is_empty() {
        // Before the rows that can be read: those are newer.
        frame.extend_from_slice(unread);
        flush(&mut frame, file)?;
    }
    for (id, row, records) in connections {
        let id = id.as_str();
        rows::group(id, &mut frame, |out| rows::connection(&row, out));
        let mut records = records.iter().peekable();
        while records.peek().is_some() {
            rows::group(id, &mut frame, |out| {
                while out.len() < FRAME_BYTES
                    && let Some(record) = records.next()
                {
                    rows::row(record, out);
                }
            });
            if frame.len() >= FRAME_BYTES {
                flush(&mut frame, file)?;
            }
        }
        if frame.len() >= FRAME_BYTES {
            flush(&mut frame, file)?;
        }
    }
    if !frame.is_empty() {
        flush(&mut frame, file)?;
    }
    file.put(FrameKind::End, revision.0, |_| {})?;
    file.sync()
}
