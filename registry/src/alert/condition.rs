//! What makes an alert of a resource, and whether it does now. Pure: a frozen
//! resource, what is remembered of it and `now` go in, a finding comes out.

mod aged;
mod counted;
mod grown;
mod told;
mod value;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, SectionName, Severity, UnixMillis};

use super::case::{Case, CaseState};
use super::life::{Contrary, Finding, Said};
use super::measure::Lens;
use super::rule::{Effective, Override};
use super::source::{self, Part};
use crate::query::filter::Filter;

pub(super) use self::counted::{Counted, Device, Grown};
pub(super) use self::grown::Fill;
pub use super::measure::{AgeOf, Counter, Metric};

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// With its text.
    Expression(Filter, String),
    Metric {
        metric: Metric,
        trigger: f64,
        clear: f64,
        critical: Option<f64>,
        min_delta: f64,
    },
    /// Codes of health.
    Reason {
        codes: Vec<String>,
        min: Severity,
    },
    Age {
        of: AgeOf,
        limit: Duration,
    },
    Forecast {
        full_within: Duration,
    },
    Growth {
        counter: Counter,
        by: u64,
        calm_after: Duration,
    },
    Reach,
}

/// What is remembered of a resource for conditions that look back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) counted: Counted,
    pub(super) fill: Fill,
    /// Where it is read; `None` where an earlier release kept it.
    pub(super) home: Option<Home>,
    /// When a read did not hold the resource for the first time. Begins anew after a restart.
    pub(super) missed: Option<UnixMillis>,
}

/// What has to be read to know that a resource is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) connection: ConnectionId,
    pub(super) section: SectionName,
}

impl Memory {
    /// Nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.counted == Counted::default() && self.fill == Fill::default()
    }
}

/// What a condition is asked about.
pub(super) struct Question<'a> {
    pub(super) lens: &'a Lens<'a>,
    pub(super) memory: Option<&'a Memory>,
    /// The open case of the rule, where there is one.
    pub(super) open: Option<Open>,
    pub(super) now: UnixMillis,
}

/// As far as a condition depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// It fires already: the way back is longer than the way there.
    pub(super) firing: bool,
    pub(super) severity: Severity,
}

impl Open {
    pub(super) const fn of(case: &Case) -> Self {
        Self { firing: matches!(case.state, CaseState::Firing), severity: case.severity }
    }
}

impl Question<'_> {
    const fn fires(&self) -> bool {
        matches!(self.open, Some(Open { firing: true, .. }))
    }

    /// It is known not to hold. What is seen instead is told where a case may end by it.
    fn clear(&self, seen: impl FnOnce() -> Contrary) -> Said {
        Said::Clear(if self.open.is_some() { seen() } else { Contrary::default() })
    }
}

/// What a condition answers.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) said: Said,
    /// When the source was read for it.
    pub(super) observed_at: UnixMillis,
    /// Time alone changes the answer then.
    pub(super) look_again: Option<UnixMillis>,
}

impl Answer {
    const fn of(said: Said, observed_at: UnixMillis) -> Self {
        Self { said, observed_at, look_again: None }
    }

    /// Nothing can be said now.
    pub(super) const fn unknown(now: UnixMillis) -> Self {
        Self::of(Said::Unknown, now)
    }
}

impl Condition {
    /// The answer does not come from a measurement that may be off: once is enough.
    pub(super) const fn is_certain(&self) -> bool {
        match self {
            Self::Age { .. } | Self::Forecast { .. } | Self::Growth { .. } | Self::Reach => true,
            Self::Expression(..) | Self::Metric { .. } | Self::Reason { .. } => false,
        }
    }

    /// Needs to know of before.
    pub const fn looks_back(&self) -> bool {
        matches!(self, Self::Forecast { .. } | Self::Growth { .. })
    }

