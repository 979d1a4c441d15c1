//! Cases that come and go: held on to until they are calm.

use pulse_proto::model::UnixMillis;

use super::{CALM_AFTER, FLAP_CHANGES, FLAP_WINDOW};
use crate::alert::case::{Case, Step};

/// Remembers that the condition turned. Whether that must be kept: the end of a flapping case is counted from there.
pub(super) fn turn(case: &mut Case, holds: bool, now: UnixMillis) -> bool {
    if case.progress.held == holds {
        return false;
    }
    case.progress.held = holds;
    case.progress.turned_at = now;
    case.progress.flapping
}

/// A beginning or an end.
pub(super) fn flip(case: &mut Case, now: UnixMillis) {
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
pub(super) fn calm(case: &mut Case, now: UnixMillis) -> (bool, Option<UnixMillis>) {
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
