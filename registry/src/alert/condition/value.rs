//! A number against its limits: a way there and a longer one back, for the alert
//! itself and for its being critical.

use pulse_proto::model::Severity;

use super::{Metric, Question, evidence, finding};
use crate::alert::life::{Contrary, Said};

/// Above the trigger, or below it where the way back leads up.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) trigger: f64,
    pub(super) clear: f64,
    pub(super) critical: Option<f64>,
}

impl Limits {
    fn is_low(self) -> bool {
        self.clear > self.trigger
    }

    /// `stands`: beyond the limit already, so that only the way back ends it.
    fn is_beyond(self, value: f64, limit: f64, stands: bool) -> bool {
        let back = limit - (self.trigger - self.clear);
        if self.is_low() {
            value <= limit || (stands && value < back)
        } else {
            value >= limit || (stands && value > back)
        }
    }
}

pub(super) fn measured(
    metric: Metric,
    limits: Limits,
    min_delta: f64,
    severity: Severity,
    question: &Question<'_>,
) -> Said {
    let name = question.lens.resource.display_name();
    let Some(value) = metric.of(question.lens) else {
        // Without a case both are the same, and the first is found sooner.
        if question.open.is_none() || !metric.is_without(question.lens) {
            return Said::Unknown;
        }
        return question.clear(|| Contrary {
            text: format!("{name} has no {} any more.", metric.token()),
            evidence: evidence([("metric", metric.token().to_owned())]),
        });
    };
    let Limits { trigger, clear, critical } = limits;
    let unit = metric.unit();
    let facts = || {
        evidence([
            ("metric", metric.token().to_owned()),
            ("value", format!("{value:.1}")),
            ("trigger", format!("{trigger}")),
            ("clear", format!("{clear}")),
            ("critical", critical.map(|critical| format!("{critical}")).unwrap_or_default()),
        ])
    };
    if !limits.is_beyond(value, trigger, question.fires()) {
        return question.clear(|| {
            let side = if limits.is_low() { "at least" } else { "at most" };
            let text = format!("{name}: {} is {value:.0}{unit} ({side} {clear:.0}{unit}).", metric.token());
            Contrary { text, evidence: facts() }
        });
    }
    let stands = question.open.is_some_and(|open| open.firing && open.severity == Severity::Critical);
    let is_critical = critical.is_some_and(|critical| limits.is_beyond(value, critical, stands));
    let severity = if is_critical { Severity::Critical } else { severity };
    let side = if limits.is_low() { "at most" } else { "at least" };
    let mut found = finding(
        severity,
        format!("{name}: {} is {value:.0}{unit} ({side} {trigger:.0}{unit}).", metric.token()),
    );
    found.evidence = facts();
    found.weight = Some(value);
    found.min_delta = min_delta;
    Said::Holds(found)
}
