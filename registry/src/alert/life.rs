//! The life of one case, step by step: what an observation says of it and what
//! it is then. Pure; the reference model in the tests tells the same in other words.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Revision, Severity, UnixMillis};

use super::case::{Case, CaseId, CaseState, Native, Origin, Progress, Step, Subject};

/// Beginnings and ends within [`FLAP_WINDOW`] that make a case flapping.
pub(super) const FLAP_CHANGES: usize = 5;
pub(super) const FLAP_WINDOW: Duration = Duration::from_mins(5);
/// A flapping case resolves when nothing moved for this long.
pub(super) const CALM_AFTER: Duration = Duration::from_mins(15);
/// What fires again within this time of its end is the same case.
pub(super) const REOPEN_WITHIN: Duration = Duration::from_mins(15);

/// How sure one must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// Distinct observations that it holds before it fires.
    pub(super) raise: u32,
    /// Distinct observations that it does not before it resolves.
    pub(super) clear: u32,
    /// How long it must hold before it fires.
    pub(super) hold: Duration,
}

/// One look at the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// When the source was read; the same time is the same observation.
    pub(super) observed_at: UnixMillis,
    pub(super) now: UnixMillis,
    pub(super) revision: Revision,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) summary: String,
    pub(super) evidence: BTreeMap<String, String>,
    /// A measured value; `None`: the summary tells whether anything moved.
    pub(super) weight: Option<f64>,
    /// Smaller moves of the value are not told.
    pub(super) min_delta: f64,
    pub(super) native: Option<Native>,
}

/// What a look says of the condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Holds(Finding),
    /// Positive evidence that it does not hold.
    Clear,
    /// Nothing fresh is known: changes nothing.
    Unknown,
    /// The subject is no longer there, or no longer selected: ends at once.
    Gone(&'static str),
}

/// What came of a step.
#[derive(Debug, PartialEq)]
pub(super) struct Stepped {
    /// `None`: there is no case.
    pub(super) case: Option<Case>,
    /// Worth telling and keeping.
    pub(super) told: bool,
    /// Waits for another observation.
    pub(super) awaits: bool,
    /// Time alone will move it then.
    pub(super) look_again: Option<UnixMillis>,
}

impl Stepped {
    const fn still(case: Option<Case>) -> Self {
        Self { case, told: false, awaits: false, look_again: None }
    }
}

/// Whose case it would be.
pub(super) struct Begin<'a> {
    pub(super) origin: &'a Origin,
    pub(super) subject: &'a dyn Fn() -> Subject,
    pub(super) remedy: &'a Arc<str>,
}

pub(super) fn step(case: Option<Case>, begin: &Begin<'_>, said: Said, look: Look, policy: Policy) -> Stepped {
    match (case, said) {
        (case, Said::Unknown) => {
            // Nothing is learnt, but what was going to be looked at again still is.
            let look_again = case.as_ref().and_then(|case| match case.state {
                CaseState::Firing => case.progress.flapping.then(|| case.progress.turned_at + CALM_AFTER),
                CaseState::Pending | CaseState::Resolved => None,
            });
            Stepped { look_again: look_again.filter(|at| *at > look.now), ..Stepped::still(case) }
        }
        (None, Said::Clear | Said::Gone(_)) => Stepped::still(None),
        (None, Said::Holds(finding)) => begun(fresh(begin, finding, look), look, policy),
        (Some(case), Said::Holds(finding)) => match case.state {
            CaseState::Pending => held_pending(case, finding, look, policy),
            CaseState::Firing => held_firing(case, finding, look),
            CaseState::Resolved if is_recent(&case, look.now) => {
                begun(reopened(case, finding, look), look, policy)
            }
            CaseState::Resolved => begun(fresh(begin, finding, look), look, policy),
        },
        (Some(case), Said::Clear) => match case.state {
            CaseState::Pending => ended(case, look, Step::Dropped, "It went before it was confirmed."),
            CaseState::Firing => cleared_firing(case, look, policy),
            CaseState::Resolved => Stepped::still(Some(case)),
        },
        (Some(case), Said::Gone(why)) => match case.state {
            CaseState::Pending => ended(case, look, Step::Dropped, why),
            CaseState::Firing => ended(case, look, Step::Resolved, why),
            CaseState::Resolved => Stepped::still(Some(case)),
        },
    }
}

fn is_recent(case: &Case, now: UnixMillis) -> bool {
    case.has_fired() && case.resolved_at.is_some_and(|at| now.since(at) <= REOPEN_WITHIN)
}

fn fresh(begin: &Begin<'_>, finding: Finding, look: Look) -> Case {
    let subject = (begin.subject)();
    Case {
        id: CaseId::of(begin.origin, &subject.id, look.now),
        origin: begin.origin.clone(),
        subject,
        state: CaseState::Pending,
        severity: finding.severity,
        native: finding.native,
        summary: finding.summary,
        remedy: Arc::clone(begin.remedy),
        evidence: finding.evidence,
        resource_revision: look.revision,
        first_seen_at: look.now,
        last_seen_at: look.now,
        fired_at: None,
        resolved_at: None,
        acknowledged: None,
        silenced_by: Vec::new(),
        suppressed_by: None,
        transitions: Vec::new(),
        revision: 0,
        progress: Progress {
            streak: 1,
            counted_at: look.observed_at,
            holds_since: look.now,
            held: true,
            turned_at: look.now,
            weight: finding.weight,
            ..Progress::default()
        },
    }
}

fn reopened(mut case: Case, finding: Finding, look: Look) -> Case {
    case.state = CaseState::Pending;
    case.resolved_at = None;
    // It was seen until it resolved: nobody has seen it since.
    case.acknowledged = None;
    case.progress.streak = 1;
    case.progress.counted_at = look.observed_at;
    case.progress.holds_since = look.now;
    case.progress.held = true;
    case.progress.turned_at = look.now;
    take(&mut case, finding, look);
    case
}

