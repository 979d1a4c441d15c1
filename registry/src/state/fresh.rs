//! What is needed once, to derive a resource of a record that just came. Beside
//! the entries, in a table as large as what waits: of a million, few do at a time.

use pulse_proto::model::SourceId;

use super::document::{Beside, Document};
use super::holding::Entry;
use super::row::Stamp;
use super::table::Table;

#[derive(Clone, Debug)]
pub(super) struct Fresh {
    /// What it was compared with, if it was.
    pub(super) beside: Option<Beside>,
    /// Not yet kept with a stamp.
    pub(super) unstamped: bool,
    pub(super) stamp: Stamp,
}

/// Records of a connection that are to be derived anew, and those that another record leads.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Table<SourceId, Fresh>);

impl Fresh {
    /// Nothing is to be derived of it as long as it is led.
    pub(super) const fn led(stamp: Stamp) -> Self {
        Self { beside: None, unstamped: false, stamp }
    }

    /// What it is beside this document, when it was compared with that one.
    pub(super) fn beside(&self, document: &Document) -> Option<&Beside> {
        self.beside.as_ref().filter(|beside| beside.is(document))
    }
}

impl Waiting {
    pub(super) fn get(&self, id: &SourceId) -> Option<&Fresh> {
        self.0.get(id)
    }

    /// When the record came and last changed; of what is shown, as it is shown.
    pub(super) fn stamp(&self, entry: &Entry) -> Option<Stamp> {
        let waiting = || self.get(&entry.document.source_id).map(|fresh| fresh.stamp);
        entry.resource.as_deref().map(Stamp::of).or_else(waiting)
    }

    /// Whether what is shown is what is held.
    pub(super) fn shows(&self, entry: &Entry) -> bool {
        entry.resource.is_some() && self.get(&entry.document.source_id).is_none()
    }

    pub(super) fn insert(&mut self, id: SourceId, fresh: Fresh) {
        self.0.insert(id, fresh);
    }

    pub(super) fn remove(&mut self, id: &SourceId) {
        if self.0.remove(id).is_some() {
            self.0.shrink_when_sparse();
        }
    }
}
