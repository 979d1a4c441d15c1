//! Everything that is kept for good, at one revision, while the state goes on.

use std::sync::Arc;

use super::State;
use crate::state::row::{KeptConnection, RecordRow};

impl State {
    /// Shares the records; costs a pointer for each.
    pub fn snapshot(&self) -> Vec<KeptConnection> {
        let connections = self.holdings.iter();
        connections
            .map(|(id, holding)| {
                let entries = holding.entries.values();
                let rows = entries.filter_map(|entry| {
                    Some(RecordRow { document: Arc::clone(&entry.document), stamp: entry.stamp()? })
                });
                (id.clone(), holding.row(), rows.collect())
            })
            .collect()
    }
}
