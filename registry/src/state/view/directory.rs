//! Which shard holds an id: a hash table in small pages that versions of a
//! view share. A change copies the pages it touches, some eight bytes a resource.

use std::sync::Arc;

use pulse_proto::model::ResourceId;

const FAN: usize = 64;

/// Two levels of 64, then pages: some 250 entries each at a million resources.
#[derive(Clone)]
pub(super) struct Directory {
    top: Arc<[Arc<[Page; FAN]>; FAN]>,
}

type Page = Arc<Vec<Entry>>;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// The part of the hash that did not choose the page.
    print: u32,
    shard: u32,
}

/// A place and what is kept there.
#[derive(Debug)]
pub(in crate::state) struct Slot {
    block: usize,
    page: usize,
    print: u32,
}

impl Slot {
    #[allow(clippy::cast_possible_truncation, reason = "parts of a hash are what is wanted")]
    pub(in crate::state) fn of(id: &ResourceId) -> Self {
        // Digits of a SHA-256; the factor spreads ids that people made, too.
        let number = id.number() ^ (id.kind() as u64) << 56;
        let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self { block: (hash >> 58) as usize, page: (hash >> 52) as usize % FAN, print: (hash >> 20) as u32 }
    }
}

impl Directory {
    /// Of the shards with these numbers: each page is made once, as large as it will be.
    pub(super) fn of(shards: &[(u32, Vec<Slot>)]) -> Self {
        let slots = || shards.iter().flat_map(|(shard, slots)| slots.iter().map(|slot| (*shard, slot)));
        let place = |slot: &Slot| slot.block * FAN + slot.page;
        let mut sizes = vec![0; FAN * FAN];
        slots().for_each(|(_, slot)| sizes[place(slot)] += 1);
        let mut pages: Vec<Vec<Entry>> = sizes.into_iter().map(Vec::with_capacity).collect();
        for (shard, slot) in slots() {
            pages[place(slot)].push(Entry { print: slot.print, shard });
        }
        let mut pages = pages.into_iter().map(Arc::new);
        let mut block = |_| Arc::new(std::array::from_fn(|_| pages.next().unwrap_or_default()));
        Self { top: Arc::new(std::array::from_fn(&mut block)) }
    }

    /// Shards that may hold the id, among them those that do.
    pub(super) fn find(&self, id: &ResourceId) -> impl Iterator<Item = u32> {
        let Slot { block, page, print } = Slot::of(id);
        self.top[block][page].iter().filter(move |entry| entry.print == print).map(|entry| entry.shard)
    }

    pub(super) fn insert(&mut self, id: &ResourceId, shard: u32) {
        let (page, print) = self.page(id);
        page.push(Entry { print, shard });
    }

    pub(super) fn remove(&mut self, id: &ResourceId, shard: u32) {
        let (page, print) = self.page(id);
        if let Some(at) = page.iter().position(|entry| *entry == Entry { print, shard }) {
            page.swap_remove(at);
        }
    }

    /// A page of this directory's own, with room for one entry more.
    fn page(&mut self, id: &ResourceId) -> (&mut Vec<Entry>, u32) {
        let Slot { block, page, print } = Slot::of(id);
        let page = &mut Arc::make_mut(&mut Arc::make_mut(&mut self.top)[block])[page];
        if Arc::get_mut(page).is_none_or(|page| page.len() == page.capacity()) {
            // Not doubled: the last doubling would leave half of all pages empty.
            let mut copy = Vec::with_capacity(page.len() + page.len() / 8 + 4);
            copy.extend_from_slice(page);
            *page = Arc::new(copy);
        }
        (Arc::make_mut(page), print)
    }
}

impl Default for Directory {
    fn default() -> Self {
        let empty: Page = Arc::default();
        let block: Arc<[Page; FAN]> = Arc::new(std::array::from_fn(|_| Arc::clone(&empty)));
        Self { top: Arc::new(std::array::from_fn(|_| Arc::clone(&block))) }
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries: usize = self.top.iter().flat_map(|block| block.iter()).map(|page| page.len()).sum();
        f.debug_struct("Directory").field("entries", &entries).finish()
    }
}
