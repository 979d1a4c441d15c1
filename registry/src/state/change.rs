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
    pub extent: Extent,
}

/// What tells, without a look at the changes, whether they concern other resources than those of earlier revisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The newest revision at which a resource that was there before had changed.
    pub newest_before: Revision,
    /// Some resource came.
    pub adds: bool,
    /// Some resource went.
    pub removes: bool,
}

impl Changes {
    pub fn new(revision: Revision, at: UnixMillis, items: Vec<Change>) -> Self {
        let entries = timeline::entries(revision, at, &items);
        let extent = Extent::of(&items);
        Self { revision, at, items, entries, extent }
    }

    /// Whether no resource changes twice in these revisions, all of which come after `from`. May say no in vain.
    pub fn are_distinct(steps: &[Arc<Self>], from: Revision) -> bool {
        let [_, later @ ..] = steps else { return true };
        let mut extents = steps.iter().map(|step| step.extent);
        // Who comes may have gone before, and nothing tells of that.
        let may_come_back = extents.clone().any(|extent| extent.removes) && extents.any(|extent| extent.adds);
        !may_come_back && later.iter().all(|step| step.extent.newest_before <= from)
    }
}

impl Extent {
    fn of(items: &[Change]) -> Self {
        items.iter().fold(Self::default(), |extent, item| match item {
            Change::Added(_) => Self { adds: true, ..extent },
            Change::Changed { before, .. } => {
                Self { newest_before: extent.newest_before.max(before.revision), ..extent }
            }
            Change::Removed(before) => {
                Self { newest_before: extent.newest_before.max(before.revision), removes: true, ..extent }
            }
        })
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
