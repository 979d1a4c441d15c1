//! One revision of everything, immutable. A view is shards, one per
//! connection; a batch rebuilds one shard and shares the others. What is kept
//! of the view as a whole, sums and who holds which id, follows at the cost of
//! the batch.

pub mod bits;
mod directory;
mod postings;
pub mod profile;
pub mod rows;
mod shard;
pub mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceId, Revision, UnixMillis};

use self::directory::Directory;
use self::rows::{Step, compare};
use self::tally::Tallies;
use super::change::Change;
use super::merge::boundary::Boundary;
use super::merge::link::Links;
use super::past::Past;
use super::resource::{Resource, SourcePart};

pub(super) use self::directory::Slot;
pub use self::rows::Rows;
pub use self::shard::Shard;

/// What a request sees: exactly one revision.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub revision: Revision,
    shards: BTreeMap<ConnectionId, Placed>,
    /// By number, as the directory knows them.
    numbered: Arc<Vec<Option<ConnectionId>>>,
    directory: Directory,
    tallies: Tallies,
    len: usize,
    /// What operators said about pairs of records.
    pub links: Arc<Links>,
    /// What keeps records apart.
    pub boundary: Boundary,
    pub past: Past,
}

#[derive(Clone, Debug)]
struct Placed {
    number: u32,
    shard: Arc<Shard>,
}

/// A resource with the time its section was last read.
#[derive(Clone, Debug)]
pub struct Found {
    pub resource: Arc<Resource>,
    pub observed_at: Option<UnixMillis>,
}

impl View {
    /// Connections that carry all of these labels.
    pub fn connections_with(&self, labels: &BTreeMap<String, String>) -> BTreeSet<ConnectionId> {
        let carries = |shard: &&Arc<Shard>| {
            shard
                .status
                .as_ref()
                .is_some_and(|status| labels.iter().all(|(key, value)| status.labels.get(key) == Some(value)))
        };
        self.shards().filter(carries).map(|shard| shard.connection.clone()).collect()
    }

    pub(super) fn within(boundary: Boundary) -> Self {
        Self { boundary, ..Self::default() }
    }

    pub fn of(revision: Revision, shards: impl IntoIterator<Item = Shard>) -> Self {
        let mut view = Self { revision, ..Self::default() };
        shards.into_iter().for_each(|shard| view.put(shard));
        view
    }

    /// Takes in all shards there are; ascending by connection, with the places of their ids.
    pub(super) fn fill(&mut self, shards: Vec<(Shard, Vec<Slot>)>) {
        let mut places = Vec::with_capacity(shards.len());
        for (number, (shard, slots)) in (0..).zip(shards) {
            let connection = shard.connection.clone();
            self.len += shard.resources.len();
            self.tallies.exchange(&Tallies::default(), shard.resources.tallies());
            Arc::make_mut(&mut self.numbered).push(Some(connection.clone()));
            self.shards.insert(connection, Placed { number, shard: Arc::new(shard) });
            places.push((number, slots));
        }
        self.directory = Directory::of(&places);
    }

    /// Takes a shard in, in the place of its older version.
    pub fn put(&mut self, shard: Shard) {
        let connection = shard.connection.clone();
        let shard = Arc::new(shard);
        let old = match self.shards.get_mut(&connection) {
            Some(placed) => Some((placed.number, std::mem::replace(&mut placed.shard, Arc::clone(&shard)))),
            None => None,
        };
        if let Some((number, old)) = old {
            self.follow(number, &old.resources, &shard.resources);
        } else {
            let number = self.number(&connection);
            self.follow(number, &Rows::default(), &shard.resources);
            self.shards.insert(connection, Placed { number, shard });
        }
    }

    /// Puts resources in the places of others of their shard, from which they differ in numbers alone. Says what changed,
    /// ascending by id; `None`, and nothing was done, when one of the others is not there.
    pub(super) fn exchange(&mut self, pairs: &[(Arc<Resource>, Arc<Resource>)]) -> Option<Vec<Change>> {
        let (_, first) = pairs.first()?;
        let placed = self.shards.get_mut(&first.connection)?;
        let (rows, changes) = placed.shard.resources.exchanged(pairs)?;
        self.tallies.exchange(placed.shard.resources.tallies(), rows.tallies());
        placed.shard = Arc::new(Shard { resources: Arc::new(rows), ..Shard::clone(&placed.shard) });
        Some(changes)
    }

    pub fn remove(&mut self, connection: &ConnectionId) {
        let Some(Placed { number, shard }) = self.shards.remove(connection) else { return };
        self.follow(number, &shard.resources, &Rows::default());
        if let Some(place) = Arc::make_mut(&mut self.numbered).get_mut(number as usize) {
            *place = None;
        }
    }

    /// A number that no other shard has; few, so that they stay small.
    fn number(&mut self, connection: &ConnectionId) -> u32 {
        let numbered = Arc::make_mut(&mut self.numbered);
        let free = numbered.iter().position(Option::is_none).unwrap_or_else(|| {
            numbered.push(None);
            numbered.len() - 1
        });
        numbered[free] = Some(connection.clone());
        u32::try_from(free).unwrap_or(u32::MAX)
    }

    /// Brings what is kept of the whole view up to date.
    fn follow(&mut self, number: u32, old: &Rows, new: &Rows) {
        if std::ptr::eq(old, new) {
            return;
        }
        self.len = self.len + new.len() - old.len();
        self.tallies.exchange(old.tallies(), new.tallies());
        compare(old, new, |step| match step {
            Step::Same(_) | Step::Changed(..) => {}
            Step::Removed(row) => self.directory.remove(&old[row].id, number),
            Step::Added(row) => self.directory.insert(&new[row].id, number),
        });
    }

    pub fn get(&self, id: &ResourceId) -> Option<Found> {
        let found = self.holders(id).find_map(|shard| {
            let row = shard.resources.binary_search_by(|resource| resource.id.cmp(id)).ok()?;
            Some((shard, row))
        });
        let (shard, row) = found?;
        Some(shard.found(row))
    }

    /// Shards that may hold the id, among them those that do.
    pub fn holders(&self, id: &ResourceId) -> impl Iterator<Item = &Arc<Shard>> {
        let connection = |number: u32| self.numbered.get(number as usize).and_then(Option::as_ref);
        self.directory.find(id).filter_map(move |number| self.shard(connection(number)?))
    }

    pub fn shard(&self, connection: &ConnectionId) -> Option<&Arc<Shard>> {
        self.shards.get(connection).map(|placed| &placed.shard)
    }

    /// Ascending by connection.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &Arc<Shard>> {
        self.shards.values().map(|placed| &placed.shard)
    }

    /// Everything, counted.
    pub const fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// When the section that brought one source's part was last read completely.
    pub fn seen(&self, part: &SourcePart<'_>) -> Option<UnixMillis> {
        self.shard(part.connection)?.sections.get(part.section)?.observed_at
    }

    /// Every resource, shard by shard.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Shard>, &Arc<Resource>)> {
        self.shards().flat_map(|shard| shard.resources.iter().map(move |resource| (shard, resource)))
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}
