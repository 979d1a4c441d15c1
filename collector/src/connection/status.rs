//! How each connection does, as plain data: written by its task, read by the service.
//!
//! Texts in it must be free of secrets: whoever writes redacts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, ConnectionState, ResourceId, SectionReport, UnixMillis};
use tokio::sync::watch;

use super::fingerprint::Fingerprint;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub state: ConnectionState,
    /// Empty when live and nothing is withheld.
    pub reason: String,
    /// Empty when there is nothing to do.
    pub remedy: String,
    pub since: UnixMillis,
    pub next_attempt_at: Option<UnixMillis>,
    pub transport: TransportHealth,
    pub poll: PollHealth,
    pub observed: Observed,
    pub sections: Vec<SectionReport>,
    pub cost: Cost,
}

/// What reading costs the appliance, per minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub calls: u64,
    /// Received: replies and events.
    pub bytes: u64,
    /// How long it worked on calls, added up.
    pub busy: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportHealth {
    /// The label of the session's mode; `negotiating` before there is one.
    pub mode: &'static str,
    /// As a URL: `https://nas:8443`.
    pub endpoint: String,
    pub tls: bool,
    pub connected: bool,
    /// The label of the session's mechanism; empty before there is one.
    pub auth_mechanism: &'static str,
    pub appliance_version: String,
    pub api_version: String,
    pub reconnects: u64,
    pub last_error: String,
    pub last_connected_at: Option<UnixMillis>,
    pub observed_fingerprint: Option<Fingerprint>,
    /// The certificate is not verified.
    pub insecure: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PollHealth {
    pub interval: Duration,
    pub last_attempt_at: Option<UnixMillis>,
    pub last_success_at: Option<UnixMillis>,
    pub consecutive_failures: u32,
}

/// What the last complete reading found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    pub hostname: String,
    /// The system's id at the registry.
    pub resource_id: Option<ResourceId>,
    pub pools: u32,
    pub datasets: u32,
    pub disks: u32,
    pub alerts: u32,
}

impl Default for TransportHealth {
    fn default() -> Self {
        Self {
            mode: "negotiating",
            endpoint: String::new(),
            tls: false,
            connected: false,
            auth_mechanism: "",
            appliance_version: String::new(),
            api_version: String::new(),
            reconnects: 0,
            last_error: String::new(),
            last_connected_at: None,
            observed_fingerprint: None,
            insecure: false,
        }
    }
}

impl Health {
    /// Before anything else is known.
    pub fn new(state: ConnectionState, since: UnixMillis) -> Self {
        Self {
            state,
            reason: String::new(),
            remedy: String::new(),
            since,
            next_attempt_at: None,
            transport: TransportHealth::default(),
            poll: PollHealth::default(),
            observed: Observed::default(),
            sections: Vec::new(),
            cost: Cost::default(),
        }
    }
}

/// The newest health of every connection.
#[derive(Debug)]
pub struct Board {
    rows: Mutex<BTreeMap<ConnectionId, Row>>,
    version: watch::Sender<u64>,
}

#[derive(Debug)]
struct Row {
    health: Arc<Health>,
    version: u64,
}

impl Default for Board {
    fn default() -> Self {
        Self { rows: Mutex::default(), version: watch::Sender::new(0) }
    }
}

impl Board {
    /// Tells subscribers only when something differs.
    pub fn set(&self, id: &ConnectionId, health: Health) {
        let mut rows = self.rows();
        if rows.get(id).is_some_and(|row| *row.health == health) {
            return;
        }
        // Numbered and told under the lock: a version that a reader has seen is complete.
        self.version.send_modify(|newest| {
            *newest = newest.saturating_add(1);
            rows.insert(id.clone(), Row { health: Arc::new(health), version: *newest });
        });
    }

    pub fn get(&self, id: &ConnectionId) -> Option<Arc<Health>> {
        self.rows().get(id).map(|row| Arc::clone(&row.health))
    }

    pub fn remove(&self, id: &ConnectionId) {
        self.rows().remove(id);
    }

    /// Wakes when a health has changed; `changed_after` says which.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Connections whose health changed after a version, in order of their ids, and the version reached.
    pub fn changed_after(&self, version: u64) -> (Vec<ConnectionId>, u64) {
        let rows = self.rows();
        let newest = rows.values().map(|row| row.version).max().unwrap_or(version).max(version);
        let changed =
            rows.iter().filter(|(_, row)| row.version > version).map(|(id, _)| id.clone()).collect();
        (changed, newest)
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let board = Board::default();
        let mut seen = board.subscribe();
        let (one, two) = (ConnectionId::parse("one").unwrap(), ConnectionId::parse("two").unwrap());
        let health = Health::new(ConnectionState::Connecting, UnixMillis::new(1));
        board.set(&one, health.clone());
        board.set(&two, health.clone());
        assert!(seen.has_changed().unwrap());
        seen.borrow_and_update();
        let (changed, version) = board.changed_after(0);
        assert_eq!(changed, [one.clone(), two.clone()]);

        board.set(&one, health.clone());
        assert!(!seen.has_changed().unwrap());
        board.set(&two, Health { state: ConnectionState::Live, ..health });
        assert!(seen.has_changed().unwrap());
        assert_eq!(board.changed_after(version).0, std::slice::from_ref(&two));
        board.remove(&two);
        assert!(board.get(&two).is_none());
        assert!(board.changed_after(version).0.is_empty());
    }
}
