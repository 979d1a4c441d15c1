//! Counts and bytes by profile. What is added can be taken away again without
//! a trace, so a shard and the whole view are counted at the cost of a change.

use pulse_proto::model::{Capacity, ResourceType, StorageTopology};

use super::profile::Profile;
use crate::state::resource::Resource;

/// Resources with the same profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    /// How many know each of the six sizes, and what these are together.
    known: [u64; 6],
    sums: [u128; 6],
}

impl Tally {
    /// What nobody knows is not known.
    pub fn capacity(&self) -> Capacity {
        let sum = |at: usize| (self.known[at] > 0).then(|| u64::try_from(self.sums[at]).unwrap_or(u64::MAX));
        Capacity {
            total_bytes: sum(0),
            used_bytes: sum(1),
            available_bytes: sum(2),
            raw_total_bytes: sum(3),
            raw_used_bytes: sum(4),
            raw_free_bytes: sum(5),
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        for at in 0..6 {
            self.known[at] += other.known[at];
            self.sums[at] += other.sums[at];
        }
    }

    fn subtract(&mut self, other: &Self) {
        self.count -= other.count;
        for at in 0..6 {
            self.known[at] -= other.known[at];
            self.sums[at] -= other.sums[at];
        }
    }

    /// Datasets lie in pools: of storage only pools count their bytes.
    fn of(resource: &Resource, profile: Profile) -> Self {
        let counts = profile.resource_type() != ResourceType::Storage
            || profile.topology() == Some(StorageTopology::Pool);
        let mut tally = Self { count: 1, ..Self::default() };
        let capacity = if counts { resource.document.capacity() } else { None };
        let Some(capacity) = capacity else { return tally };
        let Capacity {
            total_bytes,
            used_bytes,
            available_bytes,
            raw_total_bytes,
            raw_used_bytes,
            raw_free_bytes,
        } = capacity;
        let sizes =
            [total_bytes, used_bytes, available_bytes, raw_total_bytes, raw_used_bytes, raw_free_bytes];
        tally.known = sizes.map(|size| u64::from(size.is_some()));
        tally.sums = sizes.map(|size| u128::from(size.unwrap_or_default()));
        tally
    }
}

/// Ascending by profile; a profile nobody has is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies(Vec<(Profile, Tally)>);

impl Tallies {
    pub fn iter(&self) -> impl Iterator<Item = &(Profile, Tally)> {
        self.0.iter()
    }

    pub fn count(&mut self, resource: &Resource, profile: Profile) {
        self.add(profile, &Tally::of(resource, profile));
    }

    pub(super) fn discount(&mut self, resource: &Resource, profile: Profile) {
        self.subtract(profile, &Tally::of(resource, profile));
    }

    /// What was counted with `old` is counted with `new` instead.
    pub(super) fn exchange(&mut self, old: &Self, new: &Self) {
        // Most of the two is equal: only what differs is touched.
        for (profile, tally) in new.0.iter().filter(|(profile, tally)| old.get(*profile) != Some(tally)) {
            self.add(*profile, tally);
        }
        for (profile, tally) in old.0.iter().filter(|(profile, tally)| new.get(*profile) != Some(tally)) {
            self.subtract(*profile, tally);
        }
    }

    fn get(&self, profile: Profile) -> Option<&Tally> {
        let at = self.0.binary_search_by_key(&profile, |(profile, _)| *profile).ok()?;
        Some(&self.0[at].1)
    }

    pub fn add(&mut self, profile: Profile, tally: &Tally) {
        match self.0.binary_search_by_key(&profile, |(profile, _)| *profile) {
            Ok(at) => self.0[at].1.add(tally),
            Err(at) => self.0.insert(at, (profile, *tally)),
        }
    }

    fn subtract(&mut self, profile: Profile, tally: &Tally) {
        let Ok(at) = self.0.binary_search_by_key(&profile, |(profile, _)| *profile) else { return };
        self.0[at].1.subtract(tally);
        if self.0[at].1.count == 0 {
            self.0.remove(at);
        }
    }
}
