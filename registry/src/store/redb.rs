//! The embedded engine of earlier releases: one redb file. It is read when a
//! registry moves to the journal, and stays what the journal is compared with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, Revision, SourceId};
use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition,
    WriteTransaction,
};

use super::bytes::{
    decode_connection, decode_entry, decode_horizon, decode_link, decode_record, decode_stamp,
    decode_tombstone, encode_connection, encode_entry, encode_horizon, encode_link, encode_position,
    encode_record, encode_stamp, encode_tombstone, link_key,
};
use super::{Loaded, Store, StoreError};
use crate::state::{Document, Note, Position, RecordRow, Remembered, Stamp, Write};

/// Format of the file.
const FORMAT: u64 = 1;
/// Memory for pages of the file.
const CACHE_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const FILE_NAME: &str = "registry.redb";

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const CONNECTIONS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("connections");
/// Key: connection, source id.
const RECORDS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("records");
const STAMPS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("stamps");
const LINKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("links");
const NOTES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("notes");

/// Key: position.
const TOMBSTONES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("tombstones");
/// Key: position.
const TIMELINE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("timeline");

#[derive(Debug)]
pub struct Redb {
    database: Database,
    registry_id: String,
    path: PathBuf,
}

impl Redb {
    /// Opens the file in `folder`, or makes it with `new_id` as the registry's identity.
    pub fn open(folder: &Path, new_id: &str) -> Result<Self, StoreError> {
        let path = folder.join(FILE_NAME);
        let shown = path.display().to_string();
        let database = Database::builder().set_cache_size(CACHE_BYTES_MAX).create(&path).map_err(
            |error| match error {
                DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: shown.clone() },
                other => StoreError::Open { path: shown.clone(), reason: other.to_string() },
            },
        )?;
        let registry_id = prepare(&database, new_id, &shown)?;
        Ok(Self { database, registry_id, path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes tables and identity when they are not there; refuses a format of the future.
fn prepare(database: &Database, new_id: &str, path: &str) -> Result<String, StoreError> {
    let transaction = database.begin_write().map_err(engine)?;
    let registry_id = {
        let mut meta = transaction.open_table(META).map_err(engine)?;
        let format = meta.get("format").map_err(engine)?.map(|value| number(value.value()));
        if let Some(found) = format.filter(|found| *found != FORMAT) {
            return Err(StoreError::Format { path: path.to_owned(), found, known: FORMAT });
        }
        let known = meta.get("registry_id").map_err(engine)?.map(|value| text(value.value()));
        if let Some(known) = known {
            known
        } else {
            meta.insert("format", &FORMAT.to_be_bytes()[..]).map_err(engine)?;
            meta.insert("registry_id", new_id.as_bytes()).map_err(engine)?;
            new_id.to_owned()
        }
    };
    transaction.open_table(CONNECTIONS).map_err(engine)?;
    transaction.open_table(RECORDS).map_err(engine)?;
    transaction.open_table(STAMPS).map_err(engine)?;
    transaction.open_table(LINKS).map_err(engine)?;
    transaction.open_table(NOTES).map_err(engine)?;
    transaction.open_table(TOMBSTONES).map_err(engine)?;
    transaction.open_table(TIMELINE).map_err(engine)?;
    transaction.commit().map_err(engine)?;
    Ok(registry_id)
}

impl Store for Redb {
    fn load(&self) -> Result<Loaded, StoreError> {
        let transaction = self.database.begin_read().map_err(engine)?;
        let meta = transaction.open_table(META).map_err(engine)?;
        let revision = meta.get("revision").map_err(engine)?.map_or(0, |value| number(value.value()));
        let connections = transaction.open_table(CONNECTIONS).map_err(engine)?;
        let records = transaction.open_table(RECORDS).map_err(engine)?;
        let stamps = transaction.open_table(STAMPS).map_err(engine)?;
        let mut loaded = Loaded {
            registry_id: self.registry_id.clone(),
            revision: Revision(revision),
            connections: Vec::new(),
            links: Vec::new(),
            remembered: Remembered::default(),
            damaged: Vec::new(),
        };
        if let Some(bytes) = meta.get("horizon").map_err(engine)? {
            match decode_horizon(bytes.value()) {
                Ok(horizon) => loaded.remembered.horizon = Some(horizon),
                Err(error) => loaded.damaged.push(format!("horizon: {error}")),
            }
        }
        for row in transaction.open_table(TOMBSTONES).map_err(engine)?.iter().map_err(engine)? {
            let (key, value) = row.map_err(engine)?;
            match decode_tombstone(key.value(), value.value()) {
                Ok(tombstone) => loaded.remembered.tombstones.push(Arc::new(tombstone)),
                Err(error) => loaded.damaged.push(format!("tombstone {:?}: {error}", key.value())),
            }
        }
        for row in transaction.open_table(TIMELINE).map_err(engine)?.iter().map_err(engine)? {
            let (key, value) = row.map_err(engine)?;
            match decode_entry(key.value(), value.value()) {
                Ok(entry) => loaded.remembered.entries.push(Arc::new(entry)),
                Err(error) => loaded.damaged.push(format!("timeline {:?}: {error}", key.value())),
            }
        }
        for row in transaction.open_table(NOTES).map_err(engine)?.iter().map_err(engine)? {
            let (key, value) = row.map_err(engine)?;
            loaded.remembered.notes.insert(key.value().into(), value.value().into());
        }
        for row in connections.iter().map_err(engine)? {
            let (key, value) = row.map_err(engine)?;
            let name = key.value();
            match (ConnectionId::parse(name), decode_connection(value.value())) {
                (Ok(id), Ok(row)) => loaded.connections.push((id, row, Vec::new())),
                (Err(error), _) | (_, Err(error)) => {
                    loaded.damaged.push(format!("connection {name:?}: {error}"));
                }
            }
        }
        for (id, row, rows) in &mut loaded.connections {
            let damaged_before = loaded.damaged.len();
            let below = (id.as_str(), "")..;
            let own = records.range::<(&str, &str)>(below).map_err(engine)?;
            for entry in own {
                let (key, value) = entry.map_err(engine)?;
                let (connection, source_id) = key.value();
                if connection != id.as_str() {
                    break;
                }
                let stamp = stamps.get((connection, source_id)).map_err(engine)?;
                let stamp = stamp.and_then(|value| decode_stamp(value.value()));
                match (decode_record(value.value()), stamp) {
                    (Ok(document), Some(stamp)) => rows.push(RecordRow { document, stamp }),
                    (Err(error), _) => loaded.damaged.push(format!("record {source_id:?}: {error}")),
                    (_, None) => loaded.damaged.push(format!("record {source_id:?} has no stamp")),
                }
            }
            if loaded.damaged.len() > damaged_before {
                // Not what its sender believes: it will be asked for everything.
                row.cursor.digest = None;
            }
        }
        for row in transaction.open_table(LINKS).map_err(engine)?.iter().map_err(engine)? {
            match decode_link(row.map_err(engine)?.1.value()) {
                Ok(link) => loaded.links.push(link),
                Err(error) => loaded.damaged.push(format!("link: {error}")),
            }
        }
        Ok(loaded)
    }

    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin_write().map_err(engine)?;
        transaction.set_durability(redb::Durability::Immediate).map_err(engine)?;
        write_all(&transaction, revision, writes)?;
        transaction.commit().map_err(engine)
    }

    fn recover(&self) -> Result<(), StoreError> {
        let transaction = self.database.begin_read().map_err(engine)?;
        let meta = transaction.open_table(META).map_err(engine)?;
        let revision = meta.get("revision").map_err(engine)?.map_or(0, |value| number(value.value()));
        self.commit(Revision(revision), &[])
    }
}

fn write_all(transaction: &WriteTransaction, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
    let mut meta = transaction.open_table(META).map_err(engine)?;
    meta.insert("revision", &revision.0.to_be_bytes()[..]).map_err(engine)?;
    let mut connections = transaction.open_table(CONNECTIONS).map_err(engine)?;
    let mut records = transaction.open_table(RECORDS).map_err(engine)?;
    let mut stamps = transaction.open_table(STAMPS).map_err(engine)?;
    let mut links = transaction.open_table(LINKS).map_err(engine)?;
    let mut notes = transaction.open_table(NOTES).map_err(engine)?;
    let mut tombstones = transaction.open_table(TOMBSTONES).map_err(engine)?;
    let mut timeline = transaction.open_table(TIMELINE).map_err(engine)?;
    for write in writes {
        match write {
            Write::Connection(id, row) => {
                let mut bytes = Vec::new();
                encode_connection(row, &mut bytes);
                connections.insert(id.as_str(), bytes.as_slice()).map_err(engine)?;
            }
            Write::Record(id, document) => put_record(&mut records, id, document)?,
            Write::Stamp(id, source_id, stamp) => put_stamp(&mut stamps, id, source_id, *stamp)?,
            Write::Row(id, RecordRow { document, stamp })
            | Write::Change(id, RecordRow { document, stamp }, _) => {
                put_record(&mut records, id, document)?;
                put_stamp(&mut stamps, id, &document.source_id, *stamp)?;
            }
            Write::RemoveRecord(id, source_id) => {
                let key = (id.as_str(), source_id.as_str());
                records.remove(key).map_err(engine)?;
                stamps.remove(key).map_err(engine)?;
            }
            Write::RemoveRecords(id) => {
                for key in keys_of(&records, id)? {
                    let key = (id.as_str(), key.as_str());
                    records.remove(key).map_err(engine)?;
                    stamps.remove(key).map_err(engine)?;
                }
            }
            Write::Link(link) => {
                let bytes = encode_link(link);
                links.insert(link_key(&link.pair).as_str(), bytes.as_slice()).map_err(engine)?;
            }
            Write::RemoveLink(pair) => drop(links.remove(link_key(pair).as_str()).map_err(engine)?),
            Write::Tombstone(tombstone) => {
                let key = encode_position(tombstone.position);
                tombstones.insert(&key[..], encode_tombstone(tombstone).as_slice()).map_err(engine)?;
            }
            Write::Horizon(horizon) => {
                meta.insert("horizon", encode_horizon(horizon).as_slice()).map_err(engine)?;
                let above = encode_position(Position { revision: horizon.floor.next(), index: 0 });
                tombstones.retain_in(..&above[..], |_, _| false).map_err(engine)?;
            }
            Write::Entry(entry) => {
                let key = encode_position(entry.position);
                timeline.insert(&key[..], encode_entry(entry).as_slice()).map_err(engine)?;
            }
            Write::Note(Note { key, value: Some(value) }) => {
                notes.insert(&**key, &**value).map_err(engine)?;
            }
            Write::Note(Note { key, value: None }) => drop(notes.remove(&**key).map_err(engine)?),
            Write::ForgetEntries(through) => {
                let through = encode_position(*through);
                timeline.retain_in(..=&through[..], |_, _| false).map_err(engine)?;
            }
        }
    }
    Ok(())
}

type Rows<'a> = Table<'a, (&'static str, &'static str), &'static [u8]>;

fn put_record(records: &mut Rows<'_>, id: &ConnectionId, document: &Document) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    encode_record(document, &mut bytes).map_err(engine)?;
    records.insert((id.as_str(), document.source_id.as_str()), bytes.as_slice()).map_err(engine).map(drop)
}

fn put_stamp(
    stamps: &mut Rows<'_>,
    id: &ConnectionId,
    source_id: &SourceId,
    stamp: Stamp,
) -> Result<(), StoreError> {
    stamps.insert((id.as_str(), source_id.as_str()), &encode_stamp(stamp)[..]).map_err(engine).map(drop)
}

fn keys_of(
    records: &Table<'_, (&'static str, &'static str), &'static [u8]>,
    id: &ConnectionId,
) -> Result<Vec<SourceId>, StoreError> {
    let mut keys = Vec::new();
    for row in records.range::<(&str, &str)>((id.as_str(), "")..).map_err(engine)? {
        let (key, _) = row.map_err(engine)?;
        let (connection, source_id) = key.value();
        if connection != id.as_str() {
            break;
        }
        keys.extend(SourceId::parse(source_id).ok());
    }
    Ok(keys)
}

fn engine(error: impl std::fmt::Display) -> StoreError {
    StoreError::Engine(error.to_string())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
