//! The cheap look at pool states, compared with what was read in full. Pure: looks and readings in, "read in full" out.

use tokio::time::Instant;

use crate::api::Pool;

/// What a look shows of each pool: name, status, status code.
type States = Vec<(String, String, String)>;

/// A difference that a full reading has answered is none: the two calls may never agree on a pool that one of them does not
/// list, or that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// As last read in full.
    held: Option<States>,
    began: Option<Instant>,
    /// The look that asked for a full reading, and when.
    asked: Option<(Instant, States)>,
    /// The look that was answered by one.
    answered: Option<States>,
}

impl Comparison {
    /// Answers whether to read in full.
    pub(super) fn look(&mut self, cheap: &[Pool], now: Instant) -> bool {
        let Some(held) = &self.held else { return false };
        let states = states(cheap);
        if !differs(&states, held) {
            (self.asked, self.answered) = (None, None);
            return false;
        }
        if self.answered.as_ref() == Some(&states) {
            return false;
        }
        if self.asked.as_ref().is_none_or(|(_, asked)| *asked != states) {
            self.asked = Some((now, states));
        }
        true
    }

    pub(super) fn begun(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// A reading in full has ended well.
    pub(super) fn read(&mut self, pools: &[Pool]) {
        self.held = Some(states(pools));
        let began = self.began.take();
        // One that was under way when the look was taken may be older than it.
        if let Some((_, states)) = self.asked.take_if(|(at, _)| began.is_some_and(|began| began >= *at)) {
            self.answered = Some(states);
        }
    }
}

fn states(pools: &[Pool]) -> States {
    let state = |pool: &Pool| (pool.name.clone(), pool.status.clone(), pool.status_code.clone());
    let mut states: States = pools.iter().map(state).collect();
    states.sort();
    states
}

/// Pools that are not imported are in the full list alone.
fn differs(cheap: &States, held: &States) -> bool {
    cheap.iter().any(|row| !held.contains(row))
        || held
            .iter()
            .any(|(name, status, _)| status != "OFFLINE" && !cheap.iter().any(|(row, _, _)| row == name))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pools(rows: &[(&str, &str)]) -> Vec<Pool> {
        let pool = |(name, status): &(&str, &str)| Pool {
            name: (*name).to_owned(),
            status: (*status).to_owned(),
            ..Pool::default()
        };
        rows.iter().map(pool).collect()
    }

    fn read(comparison: &mut Comparison, at: Instant, rows: &[(&str, &str)]) {
        comparison.begun(at);
        comparison.read(&pools(rows));
    }

    #[test]
    fn a_cheap_row_tells_when_to_look_closer() {
        let held = states(&pools(&[("a", "ONLINE"), ("gone", "OFFLINE")]));
        let differs = |rows| differs(&states(&pools(rows)), &held);
        assert!(!differs(&[("a", "ONLINE")]));
        assert!(differs(&[("a", "DEGRADED")]));
        assert!(differs(&[("a", "ONLINE"), ("new", "ONLINE")]));
        assert!(differs(&[]));
    }

    #[test]
    fn a_difference_that_stays_is_answered_once() {
        let (t0, second) = (Instant::now(), Duration::from_secs);
        let at = |n| t0 + second(n);
        let mut comparison = Comparison::default();
        let odd = pools(&[("tank", "ONLINE"), ("unlisted", "ONLINE")]);
        assert!(!comparison.look(&odd, t0), "nothing to compare with");
        read(&mut comparison, t0, &[("tank", "ONLINE")]);
        assert!(comparison.look(&odd, at(5)));
        assert!(comparison.look(&odd, at(10)), "not answered yet");
        read(&mut comparison, at(11), &[("tank", "ONLINE")]);
        assert!(!comparison.look(&odd, at(15)) && !comparison.look(&odd, at(20)), "answered");

        let worse = pools(&[("unlisted", "ONLINE"), ("tank", "DEGRADED")]);
        assert!(comparison.look(&worse, at(25)), "another difference");
        read(&mut comparison, at(26), &[("tank", "DEGRADED")]);
        assert!(!comparison.look(&worse, at(30)));
        assert!(comparison.look(&odd, at(35)), "and back");
    }

    #[test]
    fn a_reading_that_began_before_the_look_answers_nothing() {
        let (t0, second) = (Instant::now(), Duration::from_secs);
        let mut comparison = Comparison::default();
        read(&mut comparison, t0, &[("tank", "ONLINE")]);
        comparison.begun(t0 + second(4));
        let degraded = pools(&[("tank", "DEGRADED")]);
        assert!(comparison.look(&degraded, t0 + second(5)));
        comparison.read(&pools(&[("tank", "ONLINE")]));
        assert!(comparison.look(&degraded, t0 + second(10)));
        read(&mut comparison, t0 + second(11), &[("tank", "DEGRADED")]);
        assert!(!comparison.look(&degraded, t0 + second(15)));
    }

    #[test]
    fn a_state_that_came_back_is_looked_at_again_when_it_leaves() {
        let t0 = Instant::now();
        let at = |n| t0 + Duration::from_secs(n);
        let mut comparison = Comparison::default();
        read(&mut comparison, t0, &[("tank", "ONLINE")]);
        let degraded = pools(&[("tank", "DEGRADED")]);
        assert!(comparison.look(&degraded, at(1)));
        read(&mut comparison, at(2), &[("tank", "ONLINE")]);
        assert!(!comparison.look(&pools(&[("tank", "ONLINE")]), at(3)));
        assert!(comparison.look(&degraded, at(4)), "it is news once more");
    }
}
