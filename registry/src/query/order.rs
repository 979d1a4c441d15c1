//! How a list is sorted: the `order_by` text, checked, and the comparison it
//! means. Its fields are those of a filter. Ties are broken by id, so an order
//! is always total.

mod key;
mod parse;

use std::cmp::Ordering;
use std::fmt::Write as _;

use pulse_proto::model::{StorageTopology, UnixMillis};

use super::filter::field::{EnumField, FIELDS, Field, TextField, TimeField};
use super::number::{number, used_ratio};
use super::value::{text, time};
use crate::state::resource::Resource;

pub(super) use self::key::Key;

/// Longest `order_by`, in characters.
pub const ORDER_CHARS_MAX: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct OrderError {
    /// Counted in characters, from 1.
    pub position: usize,
    /// With the remedy.
    pub problem: String,
}

/// A checked order. The empty text orders by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    keys: Vec<(Field, Direction)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

/// What an order looks at.
pub type Sortable<'a> = (&'a Resource, Option<UnixMillis>);

impl Order {
    pub fn parse(text: &str) -> Result<Self, OrderError> {
        parse::parse(text).map(|keys| Self { keys })
    }

    pub fn compare(&self, left: Sortable<'_>, right: Sortable<'_>) -> Ordering {
        self.keys
            .iter()
            .map(|(field, direction)| {
                let ordering = compare(field, left, right);
                if *direction == Direction::Descending { ordering.reverse() } else { ordering }
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| left.0.id.cmp(&right.0.id))
    }

    /// Whether the order depends on times that move without a revision.
    pub fn uses_observed_at(&self) -> bool {
        self.keys.iter().any(|(field, _)| *field == Field::Time(TimeField::Observed))
    }

    /// As resources lie in their shards.
    pub fn is_by_id(&self) -> bool {
        matches!(&*self.keys, [] | [(Field::Text(TextField::Id), Direction::Ascending), ..])
    }

    /// One spelling for equal orders.
    pub fn canonical(&self) -> String {
        let mut canonical = String::new();
        for (field, direction) in &self.keys {
            let sign = if *direction == Direction::Descending { '-' } else { '+' };
            // A label's key may hold anything, so it is quoted.
            let _ = if let Field::Label(key) = field {
                write!(canonical, "{sign}labels.{key:?},")
            } else {
                let name = FIELDS.iter().find(|(_, known)| known == field).map_or("", |(name, _)| name);
                write!(canonical, "{sign}{name},")
            };
        }
        canonical
    }
}

/// What is not known sorts before all that is; words sort as their numbers on the wire.
fn compare(field: &Field, (left, left_at): Sortable<'_>, (right, right_at): Sortable<'_>) -> Ordering {
    match field {
        Field::Text(TextField::Id) => left.id.cmp(&right.id),
        Field::Text(TextField::ParentId) => {
            let [left, right] =
                [left, right].map(|resource| resource.parent.as_ref().map(|parent| parent.id));
            left.cmp(&right)
        }
        Field::Text(field) => text(*field, left).cmp(&text(*field, right)),
        Field::Enum(field) => word(*field, left).cmp(&word(*field, right)),
        Field::Number(field) => number(*field, left).cmp(&number(*field, right)),
        Field::UsedRatio => match (used_ratio(left), used_ratio(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        },
        Field::Time(field) => time(*field, left, left_at).cmp(&time(*field, right, right_at)),
        Field::Label(key) => left.labels.get(key).cmp(&right.labels.get(key)),
        // No order has them.
        Field::Texts(_) | Field::Labels | Field::Entry(_) | Field::Alert(_) => Ordering::Equal,
    }
}

fn word(field: EnumField, resource: &Resource) -> Option<i32> {
    match field {
        EnumField::Type => Some(resource.resource_type().to_wire()),
        EnumField::Topology => resource.document.topology().map(StorageTopology::to_wire),
        EnumField::Status => Some(resource.status.to_wire()),
        EnumField::Severity => Some(resource.severity.to_wire()),
        EnumField::Freshness => Some(resource.freshness.to_wire()),
        EnumField::Source | EnumField::IncidentLevel => None,
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, Severity};

    use super::*;
    use crate::query::fixture::{Seed, capacity};

    #[test]
    fn mistakes_are_refused_where_they_stand() {
        let table = [
            ("nme", 1, "known fields"),
            ("name, ", 7, "expected a field"),
            ("name downwards", 6, "desc"),
            ("name desc desc", 11, "commas"),
            ("name, name desc", 7, "twice"),
            ("labels.a, labels.\"a\"", 11, "twice"),
            ("severity, tags", 11, "many values"),
            ("labels", 1, "many values"),
            ("labels.", 1, "cannot order by"),
            ("labels.\"a", 8, "never closed"),
            ("name, , id", 7, "expected a field"),
        ];
        for (text, position, remedy) in table {
            let error = Order::parse(text).expect_err(text);
            assert_eq!(error.position, position, "{text}: {error}");
            assert!(error.problem.contains(remedy), "{text}: {error}");
        }
        assert!(Order::parse(&"id,".repeat(200)).is_err());
    }

    #[test]
    fn fields_order_one_after_the_other_and_ties_by_id() {
        let seed = |number, severity, used| {
            Seed {
                severity,
                capacity: used,
                name: "same".to_owned(),
                ..Seed::new(ResourceType::Storage, number, "a")
            }
            .build()
        };
        let mut all = [
            seed(4, Severity::Warning, Some(capacity(10, 5))),
            seed(3, Severity::Healthy, None),
            seed(2, Severity::Warning, Some(capacity(10, 9))),
            seed(1, Severity::Warning, None),
            seed(0, Severity::Warning, Some(capacity(10, 5))),
        ];
        let order = Order::parse(" severity desc ,capacity.used_ratio").expect("an order");
        all.sort_by(|left, right| order.compare((left, None), (right, None)));
        let ids: Vec<u8> = all.iter().map(|r| r.id.number().to_le_bytes()[0]).collect();
        assert_eq!(ids, [1, 0, 4, 2, 3]);
    }

    #[test]
    fn every_field_with_one_value_orders() {
        for (name, field) in FIELDS {
            let order = Order::parse(&format!("{name} desc"));
            assert_eq!(order.is_ok(), field.is_scalar(), "{name}");
        }
        for text in ["labels.site", "labels.rack.row desc", "labels.\"a, b\" desc, id"] {
            assert!(Order::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn equal_orders_have_one_spelling() {
        let spelled = |text| Order::parse(text).expect("an order").canonical();
        assert_eq!(spelled("name desc,id"), spelled("  name   DESC , id asc"));
        assert_ne!(spelled("name desc"), spelled("name"));
        assert_eq!(spelled("labels.\"a\".b"), spelled("labels.a.b"));
    }
}
