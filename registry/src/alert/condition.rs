//! What makes an alert of a resource, and whether it does now. Pure: a frozen
//! resource, what is remembered of it and `now` go in, a finding comes out.

mod grown;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use pulse_proto::model::{
    ConnectionState, Freshness, SectionName, SectionOutcome, SectionReport, Severity, UnixMillis,
};

use super::life::{Finding, Said};
use super::measure::{Lens, Since};
use super::rule::{Effective, Override};
use crate::query::filter::Filter;
use crate::state::Shard;

pub(super) use self::grown::{Fill, Grown};
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
    pub(super) grown: BTreeMap<Counter, Grown>,
    pub(super) fill: Fill,
}

/// What a condition is asked about.
pub(super) struct Question<'a> {
    pub(super) lens: &'a Lens<'a>,
    pub(super) shard: Option<&'a Shard>,
    pub(super) memory: Option<&'a Memory>,
    /// It fires already: the way back is longer than the way there.
    pub(super) firing: bool,
    pub(super) now: UnixMillis,
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

/// Asks the condition of a rule, as it is for this resource.
pub(super) fn ask(rule: &Effective<'_>, question: &Question<'_>) -> Answer {
    let Question { lens, shard, now, .. } = *question;
    let condition = &*rule.condition;
    let resource = lens.resource;
    let own = shard.and_then(|shard| shard.observed_at(resource));
    let observed_at = if condition.is_certain() { now } else { own.unwrap_or(resource.updated_at) };
    let answer = |said| Answer { said, observed_at, look_again: None };
    if let Condition::Reach = condition {
        return answer(reach(rule.severity, question));
    }
    let about_freshness = matches!(condition, Condition::Expression(filter, _) if filter.asks_freshness());
    if resource.freshness != Freshness::Fresh && !about_freshness {
        return answer(Said::Unknown);
    }
    // What another section brings is as old as that one.
    let part = match condition {
        Condition::Metric { metric, .. } => metric.section(),
        Condition::Age { of, .. } => of.section(),
        _ => None,
    };
    let mut seen_at = observed_at;
    let told = |report: &&SectionReport| {
        !matches!(report.outcome, SectionOutcome::Unsupported | SectionOutcome::Disabled)
    };
    if let Some(report) = part.and_then(|name| section(shard?, name)).filter(told) {
        match fresh(report, now) {
            Some(at) if !condition.is_certain() => seen_at = at,
            Some(_) => {}
            None => return answer(Said::Unknown),
        }
    }
    let severity = rule.severity.unwrap_or(Severity::Warning);
    let answer = match condition {
        Condition::Expression(filter, text) => answer(expression(filter, text, severity, question)),
        Condition::Metric { metric, trigger, clear, critical, min_delta } => {
            let limits = Limits { trigger: *trigger, clear: *clear, critical: *critical };
            answer(measured(*metric, limits, *min_delta, severity, question))
        }
        Condition::Reason { codes, min } => answer(reason(codes, *min, rule.severity, question)),
        Condition::Age { of, limit } => {
            let (said, look_again) = aged(*of, *limit, severity, question);
            Answer { look_again, ..answer(said) }
        }
        Condition::Forecast { full_within } => {
            let (said, look_again) = grown::forecast(*full_within, severity, question);
            Answer { look_again, ..answer(said) }
        }
        Condition::Growth { counter, by, calm_after } => {
            let (said, look_again) = grown::growth(*counter, *by, *calm_after, severity, question);
            Answer { look_again, ..answer(said) }
        }
        Condition::Reach => answer(Said::Unknown),
    };
    Answer { observed_at: seen_at, ..answer }
}

pub(super) fn section<'a>(shard: &'a Shard, name: &str) -> Option<&'a SectionReport> {
    shard.sections.get(&SectionName::parse(name).ok()?)
}

/// When it was read, unless that is too long ago.
pub(super) fn fresh(report: &SectionReport, now: UnixMillis) -> Option<UnixMillis> {
    report.observed_at.filter(|at| now.since(*at) <= report.stale_after())
}

fn finding(severity: Severity, summary: String) -> Finding {
    Finding { severity, summary, evidence: BTreeMap::new(), weight: None, min_delta: 0.0, native: None }
}

fn evidence<const N: usize>(facts: [(&str, String); N]) -> BTreeMap<String, String> {
    let told = facts.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(key, value)| (key.to_owned(), value)).collect()
}

fn expression(filter: &Filter, text: &str, severity: Severity, question: &Question<'_>) -> Said {
    let resource = question.lens.resource;
    let observed_at = question.shard.and_then(|shard| shard.observed_at(resource));
    if !filter.matches(resource, observed_at) {
        return Said::Clear;
    }
    let mut found = finding(severity, format!("{}: {text}", resource.display_name()));
    found.evidence = evidence([
        ("expression", text.to_owned()),
        ("state", resource.document.state().to_owned()),
        ("status", resource.status.token().to_owned()),
        ("severity", resource.severity.token().to_owned()),
    ]);
    Said::Holds(found)
}

