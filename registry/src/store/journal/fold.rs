//! Steps put together: what is left of each row after all of them. Rows stay
//! encoded until the end, so what was overwritten is never decoded.

use std::collections::BTreeMap;

use pulse_proto::model::ConnectionId;

use super::common::Common;
use super::rows::{COMMON, NoRows, STAMP_BYTES, Step, groups, steps};
use crate::state::{KeptConnection, Link, RecordRow, Remembered};
use crate::store::bytes::{decode_connection, decode_document, decode_stamp};

#[derive(Debug, Default)]
pub(super) struct Fold {
    connections: BTreeMap<Box<str>, Held>,
    common: Common,
}

#[derive(Debug, Default)]
struct Held {
    row: Option<Box<[u8]>>,
    records: BTreeMap<Box<str>, Raw>,
    /// Steps that this release does not know.
    unknown: usize,
}

#[derive(Debug, Default)]
struct Raw {
    record: Option<Box<[u8]>>,
    stamp: Option<[u8; STAMP_BYTES]>,
}

#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) connections: Vec<KeptConnection>,
    pub(super) links: Vec<Link>,
    pub(super) remembered: Remembered,
    /// Rows that cannot be read, and why.
    pub(super) damaged: Vec<String>,
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
            held.finish(&name, &mut folded);
        }
        self.common.finish(&mut folded);
        folded
    }
}

impl Held {
    fn take(&mut self, step: Step<'_>) {
        match step {
            Step::Connection(bytes) => self.row = Some(bytes.into()),
            Step::Record(source_id, bytes) => self.edit(source_id, |raw| raw.record = Some(bytes.into())),
            Step::Stamp(source_id, bytes) => self.edit(source_id, |raw| raw.stamp = bytes.try_into().ok()),
            Step::RemoveRecord(source_id) => drop(self.records.remove(source_id)),
            Step::RemoveRecords => self.records.clear(),
            Step::Row(source_id, stamp, bytes) => {
                let new = Raw { record: Some(bytes.into()), stamp: stamp.try_into().ok() };
                self.edit(source_id, |raw| *raw = new);
            }
            // Of no connection, or of a later release.
            Step::Link(..)
            | Step::RemoveLink(_)
            | Step::Tombstone(..)
            | Step::Horizon(_)
            | Step::Entry(..)
            | Step::ForgetEntries(_)
            | Step::Note(..)
            | Step::RemoveNote(_)
            | Step::Unknown(_) => self.unknown += 1,
        }
    }

    fn edit(&mut self, source_id: &str, change: impl FnOnce(&mut Raw)) {
        if let Some(raw) = self.records.get_mut(source_id) {
            return change(raw);
        }
        let mut raw = Raw::default();
        change(&mut raw);
        self.records.insert(source_id.into(), raw);
    }

    fn finish(self, name: &str, folded: &mut Folded) {
        let decoded = ConnectionId::parse(name).and_then(|id| {
            let row = self.row.as_deref().map(decode_connection).transpose()?;
            Ok((id, row))
        });
        let (id, mut row) = match decoded {
            Ok((id, Some(row))) => (id, row),
            // Records of a connection that was never written.
            Ok((_, None)) if self.records.is_empty() && self.unknown == 0 => return,
            Ok((_, None)) => return folded.damaged.push(format!("connection {name:?} has no row")),
            Err(error) => return folded.damaged.push(format!("connection {name:?}: {error}")),
        };
        let damaged_before = folded.damaged.len();
        if self.unknown > 0 {
            folded.damaged.push(format!("connection {name:?}: {} steps are not known here", self.unknown));
        }
        let mut records = Vec::with_capacity(self.records.len());
        for (source_id, raw) in self.records {
            let Some(bytes) = raw.record else { continue };
            match (
                decode_document(&source_id, &bytes),
                raw.stamp.as_ref().and_then(|stamp| decode_stamp(stamp)),
            ) {
                (Ok(document), Some(stamp)) => records.push(RecordRow { document, stamp }),
                (Err(error), _) => folded.damaged.push(format!("record {source_id:?}: {error}")),
                (_, None) => folded.damaged.push(format!("record {source_id:?} has no stamp")),
            }
        }
        if folded.damaged.len() > damaged_before {
            // Not what its sender believes: it will be asked for everything.
            row.cursor.digest = None;
        }
        folded.connections.push((id, row, records));
    }
}
