//! Wire messages of a stream into inputs. A bad record costs itself, a bad
//! batch costs itself; nothing here ends a stream.

use std::collections::BTreeMap;

use prost::Message as _;
use pulse_proto::ProtocolError;
use pulse_proto::convert::timestamp_from_wire;
use pulse_proto::digest::Digest;
use pulse_proto::model::id::SOURCE_ID_BYTES_MAX;
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionStatus, DataSource, Epoch, RecordPart, SectionName, SectionReport,
    Sequence, SourceId,
};
use pulse_proto::pb::registry::v1 as wire;
use pulse_proto::pb::resource::v1::IngestRecord as WireRecord;
use pulse_proto::served::registry::v1::Batch as WireBatch;

use super::recall::Recall;
use crate::state::document::read::Message;
use crate::state::{
    Answer, Batch, Document, Heartbeat, Input, Print, RejectReason, Rejected, Removal, Upsert,
};

/// Sections one connection may have.
const SECTIONS_MAX: usize = 64;
/// Field of an `IngestRecord`.
pub(super) const SOURCE_ID: u32 = 1;
/// How much of a malformed id is quoted back.
const QUOTE_CHARS_MAX: usize = 200;

/// What one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub batch_records_max: usize,
    pub batch_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch_records_max: 2_000, batch_bytes_max: 3 * 1024 * 1024 }
    }
}

/// The answer when a message as a whole is refused.
pub fn batch(
    batch: WireBatch,
    collector: &CollectorId,
    limits: Limits,
    recall: &mut Recall,
) -> Result<Input, Answer> {
    let origin =
        Origin { connection: quote(&batch.connection), epoch: batch.epoch, sequence: batch.sequence };
    let records = batch.upserts.len() + batch.removals.len();
    if records > limits.batch_records_max {
        let message =
            format!("{records} records in one batch; at most {} are taken", limits.batch_records_max);
        return Err(origin.reject(RejectReason::TooLarge, message));
    }
    let bytes = batch.encoded_len();
    if bytes > limits.batch_bytes_max {
        let message = format!("a batch of {bytes} bytes; at most {} are taken", limits.batch_bytes_max);
        return Err(origin.reject(RejectReason::TooLarge, message));
    }
    if batch.snapshot_begin {
        recall.begin(&batch.connection, batch.upserts.len());
    }
    let ends = batch.snapshot_end.then(|| batch.connection.clone());
    let decoded = decode(batch, collector, recall);
    if let Some(connection) = ends {
        recall.end(&connection);
    }
    decoded.map_err(|error| origin.reject(RejectReason::Invalid, error.to_string()))
}

fn decode(batch: WireBatch, collector: &CollectorId, recall: &Recall) -> Result<Input, ProtocolError> {
    let WireBatch {
        connection,
        epoch,
        sequence,
        source,
        snapshot_begin,
        snapshot_end,
        upserts,
        removals,
        sections,
        status,
        digest,
        base_digest,
        kept_parts,
        traceparent: _,
    } = batch;
    let mut refused = Vec::new();
    let mut records = Vec::with_capacity(upserts.len());
    let held = recall.of(&connection);
    let beside = recall.beside(&connection, &upserts);
    for (record, beside) in upserts.into_iter().zip(beside) {
        let print = Print::of(&record);
        // The id as well: texts of others are in a record, and a print is no proof against who chooses them.
        let is_of =
            |document: &&Document| Message::new(&record).text(SOURCE_ID) == document.source_id.as_str();
        if let Some(document) = held.and_then(|held| held.get(&print)).filter(is_of) {
            records.push(Upsert::held(document.clone()));
            continue;
        }
        if let Some(beside) = beside
            && let Some(document) = beside.alike(&record, print)
        {
            records.push(Upsert::alike(beside, document));
            continue;
        }
        match upsert(&record, print) {
            Ok(told) => records.push(told),
            Err(error) => refused.push(rejected(id_of(&record), &error)),
        }
    }
    let mut gone = Vec::with_capacity(removals.len());
    for source_id in removals {
        match SourceId::parse(&source_id) {
            Ok(id) => gone.push(id),
            Err(error) => refused.push(rejected(quote(&source_id), &error.at("removals"))),
        }
    }
    Ok(Input::Batch(Box::new(Batch {
        collector: collector.clone(),
        connection: ConnectionId::parse(&connection).map_err(|error| error.at("connection"))?,
        epoch: epoch_of(epoch)?,
        sequence: sequence_of(sequence)?,
        source: DataSource::from_wire(source).map_err(|error| error.at("source"))?,
        snapshot_begin,
        snapshot_end,
        upserts: records,
        removals: gone,
        sections: reports(sections)?,
        status: status.map(ConnectionStatus::try_from).transpose().map_err(|error| error.at("status"))?,
        digest: digest_of(&digest, "digest")?,
        base: digest_of(&base_digest, "base_digest")?,
        kept: kept_parts
            .into_iter()
            .map(RecordPart::from_wire)
            .collect::<Result<_, _>>()
            .map_err(|error| error.at("kept_parts"))?,
        refused,
    })))
}

