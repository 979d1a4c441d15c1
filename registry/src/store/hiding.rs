//! A store that keeps connections of a source without showing them: switched
//! off is not deleted. Knows nothing of why.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use pulse_proto::model::{ConnectionId, DataSource, Revision};

use super::{Loaded, Store, StoreError, Ticket};
use crate::state::{KeptConnection, Write};

pub struct Hiding {
    store: Arc<dyn Store>,
    source: DataSource,
    /// As they were read; nobody who does not see them changes them.
    hidden: Mutex<Option<Arc<[KeptConnection]>>>,
}

impl Hiding {
    pub fn new(store: Arc<dyn Store>, source: DataSource) -> Self {
        Self { store, source, hidden: Mutex::new(None) }
    }

    /// What is hidden, as it was loaded.
    pub fn connections(&self) -> BTreeSet<ConnectionId> {
        self.hidden()
            .into_iter()
            .flat_map(|hidden| hidden.iter().map(|(id, ..)| id.clone()).collect::<Vec<_>>())
            .collect()
    }

    fn hidden(&self) -> Option<Arc<[KeptConnection]>> {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Store for Hiding {
    fn load(&self) -> Result<Loaded, StoreError> {
        let mut loaded = self.store.load()?;
        let is_hidden = |(_, row, _): &mut KeptConnection| row.source == self.source;
        let hidden: Arc<[KeptConnection]> = loaded.connections.extract_if(.., is_hidden).collect();
        *self.hidden.lock().unwrap_or_else(PoisonError::into_inner) = Some(hidden);
        Ok(loaded)
    }

    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError> {
        self.store.commit(revision, writes)
    }

    fn recover(&self) -> Result<(), StoreError> {
        self.store.recover()
    }

    fn wants_checkpoint(&self) -> bool {
        self.store.wants_checkpoint()
    }

    fn begin_checkpoint(&self) -> Result<Option<Ticket>, StoreError> {
        self.store.begin_checkpoint()
    }

    /// Behind what is shown comes what is hidden, unless a connection of that name was made since.
    fn finish_checkpoint(
        &self,
        ticket: Ticket,
        common: &mut dyn Iterator<Item = Write>,
        connections: &mut dyn Iterator<Item = KeptConnection>,
    ) -> Result<(), StoreError> {
        let hidden = if let Some(hidden) = self.hidden() {
            hidden
        } else {
            self.load()?;
            self.hidden().unwrap_or_default()
        };
        let mut hidden = hidden.iter();
        let mut shown = BTreeSet::new();
        let mut all = std::iter::from_fn(|| {
            if let Some(connection) = connections.next() {
                shown.insert(connection.0.clone());
                return Some(connection);
            }
            hidden.find(|(id, ..)| !shown.contains(id)).cloned()
        });
        self.store.finish_checkpoint(ticket, common, &mut all)
    }
}
