//! What came of a command or a question, as messages.

use std::sync::Arc;

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::Severity;
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::alert_explanation::Topic as Shown;

use crate::alert::case::{Case, CaseState, Origin};
use crate::alert::dry_run::{Found, Trial};
use crate::alert::engine::Done;
use crate::alert::explain::{Explanation, Topic};
use crate::alert::list::Summary;
use crate::alert::rule::wire;
use crate::alert::{show, silence};

pub(super) fn case(done: Done) -> Option<Arc<Case>> {
    match done {
        Done::Case(case) => Some(case),
        Done::Silence(_) | Done::Rule(_) | Done::Gone => None,
    }
}

pub(super) fn silence(done: Done) -> Option<pb::Silence> {
    match done {
        Done::Silence(silence) => Some(silence::show(&silence)),
        Done::Case(_) | Done::Rule(_) | Done::Gone => None,
    }
}

pub(super) fn rule(done: Done) -> Option<pb::AlertRule> {
    match done {
        Done::Rule(rule) => Some(wire::show(&rule)),
        Done::Case(_) | Done::Silence(_) | Done::Gone => None,
    }
}

pub(super) fn explanation(told: Explanation) -> pb::AlertExplanation {
    let topic = match told.topic {
        Topic::State => Shown::State,
        Topic::Quiet => Shown::Quiet,
        Topic::Suppresses => Shown::Suppresses,
        Topic::Notification => Shown::Notification,
    };
    pb::AlertExplanation {
        topic: topic.into(),
        text: told.text,
        reference: told.reference,
        at: told.at.map(timestamp_to_wire),
    }
}

pub(super) fn summary(summary: &Summary) -> pb::SummarizeAlertsResponse {
    let by_state = CaseState::ALL.into_iter().map(|state| pb::AlertStateCount {
        state: show::state(state).into(),
        count: signed(summary.by_state.get(&state).copied().unwrap_or_default()),
    });
    let by_severity = Severity::ALL.iter().filter_map(|severity| {
        let count = summary.by_severity.get(severity)?;
        Some(pb::AlertSeverityCount { severity: severity.to_wire(), count: signed(*count) })
    });
    let mut by_origin: Vec<pb::AlertOriginCount> = summary
        .by_origin
        .iter()
        .map(|(origin, count)| match origin {
            Origin::Rule(id) => pb::AlertOriginCount {
                rule_id: id.to_string(),
                native_klass: String::new(),
                count: signed(*count),
            },
            Origin::Native(klass) => pb::AlertOriginCount {
                rule_id: String::new(),
                native_klass: klass.to_string(),
                count: signed(*count),
            },
        })
        .collect();
    by_origin.sort_by_key(|row| std::cmp::Reverse(row.count));
    pb::SummarizeAlertsResponse {
        by_state: by_state.collect(),
        by_severity: by_severity.collect(),
        by_origin,
        notifying: signed(summary.notifying),
        acknowledged: signed(summary.acknowledged),
        silenced: signed(summary.silenced),
        suppressed: signed(summary.suppressed),
        flapping: signed(summary.flapping),
        revision: summary.revision,
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What a new rule would make of what is held.
pub(super) fn tried_anew(rule: Option<pb::AlertRule>, trial: Trial) -> pb::CreateAlertRuleResponse {
    let Trial { now, lately } = trial;
    pb::CreateAlertRuleResponse {
        rule,
        would_fire_count: count(now.total),
        would_fire_resource_ids: ids(&now),
        fired_lately_count: count(lately.total),
        fired_lately_resource_ids: ids(&lately),
    }
}

/// And a changed one.
pub(super) fn tried_change(rule: Option<pb::AlertRule>, trial: Trial) -> pb::UpdateAlertRuleResponse {
    let Trial { now, lately } = trial;
    pb::UpdateAlertRuleResponse {
        rule,
        would_fire_count: count(now.total),
        would_fire_resource_ids: ids(&now),
        fired_lately_count: count(lately.total),
        fired_lately_resource_ids: ids(&lately),
    }
}

fn ids(found: &Found) -> Vec<String> {
    found.named.iter().map(ToString::to_string).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
