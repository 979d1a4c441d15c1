//! How old knowledge is: fresh, stale or lost, from the time a section was
//! last read completely and how often it should be. Severity plays no part.

use std::time::Duration;

use pulse_proto::model::{Freshness, SectionReport, UnixMillis};

/// Shortest age at which facts are lost.
pub(super) const LOST_AFTER_MIN: Duration = Duration::from_hours(1);

/// How many times the stale limit may pass before facts are lost.
pub(super) const LOST_AFTER_STALE_LIMITS: u32 = 10;

/// Only age counts: a read that failed makes nothing stale before its limit.
/// A section reported but never read is stale at once, for its facts come
/// from a report that is gone; one never reported is lost.
pub(super) fn of(report: Option<&SectionReport>, now: UnixMillis) -> Freshness {
    let Some(report) = report else { return Freshness::Lost };
    let Some(observed_at) = report.observed_at else { return Freshness::Stale };
    let age = now.since(observed_at);
    if age > lost_after(report) {
        Freshness::Lost
    } else if age > report.stale_after() {
        Freshness::Stale
    } else {
        Freshness::Fresh
    }
}

/// The first millisecond at which `of` answers differently than at `now`.
pub(super) fn next_transition(report: &SectionReport, now: UnixMillis) -> Option<UnixMillis> {
    let limit = match of(Some(report), now) {
        Freshness::Fresh => report.stale_after(),
        Freshness::Stale => lost_after(report),
        Freshness::Lost => return None,
    };
    let millis = u64::try_from(limit.as_millis()).ok()?.checked_add(1)?;
    let at = report.observed_at?.get().checked_add(millis)?;
    (at <= UnixMillis::MAX.get()).then_some(UnixMillis::new(at))
}

fn lost_after(report: &SectionReport) -> Duration {
    LOST_AFTER_MIN.max(report.stale_after().saturating_mul(LOST_AFTER_STALE_LIMITS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulse_proto::model::{SectionName, SectionOutcome};

    use super::*;

    fn report(outcome: SectionOutcome, observed_at: Option<u64>, interval: Duration) -> SectionReport {
        SectionReport {
            section: SectionName::parse("pools").expect("a section"),
            outcome,
            observed_at: observed_at.map(UnixMillis::new),
            since: None,
            interval,
            error: String::new(),
        }
    }

    #[test]
    fn age_decides_and_nothing_else() {
        const HOUR: u64 = 3_600_000;
        let at = 1_000_000;
        for (interval_s, age_ms, expected) in [
            (10, 0, Freshness::Fresh),
            (10, 120_000, Freshness::Fresh),
            (10, 120_001, Freshness::Stale),
            (10, HOUR, Freshness::Stale),
            (10, HOUR + 1, Freshness::Lost),
            (300, 900_000, Freshness::Fresh),
            (300, 900_001, Freshness::Stale),
            (300, 9_000_000, Freshness::Stale),
            (300, 9_000_001, Freshness::Lost),
        ] {
            for outcome in SectionOutcome::ALL {
                let report = report(*outcome, Some(at), Duration::from_secs(interval_s));
                assert_eq!(of(Some(&report), UnixMillis::new(at + age_ms)), expected, "{age_ms} {outcome}");
            }
        }
    }

    #[test]
    fn what_was_never_read_is_stale_and_what_was_never_reported_is_lost() {
        let never = report(SectionOutcome::Forbidden, None, Duration::ZERO);
        assert_eq!(of(Some(&never), UnixMillis::new(5)), Freshness::Stale);
        assert_eq!(next_transition(&never, UnixMillis::new(5)), None);
        assert_eq!(of(None, UnixMillis::new(5)), Freshness::Lost);
    }

    #[test]
    fn a_clock_behind_the_observation_reads_fresh() {
        let ahead = report(SectionOutcome::Fresh, Some(10_000), Duration::ZERO);
        assert_eq!(of(Some(&ahead), UnixMillis::new(0)), Freshness::Fresh);
        assert_eq!(next_transition(&ahead, UnixMillis::new(0)), Some(UnixMillis::new(130_001)));
    }

    proptest! {
        #[test]
        fn the_next_transition_is_exact(
            observed in prop_oneof![0..10_000_000u64, UnixMillis::MAX.get() - 10_000_000..=UnixMillis::MAX.get()],
            age in 0..20_000_000u64,
            interval in prop_oneof![0..2_000_000_000_000u64, Just(u64::MAX)],
            part in 0.0..1.0f64,
        ) {
            let report = report(SectionOutcome::Fresh, Some(observed), Duration::from_nanos(interval));
            let now = UnixMillis::new(observed + age);
            let before = of(Some(&report), now);
            let Some(next) = next_transition(&report, now) else {
                prop_assert_eq!(of(Some(&report), UnixMillis::MAX), before);
                return Ok(());
            };
            prop_assert!(next > now);
            prop_assert!(of(Some(&report), next) > before);
            prop_assert_eq!(of(Some(&report), UnixMillis::new(next.get() - 1)), before);
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let between = now.get() + ((next.get() - now.get()) as f64 * part) as u64;
            prop_assert_eq!(of(Some(&report), UnixMillis::new(between.min(next.get() - 1))), before);
        }
    }
}
