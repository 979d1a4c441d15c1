//! The first few of many by a key: what does not make it is neither sorted nor
//! kept, only counted.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

#[derive(Debug)]
pub(super) struct Best<K, T> {
    most: usize,
    seen: u64,
    /// The one to go first is on top.
    kept: BinaryHeap<Entry<K, T>>,
}

#[derive(Debug)]
struct Entry<K, T> {
    /// Equal ones stay in the order in which they came.
    key: (K, u64),
    item: T,
}

impl<K: Ord, T> Best<K, T> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, seen: 0, kept: BinaryHeap::new() }
    }

    pub(super) fn offer(&mut self, key: K, item: T) {
        self.seen += 1;
        let key = (key, self.seen);
        if self.kept.len() < self.most {
            self.kept.push(Entry { key, item });
        } else if let Some(mut last) = self.kept.peek_mut()
            && key < last.key
        {
            *last = Entry { key, item };
        }
    }

    /// How many were offered.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// The least key first.
    pub(super) fn into_sorted(self) -> impl Iterator<Item = T> {
        self.kept.into_sorted_vec().into_iter().map(|entry| entry.item)
    }
}

impl<K: Ord, T> Ord for Entry<K, T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<K: Ord, T> PartialOrd for Entry<K, T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord, T> PartialEq for Entry<K, T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Ord, T> Eq for Entry<K, T> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_if_all_were_sorted(keys in prop::collection::vec(0_u8..6, 0..40), most in 0_usize..12) {
            let mut best = Best::new(most);
            keys.iter().enumerate().for_each(|(at, key)| best.offer(*key, (*key, at)));
            let mut all: Vec<(u8, usize)> = keys.iter().copied().zip(0..).collect();
            all.sort_by_key(|(key, _)| *key);
            all.truncate(most);
            prop_assert_eq!(best.seen(), keys.len() as u64);
            prop_assert_eq!(best.into_sorted().collect::<Vec<_>>(), all);
        }
    }
}
