//! A session is replaced before the NAS ends it for its age: the new one is made while the old one still serves.
//!
//! Owns when; the swap itself is the task's. Knows no method.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::endpoint;
use super::task::Shared;
use crate::connection::Settings;
use crate::session::{ConnectError, Session, SessionOptions, connect};

/// Sessions that began together do not end together: some are replaced this part of their age earlier.
const SPREAD: f64 = 0.1;
/// Parts of the age after which a replacement that failed is tried again: each try is a login, and is audited.
const AGAIN_DIVISOR: u32 = 20;
/// Parts of the age that an old session goes on at most while it cannot be replaced. Of 20 days, 8 more.
const GRACE: f64 = 0.4;

/// When a session is to be replaced. `None` where sessions do not age.
#[derive(Debug, Clone, Copy)]
pub(super) struct Renewal {
    again: Duration,
    next: Option<Instant>,
    last: Option<Instant>,
}

impl Renewal {
    pub(super) const NEVER: Self = Self { again: Duration::ZERO, next: None, last: None };

    /// `draw` is uniform in 0..1.
    pub(super) fn of(started: Instant, age: Duration, draw: f64) -> Self {
        Self {
            again: age / AGAIN_DIVISOR,
            next: Some(started + age.mul_f64(1.0 - SPREAD * draw.clamp(0.0, 1.0))),
            last: Some(started + age.mul_f64(1.0 + GRACE)),
        }
    }

    /// When a replacement is due; `None` while one is being made.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// When the session ends, replaced or not.
    pub(super) fn last(&self) -> Option<Instant> {
        self.last
    }

    pub(super) fn begun(&mut self) {
        self.next = None;
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.next = Some(now + self.again);
    }
}

/// Makes the replacement. Nobody is told of it until there is one.
pub(super) async fn make(
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    options: SessionOptions,
) -> Result<Session, ConnectError> {
    // Never closed, so that this cannot fail.
    let _place = shared.connects.acquire().await;
    connect(&endpoint(&settings), &settings.credential, &options).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_of_twenty_days_is_replaced_in_time_and_never_reaches_thirty() {
        let (start, day) = (Instant::now(), Duration::from_hours(24));
        for draw in [0.0, 0.5, 1.0] {
            let mut renewal = Renewal::of(start, day * 20, draw);
            let next = renewal.next().expect("a time");
            assert!(next >= start + day * 18 && next <= start + day * 20);
            assert_eq!(renewal.last(), Some(start + day * 28));
            renewal.begun();
            assert_eq!(renewal.next(), None);
            renewal.failed(next);
            assert_eq!(renewal.next(), Some(next + day));
        }
        assert!(Renewal::NEVER.next().is_none() && Renewal::NEVER.last().is_none());
    }
}
