//! Digests that tell whether two sides hold the same state. Times of
//! observation are left out: seeing the same thing again is not a change.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::model::{ConnectionStatus, SectionReport, SourceId};
use crate::pb::resource::v1 as wire;

/// A SHA-256 value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `None` when the bytes are not a digest.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// Digest of one record as it travels.
pub fn record_digest(record: &wire::IngestRecord) -> Digest {
    encoded_digest(&record.encode_to_vec())
}

/// The same, of a record that is encoded already.
pub fn encoded_digest(record: &[u8]) -> Digest {
    Digest(Sha256::digest(record).into())
}

/// Digest of a connection's whole state. `records` must come in ascending order
/// of source id, `sections` of section name.
pub fn state_digest<'a>(
    records: impl IntoIterator<Item = (&'a SourceId, &'a Digest)>,
    sections: impl IntoIterator<Item = &'a SectionReport>,
    status: Option<&ConnectionStatus>,
) -> Digest {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (source_id, digest) in records {
        field(source_id.as_str().as_bytes());
        field(digest.as_bytes());
    }
    for report in sections {
        let mut report = wire::SectionReport::from(report);
        report.observed_at = None;
        field(b"section");
        field(&report.encode_to_vec());
    }
    if let Some(status) = status {
        field(b"status");
        field(&wire::ConnectionStatus::from(status).encode_to_vec());
    }
    Digest(hash.finalize().into())
}