/// Above the trigger, or below it where the way back leads up.
#[derive(Clone, Copy)]
struct Limits {
    trigger: f64,
    clear: f64,
    critical: Option<f64>,
}

fn measured(
    metric: Metric,
    limits: Limits,
    min_delta: f64,
    severity: Severity,
    question: &Question<'_>,
) -> Said {
    let resource = question.lens.resource;
    let Some(value) = metric.of(question.lens) else {
        return if metric.is_optional() { Said::Clear } else { Said::Unknown };
    };
    let Limits { trigger, clear, critical } = limits;
    let low = clear > trigger;
    let beyond = |limit: f64| if low { value <= limit } else { value >= limit };
    let holds = beyond(trigger) || (question.firing && if low { value < clear } else { value > clear });
    if !holds {
        return Said::Clear;
    }
    let severity = if critical.is_some_and(beyond) { Severity::Critical } else { severity };
    let unit = metric.unit();
    let side = if low { "at most" } else { "at least" };
    let mut found = finding(
        severity,
        format!(
            "{}: {} is {value:.0}{unit} ({side} {trigger:.0}{unit}).",
            resource.display_name(),
            metric.token()
        ),
    );
    found.evidence = evidence([
        ("metric", metric.token().to_owned()),
        ("value", format!("{value:.1}")),
        ("trigger", format!("{trigger}")),
        ("clear", format!("{clear}")),
        ("critical", critical.map(|critical| format!("{critical}")).unwrap_or_default()),
    ]);
    found.weight = Some(value);
    found.min_delta = min_delta;
    Said::Holds(found)
}

fn reason(codes: &[String], min: Severity, own: Option<Severity>, question: &Question<'_>) -> Said {
    let reasons = &question.lens.resource.reasons;
    let fits = reasons
        .iter()
        .filter(|reason| reason.severity >= min && codes.iter().any(|code| code == reason.code));
    let mut fits = fits.collect::<Vec<_>>();
    fits.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
    let Some(worst) = fits.first() else { return Said::Clear };
    let more = match fits.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    let mut found = finding(own.unwrap_or(worst.severity), format!("{}{more}", worst.summary));
    found.evidence.clone_from(&worst.evidence);
    found.evidence.insert("code".to_owned(), worst.code.to_owned());
    Said::Holds(found)
}

fn aged(
    of: AgeOf,
    limit: Duration,
    severity: Severity,
    question: &Question<'_>,
) -> (Said, Option<UnixMillis>) {
    let now = question.now;
    let name = question.lens.resource.display_name();
    let told = |summary: String, what: String, at: Option<UnixMillis>| {
        let mut found = finding(severity, summary);
        let at = at.map(shown).unwrap_or_default();
        found.evidence = evidence([("of", what), ("at", at), ("limit", long(limit))]);
        Said::Holds(found)
    };
    match of.of(question.lens) {
        None => (Said::Unknown, None),
        Some(Since::Nothing) => (Said::Clear, None),
        Some(Since::Now(what)) => (told(format!("{name}: {what}."), what, None), None),
        Some(Since::Then(at, what)) => {
            let due = at + limit;
            if now < due {
                return (Said::Clear, Some(due));
            }
            (told(format!("{name}: {what} is older than {}.", long(limit)), what, Some(at)), None)
        }
        Some(Since::Until(at, what)) => {
            let due = UnixMillis::new(at.get().saturating_sub(millis(limit)));
            if now < due {
                return (Said::Clear, Some(due));
            }
            let (summary, look) = if now >= at {
                (format!("{name}: {what} has expired."), None)
            } else {
                (format!("{name}: {what} expires within {}.", long(limit)), Some(at))
            };
            (told(summary, what, Some(at)), look)
        }
    }
}

fn reach(own: Option<Severity>, question: &Question<'_>) -> Said {
    let resource = question.lens.resource;
    let status = question.shard.and_then(|shard| shard.status.as_ref());
    let state = status.map(|status| status.state);
    if state == Some(ConnectionState::Disabled) {
        return Said::Gone("Its connection is switched off.");
    }
    let refused = state == Some(ConnectionState::Refused);
    let severity = match resource.freshness {
        Freshness::Fresh if !refused => return Said::Clear,
        _ if refused => Severity::Critical,
        Freshness::Lost => Severity::Critical,
        Freshness::Stale | Freshness::Fresh => Severity::Warning,
    };
    let why = status.map(|status| status.reason.as_str()).filter(|reason| !reason.is_empty());
    let why = why.or(resource.error.as_deref()).unwrap_or("nothing was heard of it");
    let how = if refused { "refuses the connection" } else { "is not reached" };
    let mut found = finding(own.unwrap_or(severity), format!("{} {how}: {why}", resource.display_name()));
    found.evidence = evidence([
        ("freshness", resource.freshness.token().to_owned()),
        ("connection_state", state.map(|state| state.token().to_owned()).unwrap_or_default()),
        ("reason", why.to_owned()),
    ]);
    Said::Holds(found)
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
