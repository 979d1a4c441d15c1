//! One subscription: what its answer means, and when it is asked for again. Decides nothing about what is read meanwhile.

use std::time::Duration;

use serde_json::json;

use crate::api::SectionFailure;
use crate::rpc::{CallError, Reply};
use crate::session::Session;

/// Subscriptions asked for at the same time. More would wait in the session's own queue, against their own limit.
pub(super) const AT_ONCE_MAX: usize = 3;
/// First wait before one is asked for again; doubles.
const AGAIN_MIN: Duration = Duration::from_secs(5);
const AGAIN_MAX: Duration = Duration::from_mins(5);

/// Linux errno values by which servers say that there is no such event.
const ENOENT: i64 = 2;
const EINVAL: i64 = 22;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    There,
    /// Forbidden, or not on this release: asking again brings nothing.
    Refused(SectionFailure),
    /// Not this time.
    Later(String),
}

pub(super) async fn ask(session: &Session, collection: &str, limit: Duration) -> Answer {
    let answer = sort(session.call_within("core.subscribe", &json!([collection]), limit).await);
    if answer != Answer::There {
        tracing::debug!(collection, ?answer, "no subscription");
    }
    answer
}

/// What a server that is slow or busy has not done is not what it cannot do.
fn sort(outcome: Result<Reply, CallError>) -> Answer {
    match outcome {
        Ok(_uuid) => Answer::There,
        Err(CallError::NotAuthorized { .. }) => Answer::Refused(SectionFailure::Forbidden),
        Err(
            CallError::NoMethod { .. }
            | CallError::Invalid { .. }
            | CallError::Call { errno: Some(ENOENT | EINVAL), .. },
        ) => Answer::Refused(SectionFailure::Unsupported),
        Err(error) => Answer::Later(error.to_string()),
    }
}

/// `attempts` made so far, 1 and more.
pub(super) fn again_after(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.saturating_sub(1).min(16)).unwrap_or(u32::MAX);
    AGAIN_MIN.saturating_mul(factor).min(AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_really_absent_is_given_up() {
        let reason = || "why".to_owned();
        let call = |errno| CallError::Call { errno, errname: String::new(), reason: reason() };
        for (error, given_up) in [
            (CallError::NotAuthorized { reason: reason() }, Some(SectionFailure::Forbidden)),
            (CallError::NoMethod { reason: reason() }, Some(SectionFailure::Unsupported)),
            (CallError::Invalid { reason: reason(), extra: None }, Some(SectionFailure::Unsupported)),
            (call(Some(2)), Some(SectionFailure::Unsupported)),
            (call(Some(14)), None),
            (call(None), None),
            (CallError::Deadline { limit: Duration::from_secs(1) }, None),
            (CallError::Busy { reason: reason() }, None),
            (CallError::Unavailable { reason: reason() }, None),
            (CallError::TooManyConcurrent, None),
            (CallError::QueueFull { limit: 1 }, None),
            (CallError::Malformed { reason: reason() }, None),
        ] {
            let text = error.to_string();
            match (sort(Err(error)), given_up) {
                (Answer::Refused(failure), Some(expected)) => assert_eq!(failure, expected, "{text}"),
                (Answer::Later(why), None) => assert_eq!(why, text),
                (answer, expected) => panic!("{text}: {answer:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn asking_again_slows_down() {
        let waits: Vec<u64> = [1, 2, 3, 4, 9, 99].map(|n| again_after(n).as_secs()).to_vec();
        assert_eq!(waits, [5, 10, 20, 40, 300, 300]);
    }
}
