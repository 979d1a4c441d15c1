//! What is held of that which a stream tells. A snapshot of an appliance where
//! nothing happened repeats it, byte by byte: then the document that is held
//! stands for the record, and nothing is decoded. What else changes differs
//! mostly in numbers: then it is compared and not decoded either.
//!
//! Only a guess of what is still held: the writer compares. `cargo xtask bench
//! ingest` has the gain as `equal_snapshot_resources_per_s` and `durable_records_per_s_1m`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use prost::bytes::Bytes;
use pulse_proto::model::ConnectionId;

use super::decode::SOURCE_ID;
use crate::state::document::read::Message;
use crate::state::{Document, Feed, Print, View};

/// Snapshots under way in one stream whose records are known; of more the oldest is decoded again.
const SNAPSHOTS_MAX: usize = 4;
/// Looking at what is held pays when a batch tells at least this part of it; a stream that begins one snapshot after the
/// other, or sends one record at a time, must not make the registry walk more than it sends.
const HELD_PER_TOLD_MAX: usize = 256;

/// Of one stream.
#[derive(Debug, Default)]
pub struct Recall {
    feed: Option<Feed>,
    snapshots: VecDeque<(String, Records)>,
}

type Records = HashMap<Print, Document, RandomState>;

impl Recall {
    pub const fn new(feed: Feed) -> Self {
        Self { feed: Some(feed), snapshots: VecDeque::new() }
    }

    /// Before the first batch of a snapshot is decoded.
    pub(super) fn begin(&mut self, connection: &str, told: usize) {
        self.end(connection);
        let (Some(feed), Ok(id)) = (&self.feed, ConnectionId::parse(connection)) else { return };
        let records = held(&feed.view(), &id, told.saturating_mul(HELD_PER_TOLD_MAX));
        if records.is_empty() {
            return;
        }
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back((connection.to_owned(), records));
    }

    /// Held for certain when the snapshot began. `None` outside of snapshots.
    pub(super) fn of(&self, connection: &str) -> Option<&Records> {
        self.snapshots.iter().find(|(of, _)| of == connection).map(|(_, records)| records)
    }

    /// What each record of a batch may be compared with.
    pub(super) fn beside(&self, connection: &str, records: &[Bytes]) -> Vec<Option<Document>> {
        let rows = || {
            let view = self.feed.as_ref()?.view();
            let shard = view.shard(&ConnectionId::parse(connection).ok()?)?;
            let rows = &shard.resources;
            (rows.len() <= records.len().saturating_mul(HELD_PER_TOLD_MAX)).then(|| Arc::clone(rows))
        };
        let Some(rows) = rows() else { return vec![None; records.len()] };
        let ids: Vec<&str> = records.iter().map(|record| Message::new(record).text(SOURCE_ID)).collect();
        let document = |row: usize| rows[row].document.clone();
        rows.of_records(&ids).into_iter().map(|row| row.map(document)).collect()
    }

    /// After the last batch of a snapshot is decoded.
    pub(super) fn end(&mut self, connection: &str) {
        self.snapshots.retain(|(of, _)| of != connection);
    }
}

fn held(view: &View, connection: &ConnectionId, max: usize) -> Records {
    let shard = view.shard(connection).filter(|shard| shard.resources.len() <= max);
    let Some(shard) = shard else { return Records::default() };
    let records = shard.resources.iter().flat_map(|resource| resource.records());
    records
        .filter(|(of, ..)| *of == connection)
        .filter_map(|(.., document)| Some((document.print()?, document.clone())))
        .collect()
}
