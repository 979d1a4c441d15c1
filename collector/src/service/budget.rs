//! How often one address may be asked to log somebody in for a test. A NAS counts logins and locks everybody out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_mins(1);
/// Addresses remembered; those whose window has passed are forgotten first.
const ADDRESSES_MAX: usize = 4_096;

type Address = (String, u16);

#[derive(Debug)]
pub(super) struct Logins {
    per_window_max: usize,
    taken: Mutex<BTreeMap<Address, VecDeque<Instant>>>,
}

impl Logins {
    pub(super) fn new(per_window_max: usize) -> Self {
        Self { per_window_max, taken: Mutex::default() }
    }

    /// Fails with how long to wait.
    pub(super) fn take(&self, address: Address, now: Instant) -> Result<(), Duration> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, times| {
            times.retain(|time| now.saturating_duration_since(*time) < WINDOW);
            !times.is_empty()
        });
        if taken.len() >= ADDRESSES_MAX && !taken.contains_key(&address) {
            return Err(WINDOW);
        }
        let times = taken.entry(address).or_default();
        if times.len() >= self.per_window_max {
            let oldest = times.front().map_or(Duration::ZERO, |time| now.saturating_duration_since(*time));
            return Err(WINDOW.saturating_sub(oldest));
        }
        times.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_address_has_its_own_minute() {
        let logins = Logins::new(2);
        let nas = |name: &str| (name.to_owned(), 443);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(logins.take(nas("a"), at(0)), Ok(()));
        assert_eq!(logins.take(nas("a"), at(10)), Ok(()));
        assert_eq!(logins.take(nas("a"), at(20)), Err(Duration::from_secs(40)));
        assert_eq!(logins.take(nas("b"), at(20)), Ok(()));
        assert_eq!(logins.take(nas("a"), at(60)), Ok(()));
        assert_eq!(logins.take(nas("a"), at(61)), Err(Duration::from_secs(9)));
    }
}
