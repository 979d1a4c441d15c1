//! Where targets leave their newest state. Newest wins, so it is never longer
//! than there are connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use pulse_proto::model::ConnectionId;
use tokio::sync::Notify;

use crate::batch::Told;

/// The newest of a connection.
#[derive(Clone, Debug)]
pub enum Update {
    State(Arc<Told>),
    /// The connection was deleted here.
    Removed,
}

#[derive(Debug, Default)]
pub struct Mailbox {
    newest: Mutex<BTreeMap<ConnectionId, Update>>,
    bell: Notify,
}

impl Mailbox {
    /// Never waits.
    pub fn put(&self, connection: &ConnectionId, update: Update) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(connection.clone(), update);
        drop(newest);
        self.bell.notify_one();
    }

    /// Connections with a state that was not taken yet.
    pub fn waiting(&self) -> usize {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn take(&self) -> BTreeMap<ConnectionId, Update> {
        std::mem::take(&mut *self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when something was put since the last wait.
    pub async fn filled(&self) {
        self.bell.notified().await;
    }
}
