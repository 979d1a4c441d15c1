//! The rows of a list, found and sorted once; pages are cut from them.

use std::sync::Arc;

use pulse_proto::model::Revision;

use super::filter::Filter;
use super::order::Order;
use crate::state::view::{Found, Shard, View};

/// Everything that matches, in order, of one view.
#[derive(Clone, Debug)]
pub struct Listing {
    pub view: Arc<View>,
    shards: Vec<Arc<Shard>>,
    /// Shard and place in it.
    rows: Vec<(u32, u32)>,
}

impl Listing {
    pub fn find(view: Arc<View>, filter: &Filter, order: &Order) -> Self {
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
        let mut listing = Self { view, shards, rows };
        let mut rows = std::mem::take(&mut listing.rows);
        rows.sort_by(|left, right| {
            let (left_shard, left) = listing.row(*left);
            let (right_shard, right) = listing.row(*right);
            let left_at = left_shard.observed_at(left);
            order.compare((left, left_at), (right, right_shard.observed_at(right)))
        });
        listing.rows = rows;
        listing
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

    /// From the row with this number on.
    pub fn from(&self, offset: usize) -> impl Iterator<Item = Found> {
        self.rows.iter().skip(offset).map(|row| {
            let (shard, resource) = self.row(*row);
            Found { resource: Arc::clone(resource), observed_at: shard.observed_at(resource) }
        })
    }

    fn row(&self, (shard, at): (u32, u32)) -> (&Shard, &Arc<pulse_proto::model::Resource>) {
        let shard = &self.shards[shard as usize];
        (shard, &shard.resources[at as usize])
    }
}
