//! Syntax tree to typed tree: fields exist, operators and values fit them.

use memchr::memmem::Finder;

use super::FilterError;
use super::field::{EnumField, Field, TimeField, Vocabulary};
use super::syntax::{Comparison, Expression, Literal, Operator};
use crate::state::view::profile::Dimension;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Test(Test),
}

/// One comparison. `!=` is `=` inside a [`Node::Not`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub field: Field,
    pub operand: Operand,
    pub position: usize,
    /// Of a field that profiles have: the values that satisfy the comparison, a bit each.
    pub values: Option<(Dimension, u32)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// There is a value, and it is not empty.
    Present,
    Exact(String),
    Prefix(String),
    Contains(Needle),
    Number(Relation, u64),
    Ratio(Relation, f64),
    /// Milliseconds since 1970.
    Time(Relation, i64),
    Enum(Relation, i32),
}

/// A text that is looked for in many others: what its search needs is made once.
#[derive(Clone, Debug)]
pub(super) struct Needle(Box<Finder<'static>>);

impl Needle {
    fn new(text: &str) -> Self {
        Self(Box::new(Finder::new(text).into_owned()))
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.find(text.as_bytes()).is_some()
    }
}

impl PartialEq for Needle {
    fn eq(&self, other: &Self) -> bool {
        self.0.needle() == other.0.needle()
    }
}

impl Operand {
    /// The one word that satisfies it.
    pub(super) fn exact(&self) -> Option<&str> {
        match self {
            Self::Exact(word) => Some(word),
            Self::Present
            | Self::Prefix(_)
            | Self::Contains(_)
            | Self::Number(..)
            | Self::Ratio(..)
            | Self::Time(..)
            | Self::Enum(..) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    const fn of(operator: Operator) -> Self {
        match operator {
            Operator::Equal | Operator::NotEqual | Operator::Has => Self::Equal,
            Operator::Less => Self::Less,
            Operator::LessEqual => Self::LessEqual,
            Operator::Greater => Self::Greater,
            Operator::GreaterEqual => Self::GreaterEqual,
        }
    }

    pub(super) fn holds<T: PartialOrd + Copy>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterEqual => left >= right,
        }
    }
}

pub(super) fn check(expression: &Expression, known: &Vocabulary) -> Result<Node, FilterError> {
    let all =
        |parts: &[Expression]| parts.iter().map(|part| check(part, known)).collect::<Result<Vec<_>, _>>();
    Ok(match expression {
        Expression::All(parts) => Node::All(all(parts)?),
        Expression::Any(parts) => Node::Any(all(parts)?),
        Expression::Not(inner) => Node::Not(Box::new(check(inner, known)?)),
        Expression::Compare(comparison) => {
            let test = Node::Test(test(comparison, known)?);
            if comparison.operator == Operator::NotEqual { Node::Not(Box::new(test)) } else { test }
        }
    })
}

pub(super) fn observed_at_position(node: &Node) -> Option<usize> {
    match node {
        Node::All(parts) | Node::Any(parts) => parts.iter().filter_map(observed_at_position).min(),
        Node::Not(inner) => observed_at_position(inner),
        Node::Test(test) => (test.field == Field::Time(TimeField::Observed)).then_some(test.position),
    }
}

/// Whether a comparison is of that kind.
pub(super) fn any(node: &Node, of: &mut dyn FnMut(&Test) -> bool) -> bool {
    match node {
        Node::All(parts) | Node::Any(parts) => parts.iter().any(|part| any(part, of)),
        Node::Not(inner) => any(inner, of),
        Node::Test(test) => of(test),
    }
}

fn test(comparison: &Comparison, known: &Vocabulary) -> Result<Test, FilterError> {
    let Comparison { path, path_position, operator, operator_position, literal } = comparison;
    let name = path.join(".");
    let Some(field) = (known.find)(path) else {
        return Err(FilterError::new(
            *path_position,
            format!("unknown field {name:?}; known fields are {}", (known.names)()),
        ));
    };
    if !field.operators().contains(operator) {
        let allowed: Vec<&str> = field.operators().iter().map(|operator| operator.sign()).collect();
        return Err(FilterError::new(
            *operator_position,
            format!("{name} cannot be compared with '{}'; it takes {}", operator.sign(), allowed.join(" ")),
        ));
    }
    let operand = operand(&name, &field, *operator, literal)?;
    let values = values(&field, &operand);
    Ok(Test { field, operand, position: *path_position, values })
}

fn values(field: &Field, operand: &Operand) -> Option<(Dimension, u32)> {
    let Field::Enum(kind) = field else { return None };
    let dimension = kind.dimension()?;
    let satisfies = |number: i32| match operand {
        Operand::Enum(relation, wanted) => relation.holds(number, *wanted),
        _ => matches!(operand, Operand::Present),
    };
    let bits = kind.numbers().into_iter().enumerate();
    Some((dimension, bits.fold(0, |bits, (at, number)| bits | u32::from(satisfies(number)) << at)))
}

fn operand(name: &str, field: &Field, operator: Operator, literal: &Literal) -> Result<Operand, FilterError> {
    let text = &literal.text;
    // `field:*`, and `field = *`: has any value.
    if literal.wild && text.is_empty() && !operator.is_order() {
        return Ok(Operand::Present);
    }
    let relation = Relation::of(operator);
    let wrong = |problem: String| FilterError::new(literal.position, problem);
    let no_star = || {
        if literal.wild { Err(wrong(format!("{name} takes no '*'; write the whole value"))) } else { Ok(()) }
    };
    Ok(match field {
        Field::Text(_)
        | Field::Entry(_)
        | Field::Alert(_)
        | Field::Label(_)
        | Field::Texts(_)
        | Field::Labels
            if literal.wild =>
        {
            Operand::Prefix(text.clone())
        }
        Field::Text(_) | Field::Entry(_) | Field::Alert(_) | Field::Label(_) if operator == Operator::Has => {
            Operand::Contains(Needle::new(text))
        }
        Field::Text(_)
        | Field::Entry(_)
        | Field::Alert(_)
        | Field::Label(_)
        | Field::Texts(_)
        | Field::Labels => Operand::Exact(text.clone()),
        Field::Enum(kind) => {
            no_star()?;
            Operand::Enum(relation, enum_value(name, *kind, text).map_err(wrong)?)
        }
        Field::Number(_) => {
            no_star()?;
            Operand::Number(relation, number(name, text).map_err(wrong)?)
        }
        Field::UsedRatio => {
            no_star()?;
            let ratio = text.parse::<f64>().ok().filter(|ratio| ratio.is_finite());
            let expected = || wrong(format!("{name} expects a number from 0 to 1, not {text:?}"));
            Operand::Ratio(relation, ratio.ok_or_else(expected)?)
        }
        Field::Time(_) => {
            no_star()?;
            let time = text.parse::<jiff::Timestamp>().map_err(|_| {
                wrong(format!("{name} expects a time such as \"2026-01-31T12:00:00Z\", not {text:?}"))
            })?;
            Operand::Time(relation, time.as_millisecond())
        }
    })
}

fn enum_value(name: &str, kind: EnumField, text: &str) -> Result<i32, String> {
    kind.parse(text).ok_or_else(|| format!("{name} has no value {text:?}; it is one of {}", kind.words()))
}

/// A count, with an optional unit of bytes.
fn number(name: &str, text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|digits| (digits.trim_end(), *unit)))
        .unwrap_or((text, 1));
    Some(digits)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse::<u64>().ok())
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| format!("{name} expects a whole number such as 1024 or 10GiB, not {text:?}"))
}
