//! Everything that is kept for good, at one revision, while the state goes on.

use super::State;
use crate::state::row::{KeptConnection, RecordRow};

impl State {
    /// Shares the records; costs a pointer for each.
    pub fn snapshot(&self) -> Vec<KeptConnection> {
        let connections = self.holdings.iter();
        connections
            .map(|(id, holding)| {
                let entries = holding.entries.values();
                let rows =
                    entries.map(|entry| RecordRow { record: entry.record.clone(), stamp: entry.stamp });
                (id.clone(), holding.row(), rows.collect())
            })
            .collect()
    }
}
