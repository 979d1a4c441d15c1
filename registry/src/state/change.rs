//! What a revision changed.

use std::sync::Arc;

use pulse_proto::model::{ResourceId, Revision, UnixMillis};

use super::resource::Resource;
use super::timeline::{self, Entry};

/// All changes of one revision, ascending by resource id, each resource once.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    pub revision: Revision,
    pub at: UnixMillis,
    pub items: Vec<Change>,
    /// What the timeline says of them, in the same order.
    pub entries: Vec<Arc<Entry>>,
}

impl Changes {
    pub fn new(revision: Revision, at: UnixMillis, items: Vec<Change>) -> Self {
        let entries = timeline::entries(revision, at, &items).into_iter().map(Arc::new).collect();
        Self { revision, at, items, entries }
    }
}

/// One resource before and after.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Added(Arc<Resource>),
    Changed { before: Arc<Resource>, after: Arc<Resource> },
    Removed(Arc<Resource>),
}

impl Change {
    pub fn id(&self) -> &ResourceId {
        match self {
            Self::Added(resource) | Self::Changed { after: resource, .. } | Self::Removed(resource) => {
                &resource.id
            }
        }
    }
}
