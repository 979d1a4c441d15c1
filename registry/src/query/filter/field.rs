//! The fields a filter or an order may name, and the words their values may have.

use pulse_proto::model::{
    AlertLevel, DataSource, Freshness, ResourceType, Severity, Status, StorageTopology,
};

use super::syntax::Operator;
use crate::state::view::profile::Dimension;

/// A field as its values are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Text(TextField),
    Texts(TextsField),
    Enum(EnumField),
    Number(NumberField),
    UsedRatio,
    Time(TimeField),
    /// The keys of the labels.
    Labels,
    /// The value of one label.
    Label(String),
    /// Of the timeline alone.
    Entry(EntryField),
    /// Of alerts alone.
    Alert(AlertField),
}

/// Words of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertField {
    State,
    Rule,
    Klass,
    Summary,
    Acknowledged,
    Silenced,
    Suppressed,
    Flapping,
    Dismissed,
}

impl AlertField {
    /// All words it can have, where those are few.
    pub(super) const fn words(self) -> Option<&'static [&'static str]> {
        match self {
            Self::State => Some(&["pending", "firing", "resolved"]),
            Self::Acknowledged | Self::Silenced | Self::Suppressed | Self::Flapping | Self::Dismissed => {
                Some(&["true", "false"])
            }
            Self::Rule | Self::Klass | Self::Summary => None,
        }
    }
}

/// Words of an entry of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryField {
    Kind,
    Field,
    From,
    To,
    Reason,
}

/// The fields that are known where a filter stands.
pub(super) struct Vocabulary {
    pub find: fn(&[String]) -> Option<Field>,
    pub names: fn() -> String,
}

pub(super) const OF_RESOURCES: Vocabulary = Vocabulary { find: Field::find, names };
pub(super) const OF_ALERTS: Vocabulary = Vocabulary { find: Field::find_of_alert, names: names_of_alert };
pub(super) const OF_ENTRIES: Vocabulary = Vocabulary { find: Field::find_of_entry, names: names_of_entry };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextField {
    Id,
    Technology,
    Name,
    DisplayName,
    State,
    Connection,
    ConnectionName,
    ParentId,
    Pool,
    Dataset,
    Serial,
    Model,
    Version,
    /// Of a disk.
    Bus,
}

