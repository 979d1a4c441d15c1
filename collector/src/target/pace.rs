//! How often everything is read because somebody asks for it. Pure: what happened and `now` in, when the next round may begin
//! out.

use std::time::Duration;

use tokio::time::Instant;

/// From the end of one round that was asked for to the next.
const SPACING: Duration = Duration::from_secs(5);
/// Rounds that are asked for take at most a fifth of the time: after one, the NAS rests so many times as long as it took.
const REST_FACTOR: u32 = 4;
/// But whoever asks does not wait longer for the next to begin.
const REST_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    began: Option<Instant>,
    free_at: Option<Instant>,
}

impl Pace {
    pub(super) fn begun(&mut self, now: Instant) {
        self.began = Some(now);
    }

    pub(super) fn ended(&mut self, now: Instant) {
        let took = self.began.take().map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        self.free_at = Some(now + took.saturating_mul(REST_FACTOR).clamp(SPACING, REST_MAX));
    }

    /// When the next one may begin; `None` is now.
    pub(super) fn free_at(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_are_asked_for_keep_their_distance() {
        let (start, second) = (Instant::now(), Duration::from_secs);
        let mut pace = Pace::default();
        assert_eq!(pace.free_at(start), None, "the first is free");
        for (took, rest) in [(0, 5), (1, 5), (5, 20), (100, 60)] {
            pace.begun(start);
            let end = start + second(took);
            pace.ended(end);
            assert_eq!(pace.free_at(end), Some(end + second(rest)), "after {took} s");
            assert_eq!(pace.free_at(end + second(rest)), None);
        }
    }
}
