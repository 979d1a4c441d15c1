//! Steps put together: what is left of each row after all of them. A whole row
//! is read when it comes, since few are written again before a checkpoint; one
//! that is changed after it waits, as bytes, for the last change.

mod records;

use std::collections::BTreeMap;

use pulse_proto::model::ConnectionId;

use self::records::{Record, Records, no_change};
use super::common::Common;
use super::rows::{self, COMMON, NoRows, Step, groups, steps};
use super::unread::{Kept, Key, Unread};
use crate::state::{KeptConnection, Link, Remembered};
use crate::store::bytes::decode_connection;

#[derive(Debug, Default)]
pub(super) struct Fold {
    connections: BTreeMap<Box<str>, Held>,
    common: Common,
}

#[derive(Debug, Default)]
struct Held {
    row: Option<Box<[u8]>>,
    records: Records,
    /// Steps that some release could not read, and those that this one does not know.
    unread: Kept,
    /// Changes that came.
    changes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) connections: Vec<KeptConnection>,
    pub(super) links: Vec<Link>,
    pub(super) remembered: Remembered,
    /// Rows that cannot be read, and why.
    pub(super) damaged: Vec<String>,
    /// The same rows of connections, as they were written.
    pub(super) unread: Unread,
    /// Some of them were not put aside yet.
    pub(super) has_new_unread: bool,
    /// Changes that were put to records.
    pub(super) changes: u64,
}

