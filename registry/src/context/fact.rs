//! One thing that is known, with where it comes from and how old it is.

use std::collections::BTreeMap;

use pulse_proto::model::{
    ConnectionId, DataSource, Freshness, ResourceId, SectionName, SectionReport, UnixMillis,
};

use super::piece::Statement;
use super::words::Own;
use crate::state::resource::Resource;
use crate::state::view::Shard;

/// Whose word a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The registry counted, compared or judged it.
    Derived,
    /// A source says so.
    Told,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Stable, e.g. `zfs_pool_state`.
    pub code: &'static str,
    pub statement: Statement,
    /// The figure in it, for programs.
    pub value: Own,
    pub unit: &'static str,
    pub trust: Trust,
    /// How many things it tells of.
    pub covers: u64,
    /// What it is about; `None` for the fleet.
    pub origin: Option<Origin>,
    /// What it rests on when it is about many, or about what is gone.
    pub basis: Option<Basis>,
}

/// What a fact about many rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Of most of them.
    pub source: DataSource,
    /// Nothing in it was last read before that.
    pub observed_at: Option<UnixMillis>,
    /// Of the oldest.
    pub freshness: Freshness,
}

impl Basis {
    /// All that these connections told; `None` when they told nothing.
    pub(super) fn of<'a>(shards: impl IntoIterator<Item = &'a Shard>) -> Option<Self> {
        let mut sources: BTreeMap<DataSource, u64> = BTreeMap::new();
        let mut observed_at: Option<UnixMillis> = None;
        let mut freshness = Freshness::Fresh;
        for shard in shards {
            for (profile, tally) in shard.resources.tallies().iter() {
                profile.sources().for_each(|source| *sources.entry(source).or_default() += tally.count);
                freshness = freshness.max(profile.freshness());
            }
            let read = shard.sections.values().filter_map(|report| report.observed_at).min();
            observed_at = observed_at.into_iter().chain(read).min();
        }
        let (source, _) =
            sources.into_iter().max_by_key(|(source, count)| (*count, std::cmp::Reverse(*source)))?;
        Some(Self { source, observed_at, freshness })
    }

    /// One section of one connection.
    pub(super) fn of_section(shard: &Shard, report: &SectionReport) -> Option<Self> {
        Some(Self { observed_at: report.observed_at, ..Self::of([shard])? })
    }
}

/// The resource that a fact is about, and the section that brought it.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    pub resource: ResourceId,
    pub connection: ConnectionId,
    pub section: SectionName,
    pub source: DataSource,
    pub freshness: Freshness,
}

impl Origin {
    pub(super) fn of(resource: &Resource) -> Self {
        Self {
            resource: resource.id,
            connection: resource.connection.clone(),
            section: resource.document.section.clone(),
            source: resource.source,
            freshness: resource.freshness,
        }
    }
}

impl Fact {
    /// Counted over many.
    pub fn derived(code: &'static str, statement: Statement) -> Self {
        Self {
            code,
            statement,
            value: Own::default(),
            unit: "",
            trust: Trust::Derived,
            covers: 1,
            origin: None,
            basis: None,
        }
    }

    /// What has no value has no unit.
    #[must_use]
    pub fn with_value(self, value: Own, unit: &'static str) -> Self {
        let unit = if value.as_str().is_empty() { "" } else { unit };
        Self { value, unit, ..self }
    }

    #[must_use]
    pub fn told(self) -> Self {
        Self { trust: Trust::Told, ..self }
    }

    #[must_use]
    pub fn covering(self, covers: u64) -> Self {
        Self { covers, ..self }
    }

    #[must_use]
    pub fn resting_on(self, basis: Option<Basis>) -> Self {
        Self { basis, ..self }
    }

    #[must_use]
    pub fn about(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }
}
