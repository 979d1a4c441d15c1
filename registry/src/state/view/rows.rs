//! The resources of a shard and what is read of them most, column by column.
//! Built along an older version of the same shard: what did not change is
//! copied, so a batch costs its own size and a walk over pointers.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::Arc;

use foldhash::fast::RandomState;
use pulse_proto::model::ResourceId;

use super::bits::Bits;
use super::postings::Postings;
use super::profile::{Dimension, Profile};
use super::tally::Tallies;
use crate::state::ahead;
use crate::state::change::Change;
use crate::state::resource::Resource;

#[derive(Clone)]
pub struct Rows {
    /// Ascending by id.
    resources: Box<[Arc<Resource>]>,
    profiles: Arc<[Profile]>,
    postings: Arc<Postings>,
    /// Hashes of texts that are looked for as a whole, by [`Column`].
    hashes: [Arc<[u32]>; Column::ALL.len()],
    tallies: Tallies,
    common: Option<Common>,
}

/// A text of a resource that is indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Name,
    ParentId,
    SourceId,
}

/// What all resources of a shard share, as they have it of their connection.
#[derive(Clone, Debug)]
pub struct Common {
    pub connection_name: Arc<str>,
    pub labels: Arc<BTreeMap<String, String>>,
}

/// In the place of a hash: several texts, so the resource must be asked.
const SEVERAL: u32 = 0;

impl Column {
    const ALL: [Self; 3] = [Self::Name, Self::ParentId, Self::SourceId];

    fn hash(self, resource: &Resource) -> u32 {
        match self {
            Self::Name => hash(resource.name()),
            Self::ParentId => resource.parent.as_ref().map_or_else(|| hash(""), |parent| of_id(parent.id)),
            Self::SourceId => {
                let mut sources = resource.sources();
                match (sources.next(), sources.next()) {
                    (Some(only), None) => hash(only.source_id.as_str()),
                    _ => SEVERAL,
                }
            }
        }
    }
}

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// An id is not written out for it.
fn of_id(id: ResourceId) -> u32 {
    shortened((id.number() ^ (id.kind() as u64) << 56).wrapping_mul(FACTOR))
}

/// Fast, and never [`SEVERAL`]; whoever finds an equal hash still compares the texts.
fn hash(text: &str) -> u32 {
    let mut state = text.len() as u64;
    for chunk in text.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = (state.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
        state ^= state >> 32;
    }
    shortened(state)
}

fn shortened(hash: u64) -> u32 {
    u32::try_from(hash >> 32).map_or(1, |hash| hash.max(1))
}

impl Common {
    fn of(resource: &Resource) -> Self {
        Self { connection_name: Arc::clone(&resource.connection_name), labels: Arc::clone(&resource.labels) }
    }

    fn fits(&self, resource: &Resource) -> bool {
        let Self { connection_name, labels } = self;
        (Arc::ptr_eq(connection_name, &resource.connection_name)
            || *connection_name == resource.connection_name)
            && (Arc::ptr_eq(labels, &resource.labels) || *labels == resource.labels)
    }

    /// `None` when there is something that not all share.
    fn among<'a>(mut resources: impl Iterator<Item = &'a Arc<Resource>>) -> Option<Self> {
        let common = Self::of(resources.next()?);
        resources.all(|resource| common.fits(resource)).then_some(common)
    }
}

