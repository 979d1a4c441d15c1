//! Names that things had before, or had while they were there, as far as the past
//! of a view remembers: what was said then is told still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use pulse_proto::model::ResourceType;

use super::{Alone, Known};
use crate::context::piece::Kind;
use crate::state::log::{Chunk, Log};
use crate::state::past::{Past, Tombstone};
use crate::state::timeline::{Entry, EntryKind};

/// What was read of the past, by the chunks it is kept in.
#[derive(Debug, Default)]
pub(super) struct Former {
    entries: Read<Entry>,
    tombstones: Read<Tombstone>,
    known: Arc<Known>,
    names: BTreeSet<Alone>,
}

/// By the place of the chunk.
#[derive(Debug)]
struct Read<T>(BTreeMap<usize, ChunkNames<T>>);

type ChunkNames<T> = (Weak<Chunk<T>>, Arc<[Alone]>);

impl<T> Default for Read<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Read<T> {
    /// Names of the whole log; chunks that were read before are not read again.
    fn names(&mut self, log: &Log<T>, of: impl Fn(&T) -> Vec<Alone>) -> Vec<Arc<[Alone]>> {
        let mut read = BTreeMap::new();
        for chunk in log.chunks() {
            let place = Arc::as_ptr(chunk) as usize;
            let before = self.0.remove(&place).filter(|(weak, _)| Weak::as_ptr(weak) == Arc::as_ptr(chunk));
            let entry = before.unwrap_or_else(|| {
                let names: BTreeSet<Alone> = chunk.items.iter().flat_map(|item| of(item)).collect();
                (Arc::downgrade(chunk), names.into_iter().collect())
            });
            read.insert(place, entry);
        }
        self.0 = read;
        self.0.values().map(|(_, names)| Arc::clone(names)).collect()
    }
}

impl Former {
    pub(super) fn known(&mut self, past: &Past) -> Arc<Known> {
        let mut all = self.entries.names(&past.timeline, of_entry);
        all.extend(self.tombstones.names(&past.tombstones, of_tombstone));
        let names: BTreeSet<Alone> = all.iter().flat_map(|names| names.iter().cloned()).collect();
        if names != self.names {
            self.known = Arc::new(Known::alone(names.iter()));
            self.names = names;
        }
        Arc::clone(&self.known)
    }
}

/// What it was called before; what it is called now is known by itself.
fn of_entry(entry: &Entry) -> Vec<Alone> {
    let mut names = Vec::new();
    let kind = kind(entry.resource_type);
    if entry.kind == EntryKind::Removed {
        names.extend(kind.map(|kind| Alone::new(kind, &entry.name)));
    }
    for step in &entry.steps {
        match &*step.field {
            "name" => names.extend(kind.map(|kind| Alone::new(kind, &step.from))),
            "connection" | "connection_name" => names.push(Alone::new(Kind::System, &step.from)),
            _ => {}
        }
    }
    names
}

fn of_tombstone(gone: &Tombstone) -> Vec<Alone> {
    let own = kind(gone.resource_type).map(|kind| Alone::new(kind, &gone.name));
    let system = [gone.connection.as_str(), &gone.connection_name].map(|name| Alone::new(Kind::System, name));
    own.into_iter().chain(system).collect()
}

/// Of what has names that are hidden inside other texts.
const fn kind(resource_type: ResourceType) -> Option<Kind> {
    match resource_type {
        ResourceType::Host => Some(Kind::System),
        ResourceType::NetworkShare => Some(Kind::Share),
        ResourceType::AppContainer
        | ResourceType::Vm
        | ResourceType::SystemContainer
        | ResourceType::DockerService => Some(Kind::Workload),
        _ => None,
    }
}
