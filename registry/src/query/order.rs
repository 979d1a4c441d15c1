//! How a list is sorted: the `order_by` text, checked, and the comparison it
//! means. Ties are broken by id, so an order is always total.

use std::cmp::Ordering;
use std::fmt::Write as _;

use pulse_proto::model::UnixMillis;

use super::filter::field::NumberField;
use super::number::{number, used_ratio};
use crate::state::resource::Resource;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Id,
    Name,
    Type,
    Status,
    Severity,
    Freshness,
    Connection,
    UsedRatio,
    UsedBytes,
    TotalBytes,
    ObservedAt,
    CreatedAt,
    UpdatedAt,
    Revision,
}

const KEYS: [(&str, Key); 14] = [
    ("id", Key::Id),
    ("name", Key::Name),
    ("type", Key::Type),
    ("status", Key::Status),
    ("severity", Key::Severity),
    ("freshness", Key::Freshness),
    ("connection", Key::Connection),
    ("capacity.used_ratio", Key::UsedRatio),
    ("capacity.used_bytes", Key::UsedBytes),
    ("capacity.total_bytes", Key::TotalBytes),
    ("observed_at", Key::ObservedAt),
    ("created_at", Key::CreatedAt),
    ("updated_at", Key::UpdatedAt),
    ("revision", Key::Revision),
];

/// A checked order. The empty text orders by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    keys: Vec<(Key, Direction)>,
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
        if text.chars().nth(ORDER_CHARS_MAX).is_some() {
            return Err(OrderError {
                position: ORDER_CHARS_MAX + 1,
                problem: format!("longer than {ORDER_CHARS_MAX} characters; name fewer fields"),
            });
        }
        let mut keys: Vec<(Key, Direction)> = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self { keys });
        }
        let mut position = 1;
        for part in text.split(',') {
            let lead = part.chars().take_while(|c| c.is_whitespace()).count();
            let (key, direction) = field(part, position + lead)?;
            if keys.iter().any(|(known, _)| *known == key) {
                return Err(OrderError {
                    position: position + lead,
                    problem: "the field is named twice; remove one".to_owned(),
                });
            }
            keys.push((key, direction));
            position += part.chars().count() + 1;
        }
        Ok(Self { keys })
    }

    pub fn compare(&self, left: Sortable<'_>, right: Sortable<'_>) -> Ordering {
        self.keys
            .iter()
            .map(|(key, direction)| {
                let ordering = compare(*key, left, right);
                if *direction == Direction::Descending { ordering.reverse() } else { ordering }
            })
            .find(|ordering| ordering.is_ne())
            .unwrap_or_else(|| left.0.id.cmp(&right.0.id))
    }

    /// Whether the order depends on times that move without a revision.
    pub fn uses_observed_at(&self) -> bool {
        self.keys.iter().any(|(key, _)| *key == Key::ObservedAt)
    }

    /// One spelling for equal orders.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        for (key, direction) in &self.keys {
            let name = KEYS.iter().find(|(_, known)| known == key).map_or("", |(name, _)| name);
            let sign = if *direction == Direction::Descending { '-' } else { '+' };
            let _ = write!(text, "{sign}{name},");
        }
        text
    }
}

fn field(part: &str, position: usize) -> Result<(Key, Direction), OrderError> {
    let mut words = part.split_whitespace();
    let name = words.next().unwrap_or_default();
    let known = || KEYS.map(|(name, _)| name).join(", ");
    let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) else {
        let problem = if name.is_empty() {
            format!("expected a field; known fields are {}", known())
        } else {
            format!("cannot order by {name:?}; known fields are {}", known())
        };
        return Err(OrderError { position, problem });
    };
    let direction = match words.next() {
        None => Direction::Ascending,
        Some(word) if word.eq_ignore_ascii_case("asc") => Direction::Ascending,
        Some(word) if word.eq_ignore_ascii_case("desc") => Direction::Descending,
        Some(word) => {
            let problem = format!("expected a comma or \"desc\" after {name}, found {word:?}");
            return Err(OrderError { position: position + name.chars().count() + 1, problem });
        }
    };
    if words.next().is_some() {
        return Err(OrderError { position, problem: "separate fields by commas".to_owned() });
    }
    Ok((*key, direction))
}

/// What is not known sorts before all that is.
fn compare(key: Key, (left, left_at): Sortable<'_>, (right, right_at): Sortable<'_>) -> Ordering {
    let numbers = |field| number(field, left).cmp(&number(field, right));
    match key {
        Key::Id => left.id.cmp(&right.id),
        Key::Name => left.name().cmp(right.name()),
        Key::Type => left.resource_type().to_wire().cmp(&right.resource_type().to_wire()),
        Key::Status => left.status.cmp(&right.status),
        Key::Severity => left.severity.cmp(&right.severity),
        Key::Freshness => left.freshness.cmp(&right.freshness),
        Key::Connection => left.connection.cmp(&right.connection),
        Key::UsedRatio => match (used_ratio(left), used_ratio(right)) {
            (Some(left), Some(right)) => left.total_cmp(&right),
            (left, right) => left.is_some().cmp(&right.is_some()),
        },
        Key::UsedBytes => numbers(NumberField::UsedBytes),
        Key::TotalBytes => numbers(NumberField::TotalBytes),
        Key::ObservedAt => left_at.cmp(&right_at),
        Key::CreatedAt => left.created_at.cmp(&right.created_at),
        Key::UpdatedAt => left.updated_at.cmp(&right.updated_at),
        Key::Revision => left.revision.cmp(&right.revision),
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
            ("name desc desc", 1, "commas"),
            ("name, name desc", 7, "twice"),
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
        let ids: Vec<u8> =
            all.iter().map(|r| r.id.as_str().as_bytes().last().map_or(0, |b| b - b'0')).collect();
        assert_eq!(ids, [1, 0, 4, 2, 3]);
    }

    #[test]
    fn equal_orders_have_one_spelling() {
        let spelled = |text| Order::parse(text).expect("an order").canonical();
        assert_eq!(spelled("name desc,id"), spelled("  name   DESC , id asc"));
        assert_ne!(spelled("name desc"), spelled("name"));
    }
}
