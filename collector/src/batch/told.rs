//! What is told of one connection: every record once, with its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message as _;
use pulse_proto::digest::{Digest, encoded_digest, state_digest};
use pulse_proto::model::{ConnectionStatus, IngestRecord, RecordPart, SectionName, SectionReport, SourceId};
use pulse_proto::pb::resource::v1 as pb;
use sha2::{Digest as _, Sha256};

/// One record, as it travels: a fleet's records are held encoded, which takes a tenth of the memory.
#[derive(Debug)]
pub struct Item {
    pub source_id: SourceId,
    pub section: SectionName,
    pub digest: Digest,
    encoded: Box<[u8]>,
}

/// The whole state of a connection at one moment.
#[derive(Debug)]
pub struct Told {
    /// Ascending by source id, each once.
    items: Arc<[Arc<Item>]>,
    pub sections: BTreeMap<SectionName, SectionReport>,
    pub status: ConnectionStatus,
    /// Parts of records that were not read since the start: the registry keeps what it holds.
    pub kept: BTreeSet<RecordPart>,
    /// Of everything but the times of observation.
    pub digest: Digest,
    /// What read it, for whoever follows a trace; no part of the state.
    pub traceparent: String,
}

impl Told {
    /// Records that are as they were in `before` are shared with it.
    pub fn new(
        records: Vec<IngestRecord>,
        sections: Vec<SectionReport>,
        status: ConnectionStatus,
        kept: BTreeSet<RecordPart>,
        before: Option<&Self>,
    ) -> Self {
        let mut items: Vec<_> = records
            .into_iter()
            .map(|record| {
                let old = before.and_then(|before| before.get(&record.source_id));
                let encoded = pb::IngestRecord::from(&record).encode_to_vec();
                match old.filter(|old| *old.encoded == *encoded) {
                    Some(old) => Arc::clone(old),
                    None => Arc::new(Item::new(record, encoded)),
                }
            })
            .collect();
        items.sort_by(|a, b| a.source_id.cmp(&b.source_id));
        items.dedup_by(|a, b| a.source_id == b.source_id);
        Self::of(items.into(), sections, status, kept)
    }

    /// The same records, read again.
    #[must_use]
    pub fn again(&self, sections: Vec<SectionReport>, status: ConnectionStatus) -> Self {
        Self::of(Arc::clone(&self.items), sections, status, self.kept.clone())
    }

    fn of(
        items: Arc<[Arc<Item>]>,
        sections: Vec<SectionReport>,
        status: ConnectionStatus,
        kept: BTreeSet<RecordPart>,
    ) -> Self {
        let sections: BTreeMap<_, _> =
            sections.into_iter().map(|report| (report.section.clone(), report)).collect();
        let digests = items.iter().map(|item| (&item.source_id, &item.digest));
        let digest = with_kept(state_digest(digests, sections.values(), Some(&status)), &kept);
        Self { items, sections, status, kept, digest, traceparent: String::new() }
    }

    #[must_use]
    pub fn traced(self, traceparent: String) -> Self {
        Self { traceparent, ..self }
    }

    pub fn items(&self) -> impl ExactSizeIterator<Item = &Arc<Item>> {
        self.items.iter()
    }

    pub fn get(&self, id: &SourceId) -> Option<&Arc<Item>> {
        self.items.binary_search_by(|item| item.source_id.cmp(id)).ok().map(|at| &self.items[at])
    }

    /// Those that come later than `id`, or all.
    pub fn after(&self, id: Option<&SourceId>) -> &[Arc<Item>] {
        let from = id.map_or(0, |id| self.items.partition_point(|item| item.source_id <= *id));
        &self.items[from..]
    }

    /// The section was read completely: it says everything there is.
    pub fn is_complete(&self, section: &SectionName) -> bool {
        self.sections.get(section).is_some_and(|report| report.outcome.is_complete())
    }

    pub fn complete_sections(&self) -> impl Iterator<Item = &SectionName> {
        self.sections.keys().filter(|section| self.is_complete(section))
    }

    /// What `before` has and this has not.
    pub fn gone_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a Arc<Item>> {
        before.items().filter(|item| self.get(&item.source_id).is_none())
    }
}

/// A state of which parts are not known is another one than the same state with those parts known.
fn with_kept(digest: Digest, kept: &BTreeSet<RecordPart>) -> Digest {
    if kept.is_empty() {
        return digest;
    }
    let mut hash = Sha256::new();
    hash.update(digest.as_bytes());
    for part in kept {
        hash.update(part.token());
    }
    Digest(hash.finalize().into())
}

impl Item {
    fn new(record: IngestRecord, encoded: Vec<u8>) -> Self {
        let IngestRecord { source_id, section, .. } = record;
        Self { source_id, section, digest: encoded_digest(&encoded), encoded: encoded.into_boxed_slice() }
    }

    /// Encoded length.
    pub fn bytes(&self) -> usize {
        self.encoded.len()
    }

    pub fn wire(&self) -> pb::IngestRecord {
        pb::IngestRecord::decode(&*self.encoded).expect("it was encoded here")
    }
}
