//! What comes in, decoded, and what is said back.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionStatus, DataSource, Epoch, RecordPart, Revision, SectionName,
    SectionReport, Sequence, SourceId, UnixMillis,
};

use super::document::Upsert;

/// One message of a collector.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    Batch(Box<Batch>),
    Heartbeat(Heartbeat),
    Removal(Removal),
}

/// Some of the state of one connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub collector: CollectorId,
    pub connection: ConnectionId,
    pub epoch: Epoch,
    pub sequence: Sequence,
    pub source: DataSource,
    pub snapshot_begin: bool,
    pub snapshot_end: bool,
    pub upserts: Vec<Upsert>,
    pub removals: Vec<SourceId>,
    /// `None`: as before.
    pub sections: Option<BTreeMap<SectionName, SectionReport>>,
    pub status: Option<ConnectionStatus>,
    pub digest: Option<Digest>,
    pub base: Option<Digest>,
    /// What the sender has not looked at since it started.
    pub kept: BTreeSet<RecordPart>,
    /// Records that could not be decoded; the batch stands without them.
    pub refused: Vec<Rejected>,
}

/// Nothing changed, seen again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    pub collector: CollectorId,
    pub connection: ConnectionId,
    pub epoch: Epoch,
    pub digest: Option<Digest>,
    pub observations: Vec<(SectionName, UnixMillis)>,
}

/// The connection was deleted at the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    pub collector: CollectorId,
    pub connection: ConnectionId,
    pub epoch: Epoch,
    pub sequence: Sequence,
    /// An earlier one of the same collector, which may have had another id then.
    pub own_epoch: Option<Epoch>,
}

/// One record that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub source_id: String,
    pub field: String,
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    Records,
    /// Another holder has this epoch.
    Fenced(Epoch),
    OutOfSequence,
    TooLarge,
    Invalid,
    Exhausted,
    Disabled,
}

/// What the collector is told, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Ack {
        connection: ConnectionId,
        epoch: Epoch,
        sequence: Sequence,
        revision: Revision,
    },
    Reject {
        /// As the collector wrote it: it may be malformed.
        connection: String,
        epoch: Epoch,
        sequence: Sequence,
        reason: RejectReason,
        message: String,
        records: Vec<Rejected>,
    },
    Resync {
        connection: ConnectionId,
        reason: &'static str,
    },
}
