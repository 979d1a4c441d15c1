//! Which rows of a shard have which value of a vocabulary. A value that no row
//! has takes no room and is answered without a look at rows.

use super::bits::{Bits, words};
use super::profile::{Dimension, Profile};

const VALUES: usize = {
    let mut values = 0;
    let mut at = 0;
    while at < Dimension::ALL.len() {
        values += Dimension::ALL[at].size();
        at += 1;
    }
    values
};

#[derive(Clone, Debug)]
pub(super) struct Postings {
    /// Where a value's words begin, in units of `width` and from 1; 0 when no row has it.
    places: [u8; VALUES],
    words: Box<[u64]>,
    rows: usize,
}

/// Where the values of a vocabulary begin in `places`.
const fn base(dimension: Dimension) -> usize {
    let mut base = 0;
    let mut at = 0;
    while at < dimension as usize {
        base += Dimension::ALL[at].size();
        at += 1;
    }
    base
}

impl Postings {
    pub(super) fn build(profiles: &[Profile]) -> Self {
        let mut places = [0; VALUES];
        let mut taken = 0;
        for dimension in Dimension::ALL {
            let values = profiles.iter().fold(0, |values, profile| values | profile.values(dimension));
            for value in each(values) {
                taken += 1;
                places[base(dimension) + value] = taken;
            }
        }
        let width = words(profiles.len());
        let mut words = vec![0_u64; usize::from(taken) * width];
        for dimension in Dimension::ALL {
            for (row, profile) in profiles.iter().enumerate() {
                for value in each(profile.values(dimension)) {
                    let place = usize::from(places[base(dimension) + value]) - 1;
                    words[place * width + row / 64] |= 1 << (row % 64);
                }
            }
        }
        Self { places, words: words.into(), rows: profiles.len() }
    }

    /// Rows that have one of the values, a bit each.
    pub(super) fn any_of(&self, dimension: Dimension, values: u32) -> Option<Bits> {
        let width = words(self.rows);
        let mut found: Option<Bits> = None;
        for value in each(values).take_while(|value| *value < dimension.size()) {
            if let Some(place) = usize::from(self.places[base(dimension) + value]).checked_sub(1) {
                let bits = found.get_or_insert_with(|| Bits::none(self.rows));
                bits.add(&self.words[place * width..][..width]);
            }
        }
        found
    }
}

/// The bits that are set, ascending.
fn each(mut values: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let value = (values != 0).then(|| values.trailing_zeros() as usize)?;
        values &= values - 1;
        Some(value)
    })
}
