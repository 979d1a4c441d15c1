//! What somebody may see who is limited to labels: the connections that carry
//! all of them, and what comes from these. For questions that are not asked
//! with a filter over resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::ConnectionId;

use super::token::short_hash;
use crate::state::view::View;

/// As of one view: labels of connections change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight(Option<Arc<BTreeSet<ConnectionId>>>);

impl Sight {
    /// Everything.
    pub const fn whole() -> Self {
        Self(None)
    }

    /// Without labels: everything.
    pub fn of(view: &View, labels: &BTreeMap<String, String>) -> Self {
        Self((!labels.is_empty()).then(|| Arc::new(view.connections_with(labels))))
    }

    /// These connections alone.
    #[cfg(test)]
    pub(crate) fn only(connections: impl IntoIterator<Item = ConnectionId>) -> Self {
        Self(Some(Arc::new(connections.into_iter().collect())))
    }

    pub fn sees(&self, connection: &ConnectionId) -> bool {
        self.0.as_ref().is_none_or(|connections| connections.contains(connection))
    }

    pub const fn is_whole(&self) -> bool {
        self.0.is_none()
    }

    /// Equal for what sees the same, whatever revision it is of.
    pub fn digest(&self) -> [u8; 8] {
        match &self.0 {
            None => [0; 8],
            Some(connections) => {
                let names: Vec<&[u8]> = connections.iter().map(|id| id.as_str().as_bytes()).collect();
                short_hash(&names)
            }
        }
    }
}
