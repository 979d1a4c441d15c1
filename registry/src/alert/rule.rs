//! Rules, strict: what exists can be evaluated. A rule selects resources and
//! says which condition of theirs is an alert, how sure one must be and how bad it is.

pub mod builtin;
pub mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Freshness, Severity, UnixMillis};

use super::condition::Condition;
use super::life::Policy;
use super::measure::Lens;
use super::source;
use crate::query::filter::Filter;
use crate::query::filter::field::Field;

/// Rules of operators that one registry holds, beside the built-in ones.
pub const RULES_MAX: usize = 500;
pub const OVERRIDES_MAX: usize = 100;
pub const CONFIRMATIONS_MAX: u32 = 10;
pub const CONFIRMATIONS_DEFAULT: u32 = 2;
const ID_BYTES_MAX: usize = 63;

/// `pool-usage`: letters, digits and dashes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(Arc<str>);

impl RuleId {
    pub fn parse(text: &str) -> Result<Self, String> {
        let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(ok) {
            return Err(format!("1 to {ID_BYTES_MAX} of a-z, 0-9 and '-', not {text:?}"));
        }
        Ok(Self(text.into()))
    }

    /// Of a name for people: `Full pools!` is `full-pools`.
    pub fn of_name(name: &str) -> Result<Self, String> {
        let mut text = String::new();
        for c in name.chars().flat_map(char::to_lowercase) {
            match c {
                'a'..='z' | '0'..='9' => text.push(c),
                _ if text.ends_with('-') || text.is_empty() => {}
                _ => text.push('-'),
            }
        }
        text.truncate(ID_BYTES_MAX);
        Self::parse(text.trim_end_matches('-'))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: RuleId,
    pub name: String,
    pub description: String,
    pub remedy: Arc<str>,
    pub built_in: bool,
    /// Built in and no longer as it came.
    pub modified: bool,
    pub enabled: bool,
    pub selector: Filter,
    /// As it was written.
    pub selector_text: String,
    /// `None`: the condition knows it.
    pub severity: Option<Severity>,
    pub hold: Duration,
    pub raise: u32,
    pub clear: u32,
    pub condition: Condition,
    pub overrides: Vec<Override>,
    /// Grows with each change; 0 is as it came.
    pub version: u64,
}

/// Other values for some of the resources.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    pub selector: Filter,
    pub selector_text: String,
    pub enabled: Option<bool>,
    pub severity: Option<Severity>,
    pub hold: Option<Duration>,
    pub trigger: Option<f64>,
    pub clear: Option<f64>,
    pub critical: Option<f64>,
    pub limit: Option<Duration>,
}

/// A rule as it is for one resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effective<'a> {
    pub(super) severity: Option<Severity>,
    pub(super) policy: Policy,
    pub(super) condition: std::borrow::Cow<'a, Condition>,
    /// It asks how old knowledge is and nothing that grows old.
    pub(super) of_freshness: bool,
}

/// Whether a rule is a matter of one resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Choice<'a> {
    Chosen(Effective<'a>),
    NotChosen,
    /// It depends on what is absent or stale: what there is stays as it is.
    Unknown,
}

impl Rule {
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    /// Whether it may apply to anything.
    pub(super) fn is_active(&self) -> bool {
        self.enabled || self.overrides.iter().any(|other| other.enabled == Some(true))
    }

    /// Whether the choice may depend on what can be absent or stale.
    pub(super) fn reads_selector(&self) -> bool {
        let reads = |field: &Field, _: Option<&str>| source::is_read(field) || source::is_freshness(field);
        !self.condition.is_of_freshness(&self.selector) && self.selector.any(reads)
    }

    pub(super) fn of(&self, lens: &Lens<'_>, now: UnixMillis) -> Choice<'_> {
        if !self.is_active() {
            return Choice::NotChosen;
        }
        let of_freshness = self.condition.is_of_freshness(&self.selector);
        let resource = lens.resource;
        let sources = lens.sources(now);
        let believed = |field: &Field, word: Option<&str>| {
            if source::is_freshness(field) {
                return resource.freshness == Freshness::Fresh;
            }
            source::of_field(field, word, resource).is_none_or(|part| sources.read_at(part).is_some())
        };
        let chooses = |selector: &Filter| {
            // Of what is silent by nature the last that was known has to do.
            if of_freshness {
                Some(selector.matches(resource, None))
            } else {
                selector.judge(resource, None, &believed)
            }
        };
        match chooses(&self.selector) {
            Some(true) => {}
            Some(false) => return Choice::NotChosen,
            None => return Choice::Unknown,
        }
        let mut other = None;
        for known in &self.overrides {
            match chooses(&known.selector) {
                Some(true) => {
                    other = Some(known);
                    break;
                }
                Some(false) => {}
                None => return Choice::Unknown,
            }
        }
        if !other.and_then(|other| other.enabled).unwrap_or(self.enabled) {
            return Choice::NotChosen;
        }
        let condition = match other {
            Some(other) => self.condition.with(other),
            None => std::borrow::Cow::Borrowed(&self.condition),
        };
        let policy = Policy {
            raise: self.raise,
            clear: self.clear,
            hold: other.and_then(|other| other.hold).unwrap_or(self.hold),
        };
        Choice::Chosen(Effective {
            severity: other.and_then(|other| other.severity).or(self.severity),
            policy: if condition.is_certain() { Policy { raise: 1, clear: 1, ..policy } } else { policy },
            condition,
            of_freshness,
        })
    }
}
