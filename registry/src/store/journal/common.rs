//! Rows of no connection put together: links, and what is remembered of what
//! went and changed. Encoded until the end, like all rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fold::Folded;
use super::rows::Step;
use crate::state::Position;
use crate::store::bytes::{
    decode_entry, decode_horizon, decode_link, decode_position, decode_tombstone, encode_position,
};

/// Key and row.
type Rows = BTreeMap<Box<[u8]>, Box<[u8]>>;

#[derive(Debug, Default)]
pub(super) struct Common {
    links: Rows,
    /// By position: keys sort as positions do.
    tombstones: Rows,
    entries: Rows,
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
            Step::Tombstone(key, bytes) => drop(self.tombstones.insert(key.into(), bytes.into())),
            Step::Entry(key, bytes) => drop(self.entries.insert(key.into(), bytes.into())),
            Step::Note(key, bytes) => drop(self.notes.insert(key.into(), bytes.into())),
            Step::RemoveNote(key) => drop(self.notes.remove(key)),
            Step::Horizon(bytes) => {
                if let Ok(horizon) = decode_horizon(bytes) {
                    let above = encode_position(Position { revision: horizon.floor.next(), index: 0 });
                    self.tombstones = self.tombstones.split_off(&above[..]);
                }
                self.horizon = Some(bytes.into());
            }
            Step::ForgetEntries(through) => {
                if let Some(through) = decode_position(through) {
                    let index = through.index.saturating_add(1);
                    self.entries =
                        self.entries.split_off(&encode_position(Position { index, ..through })[..]);
                }
            }
            Step::Connection(_)
            | Step::Record(..)
            | Step::Stamp(..)
            | Step::RemoveRecord(_)
            | Step::RemoveRecords
            | Step::Row(..)
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
        for (key, bytes) in self.tombstones {
            match decode_tombstone(&key, &bytes) {
                Ok(tombstone) => remembered.tombstones.push(Arc::new(tombstone)),
                Err(error) => damaged.push(format!("a tombstone: {error}")),
            }
        }
        for (key, bytes) in self.entries {
            match decode_entry(&key, &bytes) {
                Ok(entry) => remembered.entries.push(Arc::new(entry)),
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
