//! The end of the journal, where commits go. Owns what may still be trusted of
//! the last segment after a write or a sync has failed.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use pulse_proto::model::Revision;

use super::file::{Failure, FrameFile};
use super::frame::FrameKind;
use super::header::{FORMAT, Header, Kind, new_salt, unreadable};
use super::place::{Place, failed};
use super::read::End;
use super::rows;
use crate::state::Write;
use crate::store::StoreError;

/// Written at a time to see whether there is room again.
const ROOM_BYTES: usize = 1024 * 1024;
/// What a change costs a start, in bytes of rows that it reads.
const CHANGE_WEIGHT: u64 = 256;

#[derive(Debug)]
pub(super) struct Tail {
    file: FrameFile,
    number: u64,
    commit: u64,
    revision: Revision,
    trust: Trust,
    /// The last segment is of an earlier format: what only this one has goes into the next.
    is_older: bool,
    /// Bytes that this journal has taken in, with the weight of changes, and how many of them the last checkpoint holds.
    written: u64,
    checkpointed: u64,
    checkpoint_bytes: u64,
    /// What the last commit that found no room would have taken.
    needed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// The next frame may follow.
    Whole,
    /// Something may stand behind the last frame that counts.
    Ragged,
    /// A sync failed: nothing more goes into this segment.
    Lost,
    /// Read from disk, with the place of its last frame. Before a restart its sync may have failed, and the page cache
    /// would show it all the same.
    Unproven(u64),
}

/// Where a checkpoint begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) segment: u64,
    pub(super) commit: u64,
    pub(super) revision: Revision,
    pub(super) written: u64,
}

impl Tail {
    /// To go on where what was read ends.
    pub(super) fn open(place: &Place, end: &End, changes: u64) -> Result<Self, StoreError> {
        let path = place.segment(end.last_segment);
        let output = place.disk.open(&path).map_err(|error| failed(&path, &error))?;
        Ok(Self {
            file: FrameFile::new(output, &path, end.salt, end.length, end.commit + 1),
            number: end.last_segment,
            commit: end.commit,
            revision: end.revision,
            trust: Trust::Unproven(end.last_frame),
            is_older: end.format < FORMAT,
            written: end.segments_bytes + changes * CHANGE_WEIGHT,
            checkpointed: 0,
            checkpoint_bytes: end.checkpoint_bytes,
            needed: 0,
        })
    }

    /// The last segment and how much of it counts.
    pub(super) fn end(&self) -> (u64, u64) {
        (self.number, self.file.at())
    }

    #[cfg(test)]
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// One frame, one write, one sync.
    pub(super) fn append(
        &mut self,
        place: &Place,
        revision: Revision,
        writes: &[Write],
    ) -> Result<(), StoreError> {
        self.put(place, revision, |out| rows::encode(writes, out))?;
        self.written += rows::changes(writes) * CHANGE_WEIGHT;
        Ok(())
    }

    /// The same, of steps that are encoded by the caller.
    pub(super) fn put(
        &mut self,
        place: &Place,
        revision: Revision,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        self.repair(place)?;
        let done = self.file.put_durably(FrameKind::Rows, revision.0, fill);
        let bytes = self.file.frame_bytes();
        let Err(failure) = done else {
            (self.commit, self.revision) = (self.commit + 1, revision);
            self.written += bytes;
            self.needed = 0;
            return Ok(());
        };
        match failure {
            Failure::Refused(_) => {}
            Failure::Write(_) => self.trust = Trust::Ragged,
            Failure::Sync(_) => self.trust = Trust::Lost,
        }
        let error = failure.into_error();
        if matches!(error, StoreError::Full { .. }) {
            self.needed = bytes;
        }
        Err(error)
    }

    /// Whether commits can succeed again, found out without changing a row.
    pub(super) fn recover(&mut self, place: &Place) -> Result<(), StoreError> {
        if self.needed > 0 {
            make_room(place, self.needed)?;
        }
        self.append(place, self.revision, &[])
    }

    /// Makes the end of the last segment one that a frame may follow.
    pub(super) fn repair(&mut self, place: &Place) -> Result<(), StoreError> {
        if let Trust::Unproven(last_frame) = self.trust {
            let end = read_from(self.file.path(), last_frame, self.file.at())?;
            self.file.rewrite(&end)?;
            self.trust = if self.is_older { Trust::Lost } else { Trust::Whole };
        }
        if self.trust == Trust::Ragged {
            self.trust = if self.file.cut().is_ok() { Trust::Whole } else { Trust::Lost };
        }
        if self.trust == Trust::Lost { self.roll(place) } else { Ok(()) }
    }

    /// Goes on in a new segment. It says where this one ends, so once it may be there nothing is added here any more.
    fn roll(&mut self, place: &Place) -> Result<(), StoreError> {
        self.trust = Trust::Lost;
        let number = self.number + 1;
        self.file = create(place, number, self.commit, self.revision, self.file.at())?;
        (self.number, self.trust, self.is_older) = (number, Trust::Whole, false);
        Ok(())
    }

    /// More than `least` bytes, and more than the last checkpoint has, came after it.
    pub(super) fn wants_checkpoint(&self, least: u64) -> bool {
        let since = self.written - self.checkpointed;
        since > least.max(self.checkpoint_bytes) && self.trust == Trust::Whole
    }

    /// Begins a checkpoint when one is wanted.
    pub(super) fn begin_checkpoint(&mut self, place: &Place, least: u64) -> Result<Option<Mark>, StoreError> {
        if !self.wants_checkpoint(least) {
            return Ok(None);
        }
        self.roll(place)?;
        let (segment, commit, revision, written) = (self.number, self.commit, self.revision, self.written);
        Ok(Some(Mark { segment, commit, revision, written }))
    }

    pub(super) fn checkpointed(&mut self, mark: &Mark, bytes: u64) {
        (self.checkpointed, self.checkpoint_bytes) = (mark.written, bytes);
    }
}

/// A segment without frames, durable and under its name.
pub(super) fn create(
    place: &Place,
    number: u64,
    commit: u64,
    revision: Revision,
    previous_length: u64,
) -> Result<FrameFile, StoreError> {
    let unfinished = place.unfinished("segment");
    let header = Header {
        format: FORMAT,
        kind: Kind::Segment,
        salt: new_salt(),
        registry_id: place.registry_id.clone(),
        number,
        commit,
        revision,
        previous_length,
    };
    let mut file = FrameFile::create(&*place.disk, &unfinished, &header, commit + 1)?;
    file.sync()?;
    let path = place.segment(number);
    place.publish(&unfinished, &path)?;
    file.renamed(path);
    Ok(file)
}

fn read_from(path: &Path, from: u64, to: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut bytes, from));
    read.map_err(|error| unreadable(path, &error))?;
    Ok(bytes)
}

/// Sees whether `bytes` have room, in a file of its own: a commit that would fail again is not worth reading everything
/// back for.
fn make_room(place: &Place, bytes: u64) -> Result<(), StoreError> {
    let path = place.unfinished("room");
    let filled = place.disk.create(&path).and_then(|mut output| {
        let zeros = vec![0; ROOM_BYTES];
        let pieces = bytes.div_ceil(ROOM_BYTES as u64);
        (0..pieces).try_for_each(|piece| output.write(piece * ROOM_BYTES as u64, &zeros))?;
        output.sync()
    });
    drop(place.disk.remove(&path));
    filled.map_err(|error| failed(&path, &error))
}
