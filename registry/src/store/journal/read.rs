//! Reads a journal as a whole: checkpoint, then segments, each frame checked.
//! Decides what is a torn end and what is damage; changes nothing.

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulse_proto::model::Revision;

use super::frame::{Broken, FrameKind, Frames, Next, Reach, has_head_after};
use super::header::{HEADER_BYTES, Header, Kind, unreadable};
use super::place::{CHECKPOINT, segment, segments};
use crate::store::StoreError;

/// A longer frame goes to where it is put, but for its beginning.
const READ_BYTES: usize = 16 * 1024;

/// Every file that counts, open: a file that is removed meanwhile can still be read.
#[derive(Debug)]
pub(super) struct Plan {
    checkpoint: Opened,
    segments: Vec<Opened>,
    /// The end of the last segment is known: nothing of it may be torn.
    is_closed: bool,
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    header: Header,
    /// Where what counts ends, as far as that is known before it is read.
    length: u64,
}

/// What is handed out, in order.
pub(super) enum Piece<'a> {
    File(&'a Header),
    Rows(Rows),
}

/// A good frame of rows.
pub(super) struct Rows {
    pub(super) path: Arc<Path>,
    pub(super) at: u64,
    pub(super) revision: u64,
    pub(super) payload: Vec<u8>,
}

/// Where a journal ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) registry_id: String,
    pub(super) checkpoint_bytes: u64,
    pub(super) segments_bytes: u64,
    pub(super) first_segment: u64,
    pub(super) last_segment: u64,
    /// Of the last segment.
    pub(super) format: u32,
    pub(super) salt: u32,
    /// Of the last segment: where its last frame begins (or its header does), and where it ends.
    pub(super) last_frame: u64,
    pub(super) length: u64,
    pub(super) commit: u64,
    pub(super) revision: Revision,
}

