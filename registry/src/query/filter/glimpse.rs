//! Filters over what no resource shows: a system that was never read, a thing that went. As in three-valued logic:
//! what is not known of it leaves a comparison open. Knows such a thing only by what it is given.

use std::collections::BTreeMap;

use pulse_proto::model::{
    ConnectionId, DataSource, ResourceId, ResourceType, Severity, Status, StorageTopology,
};

use super::Filter;
use super::check::{Node, Operand, Test};
use super::decide::all;
use super::eval::text_holds;
use super::field::{EnumField, Field, NumberField, TextField};
use crate::query::value::Text;

/// `None`: nobody knows.
#[derive(Clone, Copy, Debug)]
pub struct Glimpse<'a> {
    pub id: Option<&'a ResourceId>,
    pub resource_type: Option<ResourceType>,
    /// What people call it.
    pub name: Option<&'a str>,
    pub technology: Option<&'a str>,
    pub pool: Option<&'a str>,
    pub connection: &'a ConnectionId,
    pub connection_name: Option<&'a str>,
    pub labels: Option<&'a BTreeMap<String, String>>,
    pub source: Option<DataSource>,
    pub status: Option<Status>,
    pub severity: Option<Severity>,
}

/// A word of a closed vocabulary.
enum Said<T> {
    Unknown,
    /// It has none.
    Lacks,
    Is(T),
}

impl<T> Said<T> {
    fn of(known: Option<T>) -> Self {
        known.map_or(Self::Unknown, Self::Is)
    }
}

impl Filter {
    /// Whether it matches, as far as what is known tells.
    pub fn glimpsed(&self, glimpse: &Glimpse<'_>) -> Option<bool> {
        self.root.as_ref().map_or(Some(true), |root| judge(root, glimpse))
    }
}

fn judge(node: &Node, glimpse: &Glimpse<'_>) -> Option<bool> {
    match node {
        Node::All(parts) => all(parts, true, |part| judge(part, glimpse)),
        Node::Any(parts) => all(parts, false, |part| judge(part, glimpse)),
        Node::Not(inner) => judge(inner, glimpse).map(|holds| !holds),
        Node::Test(test) => holds(test, glimpse),
    }
}

fn holds(test: &Test, glimpse: &Glimpse<'_>) -> Option<bool> {
    let operand = &test.operand;
    match &test.field {
        Field::Text(field) => glimpse.text(*field).map(|value| text_holds(operand, &value)),
        Field::Enum(field) => match (glimpse.word(*field), operand) {
            (Said::Unknown, _) => None,
            (Said::Lacks, _) => Some(false),
            (Said::Is(value), Operand::Enum(relation, wanted)) => Some(relation.holds(value, *wanted)),
            (Said::Is(_), _) => Some(*operand == Operand::Present),
        },
        Field::Label(key) => Some(glimpse.labels?.get(key).is_some_and(|value| text_holds(operand, value))),
        Field::Labels => Some(glimpse.labels?.keys().any(|key| text_holds(operand, key))),
        Field::Number(field) => glimpse.lacks(*field).then_some(false),
        Field::UsedRatio => glimpse.lacks(NumberField::UsedBytes).then_some(false),
        Field::Texts(_) | Field::Time(_) => None,
        // Nothing has one.
        Field::Entry(_) | Field::Alert(_) => Some(false),
    }
}

