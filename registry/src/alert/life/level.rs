//! How bad a case is: sure of it as of the case itself, by distinct observations and
//! time, both ways. And what somebody has seen of it: that holds for no more than was seen.

use std::cmp::Ordering;

use pulse_proto::model::UnixMillis;

use super::{Finding, Look, Stepped};
use crate::alert::case::{Case, CaseState, Leaning, Native, Policy, Step};

/// What the severity waits for.
#[derive(Default)]
pub(super) struct Wait {
    awaits: bool,
    look_again: Option<UnixMillis>,
}

impl Wait {
    /// A step waits for this, too.
    pub(super) fn onto(self, mut stepped: Stepped) -> Stepped {
        stepped.awaits |= self.awaits;
        stepped.look_again = stepped.look_again.into_iter().chain(self.look_again).min();
        stepped
    }
}

/// Leaves in the finding the severity that is sure.
pub(super) fn settle(case: &mut Case, finding: &mut Finding, look: Look, policy: Policy) -> Wait {
    let found = std::mem::replace(&mut finding.severity, case.severity);
    let worse = match found.cmp(&case.severity) {
        Ordering::Greater => true,
        Ordering::Less if case.state == CaseState::Firing => false,
        Ordering::Less => {
            // Not confirmed yet: no more is than every look of it says.
            finding.severity = found;
            case.progress.leaning = None;
            return Wait::default();
        }
        Ordering::Equal => {
            case.progress.leaning = None;
            return Wait::default();
        }
    };
    let known = case.progress.leaning.take().filter(|known| (known.severity > case.severity) == worse);
    let mut leaning = known.unwrap_or(Leaning {
        severity: found,
        streak: 1,
        counted_at: look.observed_at,
        since: look.now,
    });
    leaning.severity = if worse { leaning.severity.min(found) } else { leaning.severity.max(found) };
    if look.observed_at > leaning.counted_at {
        leaning.streak = leaning.streak.saturating_add(1);
        leaning.counted_at = look.observed_at;
    }
    let due = if worse { leaning.since + policy.hold } else { leaning.since };
    if leaning.streak < if worse { policy.raise } else { policy.clear } {
        case.progress.leaning = Some(leaning);
        return Wait { awaits: true, look_again: None };
    }
    if look.now < due {
        case.progress.leaning = Some(leaning);
        return Wait { awaits: false, look_again: Some(due) };
    }
    finding.severity = leaning.severity;
    Wait::default()
}

/// Withdraws an acknowledgement, or takes note that a dismissal ended, when there is more than was seen. `before` are
/// the native alerts as they were.
pub(super) fn wake(case: &mut Case, before: Option<&Native>, now: UnixMillis) -> bool {
    let Some(text) = unseen(case, before) else { return false };
    case.acknowledged = None;
    case.progress.worse_at = now;
    case.note(Step::Withdrawn, now, text, "");
    true
}

/// What it is that nobody has seen yet.
fn unseen(case: &Case, before: Option<&Native>) -> Option<String> {
    if let Some(seen) = &case.acknowledged {
        let who = &seen.who;
        if case.severity > seen.severity {
            return Some(format!(
                "It is {} now; {who} has seen it when it was {}: told again.",
                case.severity, seen.severity
            ));
        }
        // Earlier releases kept no word of what was named.
        let is_known = case.native.is_some() || seen.named.is_empty();
        if let Some(other) = case.progress.named.difference(&seen.named).next().filter(|_| !is_known) {
            return Some(format!(
                "There is one more that {who} has not seen ({other}): told again. {}",
                case.summary
            ));
        }
        let (now, then) = (case.native.as_ref()?, seen.native.as_ref()?);
        if now.level > then.level {
            return Some(format!(
                "Its level is {} now; {who} has seen {}: told again.",
                now.level, then.level
            ));
        }
        let other = another(now, then)?;
        return Some(format!(
            "There is an alert that {who} has not seen ({other}): told again. {}",
            case.summary
        ));
    }
    let (now, then) = (case.native.as_ref()?, before?);
    if !then.dismissed || now.dismissed {
        return None;
    }
    let other = another(now, then)?;
    Some(format!(
        "There is an alert that nobody has dismissed at the source ({other}): told again. {}",
        case.summary
    ))
}

/// One of `now` that is not among `then`.
fn another<'a>(now: &'a Native, then: &Native) -> Option<&'a String> {
    now.ids.iter().find(|id| !then.ids.contains(id))
}
