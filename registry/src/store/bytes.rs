//! The bytes of rows: protobuf, so that later releases can add fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;
use pulse_proto::ProtocolError;
use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionStatus, DataSource, Epoch, Freshness, IngestRecord, ResourceId,
    ResourceType, Revision, SectionName, SectionReport, Sequence, UnixMillis,
};
use pulse_proto::pb::resource::v1 as wire;

use crate::state::lease::Cursor;
use crate::state::timeline::{EntryKind, Step};
use crate::state::{ConnectionRow, Document, Entry, Horizon, Position, Stamp, Tombstone};

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

pub(super) fn encode_connection(row: &ConnectionRow) -> Vec<u8> {
    let ConnectionRow { cursor, source, removed, status, sections, freshness } = row;
    let Cursor { collector, epoch, sequence, digest } = cursor;
    let freshness = freshness.iter().map(|(name, f)| (name.to_string(), f.token().to_owned()));
    Connection {
        collector: collector.to_string(),
        epoch: epoch.0,
        sequence: sequence.0,
        digest: digest.map(|digest| digest.0.to_vec()).unwrap_or_default(),
        source: source.token().to_owned(),
        removed: *removed,
        status: status.as_ref().map(Into::into),
        sections: sections.values().map(Into::into).collect(),
        freshness: freshness.collect(),
    }
    .encode_to_vec()
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

pub(super) fn encode_record(document: &Document) -> Result<Vec<u8>, ProtocolError> {
    Ok(wire::IngestRecord::from(&document.record()?).encode_to_vec())
}

pub(super) fn decode_record(bytes: &[u8]) -> Result<Arc<Document>, ProtocolError> {
    let record = wire::IngestRecord::decode(bytes).map_err(|e| ProtocolError::invalid(e.to_string()))?;
    Ok(Arc::new(Document::of(&IngestRecord::try_from(record)?)))
}

/// Four numbers, big endian.
pub(super) fn encode_stamp(stamp: Stamp) -> [u8; 32] {
    let Stamp { created_at, updated_at, revision, created } = stamp;
    let mut bytes = [0; 32];
    for (at, number) in [created_at.get(), updated_at.get(), revision.0, created.0].into_iter().enumerate() {
        bytes[at * 8..at * 8 + 8].copy_from_slice(&number.to_be_bytes());
    }
    bytes
}

pub(super) fn decode_stamp(bytes: &[u8]) -> Option<Stamp> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    let (created_at, updated_at, revision, created) = match numbers {
        // As written before the revision of the beginning was kept.
        [created_at, updated_at, revision] => (created_at, updated_at, revision, &[0; 8]),
        [created_at, updated_at, revision, created] => (created_at, updated_at, revision, created),
        _ => return None,
    };
    Some(Stamp {
        created_at: UnixMillis::new(u64::from_be_bytes(*created_at)),
        updated_at: UnixMillis::new(u64::from_be_bytes(*updated_at)),
        revision: Revision(u64::from_be_bytes(*revision)),
        created: Revision(u64::from_be_bytes(*created)),
    })
}

/// Revision, then index, big endian: keys sort as positions do.
pub(super) fn encode_position(position: Position) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&position.revision.0.to_be_bytes());
    bytes[8..].copy_from_slice(&position.index.to_be_bytes());
    bytes
}

pub(super) fn decode_position(bytes: &[u8]) -> Option<Position> {
    let (revision, index) = bytes.split_first_chunk::<8>()?;
    let index = u32::from_be_bytes(index.try_into().ok()?);
    Some(Position { revision: Revision(u64::from_be_bytes(*revision)), index })
}

#[derive(Clone, PartialEq, Message)]
struct KeptHorizon {
    #[prost(uint64, tag = "1")]
    floor: u64,
    #[prost(string, tag = "2")]
    shown_by: String,
}

pub(super) fn encode_horizon(horizon: &Horizon) -> Vec<u8> {
    let Horizon { floor, shown_by } = horizon;
    KeptHorizon { floor: floor.0, shown_by: shown_by.clone() }.encode_to_vec()
}

pub(super) fn decode_horizon(bytes: &[u8]) -> Result<Horizon, ProtocolError> {
    let KeptHorizon { floor, shown_by } = decoded(bytes)?;
    Ok(Horizon { floor: Revision(floor), shown_by })
}

