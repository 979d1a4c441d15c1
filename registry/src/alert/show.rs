//! A case as clients see it, and back: it is kept in the same words.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::ProtocolError;
use pulse_proto::convert::{timestamp_from_wire, timestamp_to_wire};
use pulse_proto::model::{
    AlertLevel, ConnectionId, ResourceId, ResourceType, Revision, Severity, UnixMillis,
};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::alert_transition::Kind;

use super::case::{
    Acknowledgement, Case, CaseId, CaseState, Native, Origin, Progress, Step, Subject, Transition,
};
use super::rule::RuleId;
use super::silence::SilenceId;

/// `seen_at`: when it was last seen to hold, where that is known better than the case knows it.
pub fn show(case: &Case, seen_at: Option<UnixMillis>) -> pb::Alert {
    let (rule_id, native_klass) = match &case.origin {
        Origin::Rule(id) => (id.to_string(), String::new()),
        Origin::Native(klass) => (String::new(), klass.to_string()),
    };
    let acknowledged = case.acknowledged.as_ref();
    let native = case.native.as_ref();
    let last_seen_at = seen_at.into_iter().chain([case.last_seen_at]).max();
    pb::Alert {
        id: case.id.to_string(),
        rule_id,
        native_klass,
        resource_id: case.subject.id.to_string(),
        resource_name: case.subject.name.to_string(),
        state: state(case.state).into(),
        severity: case.severity.to_wire(),
        native_level: native.map_or(0, |native| native.level.to_wire()),
        summary: case.summary.clone(),
        first_seen_at: Some(timestamp_to_wire(case.first_seen_at)),
        last_seen_at: last_seen_at.map(timestamp_to_wire),
        resolved_at: case.resolved_at.map(timestamp_to_wire),
        acknowledged: acknowledged.is_some(),
        acknowledged_by: acknowledged.map(|ack| ack.who.clone()).unwrap_or_default(),
        acknowledged_at: acknowledged.map(|ack| timestamp_to_wire(ack.at)),
        acknowledge_comment: acknowledged.map(|ack| ack.comment.clone()).unwrap_or_default(),
        silenced: !case.silenced_by.is_empty(),
        flapping: case.is_flapping(),
        evidence: case.evidence.clone(),
        etag: case.etag(),
        revision: case.revision,
        resource_type: case.subject.resource_type.to_wire(),
        connection: case.subject.connection.to_string(),
        connection_name: case.subject.connection_name.to_string(),
        labels: BTreeMap::clone(&case.subject.labels),
        fired_at: case.fired_at.map(timestamp_to_wire),
        silenced_by: case.silenced_by.iter().map(ToString::to_string).collect(),
        suppressed: case.suppressed_by.is_some(),
        suppressed_by: case.suppressed_by.map(|id| id.to_string()).unwrap_or_default(),
        transitions: case.transitions.iter().map(transition).collect(),
        resource_revision: case.resource_revision.0,
        remedy: case.remedy.to_string(),
        technology: case.subject.technology.to_string(),
        pool: case.subject.pool.to_string(),
        dismissed: case.is_dismissed(),
        native_ids: native.map(|native| native.ids.clone()).unwrap_or_default(),
    }
}

pub const fn state(state: CaseState) -> pb::AlertState {
    match state {
        CaseState::Pending => pb::AlertState::Pending,
        CaseState::Firing => pb::AlertState::Firing,
        CaseState::Resolved => pb::AlertState::Resolved,
    }
}

fn transition(transition: &Transition) -> pb::AlertTransition {
    let kind = match transition.step {
        Step::Pending => Kind::Pending,
        Step::Firing => Kind::Firing,
        Step::Resolved => Kind::Resolved,
        Step::Dropped => Kind::Dropped,
        Step::Severity => Kind::Severity,
        Step::Acknowledged => Kind::Acknowledged,
        Step::Unacknowledged => Kind::Unacknowledged,
        Step::Withdrawn => Kind::Withdrawn,
        Step::Flapping => Kind::Flapping,
        Step::Calm => Kind::Calm,
    };
    pb::AlertTransition {
        kind: kind.into(),
        at: Some(timestamp_to_wire(transition.at)),
        severity: transition.severity.to_wire(),
        resource_revision: transition.revision.0,
        text: transition.text.clone(),
        evidence: transition.evidence.clone(),
        who: transition.who.clone(),
    }
}

