//! Names that things had before, or had while they were there, as far as the past
//! of a view remembers, and those that were seen since the registry began: what was
//! said then is told still.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use pulse_proto::model::{ConnectionId, ResourceType};

use super::{Alone, Known, Roll};
use crate::context::piece::Kind;
use crate::query::sight::Sight;
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

/// Names that a connection brought, for those who see it.
type Brought = (ConnectionId, Alone);

/// Names that were read and are there no more. The timeline does not tell who a share maps to, nor where a task goes.
#[derive(Debug, Default)]
pub(super) struct Dropped(BTreeSet<Brought>);

/// More are kept of nobody: some hundred bytes each.
const DROPPED_MAX: usize = 50_000;

impl Dropped {
    /// What a connection brought before and does not bring now.
    pub(super) fn take(&mut self, connection: &ConnectionId, before: &Roll, now: &Roll) {
        if before == now {
            return;
        }
        let stays: BTreeSet<(&str, Kind)> = now.all().map(|(name, meaning)| (name, meaning.kind)).collect();
        for (name, meaning) in before.all().filter(|(name, meaning)| !stays.contains(&(name, meaning.kind))) {
            if self.0.len() < DROPPED_MAX {
                self.0.insert((connection.clone(), Alone::kept(name, meaning)));
            }
        }
    }
}

/// By the place of the chunk.
#[derive(Debug)]
struct Read<T>(BTreeMap<usize, ChunkNames<T>>);

type ChunkNames<T> = (Weak<Chunk<T>>, Arc<[Brought]>);

impl<T> Default for Read<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Read<T> {
    /// Names of the whole log; chunks that were read before are not read again.
    fn names(&mut self, log: &Log<T>, of: impl Fn(&T) -> Vec<Brought>) -> Vec<Arc<[Brought]>> {
        let mut read = BTreeMap::new();
        for chunk in log.chunks() {
            let place = Arc::as_ptr(chunk) as usize;
            let before = self.0.remove(&place).filter(|(weak, _)| Weak::as_ptr(weak) == Arc::as_ptr(chunk));
            let entry = before.unwrap_or_else(|| {
                let names: BTreeSet<Brought> = chunk.items.iter().flat_map(|item| of(item)).collect();
                (Arc::downgrade(chunk), names.into_iter().collect())
            });
            read.insert(place, entry);
        }
        self.0 = read;
        self.0.values().map(|(_, names)| Arc::clone(names)).collect()
    }
}

impl Former {
    pub(super) fn known(&mut self, past: &Past, dropped: &Dropped) -> Arc<Known> {
        let read = self.read(past);
        let names = read.iter().flat_map(|names| names.iter()).chain(&dropped.0);
        let names: BTreeSet<Alone> = names.map(|(_, name)| name.clone()).collect();
        if names != self.names {
            self.known = Arc::new(Known::alone(names.iter()));
            self.names = names;
        }
        Arc::clone(&self.known)
    }

    /// Of what is in sight.
    pub(super) fn seen(&mut self, past: &Past, dropped: &Dropped, sight: &Sight) -> Known {
        let read = self.read(past);
        let names = read.iter().flat_map(|names| names.iter()).chain(&dropped.0);
        Known::alone(names.filter(|(connection, _)| sight.sees(connection)).map(|(_, name)| name))
    }

    fn read(&mut self, past: &Past) -> Vec<Arc<[Brought]>> {
        let mut all = self.entries.names(&past.timeline, of_entry);
        all.extend(self.tombstones.names(&past.tombstones, of_tombstone));
        all
    }
}

/// What it was called before; what it is called now is known by itself.
fn of_entry(entry: &Entry) -> Vec<Brought> {
    let mut names = Vec::new();
    let kind = kind(entry.resource_type);
    if entry.kind == EntryKind::Removed {
        names.extend(kind.map(|kind| Alone::new(kind, entry.name())));
    }
    for step in entry.steps() {
        match step.field {
            "name" => names.extend(kind.map(|kind| Alone::new(kind, step.from))),
            "connection" | "connection_name" => names.push(Alone::new(Kind::System, step.from)),
            _ => {}
        }
    }
    names.into_iter().map(|name| (entry.connection.clone(), name)).collect()
}

fn of_tombstone(gone: &Tombstone) -> Vec<Brought> {
    let own = kind(gone.resource_type).map(|kind| Alone::new(kind, &gone.name));
    let system = [gone.connection.as_str(), &gone.connection_name].map(|name| Alone::new(Kind::System, name));
    own.into_iter().chain(system).map(|name| (gone.connection.clone(), name)).collect()
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
