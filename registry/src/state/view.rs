//! One revision of everything, immutable. A view is shards, one per
//! connection; a batch rebuilds one shard and shares the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, ConnectionStatus, ResourceId, Revision, SectionName, SectionReport, UnixMillis,
};

use super::past::Past;
use super::resource::Resource;

/// What a request sees: exactly one revision.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub revision: Revision,
    pub shards: BTreeMap<ConnectionId, Arc<Shard>>,
    pub past: Past,
}

/// One connection's part of a view.
#[derive(Clone, Debug)]
pub struct Shard {
    pub connection: ConnectionId,
    pub status: Option<ConnectionStatus>,
    pub sections: BTreeMap<SectionName, SectionReport>,
    /// Ascending by id.
    pub resources: Vec<Arc<Resource>>,
}

/// A resource with the time its section was last read.
#[derive(Clone, Debug)]
pub struct Found {
    pub resource: Arc<Resource>,
    pub observed_at: Option<UnixMillis>,
}

impl Shard {
    /// When the section that brought `resource` was last read completely.
    pub fn observed_at(&self, resource: &Resource) -> Option<UnixMillis> {
        self.sections.get(&resource.document.section).and_then(|report| report.observed_at)
    }
}

impl View {
    pub fn get(&self, id: &ResourceId) -> Option<Found> {
        self.shards.values().find_map(|shard| {
            let at = shard.resources.binary_search_by(|resource| resource.id.cmp(id)).ok()?;
            let resource = Arc::clone(&shard.resources[at]);
            let observed_at = shard.observed_at(&resource);
            Some(Found { resource, observed_at })
        })
    }

    /// Every resource, shard by shard.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Shard>, &Arc<Resource>)> {
        self.shards.values().flat_map(|shard| shard.resources.iter().map(move |resource| (shard, resource)))
    }

    pub fn len(&self) -> usize {
        self.shards.values().map(|shard| shard.resources.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
