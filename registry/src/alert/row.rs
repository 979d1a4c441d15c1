//! Alerts as notes of the store: a case, a rule, a silence or a memory each.
//! Protobuf, so that later releases can add fields.

mod memory;

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use pulse_proto::ProtocolError;
use pulse_proto::model::{AlertLevel, ResourceId, Revision, SectionName, Severity, UnixMillis};
use pulse_proto::pb::registry::v1 as pb;

use super::case::{Case, CaseId, CaseState, Leaning, Native, Policy, Progress};
use super::condition::{Memory, millis};
use super::rule::{Rule, RuleId, wire};
use super::show;
use super::silence::{self, Silence, SilenceId};
use crate::state::Note;

pub(super) use self::memory::memory;

const CASE: &str = "alert/case/";
const MEMORY: &str = "alert/memory/";
const RULE: &str = "alert/rule/";
const SILENCE: &str = "alert/silence/";
const REVISION: &str = "alert/revision";
const EVALUATED: &str = "alert/evaluated";

#[derive(Clone, PartialEq, Message)]
struct KeptCase {
    #[prost(message, optional, tag = "1")]
    alert: Option<pb::Alert>,
    #[prost(uint32, tag = "2")]
    streak: u32,
    #[prost(uint64, tag = "3")]
    counted_at: u64,
    #[prost(uint64, tag = "4")]
    holds_since: u64,
    #[prost(bool, tag = "5")]
    held: bool,
    #[prost(uint64, tag = "6")]
    turned_at: u64,
    #[prost(uint64, repeated, tag = "7")]
    flips: Vec<u64>,
    #[prost(double, optional, tag = "8")]
    weight: Option<f64>,
    #[prost(int32, tag = "9")]
    ack_severity: i32,
    #[prost(message, optional, tag = "10")]
    ack_native: Option<KeptNative>,
    #[prost(string, tag = "11")]
    section: String,
    #[prost(message, optional, tag = "12")]
    leaning: Option<KeptLeaning>,
    #[prost(uint32, tag = "13")]
    raise: u32,
    #[prost(uint32, tag = "14")]
    clear: u32,
    #[prost(uint64, tag = "15")]
    hold_ms: u64,
    #[prost(uint64, tag = "16")]
    worse_at: u64,
    #[prost(uint64, optional, tag = "17")]
    quiet_since: Option<u64>,
    /// What stands above the subject, nearest first.
    #[prost(string, repeated, tag = "18")]
    above: Vec<String>,
    #[prost(bool, optional, tag = "19")]
    loud: Option<bool>,
    #[prost(string, repeated, tag = "20")]
    named: Vec<String>,
    #[prost(string, repeated, tag = "21")]
    ack_named: Vec<String>,
}

/// Native alerts as somebody saw them.
#[derive(Clone, PartialEq, Message)]
struct KeptNative {
    #[prost(int32, tag = "1")]
    level: i32,
    #[prost(string, repeated, tag = "2")]
    ids: Vec<String>,
    #[prost(bool, tag = "3")]
    dismissed: bool,
}

