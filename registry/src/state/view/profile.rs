//! What a resource has of closed vocabularies, in one word: filters and sums
//! over a million resources read words that lie side by side and follow no pointer.

use pulse_proto::model::{DataSource, Freshness, ResourceType, Severity, Status, StorageTopology};

use crate::state::resource::Resource;

/// A vocabulary. A value is known by its place in the vocabulary's `ALL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    Type,
    Topology,
    Status,
    Severity,
    Freshness,
    /// The only one of which a resource may have several values.
    Source,
}

impl Dimension {
    pub const ALL: [Self; 6] =
        [Self::Type, Self::Topology, Self::Status, Self::Severity, Self::Freshness, Self::Source];

    /// How many values there are.
    pub const fn size(self) -> usize {
        match self {
            Self::Type => ResourceType::ALL.len(),
            Self::Topology => StorageTopology::ALL.len(),
            Self::Status => Status::ALL.len(),
            Self::Severity => Severity::ALL.len(),
            Self::Freshness => Freshness::ALL.len(),
            Self::Source => DataSource::ALL.len(),
        }
    }
}

/// Type in 5 bits, topology or none in 3, status, severity and freshness in 2 each, then a bit for each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profile(u32);

const TOPOLOGY: u32 = 5;
const STATUS: u32 = 8;
const SEVERITY: u32 = 10;
const FRESHNESS: u32 = 12;
const SOURCES: u32 = 14;

const _: () = assert!(ResourceType::ALL.len() <= 32 && StorageTopology::ALL.len() < 8);
const _: () = assert!(Status::ALL.len() <= 4 && Severity::ALL.len() <= 4 && Freshness::ALL.len() <= 4);
const _: () = assert!(DataSource::ALL.len() <= 18);

impl Profile {
    pub fn of(resource: &Resource) -> Self {
        let topology = resource.document.topology().map_or(0, |topology| topology as u32 + 1);
        let sources = resource.sources().fold(0, |sources, part| sources | 1 << part.source as u32);
        Self(
            resource.resource_type() as u32
                | topology << TOPOLOGY
                | (resource.status as u32) << STATUS
                | (resource.severity as u32) << SEVERITY
                | (resource.freshness as u32) << FRESHNESS
                | sources << SOURCES,
        )
    }

    const fn field(self, shift: u32, bits: u32) -> usize {
        ((self.0 >> shift) & ((1 << bits) - 1)) as usize
    }

    pub fn resource_type(self) -> ResourceType {
        ResourceType::ALL[self.field(0, 5)]
    }

    pub fn topology(self) -> Option<StorageTopology> {
        Some(StorageTopology::ALL[self.field(TOPOLOGY, 3).checked_sub(1)?])
    }

    pub fn status(self) -> Status {
        Status::ALL[self.field(STATUS, 2)]
    }

    pub fn severity(self) -> Severity {
        Severity::ALL[self.field(SEVERITY, 2)]
    }

    pub fn freshness(self) -> Freshness {
        Freshness::ALL[self.field(FRESHNESS, 2)]
    }

    pub fn sources(self) -> impl Iterator<Item = DataSource> {
        let sources = self.values(Dimension::Source);
        DataSource::ALL.iter().copied().filter(move |source| sources & 1 << *source as u32 != 0)
    }

    /// The values in one vocabulary, a bit each.
    pub const fn values(self, dimension: Dimension) -> u32 {
        match dimension {
            Dimension::Type => 1 << self.field(0, 5),
            Dimension::Topology => (1 << self.field(TOPOLOGY, 3)) >> 1,
            Dimension::Status => 1 << self.field(STATUS, 2),
            Dimension::Severity => 1 << self.field(SEVERITY, 2),
            Dimension::Freshness => 1 << self.field(FRESHNESS, 2),
            Dimension::Source => self.0 >> SOURCES,
        }
    }
}
