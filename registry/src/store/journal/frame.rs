//! Frames: length, place and checksum before a payload. Owns how a frame is
//! sealed and what a damaged one looks like; refuses to know what is inside.

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use super::slice::Slice;

pub(super) const HEAD_BYTES: usize = 32;
/// Payload of one frame.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Rows = 1,
    /// The last frame of a file that has an end.
    End = 2,
    /// Of an archive: a file begins.
    File = 3,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: FrameKind,
    /// One more than that of the frame before.
    pub(super) ordinal: u64,
    pub(super) revision: u64,
    length: u32,
    payload_crc: u32,
}

/// Makes room for a head; the payload is then put behind it.
pub(super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(HEAD_BYTES, 0);
}

/// Fills in the head. `false`: the payload is too long for a frame.
#[must_use]
pub(super) fn seal(buffer: &mut [u8], salt: u32, kind: FrameKind, ordinal: u64, revision: u64) -> bool {
    let Some((head, payload)) = buffer.split_first_chunk_mut::<HEAD_BYTES>() else { return false };
    let Some(length) = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= PAYLOAD_BYTES_MAX)
    else {
        return false;
    };
    head[..4].copy_from_slice(&length.to_be_bytes());
    head[4..8].copy_from_slice(&(kind as u32).to_be_bytes());
    head[8..16].copy_from_slice(&ordinal.to_be_bytes());
    head[16..24].copy_from_slice(&revision.to_be_bytes());
    head[24..28].copy_from_slice(&crc32c::crc32c_append(salt, payload).to_be_bytes());
    // The head has its own checksum: a length that can be trusted tells a torn end from damage further in front.
    let crc = crc32c::crc32c_append(salt, &head[..28]);
    head[28..].copy_from_slice(&crc.to_be_bytes());
    true
}

impl Head {
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES], salt: u32) -> Option<Self> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c_append(salt, covered) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut rest = Slice(covered);
        let length = rest.u32().filter(|length| *length as usize <= PAYLOAD_BYTES_MAX)?;
        let kind = rest.u32()?;
        let kind =
            [FrameKind::Rows, FrameKind::End, FrameKind::File].into_iter().find(|k| *k as u32 == kind)?;
        Some(Self { kind, ordinal: rest.u64()?, revision: rest.u64()?, length, payload_crc: rest.u32()? })
    }

    /// Head and payload.
    pub(super) fn frame_bytes(&self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.length)
    }
}

/// Reads frame after frame.
pub(super) struct Frames<R> {
    input: R,
    salt: u32,
    /// Where the next frame begins.
    at: u64,
    /// Where the last one must end; `None`: where the input does.
    end: Option<u64>,
    /// Of the next frame.
    ordinal: u64,
    /// A buffer for its payload.
    spare: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Frame(Head, Vec<u8>),
    /// The last frame ended where the input ends.
    End,
    Broken(Broken),
}

/// No whole frame stands at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: u64,
    pub(super) reason: &'static str,
    pub(super) reach: Reach,
}

/// How far a broken frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Its head cannot be trusted.
    Unknown,
    /// To here, as its head says.
    Ends(u64),
    /// It is whole, but does not belong here.
    Foreign,
}

impl<R: Read> Frames<R> {
    /// `at` is where `input` stands in its file, `end` where the frames end, `ordinal` that of the first.
    pub(super) fn new(input: R, salt: u32, at: u64, end: u64, ordinal: u64) -> Self {
        Self { input, salt, at, end: Some(end), ordinal, spare: Vec::new() }
    }

    /// All that comes, however much that is.
    pub(super) fn of_stream(input: R, salt: u32, at: u64, ordinal: u64) -> Self {
        Self { input, salt, at, end: None, ordinal, spare: Vec::new() }
    }

    /// Where the next frame begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The payload of a frame that nobody needs any more: the next one is read into its memory, which is there already.
    pub(super) fn reuse(&mut self, payload: Vec<u8>) {
        self.spare = payload;
    }

    pub(super) fn next(&mut self) -> io::Result<Next> {
        let (at, left) = (self.at, self.end.map_or(u64::MAX, |end| end.saturating_sub(self.at)));
        let broken = |reason, reach| Ok(Next::Broken(Broken { at, reason, reach }));
        if left == 0 {
            return Ok(Next::End);
        }
        if left < HEAD_BYTES as u64 {
            return broken("a frame is cut short", Reach::Unknown);
        }
        let head = self.take(HEAD_BYTES, Vec::new())?;
        if head.is_empty() {
            return Ok(Next::End);
        }
        let Some(head) = head.first_chunk::<HEAD_BYTES>() else {
            return broken("a frame is cut short", Reach::Unknown);
        };
        let Some(head) = Head::parse(head, self.salt) else {
            return broken("the head of a frame does not match its checksum", Reach::Unknown);
        };
        let ends = Reach::Ends(at + head.frame_bytes());
        if head.ordinal != self.ordinal {
            return broken("a frame stands where another one should", Reach::Foreign);
        }
        if left < head.frame_bytes() {
            return broken("a frame is cut short", ends);
        }
        let spare = std::mem::take(&mut self.spare);
        let payload = self.take(head.length as usize, spare)?;
        if payload.len() != head.length as usize {
            return broken("a frame is cut short", ends);
        }
        if crc32c::crc32c_append(self.salt, &payload) != head.payload_crc {
            return broken("a frame does not match its checksum", ends);
        }
        self.at += head.frame_bytes();
        self.ordinal += 1;
        Ok(Next::Frame(head, payload))
    }

    /// The next bytes; fewer where a stream ends. A file that has less than it should is an error.
    fn take(&mut self, count: usize, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        bytes.clear();
        bytes.reserve(count);
        self.input.by_ref().take(count as u64).read_to_end(&mut bytes)?;
        if bytes.len() < count && self.end.is_some() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }
}

/// Whether the head of a frame after `ordinal` stands anywhere in `bytes`.
pub(super) fn has_head_after(bytes: &[u8], salt: u32, ordinal: u64) -> bool {
    let most = ordinal.saturating_add((bytes.len() / HEAD_BYTES) as u64);
    bytes.windows(HEAD_BYTES).any(|window| {
        let Some(window) = window.first_chunk::<HEAD_BYTES>() else { return false };
        // The cheap question first: it is asked at every byte.
        let stands = Slice(&window[8..]).u64().is_some_and(|found| found > ordinal && found <= most);
        stands && Head::parse(window, salt).is_some()
    })
}