impl Glimpse<'_> {
    fn text(&self, field: TextField) -> Option<Text<'_>> {
        let told = match field {
            TextField::Id => return self.id.map(|id| Text::Id(id.text())),
            TextField::Name | TextField::DisplayName => self.name,
            TextField::Technology => self.technology,
            TextField::Connection => Some(self.connection.as_str()),
            TextField::ConnectionName => self.connection_name,
            TextField::Pool => match self.topology() {
                _ if self.pool.is_some() => self.pool,
                Said::Is(StorageTopology::Pool) => self.name,
                Said::Is(StorageTopology::Dataset) => self.name?.split('/').next(),
                _ => self.is(ResourceType::Host).then_some(""),
            },
            TextField::Dataset => match self.topology() {
                Said::Is(StorageTopology::Pool | StorageTopology::Dataset) => self.name,
                _ => self.is(ResourceType::Host).then_some(""),
            },
            TextField::Bus => self.is_no(ResourceType::PhysicalDisk).then_some(""),
            TextField::State
            | TextField::ParentId
            | TextField::Serial
            | TextField::Model
            | TextField::Version => None,
        };
        told.map(Text::Told)
    }

    /// The number on the wire.
    fn word(&self, field: EnumField) -> Said<i32> {
        match field {
            EnumField::Type => Said::of(self.resource_type.map(ResourceType::to_wire)),
            EnumField::Topology => match self.topology() {
                Said::Unknown => Said::Unknown,
                Said::Lacks => Said::Lacks,
                Said::Is(topology) => Said::Is(topology.to_wire()),
            },
            EnumField::Status => Said::of(self.status.map(Status::to_wire)),
            EnumField::Severity => Said::of(self.severity.map(Severity::to_wire)),
            EnumField::Source => Said::of(self.source.map(DataSource::to_wire)),
            EnumField::Freshness | EnumField::IncidentLevel => Said::Unknown,
        }
    }

    fn topology(&self) -> Said<StorageTopology> {
        match self.technology {
            _ if self.is_no(ResourceType::Storage) => Said::Lacks,
            _ if !self.is(ResourceType::Storage) => Said::Unknown,
            Some("zfs-pool") => Said::Is(StorageTopology::Pool),
            Some("zfs-dataset") => Said::Is(StorageTopology::Dataset),
            _ => Said::Unknown,
        }
    }

    fn is(&self, resource_type: ResourceType) -> bool {
        self.resource_type == Some(resource_type)
    }

    fn is_no(&self, resource_type: ResourceType) -> bool {
        self.resource_type.is_some_and(|own| own != resource_type)
    }

    /// Figures that things of its type never have.
    fn lacks(&self, field: NumberField) -> bool {
        match field {
            NumberField::TotalBytes | NumberField::UsedBytes | NumberField::AvailableBytes => {
                self.is(ResourceType::Host)
            }
            NumberField::Temperature => self.is_no(ResourceType::PhysicalDisk),
            NumberField::SnapshotCount => self.is_no(ResourceType::Storage),
            NumberField::CpuPercent | NumberField::MemoryUsedPercent => self.is_no(ResourceType::Host),
            NumberField::Revision => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_leaves_a_filter_open() {
        let connection = ConnectionId::parse("c-1").expect("an id");
        let labels = BTreeMap::from([("site".to_owned(), "attic".to_owned())]);
        let system = Glimpse {
            id: None,
            resource_type: Some(ResourceType::Host),
            name: Some("nas-1"),
            technology: None,
            pool: None,
            connection: &connection,
            connection_name: Some("nas-1"),
            labels: Some(&labels),
            source: None,
            status: None,
            severity: None,
        };
        let pool = Glimpse {
            resource_type: Some(ResourceType::Storage),
            name: Some("tank"),
            technology: Some("zfs-pool"),
            status: Some(Status::Online),
            source: Some(DataSource::Truenas),
            severity: Some(Severity::Warning),
            connection_name: None,
            ..system
        };
        for (filter, of_system, of_pool) in [
            ("", Some(true), Some(true)),
            ("connection = c-1", Some(true), Some(true)),
            ("connection_name = nas-1", Some(true), None),
            ("connection_name = nas-2", Some(false), None),
            ("labels.site = attic", Some(true), Some(true)),
            ("labels.site = cellar", Some(false), Some(false)),
            ("labels:site", Some(true), Some(true)),
            ("type = host", Some(true), Some(false)),
            ("topology = pool", Some(false), Some(true)),
            ("severity >= warning", None, Some(true)),
            ("severity >= critical", None, Some(false)),
            ("severity >= warning AND type = storage", Some(false), Some(true)),
            ("NOT severity >= warning", None, Some(false)),
            ("freshness != fresh", None, None),
            ("source = truenas", None, Some(true)),
            ("name = tank OR display_name:tan", Some(false), Some(true)),
            ("pool = tank", Some(false), Some(true)),
            ("reasons.code = x AND connection = c-2", Some(false), Some(false)),
            ("temperature_celsius > 40", Some(false), Some(false)),
            ("capacity.used_ratio > 0.5", Some(false), None),
            ("status = online", None, Some(true)),
        ] {
            let parsed = Filter::parse(filter).expect(filter);
            assert_eq!((parsed.glimpsed(&system), parsed.glimpsed(&pool)), (of_system, of_pool), "{filter}");
        }
        let thing = Glimpse { resource_type: None, name: None, ..system };
        for (filter, expected) in [
            ("connection = c-1", Some(true)),
            ("connection = c-2 AND topology = pool", Some(false)),
            ("topology = pool AND pool = tank", None),
            ("type = vm OR name = x", None),
            ("temperature_celsius > 40 AND bus = sata", None),
        ] {
            assert_eq!(Filter::parse(filter).expect(filter).glimpsed(&thing), expected, "{filter}");
        }
    }
}
