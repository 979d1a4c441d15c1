//! What reading costs the appliance: calls, bytes and time, over the last minutes. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::connection::Cost;

/// What is told is an average over so long.
const WINDOW: Duration = Duration::from_mins(5);
const BUCKET: Duration = Duration::from_secs(10);
const MINUTE_SECONDS: f64 = 60.0;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    start: Instant,
    calls: u64,
    bytes: u64,
    busy: Duration,
}

/// Counts what was spent, and forgets it when it is old.
#[derive(Debug, Clone)]
pub struct Meter {
    began: Instant,
    buckets: VecDeque<Bucket>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

impl Meter {
    pub const fn new(now: Instant) -> Self {
        Self { began: now, buckets: VecDeque::new() }
    }

    /// A call that took so long and brought so many bytes.
    pub fn call(&mut self, bytes: usize, took: Duration, now: Instant) {
        self.add(1, bytes, took, now);
    }

    /// What came without being asked for.
    pub fn event(&mut self, bytes: usize, now: Instant) {
        self.add(0, bytes, Duration::ZERO, now);
    }

    fn add(&mut self, calls: u64, bytes: usize, busy: Duration, now: Instant) {
        self.forget(now);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match self.buckets.back_mut().filter(|bucket| now.duration_since(bucket.start) < BUCKET) {
            Some(bucket) => {
                bucket.calls += calls;
                bucket.bytes = bucket.bytes.saturating_add(bytes);
                bucket.busy += busy;
            }
            None => self.buckets.push_back(Bucket { start: now, calls, bytes, busy }),
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.buckets.front().is_some_and(|bucket| now.duration_since(bucket.start) >= WINDOW) {
            self.buckets.pop_front();
        }
    }

    /// Averages per minute. In the first minute, what was spent so far.
    pub fn per_minute(&mut self, now: Instant) -> Cost {
        self.forget(now);
        let over = now.duration_since(self.began).clamp(Duration::from_mins(1), WINDOW).as_secs_f64();
        let total = |count: fn(&Bucket) -> u64| self.buckets.iter().map(count).fold(0, u64::saturating_add);
        let busy: Duration = self.buckets.iter().map(|bucket| bucket.busy).sum();
        Cost {
            calls: rate(total(|bucket| bucket.calls), over),
            bytes: rate(total(|bucket| bucket.bytes), over),
            busy: busy.mul_f64(MINUTE_SECONDS / over),
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an average for people"
)]
fn rate(total: u64, over_seconds: f64) -> u64 {
    (total as f64 * MINUTE_SECONDS / over_seconds).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn averages_over_the_window_and_forgets_what_is_older() {
        let t0 = Instant::now();
        let at = |seconds: u64| t0 + Duration::from_secs(seconds);
        let mut meter = Meter::new(t0);
        meter.call(1_000, Duration::from_millis(500), at(1));
        meter.event(200, at(2));
        let first = meter.per_minute(at(10));
        assert_eq!((first.calls, first.bytes, first.busy), (1, 1_200, Duration::from_millis(500)));
        let later = meter.per_minute(at(120));
        assert_eq!((later.calls, later.bytes), (1, 600));
        for minute in 2..7 {
            meter.call(60, Duration::from_secs(1), at(minute * 60));
        }
        let steady = meter.per_minute(at(400));
        assert_eq!((steady.calls, steady.bytes, steady.busy), (1, 60, Duration::from_secs(1)));
        assert_eq!(meter.per_minute(at(10_000)), Cost::default());
    }
}
