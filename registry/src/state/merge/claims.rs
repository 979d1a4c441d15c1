//! Who claims which evidence. What two records of one source claim is nobody's
//! evidence, so claims are kept source by source.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use pulse_proto::model::DataSource;

use super::Key;

/// Evidence, and the records that claim it.
#[derive(Debug)]
pub(super) struct Register<K> {
    claims: BTreeMap<K, Claimants>,
    /// How much of it more than one record claims.
    shared: usize,
}

/// Most evidence has one claimant, which needs no set.
#[derive(Debug)]
enum Claimants {
    One(DataSource, Key),
    Many(BTreeMap<DataSource, BTreeSet<Key>>),
}

impl<K> Default for Register<K> {
    fn default() -> Self {
        Self { claims: BTreeMap::new(), shared: 0 }
    }
}

impl<K: Ord> Register<K> {
    /// `affected` gets everybody whose evidence this adds to or takes away. A third claimant in a source changes nothing.
    pub(super) fn add(
        &mut self,
        evidence: K,
        source: DataSource,
        key: &Key,
        affected: &mut impl Extend<Key>,
    ) {
        let Some(held) = self.claims.get_mut(&evidence) else {
            self.claims.insert(evidence, Claimants::One(source, key.clone()));
            return;
        };
        if held.claims_of(source) <= 1 {
            affected.extend(held.alone().map(|(_, key)| key.clone()));
        }
        let was_shared = held.is_many();
        held.insert(source, key);
        self.shared += usize::from(held.is_many() && !was_shared);
    }

    pub(super) fn remove<Q: Ord + ?Sized>(
        &mut self,
        evidence: &Q,
        source: DataSource,
        key: &Key,
        affected: &mut impl Extend<Key>,
    ) where
        K: Borrow<Q>,
    {
        let Some(held) = self.claims.get_mut(evidence) else { return };
        let was_shared = held.is_many();
        if held.remove(source, key) {
            self.claims.remove(evidence);
            return;
        }
        self.shared -= usize::from(was_shared && !held.is_many());
        if held.claims_of(source) <= 1 {
            affected.extend(held.alone().map(|(_, key)| key.clone()));
        }
    }

    /// Something is claimed by more than one record.
    pub(super) const fn has_shared(&self) -> bool {
        self.shared > 0
    }

    /// The claimants that are the only one of their source.
    pub(super) fn alone<Q: Ord + ?Sized>(&self, evidence: &Q) -> impl Iterator<Item = (DataSource, &Key)>
    where
        K: Borrow<Q>,
    {
        self.claims.get(evidence).into_iter().flat_map(Claimants::alone)
    }

    /// Somebody claims it beside the one who asks.
    pub(super) fn is_shared<Q: Ord + ?Sized>(&self, evidence: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.claims.get(evidence).is_some_and(Claimants::is_many)
    }

    /// Everybody whose evidence somebody else claims too.
    pub(super) fn sharers(&self) -> impl Iterator<Item = &Key> {
        let many = self.claims.values().filter_map(|claimants| match claimants {
            Claimants::Many(many) => Some(many),
            Claimants::One(..) => None,
        });
        many.flat_map(|many| many.values().flatten())
    }
}

impl Claimants {
    fn claims_of(&self, source: DataSource) -> usize {
        match self {
            Self::One(only, _) => usize::from(*only == source),
            Self::Many(many) => many.get(&source).map_or(0, BTreeSet::len),
        }
    }

    const fn is_many(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    fn alone(&self) -> impl Iterator<Item = (DataSource, &Key)> {
        let (one, many) = match self {
            Self::One(source, key) => (Some((*source, key)), None),
            Self::Many(many) => (None, Some(many)),
        };
        let single = many.into_iter().flatten().filter(|(_, keys)| keys.len() == 1);
        one.into_iter().chain(single.filter_map(|(source, keys)| Some((*source, keys.first()?))))
    }

    fn insert(&mut self, source: DataSource, key: &Key) {
        match self {
            Self::One(only, held) if *only == source && held == key => {}
            Self::One(only, held) => {
                let mut many = BTreeMap::from([(*only, BTreeSet::from([held.clone()]))]);
                many.entry(source).or_default().insert(key.clone());
                *self = Self::Many(many);
            }
            Self::Many(many) => drop(many.entry(source).or_default().insert(key.clone())),
        }
    }

    /// `true` when nobody is left.
    fn remove(&mut self, source: DataSource, key: &Key) -> bool {
        let many = match self {
            Self::One(only, held) => return *only == source && held == key,
            Self::Many(many) => many,
        };
        if let Some(keys) = many.get_mut(&source) {
            keys.remove(key);
            if keys.is_empty() {
                many.remove(&source);
            }
        }
        let mut left = many.iter().flat_map(|(source, keys)| keys.iter().map(move |key| (*source, key)));
        match (left.next(), left.next()) {
            (None, _) => true,
            (Some((source, key)), None) => {
                *self = Self::One(source, key.clone());
                false
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use DataSource::{Agent, Truenas};
    use pulse_proto::model::{ConnectionId, SourceId};

    use super::*;

    fn key(name: &str) -> Key {
        (ConnectionId::parse(name).unwrap(), SourceId::parse(name).unwrap())
    }

    #[test]
    fn what_two_of_a_source_claim_is_nobodys() {
        let (a, b, c) = (key("a"), key("b"), key("c"));
        let mut register = Register::<Box<str>>::default();
        let step = |register: &mut Register<Box<str>>, add: bool, source, key: &Key| {
            let mut affected = BTreeSet::new();
            if add {
                register.add("x".into(), source, key, &mut affected);
            } else {
                register.remove("x", source, key, &mut affected);
            }
            let alone: Vec<Key> = register.alone("x").map(|(_, key)| key.clone()).collect();
            (affected.into_iter().collect::<Vec<_>>(), alone, register.is_shared("x"))
        };
        assert_eq!(step(&mut register, true, Truenas, &a), (vec![], vec![a.clone()], false));
        assert_eq!(step(&mut register, true, Truenas, &a), (vec![a.clone()], vec![a.clone()], false));
        // Ascending by source: agent stands before truenas.
        let both = vec![b.clone(), a.clone()];
        assert_eq!(step(&mut register, true, Agent, &b), (vec![a.clone()], both.clone(), true));
        let (affected, alone, shared) = step(&mut register, true, Truenas, &c);
        assert_eq!((affected.len(), alone, shared), (2, vec![b.clone()], true));
        let (affected, alone, _) = step(&mut register, true, Truenas, &key("d"));
        assert_eq!((affected, alone), (vec![], vec![b.clone()]), "the third changes nothing");
        assert_eq!(step(&mut register, false, Truenas, &key("d")).0, vec![]);
        assert_eq!(step(&mut register, false, Truenas, &c).1, both);
        assert_eq!(step(&mut register, false, Truenas, &a), (vec![b.clone()], vec![b.clone()], false));
        assert_eq!(step(&mut register, false, Agent, &b), (vec![], vec![], false));
        assert!(register.claims.is_empty() && register.shared == 0, "nothing is left behind");
    }
}
