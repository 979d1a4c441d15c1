//! What a stream's snapshots are likely to tell once more. A snapshot of an
//! appliance where nothing happened repeats what is held, byte by byte: then the
//! document that is held stands for the record, and nothing is decoded.
//!
//! Only a guess of what is still held: the writer compares. `cargo xtask bench
//! ingest` has the gain as `equal_snapshot_resources_per_s`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;
use pulse_proto::model::ConnectionId;

use crate::state::{Document, Feed, Print, View};

/// Snapshots under way in one stream whose records are known; of more the oldest is decoded again.
const SNAPSHOTS_MAX: usize = 4;
/// Looking at what is held pays when the first batch tells at least this part of it; a stream that begins one snapshot
/// after the other must not make the registry walk more than it sends.
const HELD_PER_TOLD_MAX: usize = 256;

/// Of one stream.
#[derive(Debug, Default)]
pub struct Recall {
    feed: Option<Feed>,
    snapshots: VecDeque<(String, Records)>,
}

type Records = HashMap<Print, Arc<Document>, RandomState>;

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
        .filter_map(|(.., document)| Some((document.print()?, Arc::clone(document))))
        .collect()
}
