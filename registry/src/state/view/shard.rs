//! One connection's part of a view.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ConnectionStatus, SectionName, SectionReport, UnixMillis};

use super::Found;
use super::rows::Rows;
use crate::state::resource::Resource;

#[derive(Clone, Debug)]
pub struct Shard {
    pub connection: ConnectionId,
    pub status: Option<ConnectionStatus>,
    pub sections: BTreeMap<SectionName, SectionReport>,
    /// Ascending by id, and indexed.
    pub resources: Arc<Rows>,
}

impl Shard {
    /// `resources` ascend by id. `old` is an earlier version of the shard, from
    /// which is taken over what did not change; it has no influence on the outcome.
    pub fn build(
        old: Option<&Self>,
        connection: ConnectionId,
        status: Option<ConnectionStatus>,
        sections: BTreeMap<SectionName, SectionReport>,
        resources: Vec<Arc<Resource>>,
    ) -> Self {
        let rows = match old {
            Some(old) => Rows::build(&old.resources, resources),
            None => Rows::build(&Rows::default(), resources),
        };
        Self { connection, status, sections, resources: Arc::new(rows) }
    }

    /// When the section that brought `resource` was last read completely.
    pub fn observed_at(&self, resource: &Resource) -> Option<UnixMillis> {
        self.sections.get(&resource.document.section).and_then(|report| report.observed_at)
    }

    /// What stands in a row.
    pub fn found(&self, row: usize) -> Found {
        let resource = Arc::clone(&self.resources[row]);
        let observed_at = self.observed_at(&resource);
        Found { resource, observed_at }
    }
}
