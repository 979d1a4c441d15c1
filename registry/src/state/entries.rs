//! The records held of a connection, one after the other, with a table of their
//! places beside them: a table of the records themselves would keep room for
//! two where it has one. Walks come in no order; who needs one asks for it.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use pulse_proto::model::SourceId;

use super::holding::Entry;

#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    places: HashTable<u32>,
    hasher: RandomState,
}

impl Entries {
    pub(super) fn get(&self, id: &SourceId) -> Option<&Entry> {
        self.all.get(self.place(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &SourceId) -> Option<&mut Entry> {
        let place = self.place(id)?;
        self.all.get_mut(place)
    }

    fn place(&self, id: &SourceId) -> Option<usize> {
        let hash = self.hasher.hash_one(id);
        let place = self.places.find(hash, |place| self.all[*place as usize].document.source_id == *id)?;
        Some(*place as usize)
    }

    /// In the place of one with the same id.
    pub(super) fn insert(&mut self, entry: Entry) {
        if let Some(held) = self.get_mut(&entry.document.source_id) {
            *held = entry;
            return;
        }
        let Self { all, places, hasher } = self;
        // A connection holds far fewer than 4 billion.
        let place = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let hash = hasher.hash_one(&entry.document.source_id);
        all.push(entry);
        places.insert_unique(hash, place, |place| hasher.hash_one(&all[*place as usize].document.source_id));
    }

    pub(super) fn remove(&mut self, id: &SourceId) -> Option<Entry> {
        let Self { all, places, hasher } = self;
        let hash = hasher.hash_one(id);
        let is_it = |place: &u32| all[*place as usize].document.source_id == *id;
        let (place, _) = places.find_entry(hash, is_it).ok()?.remove();
        let entry = all.swap_remove(place as usize);
        if let Some(moved) = all.get(place as usize) {
            let last = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let hash = hasher.hash_one(&moved.document.source_id);
            if let Some(known) = places.find_mut(hash, |place| *place == last) {
                *known = place;
            }
        }
        Some(entry)
    }

    pub(super) fn reserve(&mut self, more: usize) {
        let Self { all, places, hasher } = self;
        all.reserve_exact(more);
        places.reserve(more, |place| hasher.hash_one(&all[*place as usize].document.source_id));
    }

    pub(super) const fn len(&self) -> usize {
        self.all.len()
    }

    /// So many at once, as they lie there.
    pub(super) fn chunks(&self, many: usize) -> impl Iterator<Item = &[Entry]> {
        self.all.chunks(many)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.all.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.all.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use pulse_proto::model::ResourceType;

    use super::*;
    use crate::query::fixture::Seed;

    fn entry(number: u8) -> Entry {
        let document = Seed::new(ResourceType::Vm, number.into(), "a").build().document.clone();
        Entry { document, resource: None, fresh: None }
    }

    proptest! {
        #[test]
        fn entries_are_a_map(room in 0_usize..100, steps in prop::collection::vec((0_u8..100, 0_u8..3), 0..300)) {
            let (mut entries, mut model) = (Entries::default(), BTreeMap::new());
            entries.reserve(room);
            for (number, kind) in steps {
                let entry = entry(number);
                let id = entry.document.source_id.clone();
                if kind > 0 {
                    model.insert(id.clone(), entry.document.clone());
                    entries.insert(entry);
                } else {
                    let gone = entries.remove(&id).map(|entry| entry.document);
                    prop_assert_eq!(gone.as_ref().map(|gone| gone.body().as_ptr()), model.remove(&id).as_ref().map(|document| document.body().as_ptr()));
                }
                prop_assert_eq!(entries.len(), model.len());
                let walked: Vec<_> = entries.iter().map(|entry| entry.document.body().as_ptr()).collect();
                let again: Vec<_> = entries.iter_mut().map(|entry| entry.document.body().as_ptr()).collect();
                prop_assert_eq!(walked, again);
                let mut all: Vec<_> = entries.iter().map(|entry| (&entry.document.source_id, entry.document.body().as_ptr())).collect();
                all.sort_unstable();
                let expected: Vec<_> = model.iter().map(|(id, document)| (id, document.body().as_ptr())).collect();
                prop_assert_eq!(all, expected);
                for (id, document) in &model {
                    let found = entries.get(id).map(|entry| entry.document.body().as_ptr());
                    prop_assert_eq!(found, Some(document.body().as_ptr()));
                }
            }
        }
    }
}