#[derive(Clone, PartialEq, Message)]
struct KeptTombstone {
    #[prost(uint64, tag = "1")]
    at: u64,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(int32, tag = "3")]
    resource_type: i32,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    technology: String,
    #[prost(string, tag = "6")]
    connection: String,
    #[prost(string, tag = "7")]
    connection_name: String,
    #[prost(string, tag = "8")]
    source: String,
}

/// Without its position: that is the key.
pub(super) fn encode_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    let Tombstone {
        position: _,
        at,
        id,
        resource_type,
        name,
        technology,
        connection,
        connection_name,
        source,
    } = tombstone;
    KeptTombstone {
        at: at.get(),
        id: id.to_string(),
        resource_type: resource_type.to_wire(),
        name: name.to_string(),
        technology: technology.to_string(),
        connection: connection.to_string(),
        connection_name: connection_name.to_string(),
        source: source.token().to_owned(),
    }
    .encode_to_vec()
}

pub(super) fn decode_tombstone(position: &[u8], bytes: &[u8]) -> Result<Tombstone, ProtocolError> {
    let position = decode_position(position).ok_or_else(|| ProtocolError::invalid("no position"))?;
    let row: KeptTombstone = decoded(bytes)?;
    Ok(Tombstone {
        position,
        at: UnixMillis::new(row.at),
        id: ResourceId::parse(&row.id)?,
        resource_type: ResourceType::from_wire(row.resource_type)?,
        name: row.name.into(),
        technology: row.technology.into(),
        connection: ConnectionId::parse(&row.connection)?,
        connection_name: row.connection_name.into(),
        source: source(&row.source)?,
    })
}

#[derive(Clone, PartialEq, Message)]
struct KeptEntry {
    #[prost(uint64, tag = "1")]
    at: u64,
    #[prost(string, tag = "2")]
    kind: String,
    #[prost(string, tag = "3")]
    id: String,
    #[prost(int32, tag = "4")]
    resource_type: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(string, tag = "6")]
    technology: String,
    #[prost(string, tag = "7")]
    connection: String,
    #[prost(string, tag = "8")]
    source: String,
    #[prost(message, repeated, tag = "9")]
    steps: Vec<KeptStep>,
    #[prost(string, tag = "10")]
    reason: String,
}

#[derive(Clone, PartialEq, Message)]
struct KeptStep {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    from: String,
    #[prost(string, tag = "3")]
    to: String,
}

/// Without its position: that is the key.
pub(super) fn encode_entry(entry: &Entry) -> Vec<u8> {
    let Entry {
        position: _,
        at,
        kind,
        id,
        resource_type,
        name,
        technology,
        connection,
        source,
        steps,
        reason,
    } = entry;
    let step = |Step { field, from, to }: &Step| KeptStep {
        field: field.to_string(),
        from: from.to_string(),
        to: to.to_string(),
    };
    KeptEntry {
        at: at.get(),
        kind: kind.token().to_owned(),
        id: id.to_string(),
        resource_type: resource_type.to_wire(),
        name: name.to_string(),
        technology: technology.to_string(),
        connection: connection.to_string(),
        source: source.token().to_owned(),
        steps: steps.iter().map(step).collect(),
        reason: reason.to_string(),
    }
    .encode_to_vec()
}

pub(super) fn decode_entry(position: &[u8], bytes: &[u8]) -> Result<Entry, ProtocolError> {
    let position = decode_position(position).ok_or_else(|| ProtocolError::invalid("no position"))?;
    let row: KeptEntry = decoded(bytes)?;
    let unknown = || ProtocolError::invalid("unknown word").at("kind");
    let step = |KeptStep { field, from, to }| Step { field: field.into(), from: from.into(), to: to.into() };
    Ok(Entry {
        position,
        at: UnixMillis::new(row.at),
        kind: EntryKind::from_token(&row.kind).ok_or_else(unknown)?,
        id: ResourceId::parse(&row.id)?,
        resource_type: ResourceType::from_wire(row.resource_type)?,
        name: row.name.into(),
        technology: row.technology.into(),
        connection: ConnectionId::parse(&row.connection)?,
        source: source(&row.source)?,
        steps: row.steps.into_iter().map(step).collect(),
        reason: row.reason.into(),
    })
}

fn source(token: &str) -> Result<DataSource, ProtocolError> {
    DataSource::from_token(token).ok_or_else(|| ProtocolError::invalid("unknown word").at("source"))
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, ProtocolError> {
    M::decode(bytes).map_err(|error| ProtocolError::invalid(error.to_string()))
}
