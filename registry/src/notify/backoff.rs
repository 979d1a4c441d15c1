//! How long to wait after a failure. Pure: attempt, what the receiver asked for and a random draw in, delay out.

use std::time::Duration;

const DELAY_MIN: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_mins(5);
/// A receiver that asks for more is asked again earlier.
const ASKED_MAX: Duration = Duration::from_hours(1);

/// `attempt` counts from 0; `draw` is uniform in 0..1.
pub fn delay(attempt: u32, asked: Option<Duration>, draw: f64) -> Duration {
    let draw = if draw.is_finite() { draw.clamp(0.0, 1.0) } else { 1.0 };
    let factor = 1_u32.checked_shl(attempt.min(16)).unwrap_or(u32::MAX);
    let ceiling = DELAY_MIN.saturating_mul(factor).min(DELAY_MAX);
    // Half fixed, half random: spread out, yet never at once.
    let own = ceiling.mul_f64(0.5 + draw / 2.0);
    asked.map_or(own, |asked| own.max(asked.min(ASKED_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_ceiling_and_heed_the_receiver() {
        for draw in [0.0, 0.5, 1.0, f64::NAN] {
            let all: Vec<Duration> = (0..40).map(|attempt| delay(attempt, None, draw)).collect();
            assert!(all.is_sorted() && all[0] >= DELAY_MIN / 2);
            assert!(all.iter().all(|delay| *delay <= DELAY_MAX) && all[39] >= DELAY_MAX / 2);
        }
        assert_eq!(delay(0, Some(Duration::from_secs(90)), 0.0), Duration::from_secs(90));
        assert_eq!(delay(0, Some(Duration::from_hours(90)), 0.0), ASKED_MAX);
        assert!(delay(9, Some(Duration::ZERO), 0.0) >= DELAY_MAX / 2);
    }
}