/// Answers with a payload that is not needed any more, or an empty one.
type Each<'a> = &'a mut dyn FnMut(Piece<'_>) -> Result<Vec<u8>, StoreError>;

impl Plan {
    /// `until`: the last segment and its length, when they are known.
    pub(super) fn open(folder: &Path, until: Option<(u64, u64)>) -> Result<Self, StoreError> {
        let checkpoint = Opened::open(folder.join(CHECKPOINT), Kind::Checkpoint)?;
        let first = checkpoint.header.number;
        let numbers = segments(folder).map_err(|error| unreadable(folder, &error))?;
        let counts = |number: &u64| *number >= first && until.is_none_or(|(last, _)| *number <= last);
        let mut opened: Vec<Opened> = Vec::new();
        for number in numbers.into_iter().filter(counts) {
            let expected = first + opened.len() as u64;
            if number != expected {
                return Err(missing(&segment(folder, expected)));
            }
            let next = Opened::open(segment(folder, number), Kind::Segment)?;
            next.belongs(&checkpoint.header, number)?;
            if let Some(before) = opened.last_mut() {
                before.ends_at(next.header.previous_length)?;
            }
            opened.push(next);
        }
        if let (Some(last), Some((_, length))) = (opened.last_mut(), until) {
            last.ends_at(length)?;
        }
        let last_number = until.map_or(first, |(last, _)| last);
        if opened.is_empty() || first + opened.len() as u64 <= last_number {
            return Err(missing(&segment(folder, first + opened.len() as u64)));
        }
        Ok(Self { checkpoint, segments: opened, is_closed: until.is_some() })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.checkpoint.length + self.segments.iter().map(|opened| opened.length).sum::<u64>()
    }

    pub(super) fn header(&self) -> &Header {
        &self.checkpoint.header
    }

    /// Hands every frame to `each`.
    pub(super) fn read(mut self, each: Each<'_>) -> Result<End, StoreError> {
        self.checkpoint.read_checkpoint(each)?;
        let header = &self.checkpoint.header;
        let mut end = End {
            registry_id: header.registry_id.clone(),
            checkpoint_bytes: self.checkpoint.length,
            segments_bytes: 0,
            first_segment: header.number,
            last_segment: header.number,
            format: header.format,
            salt: 0,
            last_frame: 0,
            length: 0,
            commit: header.commit,
            revision: header.revision,
        };
        let count = self.segments.len();
        for (index, opened) in self.segments.iter_mut().enumerate() {
            let may_be_torn = index + 1 == count && !self.is_closed;
            opened.read_segment(may_be_torn, &mut end, each)?;
        }
        Ok(end)
    }
}

impl Opened {
    fn open(path: PathBuf, kind: Kind) -> Result<Self, StoreError> {
        let mut file = File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(&path),
            _ => unreadable(&path, &error),
        })?;
        let length = file.metadata().map_err(|error| unreadable(&path, &error))?.len();
        let header = Header::read(&mut file, &path, kind)?;
        Ok(Self { path, file, header, length })
    }

    fn belongs(&self, checkpoint: &Header, number: u64) -> Result<(), StoreError> {
        let foreign = |reason| Err(StoreError::Foreign { path: self.path.display().to_string(), reason });
        if self.header.registry_id != checkpoint.registry_id {
            let (own, other) = (&checkpoint.registry_id, &self.header.registry_id);
            return foreign(format!("it is of registry {other}, and this is {own}"));
        }
        if self.header.number != number {
            return foreign(format!("it is segment {}", self.header.number));
        }
        Ok(())
    }

    fn ends_at(&mut self, length: u64) -> Result<(), StoreError> {
        if self.length < length {
            return Err(self.damaged(self.length, &format!("it should have {length} bytes")));
        }
        self.length = length;
        Ok(())
    }

    fn damaged(&self, offset: u64, reason: &str) -> StoreError {
        StoreError::Damaged { path: self.path.display().to_string(), offset, reason: reason.to_owned() }
    }

    fn frames(&self, first: u64) -> Frames<BufReader<&File>> {
        let input = BufReader::with_capacity(READ_BYTES, &self.file);
        Frames::new(input, self.header.salt, HEADER_BYTES as u64, self.length, first)
    }

    fn read_checkpoint(&mut self, each: Each<'_>) -> Result<(), StoreError> {
        each(Piece::File(&self.header))?;
        let path: Arc<Path> = Arc::from(self.path.as_path());
        let mut frames = self.frames(1);
        let mut is_complete = false;
        loop {
            let at = frames.at();
            match frames.next().map_err(|error| unreadable(&self.path, &error))? {
                Next::Frame(head, payload) if head.kind == FrameKind::Rows && !is_complete => {
                    let path = Arc::clone(&path);
                    frames.reuse(each(Piece::Rows(Rows { path, at, revision: head.revision, payload }))?);
                }
                Next::Frame(head, _) if head.kind == FrameKind::End && !is_complete => is_complete = true,
                Next::Frame(..) => return Err(self.damaged(at, "a frame stands where none should")),
                Next::End if is_complete => return Ok(()),
                Next::End => return Err(self.damaged(at, "its end is missing")),
                Next::Broken(broken) => return Err(self.damaged(at, broken.reason)),
            }
        }
    }

    fn read_segment(&mut self, may_be_torn: bool, end: &mut End, each: Each<'_>) -> Result<(), StoreError> {
        if (self.header.commit, self.header.revision) != (end.commit, end.revision) {
            let reason = format!(
                "it goes on after commit {} of revision {}, what is before it ends with {} of {}",
                self.header.commit, self.header.revision, end.commit, end.revision,
            );
            return Err(self.damaged(0, &reason));
        }
        each(Piece::File(&self.header))?;
        let path: Arc<Path> = Arc::from(self.path.as_path());
        (end.last_segment, end.salt, end.last_frame) = (self.header.number, self.header.salt, 0);
        end.format = self.header.format;
        let mut frames = self.frames(end.commit + 1);
        loop {
            let at = frames.at();
            match frames.next().map_err(|error| unreadable(&self.path, &error))? {
                Next::Frame(head, payload) if head.kind == FrameKind::Rows => {
                    end.last_frame = at;
                    (end.commit, end.revision) = (head.ordinal, Revision(head.revision));
                    let path = Arc::clone(&path);
                    frames.reuse(each(Piece::Rows(Rows { path, at, revision: head.revision, payload }))?);
                }
                Next::Frame(..) => return Err(self.damaged(at, "a frame stands where none should")),
                Next::Broken(broken) if !(may_be_torn && self.is_torn(broken, end.commit + 1)?) => {
                    return Err(self.damaged(at, broken.reason));
                }
                Next::End | Next::Broken(_) => {
                    end.length = at;
                    end.segments_bytes += at;
                    return Ok(());
                }
            }
        }
    }

    /// Whether the broken frame is the last one, so that no acknowledged commit can stand behind it.
    fn is_torn(&self, broken: Broken, ordinal: u64) -> Result<bool, StoreError> {
        match broken.reach {
            Reach::Foreign => Ok(false),
            Reach::Ends(end) => Ok(end >= self.length),
            Reach::Unknown => {
                let mut rest = Vec::new();
                let mut file = &self.file;
                let read = file
                    .seek(SeekFrom::Start(broken.at))
                    .and_then(|_| file.take(self.length - broken.at).read_to_end(&mut rest));
                read.map_err(|error| unreadable(&self.path, &error))?;
                Ok(!has_head_after(&rest, self.header.salt, ordinal))
            }
        }
    }
}

fn missing(path: &Path) -> StoreError {
    StoreError::Damaged { path: path.display().to_string(), offset: 0, reason: "it is missing".to_owned() }
}
