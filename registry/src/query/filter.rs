//! The filter language: text in, a checked predicate over resources out. A
//! `Filter` that exists names only known fields, with operators and values
//! that fit them.

mod alert;
mod check;
mod decide;
mod entry;
mod eval;
pub mod field;
mod glimpse;
mod parse;
mod plan;
pub mod syntax;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use pulse_proto::model::{ResourceId, UnixMillis};

pub use alert::{AlertFacts, AlertFilter, AlertOrder};
pub use entry::EntryFilter;
pub use glimpse::Glimpse;
pub use plan::{Candidates, Scan};

use self::field::Field;
use self::syntax::{Comparison, Expression};
use crate::state::resource::Resource;
use crate::state::view::profile::Profile;
use crate::state::view::{Shard, View};

/// Longest filter, in characters.
pub const FILTER_CHARS_MAX: usize = 4_096;
/// Deepest nesting of parentheses and negations.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Most comparisons in one filter.
pub const FILTER_TERMS_MAX: usize = 256;

/// What is wrong with a filter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {problem}")]
pub struct FilterError {
    /// Counted in characters, from 1.
    pub position: usize,
    /// With the remedy.
    pub problem: String,
}

impl FilterError {
    fn new(position: usize, problem: impl Into<String>) -> Self {
        Self { position, problem: problem.into() }
    }
}

/// Other words for a comparison, if it has some.
pub type Reword<'a> = &'a dyn Fn(&Field, &Comparison) -> Result<Option<Expression>, FilterError>;

/// The comparisons of a filter that hold of whatever matches it.
pub fn required(text: &str) -> Result<Vec<Comparison>, FilterError> {
    Ok(parse::parse(text)?.map(Expression::required).unwrap_or_default())
}

/// A checked filter. The empty text is the filter that everything matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Option<check::Node>,
    canonical: String,
}

/// A filter for the resources of one shard.
#[derive(Debug)]
pub struct Within<'a> {
    rest: Option<Cow<'a, check::Node>>,
    /// Of observation; looked up for nobody else.
    asks_time: bool,
    shard: &'a Shard,
}

impl Within<'_> {
    pub fn matches(&self, row: usize) -> bool {
        let Some(rest) = &self.rest else { return true };
        let resource = &self.shard.resources[row];
        let at = if self.asks_time { self.shard.observed_at(resource) } else { None };
        eval::matches(rest, resource, at)
    }
}

impl Filter {
    /// Everything matches.
    pub const fn all() -> Self {
        Self { root: None, canonical: String::new() }
    }

    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let Some(expression) = parse::parse(text)? else { return Ok(Self::all()) };
        let root = plan::cheap_first(check::check(&expression, &field::OF_RESOURCES)?);
        Ok(Self { root: Some(root), canonical: expression.to_string() })
    }

    /// As `parse`, of what carries all of these labels: nothing that is asked for widens that.
    pub fn parse_within(text: &str, labels: &BTreeMap<String, String>) -> Result<Self, FilterError> {
        if labels.is_empty() {
            return Self::parse(text);
        }
        // By itself first: a mistake is told as it is without the labels.
        let asked = parse::parse(text)?;
        let parts: Vec<Expression> = labels.iter().map(syntax::label).chain(asked).collect();
        let expression = Expression::All(parts);
        let root = plan::cheap_first(check::check(&expression, &field::OF_RESOURCES)?);
        Ok(Self { root: Some(root), canonical: expression.to_string() })
    }

    /// As `parse_within`, with comparisons put in other words: `None` leaves one as it is. What is said of the filter is
    /// said of what was asked.
    pub fn parse_reworded(
        text: &str,
        labels: &BTreeMap<String, String>,
        reword: Reword<'_>,
    ) -> Result<Self, FilterError> {
        let asked = Self::parse_within(text, labels)?;
        let Some(expression) = parse::parse(text)? else { return Ok(asked) };
        let reworded = expression.reworded(&|comparison| match Field::find(&comparison.path) {
            Some(field) => reword(&field, comparison),
            None => Ok(None),
        })?;
        let parts = Expression::All(labels.iter().map(syntax::label).chain([reworded]).collect());
        let root = plan::cheap_first(check::check(&parts, &field::OF_RESOURCES)?);
        Ok(Self { root: Some(root), ..asked })
    }

    pub fn matches(&self, resource: &Resource, observed_at: Option<UnixMillis>) -> bool {
        self.root.as_ref().is_none_or(|root| eval::matches(root, resource, observed_at))
    }

    /// The same for many resources of one shard, with what they share asked once.
    pub fn within<'a>(&'a self, shard: &'a Shard) -> Within<'a> {
        Within {
            rest: self.root.as_ref().map(|root| decide::rest(root, shard)),
            asks_time: self.observed_at_position().is_some(),
            shard,
        }
    }

    /// One spelling for all filters that differ only in white space and quotes.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Where a comparison asks for the time of observation, which moves without a revision.
    pub fn observed_at_position(&self) -> Option<usize> {
        self.root.as_ref().and_then(check::observed_at_position)
    }

    /// As `matches`, in three-valued logic: what is absent, or a field whose value is not `believed`, is unknown. That is
    /// asked of the field and, where there is but one, the word that satisfies the comparison.
    pub fn judge(
        &self,
        resource: &Resource,
        observed_at: Option<UnixMillis>,
        believed: &dyn Fn(&Field, Option<&str>) -> bool,
    ) -> Option<bool> {
        self.root.as_ref().map_or(Some(true), |root| eval::judge(root, resource, observed_at, believed))
    }

    /// Whether any comparison is of that kind: of a field and, where there is but one, the word that satisfies it.
    pub fn any(&self, mut of: impl FnMut(&Field, Option<&str>) -> bool) -> bool {
        let mut of = |test: &check::Test| of(&test.field, test.operand.exact());
        self.root.as_ref().is_some_and(|root| check::any(root, &mut of))
    }

    /// Whether resources with this profile match, as far as it tells; `shard` tells more of those in it.
    pub fn decide(&self, profile: Profile, shard: Option<&Shard>) -> Option<bool> {
        self.root.as_ref().map_or(Some(true), |root| decide::decide(root, profile, shard))
    }

    /// The parts of `view` that may hold matches.
    pub fn scan(&self, view: &View) -> Scan {
        plan::scan(self.root.as_ref(), view)
    }

    /// The parts of `view` that may hold what matches now or did before: of a resource only the id stays.
    pub fn scan_by_id(&self, view: &View) -> Scan {
        plan::scan_by_id(self.root.as_ref(), view)
    }

    /// Whether a resource with this id can ever match.
    pub fn may_match(&self, id: &ResourceId) -> bool {
        plan::may_match(self.root.as_ref(), id)
    }
}
