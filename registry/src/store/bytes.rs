//! The bytes of rows: protobuf, so that later releases can add fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use pulse_proto::ProtocolError;
use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionStatus, DataSource, Epoch, Freshness, IngestRecord, Revision, SectionName,
    SectionReport, Sequence, SourceId, UnixMillis,
};
use pulse_proto::pb::resource::v1 as wire;

use crate::state::lease::Cursor;
use crate::state::{ConnectionRow, Document, Stamp};

#[derive(Clone, PartialEq, Message)]
struct Connection {
    #[prost(string, tag = "1")]
    collector: String,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    sequence: u64,
    #[prost(bytes = "vec", tag = "4")]
    digest: Vec<u8>,
    #[prost(string, tag = "5")]
    source: String,
    #[prost(bool, tag = "6")]
    removed: bool,
    #[prost(message, optional, tag = "7")]
    status: Option<wire::ConnectionStatus>,
    #[prost(message, repeated, tag = "8")]
    sections: Vec<wire::SectionReport>,
    #[prost(btree_map = "string, string", tag = "9")]
    freshness: BTreeMap<String, String>,
}

/// Puts the row behind what `out` holds.
pub(super) fn encode_connection(row: &ConnectionRow, out: &mut Vec<u8>) {
    let ConnectionRow { cursor, source, removed, status, sections, freshness } = row;
    let Cursor { collector, epoch, sequence, digest } = cursor;
    let freshness = freshness.iter().map(|(name, f)| (name.to_string(), f.token().to_owned()));
    let row = Connection {
        collector: collector.to_string(),
        epoch: epoch.0,
        sequence: sequence.0,
        digest: digest.map(|digest| digest.0.to_vec()).unwrap_or_default(),
        source: source.token().to_owned(),
        removed: *removed,
        status: status.as_ref().map(Into::into),
        sections: sections.values().map(Into::into).collect(),
        freshness: freshness.collect(),
    };
    append(&row, out);
}

pub(super) fn decode_connection(bytes: &[u8]) -> Result<ConnectionRow, ProtocolError> {
    let row = Connection::decode(bytes).map_err(|error| ProtocolError::invalid(error.to_string()))?;
    let Connection { collector, epoch, sequence, digest, source, removed, status, sections, freshness } = row;
    let unknown = |what: &str| ProtocolError::invalid("unknown word").at(what);
    let mut reports = BTreeMap::new();
    for report in sections {
        let report = SectionReport::try_from(report)?;
        reports.insert(report.section.clone(), report);
    }
    let freshness = freshness.into_iter().map(|(name, word)| {
        let freshness = Freshness::from_token(&word).ok_or_else(|| unknown("freshness"))?;
        Ok((SectionName::parse(&name)?, freshness))
    });
    Ok(ConnectionRow {
        cursor: Cursor {
            collector: CollectorId::parse(&collector)?,
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
            digest: Digest::from_slice(&digest),
        },
        source: DataSource::from_token(&source).ok_or_else(|| unknown("source"))?,
        removed,
        status: status.map(ConnectionStatus::try_from).transpose()?,
        sections: reports,
        freshness: freshness.collect::<Result<_, ProtocolError>>()?,
    })
}

/// As the engine before the journal kept it.
pub(super) fn encode_record(document: &Document, out: &mut Vec<u8>) -> Result<(), ProtocolError> {
    append(&wire::IngestRecord::from(&document.record()?), out);
    Ok(())
}

pub(super) fn decode_record(bytes: &[u8]) -> Result<Arc<Document>, ProtocolError> {
    let record = wire::IngestRecord::decode(bytes).map_err(|e| ProtocolError::invalid(e.to_string()))?;
    Ok(Arc::new(Document::of(&IngestRecord::try_from(record)?)))
}

/// Puts the document behind what `out` holds: its place, then the bytes that it is.
pub(super) fn encode_document(document: &Document, out: &mut Vec<u8>) {
    let parent = document.parent_source_id.as_ref().map_or("", |id| id.as_str());
    for text in [parent, document.section.as_str()] {
        // Ids are far shorter than two bytes can say.
        out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(document.body());
}

pub(super) fn decode_document(source_id: &str, bytes: &[u8]) -> Result<Arc<Document>, ProtocolError> {
    fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (text, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        *rest = tail;
        std::str::from_utf8(text).ok()
    }
    let mut body = bytes;
    let broken = || ProtocolError::invalid("not the bytes of a record");
    let parent = text(&mut body).ok_or_else(broken)?;
    let section = text(&mut body).ok_or_else(broken)?;
    let parent = (!parent.is_empty()).then(|| SourceId::parse(parent)).transpose()?;
    let source_id = SourceId::parse(source_id)?;
    Ok(Arc::new(Document::restore(source_id, parent, SectionName::parse(section)?, body.into())?))
}

/// Memory grows with what is put in, so there is always room.
fn append(message: &impl Message, out: &mut Vec<u8>) {
    let _ = message.encode(out);
}

/// Three numbers, big endian.
pub(super) fn encode_stamp(stamp: Stamp) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&stamp.created_at.get().to_be_bytes());
    bytes[8..16].copy_from_slice(&stamp.updated_at.get().to_be_bytes());
    bytes[16..].copy_from_slice(&stamp.revision.0.to_be_bytes());
    bytes
}

pub(super) fn decode_stamp(bytes: &[u8]) -> Option<Stamp> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    let [created, updated, revision] = numbers else { return None };
    Some(Stamp {
        created_at: UnixMillis::new(u64::from_be_bytes(*created)),
        updated_at: UnixMillis::new(u64::from_be_bytes(*updated)),
        revision: Revision(u64::from_be_bytes(*revision)),
    })
}
