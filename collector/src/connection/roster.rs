//! The connections that exist now: written down first, then told to whoever watches.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};

use pulse_proto::model::ConnectionId;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::order::Orders;
use super::refresh::Refresh;
use super::settings::Settings;
use super::store::{Damaged, KeySource, Store, StoreError};

/// Connections per collector unless told otherwise.
pub const CONNECTIONS_DEFAULT: usize = 1_000;

/// Every connection by id, as of one moment.
pub type Connections = Arc<BTreeMap<ConnectionId, Arc<Settings>>>;

#[derive(Debug, Clone)]
pub struct RosterOptions {
    pub max_connections: usize,
}

impl Default for RosterOptions {
    fn default() -> Self {
        Self { max_connections: CONNECTIONS_DEFAULT }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("there is no connection {0}")]
    NotFound(ConnectionId),
    #[error("connection {0} exists already")]
    IdTaken(ConnectionId),
    #[error("connection {holder} has the name {name:?} already")]
    NameTaken { name: String, holder: ConnectionId },
    #[error("connection {holder} watches {host} port {port} already")]
    AddressTaken { host: String, port: u16, holder: ConnectionId },
    #[error("this collector holds its limit of {limit} connections")]
    Full { limit: usize },
    #[error("connection {0} has changed since it was read")]
    EtagMismatch(ConnectionId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shared by everybody who needs a connection. One writer at a time; readers never wait.
#[derive(Debug)]
pub struct Roster {
    writer: Arc<Mutex<Writer>>,
    published: watch::Sender<Connections>,
    signals: SyncMutex<BTreeMap<ConnectionId, Signals>>,
    /// Servers seen to offer SCRAM that are not written down yet, with the revision of the settings that led to them.
    /// Bounded by the connections there are.
    scram_seen: SyncMutex<BTreeMap<ConnectionId, u64>>,
    options: RosterOptions,
}

/// Where who wants something of a connection meets its task.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// A reading now.
    pub refresh: Arc<Refresh>,
    /// A change on the NAS.
    pub orders: Arc<Orders>,
}

#[derive(Debug)]
struct Writer {
    /// `None` in tests: nothing is kept.
    store: Option<Store>,
    damaged: Vec<Damaged>,
    revision: u64,
}

impl Roster {
    /// Reads the store below a folder, or makes it. Blocking: call it before serving.
    pub fn open(folder: &Path, key: &KeySource, options: RosterOptions) -> Result<Arc<Self>, StoreError> {
        let (store, loaded) = Store::open(folder, key)?;
        for Damaged { id, why, .. } in &loaded.damaged {
            let connection = id.as_ref().map_or("unknown", ConnectionId::as_str);
            tracing::warn!(connection, why, "a stored connection cannot be read; delete it and add it again");
        }
        let writer = Writer { store: Some(store), damaged: loaded.damaged, revision: loaded.revision };
        Ok(Self::with(writer, loaded.connections, options))
    }

    /// Keeps nothing.
    pub fn in_memory(options: RosterOptions) -> Arc<Self> {
        Self::with(Writer { store: None, damaged: Vec::new(), revision: 0 }, Vec::new(), options)
    }

    fn with(writer: Writer, connections: Vec<Settings>, options: RosterOptions) -> Arc<Self> {
        let connections: BTreeMap<_, _> =
            connections.into_iter().map(|settings| (settings.id.clone(), Arc::new(settings))).collect();
        let signals = connections.keys().map(|id| (id.clone(), Signals::default())).collect();
        Arc::new(Self {
            writer: Arc::new(Mutex::new(writer)),
            published: watch::Sender::new(Arc::new(connections)),
            signals: SyncMutex::new(signals),
            scram_seen: SyncMutex::default(),
            options,
        })
    }

    pub fn limit(&self) -> usize {
        self.options.max_connections
    }

    pub fn all(&self) -> Connections {
        Arc::clone(&self.published.borrow())
    }

    pub fn get(&self, id: &ConnectionId) -> Option<Arc<Settings>> {
        self.published.borrow().get(id).cloned()
    }

    /// Every state from now on; slow readers see the newest.
    pub fn subscribe(&self) -> watch::Receiver<Connections> {
        self.published.subscribe()
    }

    /// Where a wish for a reading meets the task of the connection.
    pub fn refresh_signal(&self, id: &ConnectionId) -> Option<Arc<Refresh>> {
        self.signals(id).map(|signals| signals.refresh)
    }

    pub fn signals(&self, id: &ConnectionId) -> Option<Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Records of the store that could not be read. They are kept as they are; deleting their id drops them.
    pub async fn damaged(&self) -> Vec<Damaged> {
        self.writer.lock().await.damaged.clone()
    }

    /// Connections and damaged records of one moment, during which nothing is written.
    pub async fn look<T>(&self, with: impl FnOnce(&Connections, &[Damaged]) -> T) -> T {
        let writer = self.writer.lock().await;
        with(&self.all(), &writer.damaged)
    }

    /// What `create` would say, without doing it.
    pub async fn check(&self, settings: &Settings) -> Result<(), RosterError> {
        let writer = self.writer.lock().await;
        self.check_new(&writer, settings)
    }

    pub async fn create(self: &Arc<Self>, settings: Settings) -> Result<Arc<Settings>, RosterError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        self.check_new(&writer, &settings)?;
        self.put(writer, settings).await
    }

