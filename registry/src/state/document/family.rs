//! What records have in common that lie side by side: kept once for all of them.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use pulse_proto::model::{ResourceType, SectionName, SourceId, StorageTopology};

/// What is the same for siblings of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    pub parent_source_id: Option<SourceId>,
    pub section: SectionName,
    pub resource_type: ResourceType,
    /// Of storage. Kept apart, since a machine is judged by its pools whenever anything in it changes.
    pub(super) topology: Option<StorageTopology>,
}

/// Families of a connection by what they say. Those that nobody has any more go when there are many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Families {
    all: HashTable<Arc<Family>>,
    hasher: RandomState,
    /// So many were had at the last look.
    had: usize,
}

/// Fewer are not looked through.
const LOOK_AT_MIN: usize = 64;

/// As it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Told<'a> {
    pub(crate) parent: &'a str,
    pub(crate) section: &'a str,
    pub(crate) kind: (ResourceType, Option<StorageTopology>),
}

impl Family {
    pub(crate) const fn new(
        parent_source_id: Option<SourceId>,
        section: SectionName,
        (resource_type, topology): (ResourceType, Option<StorageTopology>),
    ) -> Self {
        Self { parent_source_id, section, resource_type, topology }
    }

    pub(crate) fn told(&self) -> Told<'_> {
        let Self { parent_source_id, section, resource_type, topology } = self;
        let parent = parent_source_id.as_ref().map_or("", |id| id.as_str());
        Told { parent, section: section.as_str(), kind: (*resource_type, *topology) }
    }
}

impl Families {
    pub(crate) fn get(&self, told: &Told<'_>) -> Option<&Arc<Family>> {
        self.all.find(self.hasher.hash_one(told), |known| known.told() == *told)
    }

    /// The one that says the same, or this one from now on.
    pub(crate) fn once(&mut self, family: Arc<Family>) -> Arc<Family> {
        if let Some(known) = self.get(&family.told()) {
            return Arc::clone(known);
        }
        if self.all.len() >= LOOK_AT_MIN.max(2 * self.had) {
            self.all.retain(|family| Arc::strong_count(family) > 1);
            self.had = self.all.len();
        }
        let Self { all, hasher, .. } = self;
        let hash = |family: &Arc<Family>| hasher.hash_one(family.told());
        all.insert_unique(hash(&family), Arc::clone(&family), hash);
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(parent: usize) -> Arc<Family> {
        Arc::new(Family {
            parent_source_id: SourceId::parse(&format!("system:a/pool:{parent}")).ok(),
            section: SectionName::parse("datasets").unwrap(),
            resource_type: ResourceType::Storage,
            topology: None,
        })
    }

    #[test]
    fn each_is_kept_once_and_as_long_as_somebody_has_it() {
        let mut families = Families::default();
        let had: Vec<_> = (0..40).map(|parent| families.once(family(parent))).collect();
        for (parent, had) in had.iter().enumerate() {
            assert!(Arc::ptr_eq(&families.once(family(parent)), had));
            assert!(Arc::ptr_eq(families.get(&had.told()).unwrap(), had));
        }
        for parent in 40..10_000 {
            let passing = families.once(family(parent));
            assert_eq!(*passing, *family(parent));
            assert!(families.all.len() <= 2 * had.len(), "{}", families.all.len());
        }
        assert!(had.iter().all(|had| Arc::ptr_eq(families.get(&had.told()).unwrap(), had)));
    }
}
