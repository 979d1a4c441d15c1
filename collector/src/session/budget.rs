//! How many logins may leave for one NAS: it takes 20 a minute from an address, good ones included, and whatever else runs
//! on this machine lives on the same 20.
//!
//! Owns the count, for all connections of this process. Pure but for its lock: the time is given.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::transport::Route;

/// Half of what a NAS takes.
const LOGINS_MAX: usize = 10;
/// The server counts in fixed windows of a minute; a sliding one is within every fixed one.
const WINDOW: Duration = Duration::from_mins(1);

static SHARED: LazyLock<Arc<Budget>> = LazyLock::new(|| Arc::new(Budget::new(LOGINS_MAX, WINDOW)));

#[derive(Debug)]
pub struct Budget {
    logins_max: usize,
    window: Duration,
    /// When logins left, oldest first, none older than the window.
    spent: Mutex<BTreeMap<Route, VecDeque<Instant>>>,
}

impl Budget {
    pub const fn new(logins_max: usize, window: Duration) -> Self {
        Self { logins_max, window, spent: Mutex::new(BTreeMap::new()) }
    }

    /// The one that every connection of this process spends from.
    pub fn shared() -> Arc<Self> {
        Arc::clone(&SHARED)
    }

    /// Takes one login call, or tells how long there is none to take.
    pub fn spend(&self, route: Route, now: Instant) -> Result<(), Duration> {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        for times in spent.values_mut() {
            while times.front().is_some_and(|at| now.saturating_duration_since(*at) >= self.window) {
                times.pop_front();
            }
        }
        spent.retain(|_, times| !times.is_empty());
        let times = spent.entry(route).or_default();
        let surplus = times.len().checked_sub(self.logins_max);
        if let Some(at) = surplus.and_then(|surplus| times.get(surplus)) {
            return Err(self.window.saturating_sub(now.saturating_duration_since(*at)));
        }
        times.push_back(now);
        Ok(())
    }

    /// The NAS said that it has had enough: others have spent what we had left.
    pub fn exhaust(&self, route: Route, now: Instant) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.insert(route, std::iter::repeat_n(now, self.logins_max).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn route(nas: u8) -> Route {
        Route { from: [10, 0, 0, 1].into(), to: ([10, 0, 1, nas], 443).into() }
    }

    #[test]
    fn any_minute_has_as_many_logins_as_it_may() {
        let (budget, start) = (Budget::new(3, MINUTE), Instant::now());
        let second = |n| start + Duration::from_secs(n);
        for n in [0, 20, 40] {
            assert_eq!(budget.spend(route(1), second(n)), Ok(()), "{n}");
        }
        assert_eq!(budget.spend(route(1), second(45)), Err(Duration::from_secs(15)));
        assert_eq!(budget.spend(route(1), second(60)), Ok(()));
        assert_eq!(budget.spend(route(1), second(60)), Err(Duration::from_secs(20)));
        assert_eq!(budget.spend(route(1), second(200)), Ok(()));
    }

    #[test]
    fn each_way_to_a_nas_has_its_own() {
        let (budget, now) = (Budget::new(1, MINUTE), Instant::now());
        assert_eq!(budget.spend(route(1), now), Ok(()));
        assert_eq!(budget.spend(route(2), now), Ok(()));
        assert!(budget.spend(route(1), now).is_err());
        let elsewhere = Route { from: [10, 0, 0, 2].into(), ..route(1) };
        assert_eq!(budget.spend(elsewhere, now), Ok(()));
        assert_eq!(budget.spend(route(3), now + MINUTE), Ok(()));
        assert_eq!(budget.spent.lock().unwrap().len(), 1, "what is over is forgotten");
    }

    #[test]
    fn a_nas_that_has_had_enough_is_left_for_a_minute() {
        let (budget, now) = (Budget::new(5, MINUTE), Instant::now());
        budget.exhaust(route(1), now);
        assert_eq!(budget.spend(route(1), now), Err(MINUTE));
        assert_eq!(budget.spend(route(2), now), Ok(()));
        assert_eq!(budget.spend(route(1), now + MINUTE), Ok(()));
    }
}