impl Fold {
    /// Takes in the groups that are `mine`.
    pub(super) fn apply(&mut self, payload: &[u8], mine: impl Fn(&str) -> bool) -> Result<(), NoRows> {
        for group in groups(payload) {
            let (connection, group) = group?;
            if !mine(connection) {
                continue;
            }
            if connection == COMMON {
                for step in steps(group) {
                    self.common.take(step?);
                }
                continue;
            }
            if !self.connections.contains_key(connection) {
                self.connections.insert(connection.into(), Held::default());
            }
            let Some(held) = self.connections.get_mut(connection) else { continue };
            for step in steps(group) {
                held.take(step?);
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Folded {
        let mut folded = Folded::default();
        for (name, held) in self.connections {
            held.finish(name, &mut folded);
        }
        self.common.finish(&mut folded);
        folded
    }
}

impl Held {
    fn take(&mut self, step: Step<'_>) {
        match step {
            Step::Connection(bytes) => {
                self.row = Some(bytes.into());
                self.read_anew(|| Key::Connection);
            }
            Step::Record(source_id, bytes) => {
                self.records.put(source_id, None, bytes);
                self.read_anew(|| Key::Record(source_id.into()));
            }
            Step::Stamp(source_id, bytes) => self.records.stamp(source_id, bytes),
            Step::RemoveRecord(source_id) => {
                self.records.remove(source_id);
                self.read_anew(|| Key::Record(source_id.into()));
            }
            Step::RemoveRecords => {
                self.records.clear();
                self.unread.retain(|key, _| !matches!(key, Key::Record(_)));
            }
            Step::Row(source_id, stamp, bytes) => {
                self.records.put(source_id, Some(stamp), bytes);
                self.read_anew(|| Key::Record(source_id.into()));
            }
            Step::Change(source_id, stamp, bytes) => self.change(source_id, stamp, bytes),
            Step::Unread(bytes) => self.put_aside(bytes),
            Step::Unknown(tag, body) => {
                let bytes = rows::as_written(tag, body);
                self.unread.insert(Key::Other(bytes.clone()), bytes);
            }
            // Of no connection.
            Step::Link(..)
            | Step::RemoveLink(_)
            | Step::Tombstone(..)
            | Step::Horizon(_)
            | Step::Entry(..)
            | Step::ForgetEntries(_)
            | Step::Note(..)
            | Step::RemoveNote(_) => {}
        }
    }

    /// Something newer is said of a row that could not be read.
    fn read_anew(&mut self, key: impl FnOnce() -> Key) {
        if !self.unread.is_empty() {
            self.unread.remove(&key());
        }
    }

    fn change(&mut self, source_id: &str, stamp: &[u8], bytes: &[u8]) {
        self.changes += 1;
        self.take_back(source_id);
        self.records.change(source_id, stamp, bytes);
        self.read_anew(|| Key::Record(source_id.into()));
    }

    /// What was put aside could be read after all: only what is held is changed.
    fn take_back(&mut self, source_id: &str) {
        if self.unread.is_empty() {
            return;
        }
        let key = Key::Record(source_id.into());
        match self.unread.get(&key).and_then(|bytes| steps(bytes).next()) {
            Some(Ok(Step::Row(_, stamp, bytes))) => self.records.put(source_id, Some(stamp), bytes),
            _ => return,
        }
        self.unread.remove(&key);
    }

    /// The row is no longer where it stood: perhaps it can be read now, perhaps by a later release.
    fn put_aside(&mut self, bytes: &[u8]) {
        let Some(Ok(step)) = steps(bytes).next() else { return };
        let key = Key::of(&step, bytes);
        match &key {
            Key::Connection => self.row = None,
            Key::Record(source_id) => self.records.remove(source_id),
            Key::Other(_) => {}
        }
        self.unread.insert(key, bytes.into());
    }

    fn finish(mut self, name: Box<str>, folded: &mut Folded) {
        folded.changes += self.changes;
        let was_aside = self.unread.keys().filter(|key| !matches!(key, Key::Other(_))).count();
        let others = self.unread.len() - was_aside;
        let damaged_before = folded.damaged.len();
        let aside = self.unread.remove(&Key::Connection);
        let decoded = ConnectionId::parse(&name).and_then(|id| {
            let row =
                self.row.as_deref().or(aside.as_deref().and_then(body)).map(decode_connection).transpose()?;
            Ok((id, row))
        });
        let (id, mut row) = match decoded {
            Ok((id, Some(row))) => (id, row),
            // Records of a connection that was never written.
            Ok((_, None)) if self.records.is_empty() && self.unread.is_empty() => return,
            undecoded => {
                folded.damaged.push(match undecoded {
                    Err(error) => format!("connection {name:?}: {error}"),
                    Ok(_) => format!("connection {name:?} has no row"),
                });
                folded.has_new_unread |= self.row.is_some() || !self.records.is_empty();
                if let Some(bytes) = self.row.as_deref().map(rows::connection_as_written).or(aside) {
                    self.unread.insert(Key::Connection, bytes);
                }
                let records = self.records.into_sorted().filter_map(Record::into_step);
                self.unread.extend(records.map(|(source_id, step)| (Key::Record(source_id), step)));
                return folded.unread.put(name, self.unread);
            }
        };
        if others > 0 {
            folded.damaged.push(format!("connection {name:?}: {others} steps are not known here"));
        }
        // What was put aside may be readable again.
        let records = &mut self.records;
        self.unread.retain(|_, bytes| {
            let read = match steps(bytes).next() {
                Some(Ok(Step::Row(source_id, stamp, bytes))) => records.put_back(source_id, stamp, bytes),
                Some(Ok(Step::Record(source_id, bytes))) => records.put_back(source_id, &[], bytes),
                Some(Ok(Step::Change(source_id, ..))) => Err(no_change(source_id)),
                _ => return true,
            };
            read.map_err(|why| folded.damaged.push(why)).is_err()
        });
        let mut rows = Vec::with_capacity(self.records.len());
        for record in self.records.into_sorted() {
            match record.row() {
                Ok(row) => rows.extend(row),
                Err(why) => {
                    folded.damaged.push(why);
                    folded.has_new_unread = true;
                    self.unread.extend(record.into_step().map(|(id, step)| (Key::Record(id), step)));
                }
            }
        }
        if was_aside > 0 || folded.damaged.len() > damaged_before {
            // Not what its sender believes: it will be asked for everything.
            row.cursor.digest = None;
        }
        folded.unread.put(name, self.unread);
        folded.connections.push((id, row, rows));
    }
}

/// Of a connection's row that was put aside.
fn body(step: &[u8]) -> Option<&[u8]> {
    match steps(step).next() {
        Some(Ok(Step::Connection(bytes))) => Some(bytes),
        _ => None,
    }
}
