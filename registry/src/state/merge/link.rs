//! What operators have said about pairs of records: these are the same, these
//! are not. Their word goes before all evidence.

use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::{ConnectionId, DataSource, ResourceType, UnixMillis};

use super::Key;

/// Statements one registry keeps.
pub const LINKS_MAX: usize = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    Same,
    Different,
}

/// Two records, the lesser first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair(Key, Key);

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub pair: Pair,
    pub stand: Stand,
    pub reason: String,
    pub who: String,
    pub at: UnixMillis,
}

/// Why a statement is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("connection {} has no record {}", .0.0, .0.1)]
    NotHeld(Key),
    #[error("a record and itself need no link")]
    OneRecord,
    #[error("only hosts and physical disks are merged, these are {0} and {1}")]
    Type(ResourceType, ResourceType),
    #[error("records of one source ({0}) are never merged")]
    OneSource(DataSource),
    #[error(
        "their connections differ in the label {0:?}, which keeps records apart: give both the same, or change \
         merge.boundary_labels"
    )]
    Boundary(String),
    #[error("they cannot become one: another link, or one that keeps them apart, stands against it")]
    Conflict,
    #[error("nobody has linked these two or kept them apart")]
    NotThere,
    #[error("the registry keeps at most {LINKS_MAX} links; remove some")]
    Full,
    #[error("{0}")]
    Store(String),
}

/// All statements, found by pair and by record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    by_pair: BTreeMap<Pair, Link>,
    others: BTreeMap<Key, BTreeSet<Key>>,
}

impl Pair {
    pub fn of(a: Key, b: Key) -> Self {
        if a <= b { Self(a, b) } else { Self(b, a) }
    }

    pub const fn ends(&self) -> [&Key; 2] {
        [&self.0, &self.1]
    }
}

impl Links {
    pub fn len(&self) -> usize {
        self.by_pair.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_pair.is_empty()
    }

    /// Ascending by pair.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.by_pair.values()
    }

    pub fn get(&self, pair: &Pair) -> Option<&Link> {
        self.by_pair.get(pair)
    }

    pub fn stand(&self, a: &Key, b: &Key) -> Option<Stand> {
        if self.is_empty() {
            return None;
        }
        self.get(&Pair::of(a.clone(), b.clone())).map(|link| link.stand)
    }

    pub(super) fn concerns(&self, key: &Key) -> bool {
        self.others.contains_key(key)
    }

    /// Records that are said to be the same, and since when.
    pub(super) fn same_as(&self, key: &Key) -> impl Iterator<Item = (&Key, UnixMillis)> {
        let others = self.others.get(key).into_iter().flatten();
        others.filter_map(move |other| {
            let link = self.get(&Pair::of(key.clone(), other.clone()))?;
            (link.stand == Stand::Same).then_some((other, link.at))
        })
    }

    pub(in crate::state) fn put(&mut self, link: Link) -> Option<Link> {
        let [a, b] = link.pair.ends();
        self.others.entry(a.clone()).or_default().insert(b.clone());
        self.others.entry(b.clone()).or_default().insert(a.clone());
        self.by_pair.insert(link.pair.clone(), link)
    }

    pub(in crate::state) fn remove(&mut self, pair: &Pair) -> Option<Link> {
        let link = self.by_pair.remove(pair)?;
        let [a, b] = pair.ends();
        for (key, other) in [(a, b), (b, a)] {
            if let Some(others) = self.others.get_mut(key) {
                others.remove(other);
                if others.is_empty() {
                    self.others.remove(key);
                }
            }
        }
        Some(link)
    }

    /// Pairs that name a record of the connection.
    pub(in crate::state) fn of_connection(&self, connection: &ConnectionId) -> Vec<Pair> {
        if self.is_empty() {
            return Vec::new();
        }
        let named = self.others.iter().filter(|((owner, _), _)| owner == connection);
        let pairs =
            named.flat_map(|(key, others)| others.iter().map(|other| Pair::of(key.clone(), other.clone())));
        pairs.collect::<BTreeSet<_>>().into_iter().collect()
    }
}