/// The case that was shown so, but for how far its confirmation had come and for what was seen when it was acknowledged.
pub(super) fn read(alert: pb::Alert) -> Result<Case, ProtocolError> {
    let wrong = |field: &str| ProtocolError::invalid("not what this program writes").at(field);
    let origin = if alert.rule_id.is_empty() {
        Origin::Native(Arc::from(alert.native_klass.as_str()))
    } else {
        Origin::Rule(RuleId::parse(&alert.rule_id).map_err(|_| wrong("rule_id"))?)
    };
    let severity = Severity::from_wire(alert.severity)?;
    let state = match pb::AlertState::try_from(alert.state) {
        Ok(pb::AlertState::Pending) => CaseState::Pending,
        Ok(pb::AlertState::Firing) => CaseState::Firing,
        Ok(pb::AlertState::Resolved) => CaseState::Resolved,
        _ => return Err(wrong("state")),
    };
    let native = if alert.native_level == 0 {
        None
    } else {
        let level = AlertLevel::from_wire(alert.native_level)?;
        Some(Native { level, ids: alert.native_ids, dismissed: alert.dismissed })
    };
    let time = |at: Option<prost_types::Timestamp>| at.as_ref().map(timestamp_from_wire).transpose();
    let first_seen_at = time(alert.first_seen_at)?.ok_or_else(|| wrong("first_seen_at"))?;
    let acknowledged = match time(alert.acknowledged_at)? {
        Some(at) if alert.acknowledged => Some(Acknowledgement {
            who: alert.acknowledged_by,
            at,
            comment: alert.acknowledge_comment,
            severity,
            native: native.clone(),
            named: BTreeSet::new(),
        }),
        _ => None,
    };
    Ok(Case {
        id: CaseId::parse(&alert.id).ok_or_else(|| wrong("id"))?,
        origin,
        subject: Subject {
            id: ResourceId::parse(&alert.resource_id)?,
            resource_type: ResourceType::from_wire(alert.resource_type)?,
            section: None,
            name: alert.resource_name.into(),
            technology: alert.technology.into(),
            pool: alert.pool.into(),
            connection: ConnectionId::parse(&alert.connection)?,
            connection_name: alert.connection_name.into(),
            labels: Arc::new(alert.labels),
        },
        state,
        severity,
        native,
        summary: alert.summary,
        remedy: alert.remedy.into(),
        evidence: alert.evidence,
        resource_revision: Revision(alert.resource_revision),
        first_seen_at,
        last_seen_at: time(alert.last_seen_at)?.unwrap_or(first_seen_at),
        fired_at: time(alert.fired_at)?,
        resolved_at: time(alert.resolved_at)?,
        acknowledged,
        silenced_by: alert.silenced_by.iter().map(|id| SilenceId::new(id)).collect(),
        suppressed_by: CaseId::parse(&alert.suppressed_by),
        transitions: alert.transitions.into_iter().map(read_transition).collect::<Result<_, _>>()?,
        revision: alert.revision,
        progress: Progress::default(),
    })
}

fn read_transition(transition: pb::AlertTransition) -> Result<Transition, ProtocolError> {
    let pb::AlertTransition { kind, at, severity, resource_revision, text, evidence, who } = transition;
    let step = match Kind::try_from(kind) {
        Ok(Kind::Pending) => Step::Pending,
        Ok(Kind::Firing) => Step::Firing,
        Ok(Kind::Resolved) => Step::Resolved,
        Ok(Kind::Dropped) => Step::Dropped,
        Ok(Kind::Severity) => Step::Severity,
        Ok(Kind::Acknowledged) => Step::Acknowledged,
        Ok(Kind::Unacknowledged) => Step::Unacknowledged,
        Ok(Kind::Withdrawn) => Step::Withdrawn,
        Ok(Kind::Flapping) => Step::Flapping,
        Ok(Kind::Calm) => Step::Calm,
        Ok(Kind::Unspecified) | Err(_) => {
            return Err(ProtocolError::invalid("unknown step").at("transitions"));
        }
    };
    let at = at.ok_or_else(|| ProtocolError::missing().at("transitions.at"))?;
    Ok(Transition {
        step,
        at: timestamp_from_wire(&at)?,
        severity: Severity::from_wire(severity)?,
        revision: Revision(resource_revision),
        text,
        evidence,
        who,
    })
}
