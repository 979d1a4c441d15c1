//! Wire to domain and back. Wire to domain validates and names the bad field;
//! domain to wire cannot fail. Decoders bind every field by name, so a new
//! field does not compile until somebody decides about it.

mod kind;
mod mirror;
mod record;
mod resource;
mod section;
mod storage;
mod value;

use std::borrow::Cow;
use std::fmt;

pub use resource::{record_from_fields, record_to_fields, told_to_fields};
pub(crate) use value::has_control;
pub use value::{LIST_MAX, timestamp_from_wire, timestamp_to_wire};

/// A message breaks the contract: which field, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// Dotted path from the message that was decoded; empty for the value itself.
    pub field: String,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    Missing,
    Invalid(Cow<'static, str>),
}

impl ProtocolError {
    pub const fn missing() -> Self {
        Self { field: String::new(), problem: Problem::Missing }
    }

    pub fn invalid(why: impl Into<Cow<'static, str>>) -> Self {
        Self { field: String::new(), problem: Problem::Invalid(why.into()) }
    }

    /// The same error, seen from one level further out.
    #[must_use]
    pub fn at(mut self, outer: &str) -> Self {
        self.field = if self.field.is_empty() { outer.to_owned() } else { format!("{outer}.{}", self.field) };
        self
    }

    /// Like [`Self::at`] for an element of a list.
    #[must_use]
    pub fn at_index(self, outer: &str, index: usize) -> Self {
        self.at(&format!("{outer}[{index}]"))
    }

    /// What is wrong, without the field.
    pub fn reason(&self) -> &str {
        match &self.problem {
            Problem::Missing => "is required",
            Problem::Invalid(why) => why,
        }
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            f.write_str(self.reason())
        } else {
            write!(f, "{}: {}", self.field, self.reason())
        }
    }
}

impl std::error::Error for ProtocolError {}

/// Names the field an error belongs to.
trait At<T> {
    fn at(self, field: &str) -> Result<T, ProtocolError>;
}

impl<T> At<T> for Result<T, ProtocolError> {
    fn at(self, field: &str) -> Self {
        self.map_err(|error| error.at(field))
    }
}
