//! The life of one case, step by step: what an observation says of it and what
//! it is then. Pure; the reference model in the tests tells the same in other words.

mod flap;
mod level;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Revision, Severity, UnixMillis};

use self::flap::{calm, flip, turn};
use super::case::{Case, CaseId, CaseState, Native, Origin, Progress, Step, Subject};

pub(super) use super::case::Policy;

/// Beginnings and ends within [`FLAP_WINDOW`] that make a case flapping.
pub(super) const FLAP_CHANGES: usize = 5;
pub(super) const FLAP_WINDOW: Duration = Duration::from_mins(5);
/// A flapping case resolves when nothing moved for this long.
pub(super) const CALM_AFTER: Duration = Duration::from_mins(15);
/// What fires again within this time of its end is the same case.
pub(super) const REOPEN_WITHIN: Duration = Duration::from_mins(15);
/// While nothing is known, what is not decided is looked at again this often.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(10);
/// Under this name the evidence of an end says which kind of end it was.
const RESOLUTION: &str = "resolution";

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
    /// What it names: services, certificates, devices; of native alerts the words that another case is known by.
    pub(super) named: BTreeSet<String>,
}

/// What was seen instead of what the case is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contrary {
    pub(super) text: String,
    pub(super) evidence: BTreeMap<String, String>,
}

/// What a look says of the condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    Holds(Finding),
    /// Positive evidence that it does not hold.
    Clear(Contrary),
    /// Nothing fresh is known: changes nothing.
    Unknown,
    /// What holds the subject was read whole, and it was not there. Believed as [`Said::Clear`] is.
    Gone(Contrary),
    /// Nobody asks any more: ends at once.
    Over(&'static str),
}

/// How a case ends, as its evidence has it.
#[derive(Clone, Copy)]
enum Resolution {
    Cleared,
    Gone,
    NotAsked,
}

impl Resolution {
    const fn token(self) -> &'static str {
        match self {
            Self::Cleared => "cleared",
            Self::Gone => "gone",
            Self::NotAsked => "not_asked",
        }
    }
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

pub(super) fn step(
    mut case: Option<Case>,
    begin: &Begin<'_>,
    said: Said,
    look: Look,
    policy: Policy,
) -> Stepped {
    if let Some(case) = &mut case
        && case.is_open()
        && said != Said::Unknown
    {
        case.progress.policy = policy;
    }
    match (case, said) {
        (case, Said::Unknown) => {
            // Nothing is learnt, but what was going to be looked at again still is.
            let look_again = case.as_ref().and_then(|case| undecided(case, look.now));
            Stepped { look_again, ..Stepped::still(case) }
        }
        (None, Said::Clear(_) | Said::Gone(_) | Said::Over(_)) => Stepped::still(None),
        (None, Said::Holds(finding)) => begun(fresh(begin, finding, look), look, policy),
        (Some(case), Said::Holds(finding)) => match case.state {
            CaseState::Pending => held_pending(case, finding, look, policy),
            CaseState::Firing => held_firing(case, finding, look, policy),
            CaseState::Resolved if is_recent(&case, look.now) => {
                begun(reopened(case, finding, look), look, policy)
            }
            CaseState::Resolved => begun(fresh(begin, finding, look), look, policy),
        },
        (Some(case), Said::Clear(seen)) => match case.state {
            CaseState::Pending => {
                let text = format!("It went before it was confirmed. {}", seen.text);
                ended(case, look, Step::Dropped, Resolution::Cleared, Contrary { text, ..seen })
            }
            CaseState::Firing => cleared_firing(case, seen, Resolution::Cleared, look, policy),
            CaseState::Resolved => Stepped::still(Some(case)),
        },
        (Some(case), Said::Gone(seen)) => match case.state {
            CaseState::Pending => ended(case, look, Step::Dropped, Resolution::Gone, seen),
            CaseState::Firing => cleared_firing(case, seen, Resolution::Gone, look, policy),
            CaseState::Resolved => Stepped::still(Some(case)),
        },
        (Some(case), Said::Over(why)) => {
            let seen = Contrary { text: why.to_owned(), ..Contrary::default() };
            match case.state {
                CaseState::Pending => ended(case, look, Step::Dropped, Resolution::NotAsked, seen),
                CaseState::Firing => ended(case, look, Step::Resolved, Resolution::NotAsked, seen),
                CaseState::Resolved => Stepped::still(Some(case)),
            }
        }
    }
}

/// When to look again at what is not decided, though nothing is known now.
fn undecided(case: &Case, now: UnixMillis) -> Option<UnixMillis> {
    let Progress { streak, flapping, turned_at, leaning, .. } = &case.progress;
    let waits = match case.state {
        CaseState::Pending => true,
        CaseState::Firing => *streak > 0 || leaning.is_some(),
        CaseState::Resolved => return None,
    };
    let calm_at = flapping.then(|| *turned_at + CALM_AFTER).filter(|at| *at > now);
    waits.then(|| now + ASK_AGAIN).into_iter().chain(calm_at).min()
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
            worse_at: look.now,
            named: finding.named,
            ..Progress::default()
        },
    }
}