#[derive(Clone, PartialEq, Message)]
struct KeptLeaning {
    #[prost(int32, tag = "1")]
    severity: i32,
    #[prost(uint32, tag = "2")]
    streak: u32,
    #[prost(uint64, tag = "3")]
    counted_at: u64,
    #[prost(uint64, tag = "4")]
    since: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Versioned {
    #[prost(uint64, tag = "1")]
    version: u64,
    #[prost(message, optional, tag = "2")]
    rule: Option<pb::AlertRule>,
    #[prost(message, optional, tag = "3")]
    silence: Option<pb::Silence>,
    #[prost(uint64, tag = "4")]
    created_at: u64,
}

/// A note of alerts.
pub(super) enum Row {
    /// With what stands above its subject.
    Case(Box<Case>, Vec<ResourceId>),
    Memory(ResourceId, Memory),
    Rule(Box<Rule>),
    Silence(Box<Silence>),
    Revision(u64),
    /// Resources were evaluated up to here.
    Evaluated(Revision),
    /// Of somebody else, or of a later release.
    Foreign,
}

fn note(key: String, value: Option<Vec<u8>>) -> Note {
    Note { key: key.into(), value: value.map(Arc::from) }
}

pub(super) fn case(case: &Case, above: &[ResourceId]) -> Note {
    let Progress {
        streak,
        counted_at,
        holds_since,
        held,
        turned_at,
        flips,
        flapping: _,
        weight,
        leaning,
        policy,
        worse_at,
        quiet_since,
        loud,
        named,
    } = &case.progress;
    let seen = case.acknowledged.as_ref();
    let kept = KeptCase {
        alert: Some(show::show(case, None)),
        streak: *streak,
        counted_at: counted_at.get(),
        holds_since: holds_since.get(),
        held: *held,
        turned_at: turned_at.get(),
        flips: flips.iter().map(|at| at.get()).collect(),
        weight: *weight,
        ack_severity: seen.map_or(0, |ack| ack.severity.to_wire()),
        ack_native: seen.and_then(|ack| ack.native.as_ref()).map(|native| KeptNative {
            level: native.level.to_wire(),
            ids: native.ids.clone(),
            dismissed: native.dismissed,
        }),
        section: case.subject.section.as_ref().map(ToString::to_string).unwrap_or_default(),
        leaning: leaning.map(|leaning| KeptLeaning {
            severity: leaning.severity.to_wire(),
            streak: leaning.streak,
            counted_at: leaning.counted_at.get(),
            since: leaning.since.get(),
        }),
        raise: policy.raise,
        clear: policy.clear,
        hold_ms: millis(policy.hold),
        worse_at: worse_at.get(),
        quiet_since: quiet_since.map(UnixMillis::get),
        above: above.iter().map(ToString::to_string).collect(),
        loud: Some(*loud),
        named: named.iter().cloned().collect(),
        ack_named: seen.map(|ack| ack.named.iter().cloned().collect()).unwrap_or_default(),
    };
    note(format!("{CASE}{}", case.id), Some(kept.encode_to_vec()))
}

pub(super) fn no_case(id: CaseId) -> Note {
    note(format!("{CASE}{id}"), None)
}

pub(super) fn rule(id: &RuleId, rule: Option<&Rule>) -> Note {
    let kept = rule.map(|rule| Versioned {
        version: rule.version,
        rule: Some(wire::show(rule)),
        ..Versioned::default()
    });
    note(format!("{RULE}{id}"), kept.map(|kept| kept.encode_to_vec()))
}

pub(super) fn silence(id: &SilenceId, silence: Option<&Silence>) -> Note {
    let kept = silence.map(|silence| Versioned {
        version: silence.version,
        silence: Some(silence::show(silence)),
        created_at: silence.created_at.get(),
        ..Versioned::default()
    });
    note(format!("{SILENCE}{id}"), kept.map(|kept| kept.encode_to_vec()))
}

pub(super) fn revision(revision: u64) -> Note {
    note(REVISION.to_owned(), Some(revision.to_be_bytes().to_vec()))
}

pub(super) fn evaluated(revision: Revision) -> Note {
    note(EVALUATED.to_owned(), Some(revision.0.to_be_bytes().to_vec()))
}

pub(super) fn read(key: &str, value: &[u8]) -> Result<Row, ProtocolError> {
    let number = || {
        let bytes = value.try_into().map_err(|_| ProtocolError::invalid("no number"))?;
        Ok::<_, ProtocolError>(u64::from_be_bytes(bytes))
    };
    match key {
        REVISION => return Ok(Row::Revision(number()?)),
        EVALUATED => return Ok(Row::Evaluated(Revision(number()?))),
        _ => {}
    }
    if key.starts_with(CASE) {
        let mut kept: KeptCase = decoded(value)?;
        let above = std::mem::take(&mut kept.above);
        let above = above.iter().map(|id| ResourceId::parse(id)).collect::<Result<_, _>>()?;
        return Ok(Row::Case(Box::new(read_case(kept)?), above));
    }
    if let Some(id) = key.strip_prefix(MEMORY) {
        return Ok(Row::Memory(ResourceId::parse(id)?, memory::read(value)?));
    }
    let invalid = |error: wire::Invalid| ProtocolError::invalid(error.to_string());
    if key.starts_with(RULE) {
        let Versioned { version, rule, .. } = decoded(value)?;
        let mut rule = wire::parse_kept(rule.ok_or_else(ProtocolError::missing)?).map_err(invalid)?;
        rule.version = version;
        return Ok(Row::Rule(Box::new(rule)));
    }
    if let Some(id) = key.strip_prefix(SILENCE) {
        let Versioned { version, silence, created_at, .. } = decoded(value)?;
        let silence = silence.ok_or_else(ProtocolError::missing)?;
        // What has ended since is still what it was.
        let long_ago = UnixMillis::new(0);
        let created_at = UnixMillis::new(created_at);
        let silence = silence::parse(silence, SilenceId::new(id), created_at, version, long_ago);
        return Ok(Row::Silence(Box::new(silence.map_err(invalid)?)));
    }
    Ok(Row::Foreign)
}

fn read_case(kept: KeptCase) -> Result<Case, ProtocolError> {
    let alert = kept.alert.ok_or_else(ProtocolError::missing)?;
    let flapping = alert.flapping;
    let mut case = show::read(alert)?;
    if let Some(seen) = &mut case.acknowledged {
        // Earlier releases kept less of what was seen; it is taken to be what is.
        seen.severity = Severity::from_wire(kept.ack_severity).unwrap_or(seen.severity);
        if let Some(KeptNative { level, ids, dismissed }) = kept.ack_native {
            seen.native = Some(Native { level: AlertLevel::from_wire(level)?, ids, dismissed });
        }
        seen.named = kept.ack_named.into_iter().collect();
    }
    case.subject.section = SectionName::parse(&kept.section).ok();
    let leaning = kept.leaning.map(|KeptLeaning { severity, streak, counted_at, since }| {
        Ok::<_, ProtocolError>(Leaning {
            severity: Severity::from_wire(severity)?,
            streak,
            counted_at: UnixMillis::new(counted_at),
            since: UnixMillis::new(since),
        })
    });
    case.progress = Progress {
        streak: kept.streak,
        counted_at: UnixMillis::new(kept.counted_at),
        holds_since: UnixMillis::new(kept.holds_since),
        held: kept.held,
        turned_at: UnixMillis::new(kept.turned_at),
        flips: kept.flips.into_iter().map(UnixMillis::new).collect(),
        flapping,
        weight: kept.weight,
        leaning: leaning.transpose()?,
        policy: Policy { raise: kept.raise, clear: kept.clear, hold: Duration::from_millis(kept.hold_ms) },
        worse_at: UnixMillis::new(kept.worse_at),
        quiet_since: kept.quiet_since.map(UnixMillis::new),
        // Earlier releases kept no word of it: what fired and was not quiet was told.
        loud: kept.loud.unwrap_or(case.state == CaseState::Firing && kept.quiet_since.is_none()),
        named: kept.named.into_iter().collect(),
    };
    Ok(case)
}

fn decoded<M: Message + Default>(bytes: &[u8]) -> Result<M, ProtocolError> {
    M::decode(bytes).map_err(|error| ProtocolError::invalid(error.to_string()))
}
