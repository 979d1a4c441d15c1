//! Everything that is kept for good, at one revision, while the state goes on.

use std::sync::Arc;

use super::State;
use crate::state::row::{Note, RecordRow, Snapshot, Write};

impl State {
    /// Shares the records; costs a pointer for each.
    pub fn snapshot(&self) -> Snapshot {
        let links = self.view.links.iter().map(|link| Write::Link(Box::new(link.clone())));
        let connections = self.holdings.sorted().into_iter();
        let connections = connections
            .map(|(id, holding)| {
                let entries = holding.entries.iter();
                let rows = entries.filter_map(|entry| {
                    Some(RecordRow { document: entry.document.clone(), stamp: entry.stamp()? })
                });
                (id.clone(), holding.row(), rows.collect())
            })
            .collect();
        let notes = self
            .notes
            .iter()
            .map(|(key, value)| Write::Note(Note { key: Arc::clone(key), value: Some(Arc::clone(value)) }));
        Snapshot { common: links.chain(self.view.past.writes()).chain(notes).collect(), connections }
    }
}
