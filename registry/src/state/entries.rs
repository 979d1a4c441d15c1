//! The records held of a connection, one after the other, with a table of their
//! places beside them: a table of the records themselves would keep room for
//! two where it has one. Those that name one parent are a list through their
//! places. Walks come in no order; who needs one asks for it.

use std::hash::BuildHasher as _;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use pulse_proto::model::SourceId;

use super::holding::Entry;
use super::table::Table;

#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    all: Vec<Entry>,
    /// Of each, where it lies among its siblings: sets of ids took four times as much.
    siblings: Vec<Siblings>,
    places: HashTable<u32>,
    hasher: RandomState,
    /// Who is named as parent; such a record need not be there.
    parents: Table<SourceId, Children>,
}

/// Of the same parent, or [`NONE`].
#[derive(Clone, Copy, Debug)]
struct Siblings {
    previous: u32,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Children {
    first: u32,
    count: u32,
}

const NONE: u32 = u32::MAX;

impl Entries {
    pub(super) fn get(&self, id: &SourceId) -> Option<&Entry> {
        self.all.get(self.place(id)?)
    }

    /// Who changes the record leaves its id and its parent what they are.
    pub(super) fn get_mut(&mut self, id: &SourceId) -> Option<&mut Entry> {
        let place = self.place(id)?;
        self.all.get_mut(place)
    }

    /// Where it lies, until something is removed.
    pub(super) fn place(&self, id: &SourceId) -> Option<usize> {
        let hash = self.hasher.hash_one(id);
        let place = self.places.find(hash, |place| self.all[*place as usize].document.source_id == *id)?;
        Some(*place as usize)
    }

    /// In the place of one with the same id.
    pub(super) fn insert(&mut self, entry: Entry) {
        drop(self.remove(&entry.document.source_id));
        let Self { all, places, hasher, .. } = self;
        // A connection holds far fewer than 4 billion.
        let place = u32::try_from(all.len()).unwrap_or(NONE);
        let hash = hasher.hash_one(&entry.document.source_id);
        all.push(entry);
        places.insert_unique(hash, place, |place| hasher.hash_one(&all[*place as usize].document.source_id));
        self.link(place);
    }

    pub(super) fn remove(&mut self, id: &SourceId) -> Option<Entry> {
        let Self { all, places, hasher, .. } = self;
        let hash = hasher.hash_one(id);
        let is_it = |place: &u32| all[*place as usize].document.source_id == *id;
        let (place, _) = places.find_entry(hash, is_it).ok()?.remove();
        self.unlink(place);
        let entry = self.all.swap_remove(place as usize);
        self.siblings.swap_remove(place as usize);
        self.moved(place);
        Some(entry)
    }

    /// What was the last lies at `place` now, if there is one.
    fn moved(&mut self, place: u32) {
        let Self { all, siblings, places, hasher, parents } = self;
        let Some(moved) = all.get(place as usize) else { return };
        let last = u32::try_from(all.len()).unwrap_or(NONE);
        let hash = hasher.hash_one(&moved.document.source_id);
        if let Some(known) = places.find_mut(hash, |place| *place == last) {
            *known = place;
        }
        let Siblings { previous, next } = siblings[place as usize];
        if let Some(next) = siblings.get_mut(next as usize) {
            next.previous = place;
        }
        if let Some(previous) = siblings.get_mut(previous as usize) {
            previous.next = place;
        } else if let Some(parent) = &moved.document.parent_source_id
            && let Some(children) = parents.get_mut(parent)
        {
            children.first = place;
        }
    }

    /// Makes the last one the first of its siblings.
    fn link(&mut self, place: u32) {
        let Self { all, siblings, parents, .. } = self;
        let mut next = NONE;
        if let Some(parent) = &all[place as usize].document.parent_source_id {
            match parents.get_mut(parent) {
                Some(children) => {
                    next = std::mem::replace(&mut children.first, place);
                    children.count += 1;
                }
                None => drop(parents.insert(parent.clone(), Children { first: place, count: 1 })),
            }
        }
        if let Some(next) = siblings.get_mut(next as usize) {
            next.previous = place;
        }
        siblings.push(Siblings { previous: NONE, next });
    }

