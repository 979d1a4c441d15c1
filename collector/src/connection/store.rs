//! Connections on disk: one file, replaced as a whole, each record sealed on its own.
//!
//! Owns format, keys and durability. Decides nothing about which connections there may be.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pulse_proto::model::ConnectionId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::Settings;

pub mod archive;
mod error;
mod file;
mod keyring;
mod record;
#[cfg(test)]
mod tests;

pub use error::StoreError;
pub(super) use file::read as read_bounded;
pub use keyring::KeySource;
use keyring::Keyring;
use record::Sealed;

/// What this program reads and writes.
const FORMAT: u64 = 1;
pub const STORE_FILE: &str = "connections.json";
/// A thousand connections with the longest certificates fit.
const FILE_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// A record that could not be read. It stays in the file as it is until its id is deleted.
#[derive(Clone)]
pub struct Damaged {
    /// When that much could be read.
    pub id: Option<ConnectionId>,
    pub why: String,
    raw: Value,
}

impl fmt::Debug for Damaged {
    /// What it holds is somebody's credentials, though sealed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Damaged").field("id", &self.id).field("why", &self.why).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub struct Loaded {
    pub connections: Vec<Settings>,
    pub damaged: Vec<Damaged>,
    /// The greatest that was ever used.
    pub revision: u64,
}

#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    state: Mutex<State>,
    _lock: file::Lock,
}

#[derive(Debug)]
struct State {
    ring: Keyring,
    /// What each record was sealed as: one that did not change is not sealed again.
    sealed: BTreeMap<ConnectionId, (Mark, Arc<Sealed>)>,
}

/// What a record is made anew for: the revision, and what is noted without one.
type Mark = (u64, bool);

const fn mark(settings: &Settings) -> Mark {
    (settings.revision, settings.scram_seen)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<R> {
    format: u64,
    revision: u64,
    /// The key that sealed last.
    key: String,
    records: Vec<R>,
}

/// What is written: records, and what could not be read of the file before.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Sealed(&'a Sealed),
    Raw(&'a Value),
}

impl Store {
    /// Takes the folder, then reads it; makes store and key when there is neither. Finishes a key rotation that was
    /// cut short.
    pub fn open(folder: &Path, source: &KeySource) -> Result<(Self, Loaded), StoreError> {
        let lock = file::Lock::take(folder)?;
        let path = folder.join(STORE_FILE);
        let bytes = file::read(&path, FILE_BYTES_MAX)?;
        let ring = Keyring::open(folder, source, &path, bytes.is_some())?;
        let mut state = State { ring, sealed: BTreeMap::new() };
        let Some(bytes) = bytes else {
            let store = Self { path, state: Mutex::new(state), _lock: lock };
            store.save(0, &BTreeMap::new(), &[])?;
            return Ok((store, Loaded { connections: Vec::new(), damaged: Vec::new(), revision: 0 }));
        };
        let envelope = parse(&path, &bytes)?;
        if state.ring.opener(&envelope.key).is_none() {
            return Err(StoreError::WrongKey { path, wanted: envelope.key });
        }
        let loaded = state.load(envelope);
        let behind = state.ring.has_retired()
            || state.sealed.values().any(|(_, sealed)| sealed.key != state.ring.active().as_str());
        let store = Self { path, state: Mutex::new(state), _lock: lock };
        if behind {
            store.reseal(&loaded)?;
        }
        Ok((store, loaded))
    }

    /// Replaces the file. What is damaged is written as it was read.
    pub fn save(
        &self,
        revision: u64,
        connections: &BTreeMap<ConnectionId, Arc<Settings>>,
        damaged: &[Damaged],
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.write(&self.path, revision, connections, damaged)
    }

    /// Seals everything with a new key and forgets the old one. A crash in between leaves both, and `open` goes on.
    pub fn rotate_key(
        &self,
        revision: u64,
        connections: &BTreeMap<ConnectionId, Arc<Settings>>,
        damaged: &[Damaged],
    ) -> Result<(), StoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ring.rotate()?;
        state.write(&self.path, revision, connections, damaged)?;
        state.ring.retire()
    }

    fn reseal(&self, loaded: &Loaded) -> Result<(), StoreError> {
        let connections = loaded
            .connections
            .iter()
            .map(|settings| (settings.id.clone(), Arc::new(settings.clone())))
            .collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.write(&self.path, loaded.revision, &connections, &loaded.damaged)?;
        state.ring.retire()
    }
}

impl State {
    /// A record that cannot be read costs itself and nothing else.
    fn load(&mut self, envelope: Envelope<Value>) -> Loaded {
        let mut loaded = Loaded { connections: Vec::new(), damaged: Vec::new(), revision: envelope.revision };
        for raw in envelope.records {
            let id = raw.get("id").and_then(Value::as_str).and_then(|id| ConnectionId::parse(id).ok());
            let opened = Sealed::deserialize(&raw)
                .map_err(|_| "it is not a record")
                .and_then(|sealed| Ok((record::open(&sealed, &self.ring)?, sealed)))
                .and_then(|(settings, sealed)| {
                    if self.sealed.contains_key(&settings.id) {
                        return Err("its id is there twice");
                    }
                    Ok((settings, sealed))
                });
            match opened {
                Ok((settings, sealed)) => {
                    loaded.revision = loaded.revision.max(settings.revision);
                    self.sealed.insert(settings.id.clone(), (mark(&settings), Arc::new(sealed)));
                    loaded.connections.push(settings);
                }
                Err(why) => loaded.damaged.push(Damaged { id, why: why.to_owned(), raw }),
            }
        }
        loaded
    }

    fn write(
        &mut self,
        path: &Path,
        revision: u64,
        connections: &BTreeMap<ConnectionId, Arc<Settings>>,
        damaged: &[Damaged],
    ) -> Result<(), StoreError> {
        let active = self.ring.active().as_str().to_owned();
        let mut sealed = BTreeMap::new();
        for (id, settings) in connections {
            let kept =
                self.sealed.get(id).filter(|(kept, sealed)| *kept == mark(settings) && sealed.key == active);
            let record = match kept {
                Some((_, record)) => Arc::clone(record),
                None => Arc::new(record::seal(settings, &self.ring)?),
            };
            sealed.insert(id.clone(), (mark(settings), record));
        }
        let records = sealed.values().map(|(_, record)| Written::Sealed(record));
        let records = records.chain(damaged.iter().map(|damaged| Written::Raw(&damaged.raw))).collect();
        let envelope = Envelope { format: FORMAT, revision, key: active, records };
        let bytes = serde_json::to_vec(&envelope).map_err(|_| StoreError::Seal)?;
        file::replace(path, &bytes, FILE_BYTES_MAX)?;
        self.sealed = sealed;
        Ok(())
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Envelope<Value>, StoreError> {
    #[derive(Deserialize)]
    struct Version {
        format: u64,
    }
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { path: path.to_owned(), why: error.to_string() };
    let Version { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format != FORMAT {
        return Err(StoreError::Format { path: path.to_owned(), found: format, known: FORMAT });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
