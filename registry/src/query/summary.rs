//! Counts and capacity of what matches. Datasets lie in pools, so bytes of
//! storage are summed over pools only.

use std::collections::BTreeMap;

use pulse_proto::model::{
    Capacity, DataSource, Freshness, ResourceType, Revision, Severity, Status, StorageTopology,
};

use super::filter::{Filter, Scan};
use crate::state::view::View;
use crate::state::view::profile::Profile;
use crate::state::view::tally::{Tallies, Tally as Counted};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub revision: Revision,
    pub total: u64,
    /// Of disks and other things their own bytes; of storage those of pools.
    pub by_type: BTreeMap<ResourceType, Tally>,
    /// A resource of two sources counts for both.
    pub by_source: BTreeMap<DataSource, Tally>,
    pub by_status: BTreeMap<Status, Tally>,
    pub by_severity: BTreeMap<Severity, Tally>,
    pub by_freshness: BTreeMap<Freshness, u64>,
    pub pool_capacity: Capacity,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub count: u64,
    pub capacity: Capacity,
}

impl Tally {
    fn add(&mut self, count: u64, capacity: Option<&Capacity>) {
        self.count += count;
        if let Some(capacity) = capacity {
            add(&mut self.capacity, capacity);
        }
    }
}

impl Summary {
    pub fn of(view: &View, filter: &Filter) -> Self {
        Self::counted(view, filter).unwrap_or_else(|| Self::scanned(view, filter, filter.scan(view)))
    }

    /// Of what is counted already, at no cost of resources; `None` when the filter asks for more than profiles tell.
    pub fn counted(view: &View, filter: &Filter) -> Option<Self> {
        let mut summary = Self { revision: view.revision, ..Self::default() };
        for (profile, tally) in view.tallies().iter() {
            if filter.decide(*profile, None)? {
                summary.add(*profile, tally);
            }
        }
        Some(summary)
    }

    /// Shard by shard, and resource by resource where nothing else helps.
    pub fn scanned(view: &View, filter: &Filter, scan: Scan) -> Self {
        let mut found = Tallies::default();
        for (shard, candidates) in scan.parts {
            let rows = &shard.resources;
            let decided =
                rows.tallies().iter().map(|part| Some((part, filter.decide(part.0, Some(&shard))?)));
            if let Some(decided) = decided.collect::<Option<Vec<_>>>() {
                let matching = decided.into_iter().filter(|(_, matches)| *matches);
                matching.for_each(|((profile, tally), _)| found.add(*profile, tally));
                continue;
            }
            let filter = filter.within(&shard);
            for row in candidates.tested(|row| filter.matches(row)).iter() {
                found.count(&rows[row], rows.profile(row));
            }
        }
        let mut summary = Self { revision: view.revision, ..Self::default() };
        found.iter().for_each(|(profile, tally)| summary.add(*profile, tally));
        summary
    }

    fn add(&mut self, profile: Profile, tally: &Counted) {
        let count = tally.count;
        let capacity = tally.capacity();
        let of_pool = (profile.topology() == Some(StorageTopology::Pool)).then_some(&capacity);
        self.total += count;
        // What has no bytes of its own, as a dataset, has none in its tally.
        self.by_type.entry(profile.resource_type()).or_default().add(count, Some(&capacity));
        for source in profile.sources() {
            self.by_source.entry(source).or_default().add(count, of_pool);
        }
        self.by_status.entry(profile.status()).or_default().add(count, of_pool);
        self.by_severity.entry(profile.severity()).or_default().add(count, of_pool);
        *self.by_freshness.entry(profile.freshness()).or_default() += count;
        if let Some(capacity) = of_pool {
            add(&mut self.pool_capacity, capacity);
        }
    }
}

/// What is not known adds nothing; a sum of nothing is not known.
fn add(sum: &mut Capacity, part: &Capacity) {
    let Capacity {
        total_bytes,
        used_bytes,
        available_bytes,
        raw_total_bytes,
        raw_used_bytes,
        raw_free_bytes,
    } = part;
    let plus = |sum: &mut Option<u64>, part: &Option<u64>| {
        if let Some(part) = part {
            *sum = Some(sum.unwrap_or(0).saturating_add(*part));
        }
    };
    plus(&mut sum.total_bytes, total_bytes);
    plus(&mut sum.used_bytes, used_bytes);
    plus(&mut sum.available_bytes, available_bytes);
    plus(&mut sum.raw_total_bytes, raw_total_bytes);
    plus(&mut sum.raw_used_bytes, raw_used_bytes);
    plus(&mut sum.raw_free_bytes, raw_free_bytes);
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::ConnectionId;

    use super::*;
    use crate::query::fixture::{Seed, capacity};
    use crate::state::view::Shard;

    #[test]
    fn no_byte_counts_twice() {
        let seed = |kind, number, total| Seed {
            capacity: Some(capacity(total, total / 2)),
            ..Seed::new(kind, number, "nas")
        };
        let dataset = Seed { topology: Some(StorageTopology::Dataset), ..seed(ResourceType::Storage, 3, 60) };
        let critical = Seed { severity: Severity::Critical, ..seed(ResourceType::Storage, 2, 10) };
        let mut resources = vec![
            seed(ResourceType::Storage, 1, 100).build(),
            critical.build(),
            dataset.build(),
            seed(ResourceType::PhysicalDisk, 4, 500).build(),
            Seed::new(ResourceType::Host, 0, "nas").build(),
        ];
        resources.sort_by_key(|left| left.id);
        let connection = ConnectionId::parse("nas").expect("an id");
        let shard = Shard::build(None, connection, None, BTreeMap::new(), resources);
        let view = View::of(Revision(9), [shard]);

        let all = Summary::of(&view, &Filter::all());
        assert_eq!((all.revision, all.total), (Revision(9), 5));
        assert_eq!(all.pool_capacity, capacity(110, 55));
        assert_eq!(all.by_type[&ResourceType::Storage], Tally { count: 3, capacity: capacity(110, 55) });
        assert_eq!(
            all.by_type[&ResourceType::PhysicalDisk],
            Tally { count: 1, capacity: capacity(500, 250) }
        );
        assert_eq!(all.by_severity[&Severity::Critical], Tally { count: 1, capacity: capacity(10, 5) });
        assert_eq!(all.by_source[&DataSource::Truenas].count, 4);
        assert_eq!(all.by_source[&DataSource::Agent].count, 1);
        assert_eq!(all.by_freshness[&Freshness::Fresh], 5);
        assert_eq!(all.by_status.values().map(|tally| tally.count).sum::<u64>(), all.total);

        let disks = Summary::of(&view, &Filter::parse("type = physical_disk").expect("a filter"));
        assert_eq!(disks.total, 1);
        assert_eq!(disks.pool_capacity, Capacity::default());
    }
}
