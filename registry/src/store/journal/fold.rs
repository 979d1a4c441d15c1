//! Steps put together: what is left of each row after all of them. Rows stay
//! encoded until the end, so what was overwritten is never decoded.

use std::collections::{BTreeMap, HashMap};

use foldhash::quality::RandomState;
use pulse_proto::model::ConnectionId;

use super::common::Common;
use super::rows::{self, COMMON, NoRows, STAMP_BYTES, Step, groups, steps};
use super::unread::{Kept, Key, Unread};
use crate::state::{KeptConnection, Link, RecordRow, Remembered, difference};
use crate::store::bytes::{decode_connection, decode_document, decode_stamp, is_document, patch_document};

#[derive(Debug, Default)]
pub(super) struct Fold {
    connections: BTreeMap<Box<str>, Held>,
    common: Common,
}

#[derive(Debug, Default)]
struct Held {
    row: Option<Box<[u8]>>,
    /// Put in order at the end: while they come in, each is looked up, and a tree compares some ten long ids each time.
    records: HashMap<Box<str>, Raw, RandomState>,
    /// Steps that some release could not read, and those that this one does not know.
    unread: Kept,
    /// Changes that came.
    changes: u64,
}

#[derive(Debug, Default)]
struct Raw {
    record: Option<Vec<u8>>,
    stamp: Option<[u8; STAMP_BYTES]>,
    /// What the record must be after the last change. Asked once, at the end: a change of another record than it was
    /// made for shows in what comes of it.
    check: Option<u32>,
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
                self.edit(source_id, |raw| (raw.record, raw.check) = (Some(bytes.into()), None));
                self.read_anew(|| Key::Record(source_id.into()));
            }
            Step::Stamp(source_id, bytes) => self.edit(source_id, |raw| raw.stamp = bytes.try_into().ok()),
            Step::RemoveRecord(source_id) => {
                self.records.remove(source_id);
                self.read_anew(|| Key::Record(source_id.into()));
            }
            Step::RemoveRecords => {
                self.records.clear();
                self.unread.retain(|key, _| !matches!(key, Key::Record(_)));
            }
            Step::Row(source_id, stamp, bytes) => {
                let new = Raw { record: Some(bytes.into()), stamp: stamp.try_into().ok(), check: None };
                self.edit(source_id, |raw| *raw = new);
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
        self.edit(source_id, |raw| {
            if raw.change(stamp, bytes).is_none() {
                *raw = Raw::unfit(stamp);
            }
        });
        self.read_anew(|| Key::Record(source_id.into()));
    }

    /// What was put aside could be read after all: only what is held is changed.
    fn take_back(&mut self, source_id: &str) {
        if self.unread.is_empty() {
            return;
        }
        let key = Key::Record(source_id.into());
        let raw = match self.unread.get(&key).and_then(|bytes| steps(bytes).next()) {
            Some(Ok(Step::Row(_, stamp, bytes))) => {
                Raw { record: Some(bytes.into()), stamp: stamp.try_into().ok(), check: None }
            }
            _ => return,
        };
        self.unread.remove(&key);
        self.records.insert(source_id.into(), raw);
    }

    /// The row is no longer where it stood: perhaps it can be read now, perhaps by a later release.
    fn put_aside(&mut self, bytes: &[u8]) {
        let Some(Ok(step)) = steps(bytes).next() else { return };
        let key = Key::of(&step, bytes);
        match &key {
            Key::Connection => self.row = None,
            Key::Record(source_id) => drop(self.records.remove(source_id)),
            Key::Other(_) => {}
        }
        self.unread.insert(key, bytes.into());
    }

    fn edit(&mut self, source_id: &str, change: impl FnOnce(&mut Raw)) {
        if let Some(raw) = self.records.get_mut(source_id) {
            return change(raw);
        }
        let mut raw = Raw::default();
        change(&mut raw);
        self.records.insert(source_id.into(), raw);
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
                for (source_id, raw) in self.records {
                    let Some(step) = raw.as_written(&source_id) else { continue };
                    self.unread.insert(Key::Record(source_id), step);
                }
                return folded.unread.put(name, self.unread);
            }
        };
        if others > 0 {
            folded.damaged.push(format!("connection {name:?}: {others} steps are not known here"));
        }
        let mut records = Vec::with_capacity(self.records.len());
        // What was put aside may be readable again.
        self.unread.retain(|_, bytes| {
            let (source_id, stamp, bytes) = match steps(bytes).next() {
                Some(Ok(Step::Row(source_id, stamp, bytes))) => (source_id, stamp.try_into().ok(), bytes),
                Some(Ok(Step::Record(source_id, bytes))) => (source_id, None, bytes),
                Some(Ok(Step::Change(source_id, ..))) => {
                    folded.damaged.push(no_change(source_id));
                    return true;
                }
                _ => return true,
            };
            match record(source_id, stamp, bytes) {
                Ok(row) => records.push(row),
                Err(why) => {
                    folded.damaged.push(why);
                    return true;
                }
            }
            false
        });
        let mut held: Vec<(Box<str>, Raw)> = self.records.into_iter().collect();
        held.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        for (source_id, raw) in held {
            let Some(bytes) = &raw.record else { continue };
            let read = if raw.is_whole() {
                record(&source_id, raw.stamp.as_ref(), bytes)
            } else {
                Err(no_change(&source_id))
            };
            match read {
                Ok(row) => records.push(row),
                Err(why) => {
                    folded.damaged.push(why);
                    folded.has_new_unread = true;
                    let step = raw.as_written(&source_id);
                    self.unread.extend(step.map(|step| (Key::Record(source_id), step)));
                }
            }
        }
        records.sort_by(|a, b| a.document.source_id.cmp(&b.document.source_id));
        if was_aside > 0 || folded.damaged.len() > damaged_before {
            // Not what its sender believes: it will be asked for everything.
            row.cursor.digest = None;
        }
        folded.unread.put(name, self.unread);
        folded.connections.push((id, row, records));
    }
}

