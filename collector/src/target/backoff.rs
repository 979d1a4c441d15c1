//! How long to wait before the next attempt. Pure: attempt number, kind of
//! failure and a random draw in, delay out.

use std::time::Duration;

/// First delay; doubles with each attempt.
const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_mins(1);
/// Logins are audited and rate limited by the NAS (20 per minute and address), so they keep this distance.
pub const LOGIN_SPACING: Duration = Duration::from_secs(3);
/// The NAS said it is busy: its window is 60 seconds.
const BUSY_DELAY: Duration = Duration::from_secs(65);
/// Refused: an operator must act, perhaps on the NAS; look again rarely.
const REFUSED_DELAY: Duration = Duration::from_mins(15);
/// Each wrong credential is audited and counts towards a lock, so the delay doubles up to here.
const WRONG_DELAY_MAX: Duration = Duration::from_hours(4);
/// Only a new credential helps, and a new one is tried when it is saved.
const SPENT_DELAY: Duration = Duration::from_hours(1);

/// What kind of wait a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Unreachable, dropped, malformed: may pass by itself.
    Transient,
    /// Rate limited.
    Busy,
    /// Trust, permission or configuration: will not pass by itself, but perhaps on the NAS.
    Refused,
    /// The NAS does not know this credential.
    Wrong,
    /// It knows it, and will not take it again.
    Spent,
}

/// `attempt` counts from 0; `draw` is uniform in 0..1.
pub fn delay(wait: Wait, attempt: u32, draw: f64) -> Duration {
    let draw = if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 1.0 };
    match wait {
        Wait::Transient => {
            let ceiling = doubled(DELAY_MIN, attempt, DELAY_MAX);
            // Half fixed, half random: spread out, yet never at once.
            let jittered = ceiling.mul_f64(0.5 + draw / 2.0);
            if attempt == 0 { jittered } else { jittered.max(LOGIN_SPACING) }
        }
        Wait::Busy => BUSY_DELAY.mul_f64(1.0 + draw / 4.0),
        Wait::Refused => REFUSED_DELAY.mul_f64(1.0 + draw / 4.0),
        Wait::Wrong => doubled(REFUSED_DELAY, attempt, WRONG_DELAY_MAX).mul_f64(1.0 + draw / 4.0),
        Wait::Spent => SPENT_DELAY.mul_f64(1.0 + draw / 4.0),
    }
}

fn doubled(first: Duration, attempt: u32, max: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(attempt.min(16)).unwrap_or(u32::MAX)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_ceiling_and_stay_apart() {
        for draw in [0.0, 0.5, 1.0] {
            let mut last = Duration::ZERO;
            for attempt in 0..40 {
                let next = delay(Wait::Transient, attempt, draw);
                assert!(next >= last, "attempt {attempt}");
                assert!(next <= DELAY_MAX);
                assert!(attempt == 0 || next >= LOGIN_SPACING);
                last = next;
            }
            assert!(last >= DELAY_MAX / 2);
        }
    }

    #[test]
    fn a_busy_nas_gets_its_minute_and_a_refusal_its_quarter_hour() {
        assert!(delay(Wait::Busy, 0, 0.0) >= Duration::from_mins(1));
        assert!(delay(Wait::Refused, 9, 0.0) >= Duration::from_mins(15));
        let wrong: Vec<u64> = (0..6).map(|attempt| delay(Wait::Wrong, attempt, 0.0).as_secs() / 60).collect();
        assert_eq!(wrong, [15, 30, 60, 120, 240, 240]);
        assert!(delay(Wait::Spent, 0, 0.0) >= Duration::from_hours(1));
        assert!(delay(Wait::Transient, 3, f64::NAN) <= DELAY_MAX);
    }
}
