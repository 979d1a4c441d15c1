//! A store that forgets, for tests and for measuring without a disk. It can be
//! told to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pulse_proto::model::{ConnectionId, Revision, SourceId};

use super::{Loaded, Store, StoreError};
use crate::state::{
    ConnectionRow, Document, Entry, Horizon, Link, Note, Notes, Pair, Position, RecordRow, Remembered, Stamp,
    Tombstone, Write,
};

#[derive(Debug, Default)]
pub struct Memory {
    held: Mutex<Held>,
    failing: AtomicBool,
}

#[derive(Debug, Default)]
struct Held {
    revision: Revision,
    connections: BTreeMap<ConnectionId, ConnectionRow>,
    records: BTreeMap<(ConnectionId, SourceId), Document>,
    stamps: BTreeMap<(ConnectionId, SourceId), Stamp>,
    links: BTreeMap<Pair, Link>,
    horizon: Option<Horizon>,
    tombstones: BTreeMap<Position, Arc<Tombstone>>,
    entries: BTreeMap<Position, Arc<Entry>>,
    notes: Notes,
}

impl Memory {
    /// From now on commits fail, or succeed again.
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::Release);
    }
}

impl Store for Memory {
    fn load(&self) -> Result<Loaded, StoreError> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let mut damaged = Vec::new();
        let rows = |connection: &ConnectionId, damaged: &mut Vec<String>| {
            let mut rows = Vec::new();
            for ((owner, source_id), document) in &held.records {
                match held.stamps.get(&(owner.clone(), source_id.clone())) {
                    _ if owner != connection => {}
                    Some(stamp) => rows.push(RecordRow { document: document.clone(), stamp: *stamp }),
                    None => damaged.push(format!("{owner}: {source_id} has no stamp")),
                }
            }
            rows
        };
        let connections = held.connections.iter();
        let connections =
            connections.map(|(id, row)| (id.clone(), row.clone(), rows(id, &mut damaged))).collect();
        let remembered = Remembered {
            horizon: held.horizon.clone(),
            tombstones: held.tombstones.values().cloned().collect(),
            entries: held.entries.values().cloned().collect(),
            notes: held.notes.clone(),
        };
        Ok(Loaded {
            registry_id: "memory".to_owned(),
            revision: held.revision,
            connections,
            links: held.links.values().cloned().collect(),
            remembered,
            damaged,
        })
    }

    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
        self.recover()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.revision = revision;
        for write in writes.iter().cloned() {
            match write {
                Write::Connection(id, row) => drop(held.connections.insert(id, *row)),
                Write::Record(id, document) => {
                    let key = (id, document.source_id.clone());
                    held.records.insert(key, document);
                }
                Write::Stamp(id, source_id, stamp) => drop(held.stamps.insert((id, source_id), stamp)),
                Write::Row(id, RecordRow { document, stamp })
                | Write::Change(id, RecordRow { document, stamp }, _) => {
                    let key = (id, document.source_id.clone());
                    held.stamps.insert(key.clone(), stamp);
                    held.records.insert(key, document);
                }
                Write::RemoveRecord(id, source_id) => {
                    let key = (id, source_id);
                    held.records.remove(&key);
                    held.stamps.remove(&key);
                }
                Write::RemoveRecords(id) => {
                    held.records.retain(|(owner, _), _| *owner != id);
                    held.stamps.retain(|(owner, _), _| *owner != id);
                }
                Write::Link(link) => drop(held.links.insert(link.pair.clone(), *link)),
                Write::RemoveLink(pair) => drop(held.links.remove(&pair)),
                Write::Tombstone(tombstone) => {
                    held.tombstones.insert(tombstone.position, tombstone);
                }
                Write::Horizon(horizon) => {
                    held.tombstones.retain(|position, _| position.revision > horizon.floor);
                    held.horizon = Some(horizon);
                }
                Write::Entry(entry) => {
                    held.entries.insert(entry.position, entry);
                }
                Write::Note(Note { key, value: Some(value) }) => drop(held.notes.insert(key, value)),
                Write::Note(Note { key, value: None }) => drop(held.notes.remove(&key)),
                Write::ForgetEntries(through) => held.entries.retain(|position, _| *position > through),
            }
        }
        Ok(())
    }

    fn recover(&self) -> Result<(), StoreError> {
        if self.failing.load(Ordering::Acquire) {
            return Err(StoreError::Full { path: "memory".to_owned() });
        }
        Ok(())
    }
}