fn begun(mut case: Case, look: Look, policy: Policy) -> Stepped {
    let text = case.summary.clone();
    case.note(Step::Pending, look.now, text, "");
    let mut stepped = confirm(case, look, policy);
    stepped.told = true;
    stepped
}

fn held_pending(mut case: Case, finding: Finding, look: Look, policy: Policy) -> Stepped {
    if look.observed_at > case.progress.counted_at {
        case.progress.streak = case.progress.streak.saturating_add(1);
        case.progress.counted_at = look.observed_at;
    }
    let moved = take(&mut case, finding, look);
    let mut stepped = confirm(case, look, policy);
    stepped.told |= moved;
    stepped
}

/// Fires when it is sure.
fn confirm(mut case: Case, look: Look, policy: Policy) -> Stepped {
    let due = case.progress.holds_since + policy.hold;
    if case.progress.streak < policy.raise {
        return Stepped { case: Some(case), told: false, awaits: true, look_again: None };
    }
    if look.now < due {
        return Stepped { case: Some(case), told: false, awaits: false, look_again: Some(due) };
    }
    case.state = CaseState::Firing;
    case.fired_at = Some(case.fired_at.unwrap_or(look.now));
    case.progress.streak = 0;
    let text = case.summary.clone();
    case.note(Step::Firing, look.now, text, "");
    flip(&mut case, look.now);
    let look_again = case.progress.flapping.then(|| case.progress.turned_at + CALM_AFTER);
    Stepped { case: Some(case), told: true, awaits: false, look_again }
}

fn held_firing(mut case: Case, finding: Finding, look: Look) -> Stepped {
    turn(&mut case, true, look.now);
    case.progress.streak = 0;
    case.progress.counted_at = case.progress.counted_at.max(look.observed_at);
    let before = case.severity;
    let moved = take(&mut case, finding, look);
    if case.severity != before {
        if case.acknowledged.as_ref().is_some_and(|ack| case.severity > ack.severity) {
            case.acknowledged = None;
        }
        let text = format!("{} (it was {before})", case.summary);
        case.note(Step::Severity, look.now, text, "");
    }
    let (calmed, look_again) = calm(&mut case, look.now);
    Stepped { case: Some(case), told: moved || calmed, awaits: false, look_again }
}

fn cleared_firing(mut case: Case, look: Look, policy: Policy) -> Stepped {
    turn(&mut case, false, look.now);
    if look.observed_at > case.progress.counted_at {
        case.progress.streak = case.progress.streak.saturating_add(1);
        case.progress.counted_at = look.observed_at;
    }
    if case.progress.streak < policy.clear {
        return Stepped { case: Some(case), told: false, awaits: true, look_again: None };
    }
    if case.progress.flapping {
        let calm_at = case.progress.turned_at + CALM_AFTER;
        if look.now < calm_at {
            return Stepped { case: Some(case), told: false, awaits: false, look_again: Some(calm_at) };
        }
    }
    ended(case, look, Step::Resolved, "It is no longer so.")
}

fn ended(mut case: Case, look: Look, step: Step, why: &str) -> Stepped {
    case.state = CaseState::Resolved;
    case.resolved_at = Some(look.now);
    case.suppressed_by = None;
    case.silenced_by.clear();
    case.progress.streak = 0;
    case.progress.held = false;
    case.resource_revision = look.revision;
    case.note(step, look.now, why.to_owned(), "");
    if step == Step::Resolved {
        flip(&mut case, look.now);
    }
    case.progress.flapping = false;
    Stepped { case: Some(case), told: true, awaits: false, look_again: None }
}

/// Whether anything moved that is worth telling.
fn take(case: &mut Case, finding: Finding, look: Look) -> bool {
    let Finding { severity, summary, evidence, weight, min_delta, native } = finding;
    case.last_seen_at = look.now;
    let far = match (case.progress.weight, weight) {
        (Some(before), Some(now)) => (now - before).abs() >= min_delta.max(f64::EPSILON),
        (None, None) => summary != case.summary,
        _ => true,
    };
    if !far && severity == case.severity && native == case.native {
        return false;
    }
    case.severity = severity;
    case.summary = summary;
    case.evidence = evidence;
    case.native = native;
    case.progress.weight = weight;
    case.resource_revision = look.revision;
    true
}

/// Remembers that the condition turned.
fn turn(case: &mut Case, holds: bool, now: UnixMillis) {
    if case.progress.held != holds {
        case.progress.held = holds;
        case.progress.turned_at = now;
    }
}

/// A beginning or an end.
fn flip(case: &mut Case, now: UnixMillis) {
    let flips = &mut case.progress.flips;
    flips.push(now);
    flips.retain(|at| now.since(*at) <= FLAP_WINDOW);
    if flips.len() >= FLAP_CHANGES && !case.progress.flapping {
        case.progress.flapping = true;
        let text = format!(
            "It came and went {FLAP_CHANGES} times within {} s: it fires until it is calm.",
            FLAP_WINDOW.as_secs()
        );
        case.note(Step::Flapping, now, text, "");
    }
}

/// Ends the flapping of a case that holds without a break.
fn calm(case: &mut Case, now: UnixMillis) -> (bool, Option<UnixMillis>) {
    if !case.progress.flapping {
        return (false, None);
    }
    let calm_at = case.progress.turned_at + CALM_AFTER;
    if now < calm_at {
        return (false, Some(calm_at));
    }
    case.progress.flapping = false;
    case.progress.flips.clear();
    case.note(Step::Calm, now, "It holds without a break.".to_owned(), "");
    (true, None)
}
