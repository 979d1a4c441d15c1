//! Sets of rows, a bit for each row of a shard.

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bits {
    words: Box<[u64]>,
    /// Rows there are, in the set or not.
    rows: usize,
}

pub(super) const fn words(rows: usize) -> usize {
    rows.div_ceil(64)
}

impl Bits {
    pub fn none(rows: usize) -> Self {
        Self { words: vec![0; words(rows)].into(), rows }
    }

    pub fn all(rows: usize) -> Self {
        Self::none(rows).complement()
    }

    pub fn insert(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word & 1 << (row % 64) != 0)
    }

    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(super) fn add(&mut self, words: &[u64]) {
        for (word, other) in self.words.iter_mut().zip(words) {
            *word |= other;
        }
    }

    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        self.add(&other.words);
        self
    }

    #[must_use]
    pub fn intersection(mut self, other: &Self) -> Self {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
        self
    }

    #[must_use]
    pub fn complement(mut self) -> Self {
        for word in &mut self.words {
            *word = !*word;
        }
        if let Some(last) = self.words.last_mut()
            && !self.rows.is_multiple_of(64)
        {
            *last &= (1 << (self.rows % 64)) - 1;
        }
        self
    }

    /// Keeps the rows that pass.
    pub fn retain(&mut self, mut passes: impl FnMut(usize) -> bool) {
        for (number, word) in self.words.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                if !passes(number * 64 + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// The first row in the set from `row` on.
    pub fn next(&self, row: usize) -> Option<usize> {
        let mut number = row / 64;
        let mut word = self.words.get(number)? & u64::MAX << (row % 64);
        while word == 0 {
            number += 1;
            word = *self.words.get(number)?;
        }
        Some(number * 64 + word.trailing_zeros() as usize)
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.words.iter().enumerate().flat_map(|(number, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(number * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_are_a_set(
            rows in 1_usize..200,
            left in prop::collection::btree_set(0_usize..200, 0..60),
            right in prop::collection::btree_set(0_usize..200, 0..60),
        ) {
            let within = |set: BTreeSet<usize>| set.into_iter().filter(|row| *row < rows).collect::<BTreeSet<_>>();
            let (left, right) = (within(left), within(right));
            let bits = |set: &BTreeSet<usize>| {
                let mut bits = Bits::none(rows);
                for row in set {
                    bits.insert(*row);
                }
                bits
            };
            let held = |bits: &Bits| bits.iter().collect::<BTreeSet<_>>();
            let all: BTreeSet<usize> = (0..rows).collect();
            prop_assert_eq!(&held(&bits(&left)), &left);
            prop_assert_eq!(held(&bits(&left).union(&bits(&right))), &left | &right);
            prop_assert_eq!(held(&bits(&left).intersection(&bits(&right))), &left & &right);
            prop_assert_eq!(held(&bits(&left).complement()), &all - &left);
            prop_assert_eq!(bits(&left).count(), left.len());
            for row in 0..rows {
                prop_assert_eq!(bits(&left).contains(row), left.contains(&row));
                prop_assert_eq!(bits(&left).next(row), left.range(row..).next().copied());
            }
            let mut kept = bits(&left);
            kept.retain(|row| right.contains(&row));
            prop_assert_eq!(held(&kept), &left & &right);
        }
    }
}
