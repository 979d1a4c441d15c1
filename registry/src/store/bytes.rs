//! The bytes of rows: protobuf, so that later releases can add fields.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use foldhash::quality::RandomState;
use prost::Message;
use pulse_proto::ProtocolError;
use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionStatus, DataSource, Epoch, Freshness, IngestRecord, ResourceId,
    ResourceType, Revision, SectionName, SectionReport, Sequence, SourceId, UnixMillis,
};
use pulse_proto::pb::resource::v1 as wire;

use crate::state::document::{self, Families, Family, Told};
use crate::state::lease::Cursor;
use crate::state::timeline::{EntryKind, Step, Texts};
use crate::state::{
    ConnectionRow, Document, Entry, Horizon, Link, Pair, Position, Stamp, Stand, Tombstone, difference,
};

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

pub(super) fn decode_record(bytes: &[u8]) -> Result<Document, ProtocolError> {
    let record = wire::IngestRecord::decode(bytes).map_err(|e| ProtocolError::invalid(e.to_string()))?;
    Ok(Document::of(&IngestRecord::try_from(record)?))
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

pub(super) fn decode_document(
    source_id: &str,
    bytes: &[u8],
    names: &mut Names,
) -> Result<Document, ProtocolError> {
    let broken = || ProtocolError::invalid("not the bytes of a record");
    let (parent, section, body) = parts(bytes).ok_or_else(broken)?;
    let told = Told { parent, section, kind: document::kind(body)? };
    let family = names.family(&told)?;
    Ok(Document::restore_in(names.id(source_id)?, family, body))
}

/// What many records of a connection have in common. Each is kept once.
#[derive(Debug, Default)]
pub(super) struct Names {
    parents: HashSet<SourceId, RandomState>,
    sections: HashSet<SectionName, RandomState>,
    families: Families,
}

impl Names {
    /// Of a record, which others may have named as their parent.
    fn id(&self, text: &str) -> Result<SourceId, ProtocolError> {
        self.parents.get(text).map_or_else(|| SourceId::parse(text), |known| Ok(known.clone()))
    }

    fn family(&mut self, told: &Told<'_>) -> Result<Arc<Family>, ProtocolError> {
        if let Some(known) = self.families.get(told) {
            return Ok(Arc::clone(known));
        }
        let parent = (!told.parent.is_empty()).then(|| once(&mut self.parents, told.parent, SourceId::parse));
        let section = once(&mut self.sections, told.section, SectionName::parse)?;
        let family = Family::new(parent.transpose()?, section, told.kind);
        Ok(self.families.once(Arc::new(family)))
    }
}

fn once<T: Borrow<str> + Clone + Eq + Hash>(
    known: &mut HashSet<T, RandomState>,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, ProtocolError>,
) -> Result<T, ProtocolError> {
    if let Some(id) = known.get(text) {
        return Ok(id.clone());
    }
    let id = parse(text)?;
    known.insert(id.clone());
    Ok(id)
}

/// Parent, section and body of a document.
fn parts(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (text, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        *rest = tail;
        std::str::from_utf8(text).ok()
    }
    let mut body = bytes;
    Some((text(&mut body)?, text(&mut body)?, body))
}

/// Makes of an encoded document the one that the splices say.
pub(super) fn patch_document(bytes: &mut Vec<u8>, splices: &[u8]) -> Option<()> {
    let at = bytes.len() - parts(bytes)?.2.len();
    difference::patch(bytes, at, splices)
}

/// Whether an encoded document is the one that a [`Difference`](crate::state::Difference) was to make.
pub(super) fn is_document(bytes: &[u8], check: u32) -> bool {
    parts(bytes).is_some_and(|(parent, section, body)| difference::check_of(parent, section, body) == check)
}

/// Memory grows with what is put in, so there is always room.
fn append(message: &impl Message, out: &mut Vec<u8>) {
    let _ = message.encode(out);
}

/// What an operator said of two records. A store keeps it under [`link_key`].
#[derive(Clone, PartialEq, Message)]
struct Linked {
    #[prost(string, tag = "1")]
    left_connection: String,
    #[prost(string, tag = "2")]
    left_source_id: String,
    #[prost(string, tag = "3")]
    right_connection: String,
    #[prost(string, tag = "4")]
    right_source_id: String,
    #[prost(bool, tag = "5")]
    same: bool,
    #[prost(string, tag = "6")]
    reason: String,
    #[prost(string, tag = "7")]
    who: String,
    #[prost(uint64, tag = "8")]
    at: u64,
}

/// Equal for equal pairs: ids hold no control characters.
pub(super) fn link_key(pair: &Pair) -> String {
    let [left, right] = pair.ends().map(|(connection, source_id)| format!("{connection}\0{source_id}"));
    format!("{left}\0{right}")
}

pub(super) fn encode_link(link: &Link) -> Vec<u8> {
    let Link { pair, stand, reason, who, at } = link;
    let [left, right] = pair.ends();
    Linked {
        left_connection: left.0.to_string(),
        left_source_id: left.1.to_string(),
        right_connection: right.0.to_string(),
        right_source_id: right.1.to_string(),
        same: *stand == Stand::Same,
        reason: reason.clone(),
        who: who.clone(),
        at: at.get(),
    }
    .encode_to_vec()
}

pub(super) fn decode_link(bytes: &[u8]) -> Result<Link, ProtocolError> {
    let row = Linked::decode(bytes).map_err(|error| ProtocolError::invalid(error.to_string()))?;
    let key = |connection: &str, source_id: &str| {
        Ok::<_, ProtocolError>((ConnectionId::parse(connection)?, SourceId::parse(source_id)?))
    };
    let left = key(&row.left_connection, &row.left_source_id)?;
    let right = key(&row.right_connection, &row.right_source_id)?;
    Ok(Link {
        pair: Pair::of(left, right),
        stand: if row.same { Stand::Same } else { Stand::Different },
        reason: row.reason,
        who: row.who,
        at: UnixMillis::new(row.at),
    })
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
    let Entry { position: _, at, kind, id, resource_type, connection, source, texts } = entry;
    let step = |Step { field, from, to }: Step<'_>| KeptStep {
        field: field.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    KeptEntry {
        at: at.get(),
        kind: kind.token().to_owned(),
        id: id.to_string(),
        resource_type: resource_type.to_wire(),
        name: texts.name().to_owned(),
        technology: texts.technology().to_owned(),
        connection: connection.to_string(),
        source: source.token().to_owned(),
        steps: texts.steps().map(step).collect(),
        reason: texts.reason().to_owned(),
    }
    .encode_to_vec()
}

pub(super) fn decode_entry(position: &[u8], bytes: &[u8]) -> Result<Entry, ProtocolError> {
    let position = decode_position(position).ok_or_else(|| ProtocolError::invalid("no position"))?;
    let row: KeptEntry = decoded(bytes)?;
    let unknown = || ProtocolError::invalid("unknown word").at("kind");
    let steps = row.steps.iter().map(|KeptStep { field, from, to }| Step { field, from, to });
    Ok(Entry {
        position,
        at: UnixMillis::new(row.at),
        kind: EntryKind::from_token(&row.kind).ok_or_else(unknown)?,
        id: ResourceId::parse(&row.id)?,
        resource_type: ResourceType::from_wire(row.resource_type)?,
        connection: ConnectionId::parse(&row.connection)?,
        source: source(&row.source)?,
        texts: Texts::of(&row.name, &row.technology, &row.reason, steps),
    })
}

fn source(token: &str) -> Result<DataSource, ProtocolError> {
    DataSource::from_token(token).ok_or_else(|| ProtocolError::invalid("unknown word").at("source"))
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, ProtocolError> {
    M::decode(bytes).map_err(|error| ProtocolError::invalid(error.to_string()))
}
