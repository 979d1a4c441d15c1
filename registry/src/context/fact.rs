//! One thing that is known, with where it comes from and how old it is.

use pulse_proto::model::{ConnectionId, DataSource, Freshness, ResourceId, SectionName};

use super::piece::Statement;
use super::words::Own;
use crate::state::resource::Resource;

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
            resource: resource.id.clone(),
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
        }
    }

    #[must_use]
    pub fn with_value(self, value: Own, unit: &'static str) -> Self {
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
    pub fn about(self, origin: Origin) -> Self {
        Self { origin: Some(origin), ..self }
    }
}
