//! Rows that this release cannot read, after a downgrade or a change of the
//! format: kept as they are, through checkpoints too, until something newer is
//! said of the same row. A release that can read them finds them again.

use std::collections::BTreeMap;

use super::rows::{self, Step};
use crate::state::{RecordRow, Write};

/// What a kept step is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The row of the connection itself.
    Connection,
    Record(Box<str>),
    /// A kind of step that is not known here.
    Other(Box<[u8]>),
}

/// Of one connection: steps as they were written.
pub(super) type Kept = BTreeMap<Key, Box<[u8]>>;

/// By connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unread(BTreeMap<Box<str>, Kept>);

impl Key {
    pub(super) fn of(step: &Step<'_>, bytes: &[u8]) -> Self {
        match step {
            Step::Connection(_) => Self::Connection,
            Step::Record(source_id, _) | Step::Row(source_id, ..) | Step::Change(source_id, ..) => {
                Self::Record((*source_id).into())
            }
            _ => Self::Other(bytes.into()),
        }
    }
}

impl Unread {
    pub(super) fn put(&mut self, connection: Box<str>, kept: Kept) {
        if !kept.is_empty() {
            self.0.insert(connection, kept);
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What is written anew takes the place of what could not be read.
    pub(super) fn overtaken_by(&mut self, writes: &[Write]) {
        if self.0.is_empty() {
            return;
        }
        for write in writes {
            match write {
                Write::Connection(id, _) => {
                    self.edit(id.as_str(), |kept| drop(kept.remove(&Key::Connection)));
                }
                Write::Record(id, document)
                | Write::Row(id, RecordRow { document, .. })
                | Write::Change(id, RecordRow { document, .. }, _) => {
                    let key = Key::Record(document.source_id.as_str().into());
                    self.edit(id.as_str(), |kept| drop(kept.remove(&key)));
                }
                Write::RemoveRecord(id, source_id) => {
                    let key = Key::Record(source_id.as_str().into());
                    self.edit(id.as_str(), |kept| drop(kept.remove(&key)));
                }
                Write::RemoveRecords(id) => {
                    self.edit(id.as_str(), |kept| kept.retain(|key, _| !matches!(key, Key::Record(_))));
                }
                Write::Stamp(..)
                | Write::Link(_)
                | Write::RemoveLink(_)
                | Write::Tombstone(_)
                | Write::Horizon(_)
                | Write::Entry(_)
                | Write::ForgetEntries(_)
                | Write::Note(_) => {}
            }
        }
        self.0.retain(|_, kept| !kept.is_empty());
    }

    fn edit(&mut self, connection: &str, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.0.get_mut(connection) {
            change(kept);
        }
    }

    /// Steps that say so, behind what `out` holds.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (connection, kept) in &self.0 {
            rows::group(connection, out, |out| kept.values().for_each(|step| rows::unread(step, out)));
        }
    }
}

#[cfg(test)]
mod tests;
