//! The rows of a list, found once and sorted as far as they are read; pages
//! are cut from them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use pulse_proto::model::{Revision, SectionName, UnixMillis};

use super::filter::{Candidates, Filter, Scan};
use super::order::{Key, Order};
use crate::state::ahead;
use crate::state::resource::Resource;
use crate::state::view::{Found, Shard, View};

/// How many times longer than its first page a list must be to be sorted only
/// as far as that page.
const SORT_ALL_FACTOR: usize = 4;
/// Rows gathered before the best of them are chosen, at least.
const GATHERED_MIN: usize = 1_024;

/// Everything that matches, of one view; its first rows in order.
#[derive(Clone, Debug)]
pub struct Listing {
    pub view: Arc<View>,
    parts: Arc<[(Arc<Shard>, Candidates)]>,
    len: usize,
    /// As many as are in order.
    rows: Vec<Row>,
}

/// Part and place in its shard.
type Row = (u32, u32);

/// A row with the beginning of what orders it, so that most comparisons read nothing else.
#[derive(Clone, Copy)]
struct Keyed {
    key: Key,
    row: Row,
}

impl Listing {
    /// Sorts at least the `first` rows: most lists are never read beyond the first page.
    pub fn find(view: Arc<View>, filter: &Filter, order: &Order, first: usize) -> Self {
        let scan = filter.scan(&view);
        Self::of(view, scan, filter, order, first)
    }

    /// Of a scan for the same filter in the same view.
    pub fn of(view: Arc<View>, scan: Scan, filter: &Filter, order: &Order, first: usize) -> Self {
        let mut listing = Self::unsorted(view, scan, filter);
        let few = first > 0 && listing.len / SORT_ALL_FACTOR > first;
        listing.rows = listing.sorted(order, if few { first } else { listing.len });
        listing
    }

    /// Every match, for whoever arranges them himself.
    pub fn unsorted(view: Arc<View>, scan: Scan, filter: &Filter) -> Self {
        let tested = |(shard, candidates): (Arc<Shard>, Candidates)| {
            let candidates = if candidates.is_exact() {
                candidates
            } else {
                let filter = filter.within(&shard);
                candidates.tested(|row| filter.matches(row))
            };
            (!candidates.is_empty()).then_some((shard, candidates))
        };
        let parts: Arc<[_]> = scan.parts.into_iter().filter_map(tested).collect();
        let len = parts.iter().map(|(_, candidates)| candidates.len()).sum();
        Self { view, parts, len, rows: Vec::new() }
    }

    /// What matches, shard by shard and in no other order.
    pub fn parts(&self) -> impl Iterator<Item = (&Arc<Shard>, &Candidates)> {
        self.parts.iter().map(|(shard, candidates)| (shard, candidates))
    }

    /// About how many resources [`Self::of`] looks at.
    pub fn cost(scan: &Scan, order: &Order) -> usize {
        let sorted = if order.is_by_id() { scan.parts.len() } else { scan.len() };
        scan.tests() + sorted
    }

    /// The same list with every row in order.
    #[must_use]
    pub fn sort_all(&self, order: &Order) -> Self {
        Self { rows: self.sorted(order, self.len), ..self.clone() }
    }

    /// Whether the rows before `end` are in order.
    pub fn covers(&self, end: usize) -> bool {
        end.min(self.len) <= self.rows.len()
    }

    fn sorted(&self, order: &Order, wanted: usize) -> Vec<Row> {
        match &*self.parts {
            // A shard is in the order of ids.
            [(_, candidates)] if order.is_by_id() => {
                candidates.iter().take(wanted).map(|at| (0, narrow(at))).collect()
            }
            _ if order.is_by_id() && wanted < self.len => self.merged(wanted),
            _ => self.chosen(order, wanted),
        }
    }