fn reopened(mut case: Case, finding: Finding, look: Look) -> Case {
    case.state = CaseState::Pending;
    case.severity = finding.severity;
    case.resolved_at = None;
    // It was seen until it resolved: nobody has seen it since.
    case.acknowledged = None;
    case.progress.streak = 1;
    case.progress.counted_at = look.observed_at;
    case.progress.holds_since = look.now;
    case.progress.held = true;
    case.progress.turned_at = look.now;
    case.progress.worse_at = look.now;
    adopt(&mut case, finding, look);
    case
}

fn begun(mut case: Case, look: Look, policy: Policy) -> Stepped {
    case.progress.policy = policy;
    let text = case.summary.clone();
    case.note(Step::Pending, look.now, text, "");
    let mut stepped = confirm(case, look, policy);
    stepped.told = true;
    stepped
}

fn held_pending(mut case: Case, mut finding: Finding, look: Look, policy: Policy) -> Stepped {
    if look.observed_at > case.progress.counted_at {
        case.progress.streak = case.progress.streak.saturating_add(1);
        case.progress.counted_at = look.observed_at;
    }
    let wait = level::settle(&mut case, &mut finding, look, policy);
    let before = case.native.clone();
    let moved = take(&mut case, finding, look);
    let woken = level::wake(&mut case, before.as_ref(), look.now);
    let mut stepped = confirm(case, look, policy);
    stepped.told |= moved || woken;
    wait.onto(stepped)
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
    case.progress.worse_at = look.now;
    let text = case.summary.clone();
    case.note(Step::Firing, look.now, text, "");
    flip(&mut case, look.now);
    let look_again = case.progress.flapping.then(|| case.progress.turned_at + CALM_AFTER);
    Stepped { case: Some(case), told: true, awaits: false, look_again }
}

fn held_firing(mut case: Case, mut finding: Finding, look: Look, policy: Policy) -> Stepped {
    let turned = turn(&mut case, true, look.now);
    case.progress.streak = 0;
    case.progress.counted_at = case.progress.counted_at.max(look.observed_at);
    let wait = level::settle(&mut case, &mut finding, look, policy);
    let (severity, native) = (case.severity, case.native.clone());
    let moved = take(&mut case, finding, look);
    if case.severity != severity {
        let text = format!("{} (it was {severity})", case.summary);
        case.note(Step::Severity, look.now, text, "");
    }
    let woken = level::wake(&mut case, native.as_ref(), look.now);
    let (calmed, look_again) = calm(&mut case, look.now);
    wait.onto(Stepped {
        case: Some(case),
        told: moved || woken || calmed || turned,
        awaits: false,
        look_again,
    })
}

fn cleared_firing(
    mut case: Case,
    seen: Contrary,
    resolution: Resolution,
    look: Look,
    policy: Policy,
) -> Stepped {
    let turned = turn(&mut case, false, look.now);
    case.progress.leaning = None;
    if look.observed_at > case.progress.counted_at {
        case.progress.streak = case.progress.streak.saturating_add(1);
        case.progress.counted_at = look.observed_at;
    }
    if case.progress.streak < policy.clear {
        return Stepped { case: Some(case), told: turned, awaits: true, look_again: None };
    }
    if case.progress.flapping {
        let calm_at = case.progress.turned_at + CALM_AFTER;
        if look.now < calm_at {
            // How far it has come is shown once it is sure, and not at every look.
            let told = turned || case.progress.streak == policy.clear;
            return Stepped { case: Some(case), told, awaits: false, look_again: Some(calm_at) };
        }
    }
    ended(case, look, Step::Resolved, resolution, seen)
}

/// From here on the evidence is that of the end.
fn ended(mut case: Case, look: Look, step: Step, resolution: Resolution, seen: Contrary) -> Stepped {
    let Contrary { text, mut evidence } = seen;
    evidence.insert(RESOLUTION.to_owned(), resolution.token().to_owned());
    case.state = CaseState::Resolved;
    case.resolved_at = Some(look.now);
    case.suppressed_by = None;
    case.silenced_by.clear();
    case.progress.streak = 0;
    case.progress.held = false;
    case.progress.leaning = None;
    case.progress.quiet_since = None;
    case.progress.loud = false;
    case.evidence = evidence;
    case.resource_revision = look.revision;
    case.note(step, look.now, text, "");
    if step == Step::Resolved {
        flip(&mut case, look.now);
    }
    case.progress.flapping = false;
    Stepped { case: Some(case), told: true, awaits: false, look_again: None }
}

/// Whether anything moved that is worth telling.
fn take(case: &mut Case, finding: Finding, look: Look) -> bool {
    case.last_seen_at = look.now;
    let named = finding.named == case.progress.named;
    let far = match (case.progress.weight, finding.weight) {
        (Some(before), Some(now)) => (now - before).abs() >= finding.min_delta.max(f64::EPSILON),
        (None, None) => finding.summary != case.summary,
        _ => true,
    };
    if !far && named && finding.severity == case.severity && finding.native == case.native {
        return false;
    }
    if finding.severity > case.severity {
        case.progress.worse_at = look.now;
    }
    adopt(case, finding, look);
    true
}

fn adopt(case: &mut Case, finding: Finding, look: Look) {
    let Finding { severity, summary, evidence, weight, min_delta: _, native, named } = finding;
    case.last_seen_at = look.now;
    case.severity = severity;
    case.summary = summary;
    case.evidence = evidence;
    case.native = native;
    case.progress.weight = weight;
    case.progress.named = named;
    case.resource_revision = look.revision;
}
