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

/// What kind of wait a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Unreachable, dropped, malformed: may pass by itself.
    Transient,
    /// Rate limited.
    Busy,
    /// Credentials, trust or permission: will not pass by itself.
    Refused,
}

/// `attempt` counts from 0; `draw` is uniform in 0..1.
pub fn delay(wait: Wait, attempt: u32, draw: f64) -> Duration {
    let draw = if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 1.0 };
    match wait {
        Wait::Transient => {
            let ceiling = DELAY_MIN
                .saturating_mul(1_u32.checked_shl(attempt.min(16)).unwrap_or(u32::MAX))
                .min(DELAY_MAX);
            // Half fixed, half random: spread out, yet never at once.
            let jittered = ceiling.mul_f64(0.5 + draw / 2.0);
            if attempt == 0 { jittered } else { jittered.max(LOGIN_SPACING) }
        }
        Wait::Busy => BUSY_DELAY.mul_f64(1.0 + draw / 4.0),
        Wait::Refused => REFUSED_DELAY.mul_f64(1.0 + draw / 4.0),
    }
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
        assert!(delay(Wait::Transient, 3, f64::NAN) <= DELAY_MAX);
    }
}