    fn unlink(&mut self, place: u32) {
        let Self { all, siblings, parents, .. } = self;
        let Siblings { previous, next } = siblings[place as usize];
        if let Some(next) = siblings.get_mut(next as usize) {
            next.previous = previous;
        }
        if let Some(previous) = siblings.get_mut(previous as usize) {
            previous.next = next;
        }
        let Some(parent) = &all[place as usize].document.parent_source_id else { return };
        let Some(children) = parents.get_mut(parent) else { return };
        children.count -= 1;
        if children.count == 0 {
            parents.remove(parent);
        } else if previous == NONE {
            children.first = next;
        }
    }

    /// Records that name this one as parent.
    pub(super) fn children(&self, id: &SourceId) -> impl Iterator<Item = &Entry> {
        let mut at = self.parents.get(id).map_or(NONE, |children| children.first);
        std::iter::from_fn(move || {
            let child = self.all.get(at as usize)?;
            at = self.siblings[at as usize].next;
            Some(child)
        })
    }

    pub(super) fn child_count(&self, id: &SourceId) -> u32 {
        self.parents.get(id).map_or(0, |children| children.count)
    }

    /// Those that others name as parent.
    pub(super) fn parents(&self) -> impl Iterator<Item = &Entry> {
        self.parents.keys().filter_map(|id| self.get(id))
    }

    pub(super) fn reserve(&mut self, more: usize) {
        let Self { all, siblings, places, hasher, .. } = self;
        all.reserve_exact(more);
        siblings.reserve_exact(more);
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

    /// The same.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.all.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use prost::Message as _;
    use pulse_proto::model::{ResourceType, SectionName};
    use pulse_proto::pb::resource::v1 as wire;

    use super::*;
    use crate::query::fixture::Seed;
    use crate::state::Document;

    fn entry(number: u8) -> Entry {
        let document = Seed::new(ResourceType::Vm, number.into(), "a").build().document.clone();
        Entry { document, resource: None }
    }

    fn child(id: &SourceId, parent: Option<SourceId>) -> Entry {
        let section = SectionName::parse("vms").unwrap();
        let body = wire::Resource { r#type: ResourceType::Vm.to_wire(), ..wire::Resource::default() };
        let document = Document::restore(id.clone(), parent, section, &body.encode_to_vec()).unwrap();
        Entry { document, resource: None }
    }

    proptest! {
        #[test]
        fn siblings_are_a_set(room in 0_usize..40, steps in prop::collection::vec((0_u8..30, 0_u8..6), 0..300)) {
            let (mut entries, mut model) = (Entries::default(), BTreeMap::new());
            entries.reserve(room);
            for (number, parent) in steps {
                // With 0 it goes, with 1 it has no parent, with 4 and 5 one that is never there.
                let name = |number: u8| SourceId::parse(&format!("vm:{number}")).unwrap();
                let (id, above) = (name(number), (parent > 1).then(|| name(if parent < 4 { parent } else { 90 + parent })));
                if parent == 0 {
                    prop_assert_eq!(entries.remove(&id).is_some(), model.remove(&id).is_some());
                } else {
                    entries.insert(child(&id, above.clone()));
                    model.insert(id, above);
                }
                for parent in (0..100).map(name) {
                    let mut found: Vec<_> = entries.children(&parent).map(|child| &child.document.source_id).collect();
                    found.sort_unstable();
                    let expected: Vec<_> = model.iter().filter(|(_, above)| above.as_ref() == Some(&parent)).map(|(id, _)| id).collect();
                    prop_assert_eq!(entries.child_count(&parent) as usize, expected.len());
                    prop_assert_eq!(found, expected);
                }
                let named = |id: &&SourceId| model.values().any(|above| above.as_ref() == Some(*id));
                let mut parents: Vec<_> = entries.parents().map(|entry| &entry.document.source_id).collect();
                parents.sort_unstable();
                prop_assert_eq!(parents, model.keys().filter(named).collect::<Vec<_>>());
            }
        }

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
