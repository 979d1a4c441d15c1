//! Filters over alerts: the same language with the fields of a case. Knows a
//! case only by what it answers.

use std::cmp::Ordering;

use pulse_proto::model::UnixMillis;

use super::check::{self, Node, Operand, Test};
use super::eval::text_holds;
use super::field::{
    ALERT_FIELDS, AlertField, EnumField, Field, NumberField, OF_ALERTS, TextField, TimeField,
};
use super::{FilterError, parse};
use crate::query::value::Text;

/// What a filter over alerts may ask of one.
pub trait AlertFacts {
    /// Words: state, rule, klass, summary, and "true" or "false" for what is so or not.
    fn word(&self, field: AlertField) -> &str;
    /// Of its resource.
    fn text(&self, field: TextField) -> Text<'_>;
    fn label(&self, key: &str) -> Option<&str>;
    fn any_label(&self, test: &mut dyn FnMut(&str) -> bool) -> bool;
    /// The number on the wire.
    fn number_of(&self, field: EnumField) -> Option<i32>;
    /// Created is first seen, observed is fired, updated is resolved.
    fn time(&self, field: TimeField) -> Option<UnixMillis>;
    fn revision(&self) -> u64;
}

/// A checked filter over alerts. The empty text is the filter that everything matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertFilter {
    root: Option<Node>,
    canonical: String,
}

impl AlertFilter {
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let Some(expression) = parse::parse(text)? else { return Ok(Self::default()) };
        let root = check::check(&expression, &OF_ALERTS)?;
        check_words(&root)?;
        Ok(Self { root: Some(root), canonical: expression.to_string() })
    }

    /// The first of these fields that it asks for.
    pub fn first_of(&self, names: &'static [&'static str]) -> Option<&'static str> {
        let field =
            |name: &&str| ALERT_FIELDS.iter().find(|(known, _)| known == name).map(|(_, field)| field);
        let asks = |name: &&&'static str| {
            let wanted = field(name);
            self.root.as_ref().is_some_and(|root| check::any(root, &mut |test| Some(&test.field) == wanted))
        };
        names.iter().find(asks).copied()
    }

    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    pub fn matches(&self, alert: &dyn AlertFacts) -> bool {
        self.root.as_ref().is_none_or(|root| matches(root, alert))
    }

    /// One spelling for all filters that differ only in white space and quotes.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

/// A word that no alert can have is a mistake and not an empty answer.
fn check_words(node: &Node) -> Result<(), FilterError> {
    match node {
        Node::All(parts) | Node::Any(parts) => parts.iter().try_for_each(check_words),
        Node::Not(inner) => check_words(inner),
        Node::Test(Test { field: Field::Alert(field), operand: Operand::Exact(word), position, .. }) => {
            match field.words() {
                Some(words) if !words.contains(&word.as_str()) => {
                    let problem = format!("no such value {word:?}; it is one of {}", words.join(", "));
                    Err(FilterError::new(*position, problem))
                }
                _ => Ok(()),
            }
        }
        Node::Test(_) => Ok(()),
    }
}

fn matches(node: &Node, alert: &dyn AlertFacts) -> bool {
    match node {
        Node::All(parts) => parts.iter().all(|part| matches(part, alert)),
        Node::Any(parts) => parts.iter().any(|part| matches(part, alert)),
        Node::Not(inner) => !matches(inner, alert),
        Node::Test(test) => holds(test, alert),
    }
}

fn holds(test: &Test, alert: &dyn AlertFacts) -> bool {
    let operand = &test.operand;
    match &test.field {
        Field::Alert(field) => text_holds(operand, alert.word(*field)),
        Field::Text(field) => text_holds(operand, &alert.text(*field)),
        Field::Label(key) => alert.label(key).is_some_and(|value| text_holds(operand, value)),
        Field::Labels => alert.any_label(&mut |key| text_holds(operand, key)),
        Field::Enum(field) => alert.number_of(*field).is_some_and(|value| match operand {
            Operand::Enum(relation, wanted) => relation.holds(value, *wanted),
            _ => matches!(operand, Operand::Present),
        }),
        Field::Time(field) => alert.time(*field).is_some_and(|value| match operand {
            Operand::Time(relation, wanted) => {
                relation.holds(i64::try_from(value.get()).unwrap_or(i64::MAX), *wanted)
            }
            _ => matches!(operand, Operand::Present),
        }),
        Field::Number(NumberField::Revision) => match operand {
            Operand::Number(relation, wanted) => relation.holds(alert.revision(), *wanted),
            _ => matches!(operand, Operand::Present),
        },
        // The table of fields has no other.
        Field::Texts(_) | Field::Number(_) | Field::UsedRatio | Field::Entry(_) => false,
    }
}

/// A checked order of alerts. Ties are for the caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertOrder {
    keys: Vec<(Field, bool)>,
}

impl AlertOrder {
    /// `field`, `field desc`, separated by commas; the problem and its place.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let mut keys = Vec::new();
        let mut position = 1;
        for part in text.split(',') {
            let words: Vec<&str> = part.split_whitespace().collect();
            match words.as_slice() {
                [] if text.trim().is_empty() => {}
                [name] | [name, "asc"] => keys.push((ordered(name, position)?, false)),
                [name, "desc"] => keys.push((ordered(name, position)?, true)),
                _ => return Err(FilterError::new(position, "expected a field, then desc or nothing")),
            }
            position += part.chars().count() + 1;
        }
        Ok(Self { keys })
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn compare(&self, left: &dyn AlertFacts, right: &dyn AlertFacts) -> Ordering {
        let one = |field: &Field| match field {
            Field::Alert(field) => left.word(*field).cmp(right.word(*field)),
            Field::Text(field) => left.text(*field).cmp(&right.text(*field)),
            Field::Label(key) => left.label(key).cmp(&right.label(key)),
            Field::Enum(field) => left.number_of(*field).cmp(&right.number_of(*field)),
            Field::Time(field) => left.time(*field).cmp(&right.time(*field)),
            Field::Number(_) => left.revision().cmp(&right.revision()),
            Field::Texts(_) | Field::Labels | Field::UsedRatio | Field::Entry(_) => Ordering::Equal,
        };
        let directed = self.keys.iter().map(|(field, descending)| {
            let ordering = one(field);
            if *descending { ordering.reverse() } else { ordering }
        });
        directed.into_iter().find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

fn ordered(name: &str, position: usize) -> Result<Field, FilterError> {
    let path: Vec<String> = name.split('.').map(str::to_owned).collect();
    (OF_ALERTS.find)(&path).filter(|field| *field != Field::Labels).ok_or_else(|| {
        let known: Vec<&str> = ALERT_FIELDS.iter().map(|(name, _)| *name).collect();
        FilterError::new(position, format!("cannot order by {name:?}; known fields are {}", known.join(", ")))
    })
}
