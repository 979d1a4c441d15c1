//! What is kept for good, as plain data: the store writes it, a start reads it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, ConnectionStatus, DataSource, Freshness, Revision, SectionName, SectionReport, SourceId,
    UnixMillis,
};

use super::document::Document;
use super::lease::Cursor;

/// A connection as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionRow {
    pub cursor: Cursor,
    pub source: DataSource,
    /// Deleted at its collector. Only the cursor matters, so that an older holder stays fenced.
    pub removed: bool,
    pub status: Option<ConnectionStatus>,
    pub sections: BTreeMap<SectionName, SectionReport>,
    /// As clients were last told.
    pub freshness: BTreeMap<SectionName, Freshness>,
}

/// When a resource came, changed, and at which revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub created_at: UnixMillis,
    pub updated_at: UnixMillis,
    pub revision: Revision,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow {
    pub document: Arc<Document>,
    pub stamp: Stamp,
}

/// A connection with all that is kept of it, ascending by source id.
pub type KeptConnection = (ConnectionId, ConnectionRow, Vec<RecordRow>);

/// One step of a commit. Later steps win.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Connection(ConnectionId, Box<ConnectionRow>),
    Record(ConnectionId, Arc<Document>),
    Stamp(ConnectionId, SourceId, Stamp),
    RemoveRecord(ConnectionId, SourceId),
    /// All records of a connection; its row stays.
    RemoveRecords(ConnectionId),
}