impl Rows {
    /// `resources` ascend by id.
    pub fn build(old: &Self, resources: Vec<Arc<Resource>>) -> Self {
        let mut profiles = Vec::with_capacity(resources.len());
        let mut hashes = Column::ALL.map(|_| Vec::with_capacity(resources.len()));
        let mut tallies = old.tallies.clone();
        let mut common = old.common.clone();
        let mut fits = true;
        compare(old, &resources, |step| match step {
            Step::Same(old_row) => {
                profiles.push(old.profiles[old_row]);
                for (column, hashes) in hashes.iter_mut().enumerate() {
                    hashes.push(old.hashes[column][old_row]);
                }
            }
            Step::Removed(old_row) => tallies.discount(&old[old_row], old.profiles[old_row]),
            Step::Changed(old_row, row) => {
                tallies.discount(&old[old_row], old.profiles[old_row]);
                if has_texts_of(&old[old_row], &resources[row]) {
                    profiles.push(profile(&resources[row], &mut tallies));
                    for (column, hashes) in hashes.iter_mut().enumerate() {
                        hashes.push(old.hashes[column][old_row]);
                    }
                } else {
                    add(&resources[row], &mut profiles, &mut hashes, &mut tallies);
                }
                fits &= common.as_ref().is_some_and(|common| common.fits(&resources[row]));
            }
            Step::Added(row) => {
                if row.is_multiple_of(ahead::MANY) {
                    ahead::resources(&resources[row..resources.len().min(row + ahead::MANY)].iter());
                }
                add(&resources[row], &mut profiles, &mut hashes, &mut tallies);
                fits &= common.as_ref().is_some_and(|common| common.fits(&resources[row]));
            }
        });
        if !fits || common.is_none() {
            common = Common::among(resources.iter());
        }
        let is_same = *profiles == *old.profiles;
        let postings = if is_same { Arc::clone(&old.postings) } else { Arc::new(Postings::build(&profiles)) };
        let mut column = 0;
        let hashes = hashes.map(|hashes| {
            let old = &old.hashes[column];
            column += 1;
            // Versions of a shard share what they can.
            if *hashes == **old { Arc::clone(old) } else { hashes.into() }
        });
        let profiles = if is_same { Arc::clone(&old.profiles) } else { profiles.into() };
        Self { resources: resources.into(), profiles, postings, hashes, tallies, common }
    }

    /// With resources in the places of others, from which they differ in numbers alone, and what that changes, row by row.
    /// Rows are known by where they lie: nothing of the others is read. `None` when one of them is not there.
    pub(super) fn exchanged(&self, pairs: &[(Arc<Resource>, Arc<Resource>)]) -> Option<(Self, Vec<Change>)> {
        let others = pairs.iter().map(|(old, new)| (Arc::as_ptr(old), new));
        let others: HashMap<_, _, RandomState> = others.collect();
        let mut changes = Vec::with_capacity(pairs.len());
        let mut moved: Vec<(usize, Profile)> = Vec::new();
        let mut tallies = self.tallies.clone();
        let row = |(row, before): (usize, &Arc<Resource>)| {
            let Some(after) = others.get(&Arc::as_ptr(before)) else { return Arc::clone(before) };
            let profile = self.profiles[row];
            tallies.discount(before, profile);
            let now = self::profile(after, &mut tallies);
            if now != profile {
                moved.push((row, now));
            }
            changes.push(Change::Changed { before: Arc::clone(before), after: Arc::clone(after) });
            Arc::clone(after)
        };
        let resources: Box<[_]> = self.resources.iter().enumerate().map(row).collect();
        if changes.len() != pairs.len() {
            return None;
        }
        let Self { profiles, postings, hashes, common, .. } = self;
        let (profiles, postings) = (Arc::clone(profiles), Arc::clone(postings));
        let (hashes, common) = (hashes.clone(), common.clone());
        let mut rows = Self { resources, profiles, postings, hashes, tallies, common };
        if !moved.is_empty() {
            let mut profiles = self.profiles.to_vec();
            for (row, profile) in moved {
                profiles[row] = profile;
            }
            rows.postings = Arc::new(Postings::build(&profiles));
            rows.profiles = profiles.into();
        }
        Some((rows, changes))
    }

    pub fn profile(&self, row: usize) -> Profile {
        self.profiles[row]
    }

    pub const fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    pub const fn common(&self) -> Option<&Common> {
        self.common.as_ref()
    }

    /// Rows that have one of the values; `None` when there are none.
    pub fn any_of(&self, dimension: Dimension, values: u32) -> Option<Bits> {
        self.postings.any_of(dimension, values)
    }