impl TextField {
    /// A source tells it or leaves it open. Of the others, that there is none is an answer: a disk in no pool.
    pub(super) const fn is_told(self) -> bool {
        match self {
            Self::State | Self::Serial | Self::Model | Self::Version | Self::Bus => true,
            Self::Id
            | Self::Technology
            | Self::Name
            | Self::DisplayName
            | Self::Connection
            | Self::ConnectionName
            | Self::ParentId
            | Self::Pool
            | Self::Dataset => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextsField {
    SourceId,
    Tags,
    IncidentKlass,
    ReasonCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnumField {
    Type,
    Topology,
    Status,
    Severity,
    Freshness,
    Source,
    IncidentLevel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberField {
    TotalBytes,
    UsedBytes,
    AvailableBytes,
    Revision,
    /// Of a disk, in whole degrees.
    Temperature,
    CpuPercent,
    MemoryUsedPercent,
    SnapshotCount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeField {
    Observed,
    Created,
    Updated,
}

/// Name as written, and what it names.
pub const FIELDS: &[(&str, Field)] = &[
    ("id", Field::Text(TextField::Id)),
    ("type", Field::Enum(EnumField::Type)),
    ("technology", Field::Text(TextField::Technology)),
    ("topology", Field::Enum(EnumField::Topology)),
    ("name", Field::Text(TextField::Name)),
    ("display_name", Field::Text(TextField::DisplayName)),
    ("status", Field::Enum(EnumField::Status)),
    ("severity", Field::Enum(EnumField::Severity)),
    ("freshness", Field::Enum(EnumField::Freshness)),
    ("state", Field::Text(TextField::State)),
    ("source", Field::Enum(EnumField::Source)),
    ("source_id", Field::Texts(TextsField::SourceId)),
    ("connection", Field::Text(TextField::Connection)),
    ("connection_name", Field::Text(TextField::ConnectionName)),
    ("parent_id", Field::Text(TextField::ParentId)),
    ("tags", Field::Texts(TextsField::Tags)),
    ("labels", Field::Labels),
    ("pool", Field::Text(TextField::Pool)),
    ("dataset", Field::Text(TextField::Dataset)),
    ("serial", Field::Text(TextField::Serial)),
    ("model", Field::Text(TextField::Model)),
    ("version", Field::Text(TextField::Version)),
    ("bus", Field::Text(TextField::Bus)),
    ("incidents.klass", Field::Texts(TextsField::IncidentKlass)),
    ("incidents.level", Field::Enum(EnumField::IncidentLevel)),
    ("reasons.code", Field::Texts(TextsField::ReasonCode)),
    ("capacity.total_bytes", Field::Number(NumberField::TotalBytes)),
    ("capacity.used_bytes", Field::Number(NumberField::UsedBytes)),
    ("capacity.available_bytes", Field::Number(NumberField::AvailableBytes)),
    ("capacity.used_ratio", Field::UsedRatio),
    ("temperature_celsius", Field::Number(NumberField::Temperature)),
    ("cpu_percent", Field::Number(NumberField::CpuPercent)),
    ("memory_used_percent", Field::Number(NumberField::MemoryUsedPercent)),
    ("snapshot_count", Field::Number(NumberField::SnapshotCount)),
    ("observed_at", Field::Time(TimeField::Observed)),
    ("created_at", Field::Time(TimeField::Created)),
    ("updated_at", Field::Time(TimeField::Updated)),
    ("revision", Field::Number(NumberField::Revision)),
];

/// Of an entry of the timeline.
pub const ENTRY_FIELDS: &[(&str, Field)] = &[
    ("resource_id", Field::Text(TextField::Id)),
    ("kind", Field::Entry(EntryField::Kind)),
    ("field", Field::Entry(EntryField::Field)),
    ("from", Field::Entry(EntryField::From)),
    ("to", Field::Entry(EntryField::To)),
    ("reason", Field::Entry(EntryField::Reason)),
    ("type", Field::Enum(EnumField::Type)),
    ("technology", Field::Text(TextField::Technology)),
    ("name", Field::Text(TextField::Name)),
    ("connection", Field::Text(TextField::Connection)),
    ("source", Field::Enum(EnumField::Source)),
    ("observed_at", Field::Time(TimeField::Observed)),
    ("revision", Field::Number(NumberField::Revision)),
];

/// Of an alert. Times stand in for others: created is first seen, observed is fired, updated is resolved.
pub const ALERT_FIELDS: &[(&str, Field)] = &[
    ("state", Field::Alert(AlertField::State)),
    ("severity", Field::Enum(EnumField::Severity)),
    ("rule", Field::Alert(AlertField::Rule)),
    ("klass", Field::Alert(AlertField::Klass)),
    ("level", Field::Enum(EnumField::IncidentLevel)),
    ("summary", Field::Alert(AlertField::Summary)),
    ("resource_id", Field::Text(TextField::Id)),
    ("resource_name", Field::Text(TextField::Name)),
    ("type", Field::Enum(EnumField::Type)),
    ("technology", Field::Text(TextField::Technology)),
    ("pool", Field::Text(TextField::Pool)),
    ("connection", Field::Text(TextField::Connection)),
    ("connection_name", Field::Text(TextField::ConnectionName)),
    ("labels", Field::Labels),
    ("acknowledged", Field::Alert(AlertField::Acknowledged)),
    ("silenced", Field::Alert(AlertField::Silenced)),
    ("suppressed", Field::Alert(AlertField::Suppressed)),
    ("flapping", Field::Alert(AlertField::Flapping)),
    ("dismissed", Field::Alert(AlertField::Dismissed)),
    ("first_seen_at", Field::Time(TimeField::Created)),
    ("fired_at", Field::Time(TimeField::Observed)),
    ("resolved_at", Field::Time(TimeField::Updated)),
    ("revision", Field::Number(NumberField::Revision)),
];

/// Other words for a field.
const ALIASES: [(&str, &str); 2] = [("parent", "parent_id"), ("label", "labels")];

impl Field {
    /// The field a path names.
    pub fn find(path: &[String]) -> Option<Self> {
        match path {
            [labels, key @ ..] if (labels == "labels" || labels == "label") && !key.is_empty() => {
                Some(Self::Label(key.join(".")))
            }
            _ => {
                let name = path.join(".");
                let name =
                    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name.as_str(), |(_, name)| name);
                FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| field.clone())
            }
        }
    }

    /// Has one value at most: a list can be ordered by it.
    pub const fn is_scalar(&self) -> bool {
        match self {
            Self::Text(_) | Self::Number(_) | Self::UsedRatio | Self::Time(_) | Self::Label(_) => true,
            Self::Enum(field) => !matches!(field, EnumField::Source | EnumField::IncidentLevel),
            Self::Texts(_) | Self::Labels | Self::Entry(_) | Self::Alert(_) => false,
        }
    }

    /// The field of an entry that a path names.
    fn find_of_entry(path: &[String]) -> Option<Self> {
        let name = path.join(".");
        ENTRY_FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| field.clone())
    }

    /// The field of an alert that a path names.
    fn find_of_alert(path: &[String]) -> Option<Self> {
        if let [labels, key @ ..] = path
            && labels == "labels"
            && !key.is_empty()
        {
            return Some(Self::Label(key.join(".")));
        }
        let name = path.join(".");
        ALERT_FIELDS.iter().find(|(known, _)| *known == name).map(|(_, field)| field.clone())
    }

    pub fn operators(&self) -> &'static [Operator] {
        use Operator::{Equal, Greater, GreaterEqual, Has, Less, LessEqual, NotEqual};
        match self {
            Self::Number(_) | Self::UsedRatio | Self::Time(_) => {
                &[Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, Has]
            }
            Self::Enum(field) if field.is_ordered() => {
                &[Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, Has]
            }
            Self::Labels => &[Has],
            Self::Text(_)
            | Self::Texts(_)
            | Self::Enum(_)
            | Self::Label(_)
            | Self::Entry(_)
            | Self::Alert(_) => &[Equal, NotEqual, Has],
        }
    }
}

/// All names, for people.
pub(super) fn names() -> String {
    let mut names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
    names.push("labels.<key>");
    names.join(", ")
}

/// Names of what a list can be ordered by, for people.
pub(in crate::query) fn scalar_names() -> String {
    let scalar = FIELDS.iter().filter(|(_, field)| field.is_scalar());
    let mut names: Vec<&str> = scalar.map(|(name, _)| *name).collect();
    names.push("labels.<key>");
    names.join(", ")
}

fn names_of_alert() -> String {
    let mut names: Vec<&str> = ALERT_FIELDS.iter().map(|(name, _)| *name).collect();
    names.push("labels.<key>");
    names.join(", ")
}

fn names_of_entry() -> String {
    let names: Vec<&str> = ENTRY_FIELDS.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

impl EnumField {
    /// Where profiles have it.
    pub(super) const fn dimension(self) -> Option<Dimension> {
        match self {
            Self::Type => Some(Dimension::Type),
            Self::Topology => Some(Dimension::Topology),
            Self::Status => Some(Dimension::Status),
            Self::Severity => Some(Dimension::Severity),
            Self::Freshness => Some(Dimension::Freshness),
            Self::Source => Some(Dimension::Source),
            Self::IncidentLevel => None,
        }
    }

    /// The numbers on the wire, in the order of the vocabulary.
    pub(super) fn numbers(self) -> Vec<i32> {
        self.values().into_iter().map(|(_, _, number)| number).collect()
    }

    pub const fn is_ordered(self) -> bool {
        matches!(self, Self::Severity | Self::Freshness | Self::IncidentLevel)
    }

    /// The number on the wire; `None` when no such value exists. Ordered fields order by it.
    pub fn parse(self, text: &str) -> Option<i32> {
        let wanted = text.to_lowercase().replace('-', "_");
        let prefix = self.prefix();
        let short = wanted.strip_prefix(prefix).unwrap_or(&wanted);
        self.values()
            .into_iter()
            .find(|(word, token, _)| word == short || (wanted == short && token == short))
            .map(|(_, _, number)| number)
    }

    /// The short words, for people.
    pub fn words(self) -> String {
        let words: Vec<String> = self.values().into_iter().map(|(word, _, _)| word).collect();
        words.join(", ")
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Type => "resource_type_",
            Self::Topology => "storage_topology_",
            Self::Status => "status_",
            Self::Severity => "severity_",
            Self::Freshness => "freshness_",
            Self::Source => "data_source_",
            Self::IncidentLevel => "alert_level_",
        }
    }

    /// Short word of the contract, Pulse's token, number.
    fn values(self) -> Vec<(String, String, i32)> {
        macro_rules! values {
            ($kind:ident) => {
                $kind::ALL
                    .iter()
                    .map(|value| {
                        let full = pulse_proto::pb::resource::v1::$kind::from(*value).as_str_name();
                        let full = full.to_lowercase();
                        let short = full.strip_prefix(self.prefix()).unwrap_or(&full).to_owned();
                        (short, value.token().replace('-', "_"), value.to_wire())
                    })
                    .collect()
            };
        }
        match self {
            Self::Type => values!(ResourceType),
            Self::Topology => values!(StorageTopology),
            Self::Status => values!(Status),
            Self::Severity => values!(Severity),
            Self::Freshness => values!(Freshness),
            Self::Source => values!(DataSource),
            Self::IncidentLevel => values!(AlertLevel),
        }
    }
}
