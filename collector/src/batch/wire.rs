//! Batches that bring a registry to a state: a delta from what it holds, or
//! the chunks of a full snapshot.

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::digest::Digest;
use pulse_proto::model::{ConnectionId, Epoch, Sequence, SourceId};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::resource::v1::DataSource;

use super::Told;

/// Room for what a batch holds besides records.
const ENVELOPE_BYTES: usize = 64 * 1024;

/// What one batch may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub records: usize,
    pub bytes: usize,
}

impl Limits {
    fn bytes_of_records(self) -> usize {
        self.bytes.saturating_sub(ENVELOPE_BYTES).max(self.bytes / 2)
    }
}

/// Whose batch it is.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    pub connection: &'a ConnectionId,
    pub epoch: Epoch,
    pub sequence: Sequence,
}

/// A chunk, and where the next one begins; `None` when the snapshot is complete.
#[derive(Debug)]
pub struct Step {
    pub batch: pb::Batch,
    pub after: Option<SourceId>,
}

/// Only what differs. `None` when that does not fit into one batch: then a snapshot is sent.
pub fn delta(stamp: Stamp<'_>, from: &Told, to: &Told, limits: Limits) -> Option<pb::Batch> {
    let changed =
        to.items().filter(|item| from.get(&item.source_id).is_none_or(|old| old.digest != item.digest));
    let mut batch = envelope(stamp, to);
    let mut bytes = 0;
    for item in changed {
        bytes += item.bytes();
        if batch.upserts.len() == limits.records || bytes > limits.bytes_of_records() {
            return None;
        }
        batch.upserts.push(item.wire());
    }
    let gone = to.gone_since(from).filter(|item| to.is_complete(&item.section));
    batch.removals = gone.map(|item| item.source_id.as_str().to_owned()).collect();
    if batch.upserts.len() + batch.removals.len() > limits.records {
        return None;
    }
    let differs =
        |report: &&pulse_proto::model::SectionReport| from.sections.get(&report.section) != Some(*report);
    batch.sections = to.sections.values().filter(differs).map(Into::into).collect();
    batch.status = (from.status != to.status).then(|| (&to.status).into());
    batch.digest = bytes_of(to.digest);
    batch.base_digest = bytes_of(from.digest);
    Some(batch)
}

/// The records after `after`, as many as fit. The first chunk brings sections and status.
pub fn snapshot_chunk(stamp: Stamp<'_>, told: &Told, after: Option<&SourceId>, limits: Limits) -> Step {
    let mut batch = envelope(stamp, told);
    if after.is_none() {
        batch.snapshot_begin = true;
        batch.sections = told.sections.values().map(Into::into).collect();
        batch.status = Some((&told.status).into());
    }
    let mut bytes = 0;
    let mut last = None;
    for item in told.after(after) {
        bytes += item.bytes();
        // One record always goes; a registry that finds it too large says so.
        let full = batch.upserts.len() == limits.records || bytes > limits.bytes_of_records();
        if full && !batch.upserts.is_empty() {
            return Step { batch, after: last };
        }
        batch.upserts.push(item.wire());
        last = Some(item.source_id.clone());
    }
    batch.snapshot_end = true;
    batch.digest = bytes_of(told.digest);
    Step { batch, after: None }
}

/// "Unchanged, seen at".
pub fn heartbeat(connection: &ConnectionId, epoch: Epoch, told: &Told) -> pb::Heartbeat {
    let observation = |report: &pulse_proto::model::SectionReport| {
        let observed_at = timestamp_to_wire(report.observed_at?);
        Some(pb::SectionObservation {
            section: report.section.as_str().to_owned(),
            observed_at: Some(observed_at),
        })
    };
    pb::Heartbeat {
        connection: connection.as_str().to_owned(),
        epoch: epoch.0,
        digest: bytes_of(told.digest),
        observations: told.sections.values().filter_map(observation).collect(),
    }
}

fn envelope(stamp: Stamp<'_>, told: &Told) -> pb::Batch {
    pb::Batch {
        connection: stamp.connection.as_str().to_owned(),
        epoch: stamp.epoch.0,
        sequence: stamp.sequence.0,
        source: DataSource::Truenas.into(),
        kept_parts: told.kept.iter().map(|part| part.to_wire()).collect(),
        traceparent: told.traceparent.clone(),
        ..pb::Batch::default()
    }
}

fn bytes_of(digest: Digest) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(digest.as_bytes())
}
