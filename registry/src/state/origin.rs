//! Where resources came from, once for all that came the same way.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use pulse_proto::model::ConnectionId;

/// A connection as its resources show it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub connection: ConnectionId,
    pub connection_name: Arc<str>,
    pub labels: Arc<BTreeMap<String, String>>,
    /// As somebody encoded it.
    encoded: OnceLock<Box<[u8]>>,
}

impl Origin {
    pub fn new(
        connection: ConnectionId,
        connection_name: Arc<str>,
        labels: Arc<BTreeMap<String, String>>,
    ) -> Self {
        Self { connection, connection_name, labels, encoded: OnceLock::new() }
    }

    /// What `encode` made of it the first time it was asked for: pages and watches show it with each resource.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Vec<u8>) -> &[u8] {
        self.encoded.get_or_init(|| encode(self).into())
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let Self { connection, connection_name, labels, encoded: _ } = self;
        let same = |left: &Arc<BTreeMap<_, _>>, right| Arc::ptr_eq(left, right) || left == right;
        *connection == other.connection
            && *connection_name == other.connection_name
            && same(labels, &other.labels)
    }
}

impl Eq for Origin {}