    /// Rows that may have this text, and all that have it; `None` when there are none.
    pub fn with_text(&self, column: Column, text: &str) -> Option<Bits> {
        let wanted = match column {
            // What is no id is nobody's parent.
            Column::ParentId if !text.is_empty() => of_id(ResourceId::parse(text).ok()?),
            _ => hash(text),
        };
        let hits = |hash: u32| usize::from(hash == wanted) + usize::from(hash == SEVERAL);
        let mut found: Option<Bits> = None;
        // A block that holds nothing, as most do, is passed without a branch for each row.
        for (block, hashes) in self.hashes[column as usize].chunks(64).enumerate() {
            if hashes.iter().map(|hash| hits(*hash)).sum::<usize>() == 0 {
                continue;
            }
            let bits = found.get_or_insert_with(|| Bits::none(self.len()));
            for (at, _) in hashes.iter().enumerate().filter(|(_, hash)| hits(**hash) > 0) {
                bits.insert(block * 64 + at);
            }
        }
        found
    }

    /// For each of the records, the row that shows it and no other; rows of several records are left out.
    pub fn of_records(&self, records: &[&str]) -> Vec<Option<usize>> {
        // Few rows are among them, and most of the others are told by one bit.
        let mut bits = [0_u64; 64];
        let place = |hash: u32| (hash as usize / 64 % 64, 1_u64 << (hash % 64));
        let mut wanted: Vec<(u32, usize)> =
            records.iter().enumerate().map(|(at, text)| (hash(text), at)).collect();
        wanted.sort_unstable();
        for (hash, _) in &wanted {
            let (word, bit) = place(*hash);
            bits[word] |= bit;
        }
        let mut found = vec![None; records.len()];
        for (row, known) in self.hashes[Column::SourceId as usize].iter().enumerate() {
            let (word, bit) = place(*known);
            if bits[word] & bit == 0 {
                continue;
            }
            let first = wanted.partition_point(|(hash, _)| hash < known);
            for (_, at) in wanted[first..].iter().take_while(|(hash, _)| hash == known) {
                if self.resources[row].document.source_id.as_str() == records[*at] {
                    found[*at] = Some(row);
                }
            }
        }
        found
    }
}

fn add(
    resource: &Resource,
    profiles: &mut Vec<Profile>,
    hashes: &mut [Vec<u32>; Column::ALL.len()],
    tallies: &mut Tallies,
) {
    profiles.push(profile(resource, tallies));
    for (column, hashes) in Column::ALL.into_iter().zip(hashes) {
        hashes.push(column.hash(resource));
    }
}

fn profile(resource: &Resource, tallies: &mut Tallies) -> Profile {
    let profile = Profile::of(resource);
    tallies.count(resource, profile);
    profile
}

/// Whether all that is hashed is known to be the same.
fn has_texts_of(old: &Resource, new: &Resource) -> bool {
    let [parent_before, parent] =
        [old, new].map(|resource| resource.parent.as_ref().map(|parent| &parent.id));
    let are_alone = old.parts().is_none() && new.parts().is_none();
    are_alone && old.document.is_alike(&new.document) && parent_before == parent
}

/// Rows of two versions of a shard, side by side.
pub(super) enum Step {
    /// The old row.
    Same(usize),
    Removed(usize),
    /// The old row and the new one.
    Changed(usize, usize),
    Added(usize),
}

/// Walks both in the order of ids. Only where pointers differ is anything read.
pub(super) fn compare(old: &[Arc<Resource>], new: &[Arc<Resource>], mut visit: impl FnMut(Step)) {
    let mut before = 0;
    for (row, resource) in new.iter().enumerate() {
        loop {
            let Some(known) = old.get(before) else { break visit(Step::Added(row)) };
            if Arc::ptr_eq(known, resource) {
                before += 1;
                break visit(Step::Same(before - 1));
            }
            match known.id.cmp(&resource.id) {
                std::cmp::Ordering::Less => {
                    visit(Step::Removed(before));
                    before += 1;
                }
                std::cmp::Ordering::Equal => {
                    before += 1;
                    break visit(Step::Changed(before - 1, row));
                }
                std::cmp::Ordering::Greater => break visit(Step::Added(row)),
            }
        }
    }
    (before..old.len()).for_each(|row| visit(Step::Removed(row)));
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            resources: Box::default(),
            profiles: Arc::default(),
            postings: Arc::new(Postings::build(&[])),
            hashes: Column::ALL.map(|_| Arc::default()),
            tallies: Tallies::default(),
            common: None,
        }
    }
}

impl Deref for Rows {
    type Target = [Arc<Resource>];

    fn deref(&self) -> &[Arc<Resource>] {
        &self.resources
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&*self.resources).finish()
    }
}