impl Raw {
    /// After a change of what is not there: nothing is made of it, nor of what comes on top.
    fn unfit(stamp: &[u8]) -> Self {
        Self { record: Some(Vec::new()), stamp: stamp.try_into().ok(), check: Some(0) }
    }

    /// `None`: it has nothing that this could be a change of.
    fn change(&mut self, stamp: &[u8], bytes: &[u8]) -> Option<()> {
        let (check, splices) = difference::split(bytes)?;
        patch_document(self.record.as_mut()?, splices)?;
        (self.stamp, self.check) = (stamp.try_into().ok(), Some(check));
        Some(())
    }

    /// Changes came to what they were made for.
    fn is_whole(&self) -> bool {
        let record = self.record.as_deref().unwrap_or_default();
        self.check.is_none_or(|check| is_document(record, check))
    }

    fn as_written(&self, source_id: &str) -> Option<Box<[u8]>> {
        let bytes = self.record.as_ref()?;
        let stamp = self.stamp.as_ref();
        Some(match stamp.filter(|_| !self.is_whole()) {
            Some(stamp) => rows::change_as_written(source_id, stamp),
            None => rows::record_as_written(source_id, stamp, bytes),
        })
    }
}

fn no_change(source_id: &str) -> String {
    format!("record {source_id:?} is not the one that was changed")
}

/// A record that can be read, or why it cannot.
fn record(source_id: &str, stamp: Option<&[u8; STAMP_BYTES]>, bytes: &[u8]) -> Result<RecordRow, String> {
    let document =
        decode_document(source_id, bytes).map_err(|error| format!("record {source_id:?}: {error}"))?;
    let stamp = stamp.and_then(|stamp| decode_stamp(stamp));
    let stamp = stamp.ok_or_else(|| format!("record {source_id:?} has no stamp"))?;
    Ok(RecordRow { document, stamp })
}

/// Of a connection's row that was put aside.
fn body(step: &[u8]) -> Option<&[u8]> {
    match steps(step).next() {
        Some(Ok(Step::Connection(bytes))) => Some(bytes),
        _ => None,
    }
}
