//! An append-only row of things, oldest first, as an immutable value: a copy is
//! one pointer, and whoever holds one is not seen by the writer that appends.

use std::sync::Arc;

/// Items that lie together. Appending copies less than one chunk; the oldest go a chunk at a time.
pub const CHUNK_ITEMS: usize = 512;

#[derive(Debug)]
pub struct Log<T> {
    /// Oldest first, none empty; all but the last are full, unless the oldest were cut off by a trim.
    chunks: Arc<Vec<Arc<Chunk<T>>>>,
    len: usize,
}

/// A sealed stretch of a log.
#[derive(Debug)]
pub struct Chunk<T> {
    pub items: Vec<Arc<T>>,
    /// Made by the first who searches it.
    index: std::sync::OnceLock<Box<[u64]>>,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks), len: self.len }
    }
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<T> FromIterator<Arc<T>> for Log<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(items: I) -> Self {
        let mut log = Self::default();
        log.append(items);
        log
    }
}

impl<T> Chunk<T> {
    const fn new(items: Vec<Arc<T>>) -> Self {
        Self { items, index: std::sync::OnceLock::new() }
    }

    /// Whether an item may have this key; `key` must be the same function at every call.
    pub fn may_hold(&self, wanted: u64, key: impl Fn(&T) -> u64) -> bool {
        let index = self.index.get_or_init(|| {
            let mut keys: Vec<u64> = self.items.iter().map(|item| key(item)).collect();
            keys.sort_unstable();
            keys.dedup();
            keys.into()
        });
        index.binary_search(&wanted).is_ok()
    }
}

impl<T> Log<T> {
    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.chunks.iter().flat_map(|chunk| &chunk.items)
    }

    /// The same, of a copy that nobody else needs.
    pub fn into_items(self) -> impl Iterator<Item = Arc<T>> {
        let chunks = Arc::unwrap_or_clone(self.chunks).into_iter();
        chunks.flat_map(|chunk| chunk.items.clone())
    }

    pub fn append(&mut self, items: impl IntoIterator<Item = Arc<T>>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return;
        }
        let chunks = Arc::make_mut(&mut self.chunks);
        let mut open = match chunks.pop_if(|last| last.items.len() < CHUNK_ITEMS) {
            Some(last) => last.items.clone(),
            None => Vec::new(),
        };
        for item in items {
            self.len += 1;
            open.push(item);
            if open.len() == CHUNK_ITEMS {
                chunks.push(Arc::new(Chunk::new(std::mem::take(&mut open))));
            }
        }
        if !open.is_empty() {
            chunks.push(Arc::new(Chunk::new(open)));
        }
    }

    /// Takes out the oldest chunks while more than `max` items would still be left without them, or while `is_old` says
    /// so of their newest item. Returns the newest item that went.
    pub fn trim(&mut self, max: usize, is_old: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let mut left = self.len;
        let mut newest = None;
        let mut gone = 0;
        for chunk in self.chunks.iter() {
            let Some(last) = chunk.items.last() else { break };
            if left - chunk.items.len() < max && !is_old(last) {
                break;
            }
            left -= chunk.items.len();
            newest = Some(Arc::clone(last));
            gone += 1;
        }
        if gone > 0 {
            Arc::make_mut(&mut self.chunks).drain(..gone);
            self.len = left;
        }
        newest
    }

    /// Chunks, newest first.
    pub fn chunks(&self) -> impl Iterator<Item = &Arc<Chunk<T>>> {
        self.chunks.iter().rev()
    }

    /// Oldest first, from the first item on for which `is_before` does not hold; it holds for a beginning of the log.
    pub fn from<'a>(&'a self, is_before: impl Fn(&T) -> bool + 'a) -> impl Iterator<Item = &'a Arc<T>> {
        let first =
            self.chunks.partition_point(|chunk| chunk.items.last().is_some_and(|item| is_before(item)));
        self.chunks[first..].iter().flat_map(|chunk| &chunk.items).skip_while(move |item| is_before(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(numbers: std::ops::Range<u64>) -> Log<u64> {
        numbers.map(Arc::new).collect()
    }

    fn numbers(log: &Log<u64>) -> Vec<u64> {
        log.from(|_| false).map(|number| **number).collect()
    }

    #[test]
    fn what_was_appended_is_there_in_order_and_copies_stay_as_they_were() {
        let mut log = log(0..700);
        let before = log.clone();
        for number in 700..1_300 {
            log.append([Arc::new(number)]);
        }
        assert_eq!(numbers(&log), (0..1_300).collect::<Vec<_>>());
        assert_eq!(numbers(&before), (0..700).collect::<Vec<_>>());
        let sizes: Vec<usize> = log.chunks().map(|chunk| chunk.items.len()).collect();
        assert_eq!((sizes, log.len()), (vec![276, 512, 512], 1_300));
        for start in [0, 1, 511, 512, 513, 1_299, 1_300, 9_000] {
            let after: Vec<u64> = log.from(|number| *number < start).map(|number| **number).collect();
            assert_eq!(after, (start..1_300.max(start)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_oldest_go_by_chunks_and_never_below_what_is_to_be_kept() {
        let kept = log(0..1_300);
        for (max, old, gone) in [
            (2_000, 0, None),
            (1_300, 0, None),
            (789, 0, None),
            (788, 0, Some(511)),
            (276, 0, Some(1_023)),
            (0, 0, Some(1_299)),
            (2_000, 511, None),
            (2_000, 512, Some(511)),
            (2_000, 9_999, Some(1_299)),
        ] {
            let mut log = kept.clone();
            let newest = log.trim(max, |number| *number < old).map(|number| *number);
            assert_eq!(newest, gone, "{max} {old}");
            let left: Vec<u64> = (gone.map_or(0, |gone| gone + 1)..1_300).collect();
            assert_eq!((numbers(&log), log.len()), (left.clone(), left.len()), "{max} {old}");
        }
    }

    #[test]
    fn a_chunk_knows_what_it_cannot_hold() {
        let log = log(0..600);
        let held =
            |wanted| log.chunks().filter(|chunk| chunk.may_hold(wanted, |number| number / 100)).count();
        assert_eq!([held(0), held(5), held(6)], [1, 2, 0]);
    }
}
