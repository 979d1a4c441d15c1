//! The first bytes of every file: what it is, whose it is, and where it begins.

use std::io::{self, Read};
use std::path::Path;

use pulse_proto::model::Revision;

use super::slice::Slice;
use crate::store::StoreError;

const MAGIC: [u8; 8] = *b"PULSEREG";
/// Format of the files that are written. The first one had no changes, only whole rows.
pub(super) const FORMAT: u32 = 2;
const FORMAT_MIN: u32 = 1;
pub(super) const HEADER_BYTES: usize = 128;
const ID_BYTES_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Segment = 1,
    Checkpoint = 2,
    Archive = 3,
}

impl Kind {
    fn parse(number: u32) -> Option<Self> {
        [Self::Segment, Self::Checkpoint, Self::Archive].into_iter().find(|kind| *kind as u32 == number)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Segment => "a segment of a journal",
            Self::Checkpoint => "a checkpoint of a journal",
            Self::Archive => "a backup",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) format: u32,
    pub(super) kind: Kind,
    /// Mixed into every checksum of the file, so that nothing a client sends can look like a frame.
    pub(super) salt: u32,
    pub(super) registry_id: String,
    /// Of a segment: its number. Of a checkpoint: the first segment that follows it.
    pub(super) number: u64,
    /// The last commit before this file.
    pub(super) commit: u64,
    /// The revision of that commit.
    pub(super) revision: Revision,
    /// Of a segment: where the one before it ends. What lies behind that was never acknowledged.
    pub(super) previous_length: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let Self { format, kind, salt, registry_id, number, commit, revision, previous_length } = self;
        let mut bytes = [0; HEADER_BYTES];
        // `fits` was asked before an id was taken.
        let id = registry_id.as_bytes();
        let id = &id[..id.len().min(ID_BYTES_MAX)];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&format.to_be_bytes());
        bytes[12..16].copy_from_slice(&(*kind as u32).to_be_bytes());
        bytes[16..20].copy_from_slice(&salt.to_be_bytes());
        bytes[20] = u8::try_from(id.len()).unwrap_or(u8::MAX);
        bytes[24..24 + id.len()].copy_from_slice(id);
        bytes[88..96].copy_from_slice(&number.to_be_bytes());
        bytes[96..104].copy_from_slice(&commit.to_be_bytes());
        bytes[104..112].copy_from_slice(&revision.0.to_be_bytes());
        bytes[112..120].copy_from_slice(&previous_length.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..124]);
        bytes[124..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads the header of a file that must be of this kind.
    pub(super) fn read(input: &mut impl Read, path: &Path, kind: Kind) -> Result<Self, StoreError> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        let read = input.take(HEADER_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(path, &error))?;
        Self::decode(&bytes, path, kind)
    }

    /// A header inside a backup.
    pub(super) fn of_journal(bytes: &[u8], backup: &Path) -> Result<Self, StoreError> {
        Self::decode(bytes, backup, Kind::Segment).or_else(|_| Self::decode(bytes, backup, Kind::Checkpoint))
    }

    fn decode(bytes: &[u8], path: &Path, wanted: Kind) -> Result<Self, StoreError> {
        let path = || path.display().to_string();
        if !bytes.starts_with(&MAGIC) {
            let reason = format!("it is not {}", wanted.name());
            return Err(StoreError::Foreign { path: path(), reason });
        }
        let mut rest = Slice(&bytes[MAGIC.len()..]);
        if let Some(found) = rest.u32().filter(|found| !(FORMAT_MIN..=FORMAT).contains(found)) {
            return Err(StoreError::Format { path: path(), found: found.into(), known: FORMAT.into() });
        }
        let damaged =
            || StoreError::Damaged { path: path(), offset: 0, reason: "its header is damaged".to_owned() };
        let header = Self::parse(bytes).ok_or_else(damaged)?;
        if header.kind != wanted {
            let reason = format!("it is {}, not {}", header.kind.name(), wanted.name());
            return Err(StoreError::Foreign { path: path(), reason });
        }
        Ok(header)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (covered, crc) = bytes.split_last_chunk::<4>()?;
        if bytes.len() != HEADER_BYTES || crc32c::crc32c(covered) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut rest = Slice(&covered[MAGIC.len()..]);
        let format = rest.u32()?;
        let (kind, salt) = (Kind::parse(rest.u32()?)?, rest.u32()?);
        let id_bytes = usize::from(rest.u8()?);
        rest.bytes(3)?;
        let id = rest.bytes(ID_BYTES_MAX)?.get(..id_bytes)?;
        Some(Self {
            format,
            kind,
            salt,
            registry_id: std::str::from_utf8(id).ok()?.to_owned(),
            number: rest.u64()?,
            commit: rest.u64()?,
            revision: Revision(rest.u64()?),
            previous_length: rest.u64()?,
        })
    }
}

/// Whether an identity has a place in a header.
pub(super) fn fits(registry_id: &str) -> bool {
    registry_id.len() <= ID_BYTES_MAX
}

/// A number nobody outside can know.
pub(super) fn new_salt() -> u32 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    u32::try_from(high >> 32).unwrap_or_default()
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Open { path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            format: FORMAT,
            kind: Kind::Segment,
            salt: 7,
            registry_id: "a".repeat(ID_BYTES_MAX),
            number: 3,
            commit: 4,
            revision: Revision(5),
            previous_length: 6,
        }
    }

    #[test]
    fn a_header_reads_back_and_every_damaged_byte_is_seen() {
        let (header, path) = (header(), Path::new("f"));
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes, path, Kind::Segment).expect("whole"), header);
        for at in 0..HEADER_BYTES {
            let mut bytes = bytes;
            bytes[at] ^= 0x40;
            Header::decode(&bytes, path, Kind::Segment).expect_err("damaged");
            Header::decode(&bytes[..at], path, Kind::Segment).expect_err("short");
        }
    }

    #[test]
    fn the_remedy_fits_the_mistake() {
        let path = Path::new("f");
        let said = |bytes: &[u8], kind| Header::decode(bytes, path, kind).expect_err("refused").to_string();
        assert!(said(b"hello", Kind::Segment).contains("f does not belong here: it is not a segment"));
        let other = said(&header().encode(), Kind::Archive);
        assert!(other.contains("it is a segment of a journal, not a backup"), "{other}");
        let mut newer = header().encode();
        newer[11] = 9;
        assert!(said(&newer, Kind::Segment).contains("format 9"));
    }
}
