//! Rules as the contract has them, to strict ones and back. A rule that cannot
//! be evaluated is refused here, with the field and the remedy.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::Severity;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::alert_rule::Condition as Told;

use super::{CONFIRMATIONS_DEFAULT, CONFIRMATIONS_MAX, OVERRIDES_MAX, Override, Rule, RuleId};
use crate::alert::condition::{AgeOf, Condition, Counter, Metric};
use crate::alert::text;
use crate::health::code;
use crate::query::filter::{Filter, FilterError};

const NAME_BYTES_MAX: usize = 128;
const PROSE_BYTES_MAX: usize = 1_024;
const CODES_MAX: usize = 64;
const DAY: Duration = Duration::from_hours(24);
/// Longest time a rule may name.
const LONG_MAX: Duration = Duration::from_hours(3_650 * 24);

/// A field of a rule or silence is wrong; `problem` says how, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    pub field: String,
    pub problem: String,
}

impl Invalid {
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Checks a rule. Its place among others (id taken, etag) is for who holds them.
pub fn parse(rule: pb::AlertRule) -> Result<Rule, Invalid> {
    let rule = parse_kept(rule)?;
    printable(&rule)?;
    let at = |Invalid { field, problem }| Invalid { field: format!("rule.{field}"), problem };
    sensible(&rule.condition).map_err(at)?;
    for (number, other) in rule.overrides.iter().enumerate() {
        let at = |Invalid { field, problem }: Invalid| {
            let field = field.rsplit('.').next().unwrap_or_default();
            Invalid { field: format!("rule.overrides[{number}].{field}"), problem }
        };
        sensible(&rule.condition.with(other)).map_err(at)?;
    }
    Ok(rule)
}

/// What people read must be what was written.
fn printable(rule: &Rule) -> Result<(), Invalid> {
    text::check_line("rule.name", &rule.name)?;
    text::check_lines("rule.description", &rule.description)?;
    text::check_lines("rule.remedy", &rule.remedy)?;
    text::check_lines("rule.selector", &rule.selector_text)?;
    match &rule.condition {
        Condition::Expression(_, text) => text::check_lines("rule.expression", text),
        _ => Ok(()),
    }
}

/// What earlier releases took and could evaluate, and a new rule may not say any more.
fn sensible(condition: &Condition) -> Result<(), Invalid> {
    match condition {
        Condition::Metric { trigger, clear, .. } if (trigger - clear).abs() < f64::EPSILON => {
            Err(Invalid::new(
                "metric.clear",
                "must differ from the trigger: at one value it would come and go; a lower one watches for too much, a higher one for too little",
            ))
        }
        Condition::Age { of, limit } if limit.is_zero() && *of != AgeOf::Update => {
            Err(Invalid::new("age.limit", "say after what time, or how long before the end, e.g. 604800s"))
        }
        Condition::Reason { codes, .. } => match codes.iter().find(|code| !code::is_known(code)) {
            Some(other) => {
                let known = code::CODES.join(", ");
                Err(Invalid::new("reason.codes", format!("unknown {other:?}; one of {known}")))
            }
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// As [`parse`], of a rule that was taken once.
pub(in crate::alert) fn parse_kept(rule: pb::AlertRule) -> Result<Rule, Invalid> {
    let pb::AlertRule {
        id,
        name,
        built_in,
        enabled,
        selector,
        severity,
        r#for,
        condition,
        etag: _,
        description,
        remedy,
        raise_confirmations,
        clear_confirmations,
        overrides,
        modified,
    } = rule;
    let name = name.trim().to_owned();
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(Invalid::new("rule.name", format!("1 to {NAME_BYTES_MAX} bytes for people to read")));
    }
    for (field, text) in [("rule.description", &description), ("rule.remedy", &remedy)] {
        if text.len() > PROSE_BYTES_MAX {
            return Err(Invalid::new(field, format!("at most {PROSE_BYTES_MAX} bytes")));
        }
    }
    let id = if id.is_empty() { RuleId::of_name(&name) } else { RuleId::parse(&id) };
    let id = id.map_err(|problem| Invalid::new("rule.id", problem))?;
    let condition = condition.ok_or_else(|| {
        Invalid::new(
            "rule.condition",
            "set one of expression, metric, reason, age, forecast, growth and reach",
        )
    })?;
    let condition = self::condition(condition)?;
    let severity = self::severity("rule.severity", severity)?;
    if severity.is_none() && !matches!(condition, Condition::Reason { .. } | Condition::Reach) {
        return Err(Invalid::new(
            "rule.severity",
            "say how bad it is: SEVERITY_WARNING or SEVERITY_CRITICAL",
        ));
    }
    if overrides.len() > OVERRIDES_MAX {
        return Err(Invalid::new("rule.overrides", format!("at most {OVERRIDES_MAX}")));
    }
    let overrides = overrides.into_iter().enumerate().map(|(at, other)| {
        let fitting = |other: Override| fits(&condition, &other).map(|()| other);
        self::other(other).and_then(fitting).map_err(|Invalid { field, problem }| Invalid {
            field: format!("rule.overrides[{at}].{field}"),
            problem,
        })
    });
    let overrides = overrides.collect::<Result<_, _>>()?;
    Ok(Rule {
        id,
        name,
        description,
        remedy: remedy.into(),
        built_in,
        modified,
        enabled: enabled.unwrap_or(true),
        selector: filter("rule.selector", &selector)?,
        selector_text: selector,
        severity,
        hold: duration("rule.for", r#for)?.unwrap_or_default(),
        raise: confirmations("rule.raise_confirmations", raise_confirmations)?,
        clear: confirmations("rule.clear_confirmations", clear_confirmations)?,
        condition,
        overrides,
        version: 0,
    })
}

fn condition(told: Told) -> Result<Condition, Invalid> {
    Ok(match told {
        Told::Expression(text) => {
            if text.trim().is_empty() {
                return Err(Invalid::new("rule.expression", "write what must hold, e.g. state = DEGRADED"));
            }
            Condition::Expression(filter("rule.expression", &text)?, text)
        }
        Told::Metric(pb::MetricCondition { metric, trigger, clear, critical, min_delta }) => {
            let metric = Metric::parse(&metric)
                .ok_or_else(|| unknown("rule.metric.metric", &metric, &Metric::words()))?;
            for (field, value) in [
                ("rule.metric.trigger", Some(trigger)),
                ("rule.metric.clear", Some(clear)),
                ("rule.metric.critical", critical),
                ("rule.metric.min_delta", Some(min_delta)),
            ] {
                if value.is_some_and(|value| !value.is_finite()) {
                    return Err(Invalid::new(field, "must be a finite number"));
                }
            }
            if min_delta < 0.0 {
                return Err(Invalid::new("rule.metric.min_delta", "must not be negative"));
            }
            if is_backwards(trigger, clear, critical) {
                return Err(Invalid::new("rule.metric.critical", "lies on the good side of the trigger"));
            }
            Condition::Metric { metric, trigger, clear, critical, min_delta }
        }
        Told::Reason(pb::ReasonCondition { codes, min_severity }) => {
            if codes.is_empty() || codes.len() > CODES_MAX || codes.iter().any(String::is_empty) {
                let problem = format!("1 to {CODES_MAX} codes of docs/health.md, e.g. zfs_pool_state");
                return Err(Invalid::new("rule.reason.codes", problem));
            }
            let min = severity("rule.reason.min_severity", min_severity)?.unwrap_or(Severity::Warning);
            Condition::Reason { codes, min }
        }
        Told::Age(pb::AgeCondition { of, limit }) => {
            let of = AgeOf::parse(&of).ok_or_else(|| unknown("rule.age.of", &of, &AgeOf::words()))?;
            Condition::Age { of, limit: duration("rule.age.limit", limit)?.unwrap_or_default() }
        }
        Told::Forecast(pb::ForecastCondition { full_within }) => {
            let full_within =
                duration("rule.forecast.full_within", full_within)?.filter(|time| !time.is_zero());
            let missing = || Invalid::new("rule.forecast.full_within", "say within what time, e.g. 604800s");
            Condition::Forecast { full_within: full_within.ok_or_else(missing)? }
        }
        Told::Growth(pb::GrowthCondition { counter, by, calm_after }) => {
            let counter = Counter::parse(&counter)
                .ok_or_else(|| unknown("rule.growth.counter", &counter, &Counter::words()))?;
            let calm_after = duration("rule.growth.calm_after", calm_after)?.filter(|time| !time.is_zero());
            Condition::Growth { counter, by: by.max(1), calm_after: calm_after.unwrap_or(DAY) }
        }
        Told::Reach(pb::ReachCondition {}) => Condition::Reach,
    })
}

fn other(other: pb::AlertRuleOverride) -> Result<Override, Invalid> {
    let pb::AlertRuleOverride { selector, enabled, severity, r#for, trigger, clear, critical, limit } = other;
    if selector.trim().is_empty() {
        return Err(Invalid::new("selector", "say for which resources, e.g. labels.site = \"lab\""));
    }
    for (field, value) in [("trigger", trigger), ("clear", clear), ("critical", critical)] {
        if value.is_some_and(|value| !value.is_finite()) {
            return Err(Invalid::new(field, "must be a finite number"));
        }
    }
    Ok(Override {
        selector: filter("selector", &selector)?,
        selector_text: selector,
        enabled,
        severity: self::severity("severity", severity)?,
        hold: duration("for", r#for)?,
        trigger,
        clear,
        critical,
        limit: duration("limit", limit)?,
    })
}

/// What an override says has a meaning for the condition.
fn fits(condition: &Condition, other: &Override) -> Result<(), Invalid> {
    let numbers = [("trigger", other.trigger), ("clear", other.clear), ("critical", other.critical)];
    let number = numbers.into_iter().find(|(_, value)| value.is_some());
    match (condition, number, other.limit) {
        (Condition::Metric { .. }, _, Some(_)) => {
            Err(Invalid::new("limit", "a metric has none; set trigger"))
        }
        (Condition::Age { .. } | Condition::Forecast { .. }, Some((field, _)), _) => {
            Err(Invalid::new(field, "only a metric has one; set limit"))
        }
        (Condition::Metric { .. } | Condition::Age { .. } | Condition::Forecast { .. }, ..) => {
            match *condition.with(other) {
                Condition::Metric { trigger, clear, .. } if turns_round(condition, trigger, clear) => {
                    let field = if other.trigger.is_some() { "trigger" } else { "clear" };
                    Err(Invalid::new(
                        field,
                        "turns the rule round: the way back must lead where it leads in the rule; set trigger and clear",
                    ))
                }
                Condition::Metric { trigger, clear, critical, .. }
                    if is_backwards(trigger, clear, critical) =>
                {
                    Err(Invalid::new("critical", "lies on the good side of the trigger"))
                }
                _ => Ok(()),
            }
        }
        (_, Some((field, _)), _) => Err(Invalid::new(field, "the condition of this rule has none")),
        (_, None, Some(_)) => Err(Invalid::new("limit", "the condition of this rule has none")),
        (_, None, None) => Ok(()),
    }
}

/// What fired above a value would fire below it, or the other way.
fn turns_round(condition: &Condition, trigger: f64, clear: f64) -> bool {
    let Condition::Metric { trigger: own, clear: own_clear, .. } = condition else { return false };
    (own_clear > own) != (clear > trigger)
}

/// A rule whose way back leads up watches for too little.
fn is_backwards(trigger: f64, clear: f64, critical: Option<f64>) -> bool {
    critical.is_some_and(|critical| if clear > trigger { critical > trigger } else { critical < trigger })
}

fn filter(field: &str, text: &str) -> Result<Filter, Invalid> {
    Filter::parse(text).map_err(|error: FilterError| Invalid::new(field, error.to_string()))
}

fn severity(field: &str, number: i32) -> Result<Option<Severity>, Invalid> {
    if number == 0 {
        return Ok(None);
    }
    match Severity::from_wire(number) {
        Ok(Severity::Healthy) => {
            Err(Invalid::new(field, "nothing healthy is an alert; use SEVERITY_MONITOR or worse"))
        }
        Ok(severity) => Ok(Some(severity)),
        Err(error) => Err(Invalid::new(field, error.to_string())),
    }
}

/// Not negative, and not for ever.
pub(in crate::alert) fn duration(
    field: &str,
    duration: Option<prost_types::Duration>,
) -> Result<Option<Duration>, Invalid> {
    let Some(duration) = duration else { return Ok(None) };
    Duration::try_from(duration)
        .ok()
        .filter(|duration| *duration <= LONG_MAX)
        .map(Some)
        .ok_or_else(|| Invalid::new(field, "must be between 0 and ten years"))
}

fn confirmations(field: &str, number: i32) -> Result<u32, Invalid> {
    match u32::try_from(number) {
        Ok(0) => Ok(CONFIRMATIONS_DEFAULT),
        Ok(number) if number <= CONFIRMATIONS_MAX => Ok(number),
        _ => Err(Invalid::new(field, format!("must be between 1 and {CONFIRMATIONS_MAX}"))),
    }
}

fn unknown(field: &str, found: &str, known: &str) -> Invalid {
    Invalid::new(field, format!("unknown {found:?}; one of {known}"))
}

/// As clients see it.
pub fn show(rule: &Rule) -> pb::AlertRule {
    let condition = match &rule.condition {
        Condition::Expression(_, text) => Told::Expression(text.clone()),
        Condition::Metric { metric, trigger, clear, critical, min_delta } => {
            Told::Metric(pb::MetricCondition {
                metric: metric.token().to_owned(),
                trigger: *trigger,
                clear: *clear,
                critical: *critical,
                min_delta: *min_delta,
            })
        }
        Condition::Reason { codes, min } => {
            Told::Reason(pb::ReasonCondition { codes: codes.clone(), min_severity: min.to_wire() })
        }
        Condition::Age { of, limit } => {
            Told::Age(pb::AgeCondition { of: of.token().to_owned(), limit: Some(wire(*limit)) })
        }
        Condition::Forecast { full_within } => {
            Told::Forecast(pb::ForecastCondition { full_within: Some(wire(*full_within)) })
        }
        Condition::Growth { counter, by, calm_after } => Told::Growth(pb::GrowthCondition {
            counter: counter.token().to_owned(),
            by: *by,
            calm_after: Some(wire(*calm_after)),
        }),
        Condition::Reach => Told::Reach(pb::ReachCondition {}),
    };
    let overrides = rule.overrides.iter().map(|other| pb::AlertRuleOverride {
        selector: other.selector_text.clone(),
        enabled: other.enabled,
        severity: other.severity.map_or(0, Severity::to_wire),
        r#for: other.hold.map(wire),
        trigger: other.trigger,
        clear: other.clear,
        critical: other.critical,
        limit: other.limit.map(wire),
    });
    pb::AlertRule {
        id: rule.id.to_string(),
        name: rule.name.clone(),
        built_in: rule.built_in,
        enabled: Some(rule.enabled),
        selector: rule.selector_text.clone(),
        severity: rule.severity.map_or(0, Severity::to_wire),
        r#for: Some(wire(rule.hold)),
        condition: Some(condition),
        etag: rule.etag(),
        description: rule.description.clone(),
        remedy: Arc::clone(&rule.remedy).to_string(),
        raise_confirmations: i32::try_from(rule.raise).unwrap_or_default(),
        clear_confirmations: i32::try_from(rule.clear).unwrap_or_default(),
        overrides: overrides.collect(),
        modified: rule.modified,
    }
}

pub(in crate::alert) fn wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}