    /// The first rows by id: shards are in order, so only their heads are compared.
    fn merged(&self, wanted: usize) -> Vec<Row> {
        let head = |part: usize, from: usize| {
            let (shard, candidates) = &self.parts[part];
            let at = candidates.next(from)?;
            Some(Reverse((&shard.resources[at].id, part, at)))
        };
        let mut heads: BinaryHeap<_> = (0..self.parts.len()).filter_map(|part| head(part, 0)).collect();
        let mut rows = Vec::with_capacity(wanted);
        while rows.len() < wanted
            && let Some(mut first) = heads.peek_mut()
        {
            let Reverse((_, part, at)) = *first;
            rows.push((narrow(part), narrow(at)));
            match head(part, at + 1) {
                Some(next) => *first = next,
                None => drop(std::collections::binary_heap::PeekMut::pop(first)),
            }
        }
        rows
    }

    /// The first rows by any order. What cannot be among them is dropped on the way.
    fn chosen(&self, order: &Order, wanted: usize) -> Vec<Row> {
        let gathered_max = if wanted < self.len { (2 * wanted).max(GATHERED_MIN) } else { self.len };
        let mut gathered: Vec<Keyed> = Vec::with_capacity(gathered_max);
        let compare = |left: &Keyed, right: &Keyed| {
            left.key.cmp(&right.key).then_with(|| self.compare(order, left, right))
        };
        let mut bar = Key::MAX;
        for (part, (shard, candidates)) in self.parts.iter().enumerate() {
            for at in candidates.iter() {
                let Some(key) = order.key(shard, at, bar) else { continue };
                if gathered.len() == gathered_max {
                    gathered.select_nth_unstable_by(wanted - 1, compare);
                    gathered.truncate(wanted);
                    bar = gathered[wanted - 1].key;
                    if key > bar {
                        continue;
                    }
                }
                gathered.push(Keyed { key, row: (narrow(part), narrow(at)) });
            }
        }
        if wanted < gathered.len() {
            gathered.select_nth_unstable_by(wanted, compare);
            gathered.truncate(wanted);
        }
        gathered.sort_unstable_by(compare);
        gathered.into_iter().map(|keyed| keyed.row).collect()
    }

    fn compare(&self, order: &Order, left: &Keyed, right: &Keyed) -> std::cmp::Ordering {
        let sortable = |keyed: &Keyed| {
            let (shard, resource) = self.row(keyed.row);
            // Not looked up in vain.
            let at = if order.uses_observed_at() { shard.observed_at(resource) } else { None };
            (&**resource, at)
        };
        order.compare(sortable(left), sortable(right))
    }

    pub fn revision(&self) -> Revision {
        self.view.revision
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// From the row with this number on, as far as they are in order.
    pub fn from(&self, offset: usize) -> impl Iterator<Item = Found> {
        self.rows(offset).map(|(resource, observed_at)| Found { resource: Arc::clone(resource), observed_at })
    }

    /// The same, where they lie, with when their sections were last read.
    pub fn rows(&self, offset: usize) -> impl Iterator<Item = (&Arc<Resource>, Option<UnixMillis>)> {
        // Most rows are of the section of the one before.
        let mut last: Option<(u32, &SectionName, Option<UnixMillis>)> = None;
        self.rows.iter().enumerate().skip(offset).map(move |(at, row)| {
            if (at - offset).is_multiple_of(ahead::MANY) {
                let next = &self.rows[at..self.rows.len().min(at + ahead::MANY)];
                ahead::resources(&next.iter().map(|row| self.row(*row).1));
            }
            let (shard, resource) = self.row(*row);
            let (part, section) = (row.0, &resource.document.section);
            let observed_at = match last {
                Some((known, of, at)) if known == part && of == section => at,
                _ => shard.observed_at(resource),
            };
            last = Some((part, section, observed_at));
            (resource, observed_at)
        })
    }

    fn row(&self, (part, at): Row) -> (&Shard, &Arc<Resource>) {
        let (shard, _) = &self.parts[part as usize];
        (shard, &shard.resources[at as usize])
    }
}

/// More than 4 billion shards or resources do not fit into memory.
fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
