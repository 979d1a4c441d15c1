//! The rows of a list, found once and sorted as far as they are read; pages
//! are cut from them.

use std::cmp::Ordering;
use std::sync::Arc;

use pulse_proto::model::Revision;

use super::filter::Filter;
use super::order::Order;
use crate::state::resource::Resource;
use crate::state::view::{Found, Shard, View};

/// How many times longer than its first page a list must be to be sorted only
/// as far as that page.
const SORT_ALL_FACTOR: usize = 4;

/// Everything that matches, of one view; its first rows in order.
#[derive(Clone, Debug)]
pub struct Listing {
    pub view: Arc<View>,
    shards: Vec<Arc<Shard>>,
    rows: Vec<Row>,
    /// So many rows are what and where they should be.
    sorted: usize,
}

/// Shard and place in it.
type Row = (u32, u32);

impl Listing {
    /// Sorts at least the `first` rows: most lists are never read beyond the first page.
    pub fn find(view: Arc<View>, filter: &Filter, order: &Order, first: usize) -> Self {
        let scan = filter.scan(&view);
        let mut shards = Vec::with_capacity(scan.parts.len());
        let mut rows = Vec::new();
        for (shard, range) in scan.parts {
            // More than 4 billion shards or resources do not fit into memory.
            let number = u32::try_from(shards.len()).unwrap_or(u32::MAX);
            for at in range {
                let resource = &shard.resources[at];
                if filter.matches(resource, shard.observed_at(resource)) {
                    rows.push((number, u32::try_from(at).unwrap_or(u32::MAX)));
                }
            }
            shards.push(shard);
        }
        let mut listing = Self { view, shards, rows: Vec::new(), sorted: 0 };
        let few = first > 0 && rows.len() / SORT_ALL_FACTOR > first;
        listing.sorted = if few { first } else { rows.len() };
        if few {
            rows.select_nth_unstable_by(first - 1, |left, right| listing.compare(order, *left, *right));
        }
        rows[..listing.sorted].sort_by(|left, right| listing.compare(order, *left, *right));
        listing.rows = rows;
        listing
    }

    /// The same list with every row in order.
    #[must_use]
    pub fn sort_all(&self, order: &Order) -> Self {
        let mut rows = self.rows.clone();
        rows[self.sorted..].sort_by(|left, right| self.compare(order, *left, *right));
        Self { view: Arc::clone(&self.view), shards: self.shards.clone(), sorted: rows.len(), rows }
    }

    /// Whether the rows before `end` are in order.
    pub fn covers(&self, end: usize) -> bool {
        end.min(self.rows.len()) <= self.sorted
    }

    fn compare(&self, order: &Order, left: Row, right: Row) -> Ordering {
        let sortable = |row| {
            let (shard, resource) = self.row(row);
            // Not looked up in vain: a sort compares millions of times.
            let at = if order.uses_observed_at() { shard.observed_at(resource) } else { None };
            (&**resource, at)
        };
        order.compare(sortable(left), sortable(right))
    }

    pub fn revision(&self) -> Revision {
        self.view.revision
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// From the row with this number on, in order as far as [`Self::covers`] says.
    pub fn from(&self, offset: usize) -> impl Iterator<Item = Found> {
        self.rows.iter().skip(offset).map(|row| {
            let (shard, resource) = self.row(*row);
            Found { resource: Arc::clone(resource), observed_at: shard.observed_at(resource) }
        })
    }

    fn row(&self, (shard, at): Row) -> (&Shard, &Arc<Resource>) {
        let shard = &self.shards[shard as usize];
        (shard, &shard.resources[at as usize])
    }
}
