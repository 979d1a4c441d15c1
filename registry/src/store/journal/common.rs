//! Rows of no connection put together: links, and what is remembered of what
//! went and changed. Encoded until the end, like all rows.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

use pulse_proto::model::ConnectionId;

use super::fold::Folded;
use super::rows::Step;
use crate::state::Position;
use crate::store::bytes::{
    decode_entry, decode_horizon, decode_link, decode_position, decode_tombstone, encode_position,
};

/// Key and row.
type Rows = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// The same where keys come in ascending, nearly always: a start finds a hundred thousands of them.
#[derive(Debug, Default)]
struct Queue(VecDeque<Row>);

type Row = (Box<[u8]>, Box<[u8]>);

impl Queue {
    fn insert(&mut self, key: &[u8], row: &[u8]) {
        let new = || (key.into(), row.into());
        if self.0.back().is_none_or(|(last, _)| **last < *key) {
            return self.0.push_back(new());
        }
        match self.0.binary_search_by(|(other, _)| (**other).cmp(key)) {
            Ok(at) => self.0[at] = new(),
            Err(at) => self.0.insert(at, new()),
        }
    }

    /// Leaves what is at this key or above.
    fn forget_below(&mut self, key: &[u8]) {
        let gone = self.0.partition_point(|(other, _)| **other < *key);
        drop(self.0.drain(..gone));
    }
}

#[derive(Debug, Default)]
pub(super) struct Common {
    links: Rows,
    /// By position: keys sort as positions do.
    tombstones: Queue,
    entries: Queue,
    horizon: Option<Box<[u8]>>,
    notes: BTreeMap<Box<str>, Box<[u8]>>,
    /// Steps that this release does not know.
    unknown: usize,
}

impl Common {
    pub(super) fn take(&mut self, step: Step<'_>) {
        match step {
            Step::Link(key, bytes) => drop(self.links.insert(key.into(), bytes.into())),
            Step::RemoveLink(key) => drop(self.links.remove(key)),
            Step::Tombstone(key, bytes) => self.tombstones.insert(key, bytes),
            Step::Entry(key, bytes) => self.entries.insert(key, bytes),
            Step::Note(key, bytes) => drop(self.notes.insert(key.into(), bytes.into())),
            Step::RemoveNote(key) => drop(self.notes.remove(key)),
            Step::Horizon(bytes) => {
                if let Ok(horizon) = decode_horizon(bytes) {
                    let above = encode_position(Position { revision: horizon.floor.next(), index: 0 });
                    self.tombstones.forget_below(&above[..]);
                }
                self.horizon = Some(bytes.into());
            }
            Step::ForgetEntries(through) => {
                if let Some(through) = decode_position(through) {
                    let index = through.index.saturating_add(1);
                    self.entries.forget_below(&encode_position(Position { index, ..through })[..]);
                }
            }
            Step::Connection(_)
            | Step::Record(..)
            | Step::Stamp(..)
            | Step::RemoveRecord(_)
            | Step::RemoveRecords
            | Step::Row(..)
            | Step::Change(..)
            | Step::Unread(_)
            | Step::Unknown(..) => self.unknown += 1,
        }
    }

    pub(super) fn finish(self, folded: &mut Folded) {
        let Folded { links, remembered, damaged, .. } = folded;
        for bytes in self.links.into_values() {
            match decode_link(&bytes) {
                Ok(link) => links.push(link),
                Err(error) => damaged.push(format!("a link: {error}")),
            }
        }
        for (key, bytes) in self.tombstones.0 {
            match decode_tombstone(&key, &bytes) {
                Ok(tombstone) => remembered.tombstones.push(Arc::new(tombstone)),
                Err(error) => damaged.push(format!("a tombstone: {error}")),
            }
        }
        let mut connections: HashSet<ConnectionId> = HashSet::new();
        for (key, bytes) in self.entries.0 {
            match decode_entry(&key, &bytes) {
                Ok(mut entry) => {
                    // Many entries are of one connection.
                    match connections.get(&entry.connection) {
                        Some(known) => entry.connection = known.clone(),
                        None => drop(connections.insert(entry.connection.clone())),
                    }
                    remembered.entries.push(Arc::new(entry));
                }
                Err(error) => damaged.push(format!("an entry of the timeline: {error}")),
            }
        }
        remembered.notes = self.notes.into_iter().map(|(key, bytes)| (key.into(), bytes.into())).collect();
        match self.horizon.as_deref().map(decode_horizon).transpose() {
            Ok(horizon) => remembered.horizon = horizon,
            Err(error) => damaged.push(format!("the horizon: {error}")),
        }
        if self.unknown > 0 {
            damaged.push(format!("{} steps are not known here", self.unknown));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_in_order_whatever_comes_when() {
        let mut queue = Queue::default();
        for (key, row) in [(3, 1), (5, 2), (4, 3), (5, 4), (9, 5), (1, 6)] {
            queue.insert(&[key], &[row]);
        }
        let held = |queue: &Queue| queue.0.iter().map(|(key, row)| (key[0], row[0])).collect::<Vec<_>>();
        assert_eq!(held(&queue), [(1, 6), (3, 1), (4, 3), (5, 4), (9, 5)]);
        queue.forget_below(&[4]);
        assert_eq!(held(&queue), [(4, 3), (5, 4), (9, 5)]);
        queue.forget_below(&[6]);
        assert_eq!(held(&queue), [(9, 5)]);
    }
}