    /// Asks how old knowledge is and nothing that grows old: silence is no reason to say nothing.
    pub(super) fn is_of_freshness(&self, selector: &Filter) -> bool {
        match self {
            Self::Reach => true,
            Self::Expression(filter, _) => {
                let asks = |filter: &Filter| filter.any(|field, _| source::is_freshness(field));
                (asks(filter) || asks(selector)) && !filter.any(|field, _| source::is_read(field))
            }
            Self::Metric { .. }
            | Self::Reason { .. }
            | Self::Age { .. }
            | Self::Forecast { .. }
            | Self::Growth { .. } => false,
        }
    }

    pub(super) fn with(&self, other: &Override) -> Cow<'_, Self> {
        let mut own = self.clone();
        match &mut own {
            Self::Metric { trigger, clear, critical, .. } => {
                *trigger = other.trigger.unwrap_or(*trigger);
                *clear = other.clear.unwrap_or(*clear);
                *critical = other.critical.or(*critical);
            }
            Self::Age { limit, .. } | Self::Forecast { full_within: limit } => {
                *limit = other.limit.unwrap_or(*limit);
            }
            Self::Expression(..) | Self::Reason { .. } | Self::Growth { .. } | Self::Reach => {}
        }
        Cow::Owned(own)
    }
}

/// Asks the condition of a rule, as it is for this resource. What is absent or stale makes it unknown.
pub(super) fn ask(rule: &Effective<'_>, question: &Question<'_>) -> Answer {
    let Question { lens, now, .. } = *question;
    let severity = rule.severity.unwrap_or(Severity::Warning);
    let state = [source::of_state(lens.resource)];
    let measured;
    let parts: &[Part] = match &*rule.condition {
        Condition::Reach => return Answer::of(told::reach(rule.severity, question), now),
        Condition::Expression(filter, text) => {
            return told::expression(filter, text, rule.of_freshness, severity, question);
        }
        Condition::Reason { codes, min } => return told::reason(codes, *min, rule.severity, question),
        Condition::Metric { metric, .. } => {
            measured = [metric.part()];
            &measured
        }
        Condition::Age { of, .. } => of.parts(),
        Condition::Forecast { .. } => &[Part::Usable],
        Condition::Growth { .. } => &state,
    };
    let sources = lens.sources(now);
    let oldest = |oldest: UnixMillis, part: &Part| Some(oldest.min(sources.read_at(*part)?));
    let Some(read_at) = parts.iter().try_fold(UnixMillis::MAX, oldest) else {
        return Answer::unknown(now);
    };
    let (said, look_again) = match &*rule.condition {
        Condition::Metric { metric, trigger, clear, critical, min_delta } => {
            let limits = value::Limits { trigger: *trigger, clear: *clear, critical: *critical };
            let said = value::measured(*metric, limits, *min_delta, severity, question);
            return Answer::of(said, read_at);
        }
        Condition::Age { of, limit } => aged::aged(*of, *limit, severity, question),
        Condition::Forecast { full_within } => grown::forecast(*full_within, severity, question),
        Condition::Growth { counter, by, calm_after } => {
            grown::growth(*counter, *by, *calm_after, severity, question)
        }
        Condition::Expression(..) | Condition::Reason { .. } | Condition::Reach => (Said::Unknown, None),
    };
    Answer { said, observed_at: now, look_again }
}

fn finding(severity: Severity, summary: String) -> Finding {
    Finding {
        severity,
        summary,
        evidence: BTreeMap::new(),
        weight: None,
        min_delta: 0.0,
        native: None,
        named: BTreeSet::new(),
    }
}

fn evidence<const N: usize>(facts: [(&str, String); N]) -> BTreeMap<String, String> {
    let told = facts.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// "8 days", "26 h", "90 s".
pub(super) fn long(duration: Duration) -> String {
    const DAY: u64 = 86_400;
    match duration.as_secs() {
        seconds if seconds >= 2 * DAY && seconds.is_multiple_of(DAY) => format!("{} days", seconds / DAY),
        seconds if seconds >= 3_600 && seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        seconds if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

pub(super) fn shown(at: UnixMillis) -> String {
    let at = i64::try_from(at.get()).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}