/// Of a record that is refused: a snapshot that names it must not sweep away what is held of it.
fn id_of(record: &[u8]) -> String {
    let told = match WireRecord::decode(record) {
        Ok(record) => record.source_id,
        Err(_) => Message::new(record).text(SOURCE_ID).to_owned(),
    };
    told.chars().take(SOURCE_ID_BYTES_MAX).collect()
}

fn upsert(record: &[u8], print: Print) -> Result<Upsert, ProtocolError> {
    let record = WireRecord::decode(record).map_err(|error| ProtocolError::invalid(error.to_string()))?;
    Upsert::told(record, print)
}

pub fn heartbeat(heartbeat: wire::Heartbeat, collector: &CollectorId) -> Result<Input, Answer> {
    let wire::Heartbeat { connection, epoch, digest, observations } = heartbeat;
    let origin = Origin { connection: quote(&connection), epoch, sequence: 0 };
    let decode = || {
        if observations.len() > SECTIONS_MAX {
            return Err(ProtocolError::invalid(format!("more than {SECTIONS_MAX}")).at("observations"));
        }
        let observation = |told: &wire::SectionObservation| {
            let at = told.observed_at.as_ref().ok_or_else(|| ProtocolError::missing().at("observed_at"))?;
            Ok::<_, ProtocolError>((SectionName::parse(&told.section)?, timestamp_from_wire(at)?))
        };
        Ok(Input::Heartbeat(Heartbeat {
            collector: collector.clone(),
            connection: ConnectionId::parse(&connection).map_err(|error| error.at("connection"))?,
            epoch: epoch_of(epoch)?,
            digest: digest_of(&digest, "digest")?,
            observations: observations
                .iter()
                .enumerate()
                .map(|(i, told)| observation(told).map_err(|error| error.at_index("observations", i)))
                .collect::<Result<_, _>>()?,
        }))
    };
    decode().map_err(|error| origin.reject(RejectReason::Invalid, error.to_string()))
}

pub fn removal(removal: &wire::ConnectionRemoval, collector: &CollectorId) -> Result<Input, Answer> {
    let wire::ConnectionRemoval { connection, epoch, sequence, own_epoch } = removal;
    let origin = Origin { connection: quote(connection), epoch: *epoch, sequence: *sequence };
    let decode = || {
        Ok::<_, ProtocolError>(Input::Removal(Removal {
            collector: collector.clone(),
            connection: ConnectionId::parse(connection).map_err(|error| error.at("connection"))?,
            epoch: epoch_of(*epoch)?,
            sequence: sequence_of(*sequence)?,
            own_epoch: epoch_of(*own_epoch).ok(),
        }))
    };
    decode().map_err(|error| origin.reject(RejectReason::Invalid, error.to_string()))
}

/// Says no to a message as a whole, whatever it holds.
pub fn refuse(connection: &str, epoch: u64, sequence: u64, reason: RejectReason, message: &str) -> Answer {
    Origin { connection: quote(connection), epoch, sequence }.reject(reason, message.to_owned())
}

fn reports(
    sections: Vec<pulse_proto::pb::resource::v1::SectionReport>,
) -> Result<Option<BTreeMap<SectionName, SectionReport>>, ProtocolError> {
    if sections.len() > SECTIONS_MAX {
        return Err(ProtocolError::invalid(format!("more than {SECTIONS_MAX}")).at("sections"));
    }
    let mut reports = BTreeMap::new();
    for (i, report) in sections.into_iter().enumerate() {
        let report = SectionReport::try_from(report).map_err(|error| error.at_index("sections", i))?;
        reports.insert(report.section.clone(), report);
    }
    Ok((!reports.is_empty()).then_some(reports))
}

fn epoch_of(epoch: u64) -> Result<Epoch, ProtocolError> {
    if epoch == 0 { Err(ProtocolError::missing().at("epoch")) } else { Ok(Epoch(epoch)) }
}

fn sequence_of(sequence: u64) -> Result<Sequence, ProtocolError> {
    if sequence == 0 { Err(ProtocolError::missing().at("sequence")) } else { Ok(Sequence(sequence)) }
}

fn digest_of(bytes: &[u8], field: &str) -> Result<Option<Digest>, ProtocolError> {
    match Digest::from_slice(bytes) {
        Some(digest) => Ok(Some(digest)),
        None if bytes.is_empty() => Ok(None),
        None => Err(ProtocolError::invalid("expected 32 bytes").at(field)),
    }
}

struct Origin {
    connection: String,
    epoch: u64,
    sequence: u64,
}

impl Origin {
    fn reject(&self, reason: RejectReason, message: String) -> Answer {
        Answer::Reject {
            connection: self.connection.clone(),
            epoch: Epoch(self.epoch),
            sequence: Sequence(self.sequence),
            reason,
            message,
            records: Vec::new(),
        }
    }
}

fn rejected(source_id: String, error: &ProtocolError) -> Rejected {
    Rejected { source_id, field: error.field.clone(), message: error.reason().to_owned() }
}

fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS_MAX).collect()
}
