//! What is kept for good, as plain data: the store writes it, a start reads it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, ConnectionStatus, DataSource, Freshness, Revision, SectionName, SectionReport, SourceId,
    UnixMillis,
};

use super::document::{Difference, Document};
use super::lease::Cursor;
use super::merge::link::{Link, Pair};
use super::past::{Horizon, Position, Tombstone};
use super::resource::{Anchor, Resource};
use super::timeline::Entry;

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
    /// The revision it came with.
    pub created: Revision,
}

impl Stamp {
    /// As it is shown.
    pub(super) fn of(resource: &Resource) -> Self {
        let Anchor { created_at, created, .. } = *resource.anchor;
        let Resource { updated_at, revision, .. } = *resource;
        Self { created_at, updated_at, revision, created }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct RecordRow {
    pub document: Document,
    pub stamp: Stamp,
}

/// A connection with all that is kept of it, ascending by source id.
pub type KeptConnection = (ConnectionId, ConnectionRow, Vec<RecordRow>);

/// A row of somebody who keeps what is his own beside the records; its meaning is his.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub key: Arc<str>,
    /// `None`: it goes.
    pub value: Option<Arc<[u8]>>,
}

/// All notes, by key.
pub type Notes = BTreeMap<Arc<str>, Arc<[u8]>>;

/// One step of a commit. Later steps win.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Connection(ConnectionId, Box<ConnectionRow>),
    Record(ConnectionId, Document),
    Stamp(ConnectionId, SourceId, Stamp),
    /// A record and its stamp.
    Row(ConnectionId, RecordRow),
    /// The same, and what makes its document of the one that was written last.
    Change(ConnectionId, RecordRow, Difference),
    RemoveRecord(ConnectionId, SourceId),
    /// All records of a connection; its row stays.
    RemoveRecords(ConnectionId),
    /// What an operator said about two records; takes the place of what was said before.
    Link(Box<Link>),
    RemoveLink(Box<Pair>),
    /// A resource went. Never changed, kept until a horizon passes it.
    Tombstone(Arc<Tombstone>),
    /// In place of the one before; tombstones at or before its floor go.
    Horizon(Horizon),
    /// A line of the timeline. Never changed.
    Entry(Arc<Entry>),
    /// The timeline begins after this position.
    ForgetEntries(Position),
    /// In place of the one before with this key.
    Note(Note),
}
