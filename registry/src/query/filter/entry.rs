//! Filters over the timeline: the same language with the fields of an entry.

use super::check::{self, Node, Operand, Test};
use super::eval::text_holds;
use super::field::{self, EntryField, EnumField, Field, NumberField, TextField, TimeField};
use super::{FilterError, parse, plan};
use crate::state::timeline::Entry;

/// A checked filter over entries. The empty text is the filter that everything matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryFilter {
    root: Option<Node>,
    canonical: String,
}

impl EntryFilter {
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let Some(expression) = parse::parse(text)? else { return Ok(Self::default()) };
        let root = check::check(&expression, &field::OF_ENTRIES)?;
        Ok(Self { root: Some(root), canonical: expression.to_string() })
    }

    pub fn matches(&self, entry: &Entry) -> bool {
        self.root.as_ref().is_none_or(|root| matches(root, entry))
    }

    /// One spelling for all filters that differ only in white space and quotes.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The only resource whose entries can match.
    pub fn resource_id(&self) -> Option<&str> {
        plan::wanted_id(self.root.as_ref())
    }
}

fn matches(node: &Node, entry: &Entry) -> bool {
    match node {
        Node::All(parts) => parts.iter().all(|part| matches(part, entry)),
        Node::Any(parts) => parts.iter().any(|part| matches(part, entry)),
        Node::Not(inner) => !matches(inner, entry),
        Node::Test(test) => holds(test, entry),
    }
}

fn holds(test: &Test, entry: &Entry) -> bool {
    let operand = &test.operand;
    let text = |value: &str| text_holds(operand, value);
    match &test.field {
        Field::Text(TextField::Id) => text(&entry.id.text()),
        Field::Text(TextField::Name) => text(entry.name()),
        Field::Text(TextField::Technology) => text(entry.technology()),
        Field::Text(TextField::Connection) => text(entry.connection.as_str()),
        Field::Entry(EntryField::Kind) => text(entry.kind.token()),
        Field::Entry(EntryField::Field) => entry.steps().any(|step| text(step.field)),
        Field::Entry(EntryField::From) => entry.steps().any(|step| text(step.from)),
        Field::Entry(EntryField::To) => entry.steps().any(|step| text(step.to)),
        Field::Entry(EntryField::Reason) => text(entry.reason()),
        Field::Enum(EnumField::Type) => number_holds(operand, entry.resource_type.to_wire()),
        Field::Enum(EnumField::Source) => number_holds(operand, entry.source.to_wire()),
        Field::Time(TimeField::Observed) => match operand {
            Operand::Time(relation, wanted) => {
                relation.holds(i64::try_from(entry.at.get()).unwrap_or(i64::MAX), *wanted)
            }
            _ => matches!(operand, Operand::Present),
        },
        Field::Number(NumberField::Revision) => match operand {
            Operand::Number(relation, wanted) => relation.holds(entry.position.revision.0, *wanted),
            _ => matches!(operand, Operand::Present),
        },
        // The table of fields has no other.
        _ => false,
    }
}

fn number_holds(operand: &Operand, value: i32) -> bool {
    match operand {
        Operand::Enum(relation, wanted) => relation.holds(value, *wanted),
        _ => matches!(operand, Operand::Present),
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, Revision, Severity, Status, UnixMillis};

    use super::*;
    use crate::query::fixture::Seed;
    use crate::state::change::{Change, Changes};

    #[test]
    fn every_field_of_an_entry_can_be_asked_for() {
        let seed = || Seed::new(ResourceType::Storage, 1, "nas");
        let after = Seed { severity: Severity::Critical, status: Status::Offline, ..seed() }.build();
        let change = Change::Changed { before: seed().build(), after };
        let at = UnixMillis::new(1_800_000_000_000);
        let entries = Changes::new(Revision(7), at, vec![change]).entries;
        assert_eq!(entries.len(), 1);
        for (filter, expected) in [
            ("", true),
            ("kind = state_transition", true),
            ("kind = created", false),
            ("kind:state*", true),
            ("resource_id = storage-0000000000000001", true),
            ("resource_id = storage-0000000000000002", false),
            ("NOT resource_id = storage-0000000000000002", true),
            ("type = storage AND connection = nas", true),
            ("type = vm OR connection = other", false),
            ("source = truenas", true),
            ("source = agent", false),
            ("observed_at >= 2027-01-15T08:00:00Z", true),
            ("observed_at > 2027-01-15T08:00:00Z", false),
            ("name:thing technology = zfs-pool", true),
            ("field = severity AND to = critical", true),
            ("from = DEGRADED", false),
            ("reason:well", true),
            ("revision = 7", true),
            ("revision < 7", false),
        ] {
            let parsed = EntryFilter::parse(filter).expect(filter);
            assert_eq!(parsed.matches(&entries[0]), expected, "{filter}");
        }
        for (filter, position) in [("kind = created AND severity = warning", 20), ("type = strage", 8)] {
            let error = EntryFilter::parse(filter).expect_err(filter);
            assert_eq!(error.position, position, "{error}");
        }
        let error = EntryFilter::parse("pool = tank").expect_err("not of an entry");
        assert!(error.problem.contains("resource_id, kind"), "{error}");
    }
}
