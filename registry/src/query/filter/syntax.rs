//! The syntax tree of a filter and its printed form. Knows no field names.

use std::fmt;

/// As AIP-160 has it, OR binds tighter than AND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Two or more, all of which must hold.
    All(Vec<Expression>),
    /// Two or more, one of which must hold.
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Comparison),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// `["labels", "site"]` for `labels.site`; never empty.
    pub path: Vec<String>,
    pub path_position: usize,
    pub operator: Operator,
    pub operator_position: usize,
    pub literal: Literal,
}

/// A value as written: its text without quotes and escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    pub text: String,
    /// Ended in `*`.
    pub wild: bool,
    pub position: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Has,
}

impl Operator {
    pub const ALL: [Self; 7] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessEqual,
        Self::Greater,
        Self::GreaterEqual,
        Self::Has,
    ];

    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Has => ":",
        }
    }

    /// Whether the operator orders values.
    pub const fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual)
    }
}

impl Expression {
    /// Comparisons that hold of whatever satisfies the whole.
    pub(super) fn required(self) -> Vec<Comparison> {
        match self {
            Self::All(parts) => parts.into_iter().flat_map(Self::required).collect(),
            Self::Compare(comparison) => vec![comparison],
            Self::Any(_) | Self::Not(_) => Vec::new(),
        }
    }

    /// With other words for the comparisons that have some.
    pub(super) fn reworded<E>(
        &self,
        reword: &dyn Fn(&Comparison) -> Result<Option<Self>, E>,
    ) -> Result<Self, E> {
        let all =
            |parts: &[Self]| parts.iter().map(|part| part.reworded(reword)).collect::<Result<Vec<_>, E>>();
        Ok(match self {
            Self::All(parts) => Self::All(all(parts)?),
            Self::Any(parts) => Self::Any(all(parts)?),
            Self::Not(inner) => Self::Not(Box::new(inner.reworded(reword)?)),
            Self::Compare(comparison) => reword(comparison)?.unwrap_or_else(|| self.clone()),
        })
    }
}

/// Whether a resource carries this label.
pub(super) fn label((key, value): (&String, &String)) -> Expression {
    Expression::Compare(Comparison {
        path: vec!["labels".to_owned(), key.clone()],
        path_position: 1,
        operator: Operator::Equal,
        operator_position: 1,
        literal: Literal { text: value.clone(), wild: false, position: 1 },
    })
}

/// Characters of a path segment that needs no quotes.
pub(super) fn is_path_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '/')
}

/// Words that join expressions.
pub(super) const KEYWORDS: [&str; 3] = ["AND", "OR", "NOT"];

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    write!(f, " {word} ")?;
                }
                match part {
                    Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                    Self::Not(_) | Self::Compare(_) => part.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(parts) => join(f, parts, "AND"),
            Self::Any(parts) => join(f, parts, "OR"),
            Self::Not(inner) => match &**inner {
                Self::Compare(_) => write!(f, "NOT {inner}"),
                Self::All(_) | Self::Any(_) | Self::Not(_) => write!(f, "NOT ({inner})"),
            },
            Self::Compare(comparison) => comparison.fmt(f),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.path.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            let bare = !segment.is_empty()
                && segment.chars().all(is_path_char)
                && !segment.starts_with('-')
                && !KEYWORDS.contains(&segment.as_str());
            if bare {
                f.write_str(segment)?;
            } else {
                quoted(f, segment, false)?;
            }
        }
        write!(f, " {} ", self.operator.sign())?;
        quoted(f, &self.literal.text, self.literal.wild)
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str, wild: bool) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' | '*' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            _ => write!(f, "{c}")?,
        }
    }
    f.write_str(if wild { "*\"" } else { "\"" })
}