    /// Replaces a connection by what `change` makes of it. An empty etag matches any.
    pub async fn update<E: From<RosterError>>(
        self: &Arc<Self>,
        id: &ConnectionId,
        etag: &str,
        change: impl FnOnce(&Settings) -> Result<Settings, E>,
    ) -> Result<Arc<Settings>, E> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let current = self.matching(id, etag)?;
        let mut settings = change(&current)?;
        settings.id = id.clone();
        settings.created_at = current.created_at;
        self.check_unique(&settings)?;
        Ok(self.put(writer, settings).await?)
    }

    /// Writes down that the server behind these settings offers SCRAM. Revision and etag stay: nobody's edit is refused for it.
    /// Many at once cost one write.
    pub async fn note_scram(self: &Arc<Self>, settings: &Settings) -> Result<(), RosterError> {
        let pending = || self.scram_seen.lock().unwrap_or_else(PoisonError::into_inner);
        pending().insert(settings.id.clone(), settings.revision);
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let mut seen = std::mem::take(&mut *pending());
        // Who took it along may have failed to write it.
        seen.insert(settings.id.clone(), settings.revision);
        let mut next = BTreeMap::clone(&self.all());
        let mut changed = false;
        for (id, revision) in seen {
            // Settings that were changed since may lead to another server.
            if let Some(known) =
                next.get_mut(&id).filter(|known| known.revision == revision && !known.scram_seen)
            {
                *known = Arc::new(Settings { scram_seen: true, ..Settings::clone(known) });
                changed = true;
            }
        }
        if !changed {
            return Ok(());
        }
        let damaged = writer.damaged.clone();
        self.commit(writer, next, damaged).await
    }

    pub async fn delete(self: &Arc<Self>, id: &ConnectionId, etag: &str) -> Result<(), RosterError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let mut damaged = writer.damaged.clone();
        damaged.retain(|damaged| damaged.id.as_ref() != Some(id));
        if damaged.len() == writer.damaged.len() {
            self.matching(id, etag)?;
        }
        let mut next = BTreeMap::clone(&self.all());
        next.remove(id);
        self.commit(writer, next, damaged).await
    }

    /// Seals everything with a new key. Connections do not change.
    pub async fn rotate_key(self: &Arc<Self>) -> Result<(), StoreError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let connections = self.all();
        let rotated = tokio::task::spawn_blocking(move || match &writer.store {
            Some(store) => store.rotate_key(writer.revision, &connections, &writer.damaged),
            None => Err(StoreError::KeyNotOurs),
        });
        rotated.await.unwrap_or(Err(StoreError::Interrupted))
    }

    async fn put(
        self: &Arc<Self>,
        writer: OwnedMutexGuard<Writer>,
        mut settings: Settings,
    ) -> Result<Arc<Settings>, RosterError> {
        settings.revision = writer.revision.saturating_add(1);
        let settings = Arc::new(settings);
        let mut next = BTreeMap::clone(&self.all());
        next.insert(settings.id.clone(), Arc::clone(&settings));
        let damaged = writer.damaged.clone();
        self.commit(writer, next, damaged).await?;
        Ok(settings)
    }

    /// Runs to its end even when nobody waits any more: disk and memory never part.
    async fn commit(
        self: &Arc<Self>,
        mut writer: OwnedMutexGuard<Writer>,
        next: BTreeMap<ConnectionId, Arc<Settings>>,
        damaged: Vec<Damaged>,
    ) -> Result<(), RosterError> {
        let roster = Arc::clone(self);
        let committed = tokio::task::spawn_blocking(move || {
            let revision = writer.revision.saturating_add(1);
            if let Some(store) = &writer.store {
                store.save(revision, &next, &damaged)?;
            }
            writer.revision = revision;
            writer.damaged = damaged;
            roster.publish(next);
            Ok(())
        });
        committed.await.unwrap_or(Err(RosterError::Store(StoreError::Interrupted)))
    }

    fn publish(&self, next: BTreeMap<ConnectionId, Arc<Settings>>) {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        for id in next.keys().filter(|id| !self.published.borrow().contains_key(*id)) {
            signals.entry(id.clone()).or_default();
        }
        signals.retain(|id, Signals { refresh, .. }| {
            let stays = next.contains_key(id);
            if !stays {
                refresh.close();
            }
            stays
        });
        drop(signals);
        self.published.send_replace(Arc::new(next));
    }

    fn matching(&self, id: &ConnectionId, etag: &str) -> Result<Arc<Settings>, RosterError> {
        let current = self.get(id).ok_or_else(|| RosterError::NotFound(id.clone()))?;
        if etag.is_empty() || etag == current.etag() {
            Ok(current)
        } else {
            Err(RosterError::EtagMismatch(id.clone()))
        }
    }

    fn check_new(&self, writer: &Writer, settings: &Settings) -> Result<(), RosterError> {
        let taken = self.published.borrow().contains_key(&settings.id)
            || writer.damaged.iter().any(|damaged| damaged.id.as_ref() == Some(&settings.id));
        if taken {
            return Err(RosterError::IdTaken(settings.id.clone()));
        }
        self.check_unique(settings)?;
        if self.published.borrow().len() + writer.damaged.len() >= self.options.max_connections {
            return Err(RosterError::Full { limit: self.options.max_connections });
        }
        Ok(())
    }

    fn check_unique(&self, settings: &Settings) -> Result<(), RosterError> {
        let connections = self.published.borrow();
        for other in connections.values().filter(|other| other.id != settings.id) {
            if other.name == settings.name {
                return Err(RosterError::NameTaken { name: other.name.clone(), holder: other.id.clone() });
            }
            if other.host == settings.host && other.port == settings.port {
                return Err(RosterError::AddressTaken {
                    host: other.host.clone(),
                    port: other.port,
                    holder: other.id.clone(),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
