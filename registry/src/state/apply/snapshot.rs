//! Everything that is kept for good, at one revision, while the state goes on.
//! Shares what it can: with a million resources each byte of a row is a megabyte.

use std::sync::Arc;

use pulse_proto::model::ConnectionId;

use super::State;
use crate::state::merge::link::Links;
use crate::state::past::Past;
use crate::state::resource::Resource;
use crate::state::row::{ConnectionRow, KeptConnection, Note, Notes, RecordRow, Stamp, Write};

#[derive(Debug)]
pub struct Snapshot {
    links: Arc<Links>,
    past: Past,
    notes: Notes,
    connections: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    id: ConnectionId,
    row: ConnectionRow,
    /// What a resource of one source shows is its record.
    shown: Vec<Arc<Resource>>,
    /// Of several sources, or led by another record, or not shown as they are held.
    others: Vec<RecordRow>,
}

impl State {
    /// Costs a pointer for each record.
    pub fn snapshot(&self) -> Snapshot {
        let connections = self.holdings.sorted().into_iter().map(|(id, holding)| {
            let mut shown = Vec::with_capacity(holding.entries.len());
            let mut others = Vec::new();
            for entry in holding.entries.iter() {
                match &entry.resource {
                    Some(resource) if resource.parts().is_none() && holding.fresh.shows(entry) => {
                        shown.push(Arc::clone(resource));
                    }
                    _ => others.extend(
                        holding
                            .stamp(entry)
                            .map(|stamp| RecordRow { document: entry.document.clone(), stamp }),
                    ),
                }
            }
            Held { id: id.clone(), row: holding.row(), shown, others }
        });
        Snapshot {
            links: Arc::clone(&self.view.links),
            past: self.view.past.clone(),
            notes: self.notes.clone(),
            connections: connections.collect(),
        }
    }
}

impl Snapshot {
    /// Steps that make what is kept besides connections, and the connections. All but links are made when they are asked for.
    pub fn rows(self) -> (impl Iterator<Item = Write>, impl Iterator<Item = KeptConnection>) {
        let Self { links, past, notes, connections } = self;
        let links: Vec<Write> = links.iter().map(|link| Write::Link(Box::new(link.clone()))).collect();
        let notes = notes.into_iter().map(|(key, value)| Write::Note(Note { key, value: Some(value) }));
        (links.into_iter().chain(past.into_writes()).chain(notes), connections.into_iter().map(Held::kept))
    }
}

impl Held {
    fn kept(self) -> KeptConnection {
        let Self { id, row, shown, others } = self;
        let told =
            |shown: Arc<Resource>| RecordRow { document: shown.document.clone(), stamp: Stamp::of(&shown) };
        let mut records: Vec<RecordRow> = shown.into_iter().map(told).chain(others).collect();
        records.sort_unstable_by(|a, b| a.document.source_id.cmp(&b.document.source_id));
        (id, row, records)
    }
}
