//! How fast one address may call: a bucket each, filled at a steady rate. Pure: takes `now`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses that are remembered; one that is forgotten begins with a full bucket.
const ADDRESSES_MAX: usize = 16_384;
/// Seconds worth of calls that may come at once.
const BURST_SECONDS: f64 = 2.0;

#[derive(Debug)]
pub(super) struct Pace {
    per_second: f64,
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at_ms: u64,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), buckets: HashMap::new() }
    }

    /// `Err`: not now, but after this time.
    #[allow(clippy::cast_precision_loss, reason = "times between calls are small")]
    pub(super) fn take(&mut self, address: IpAddr, now_ms: u64) -> Result<(), Duration> {
        let full = self.per_second * BURST_SECONDS;
        if self.buckets.len() >= ADDRESSES_MAX && !self.buckets.contains_key(&address) {
            // Those that are full again remember nothing.
            let per_second = self.per_second;
            let refilled = |bucket: &Bucket| {
                bucket.left + now_ms.saturating_sub(bucket.at_ms) as f64 / 1_000.0 * per_second >= full
            };
            self.buckets.retain(|_, bucket| !refilled(bucket));
            if self.buckets.len() >= ADDRESSES_MAX {
                return Err(Duration::from_secs(1));
            }
        }
        let bucket = self.buckets.entry(address).or_insert(Bucket { left: full, at_ms: now_ms });
        let gained = now_ms.saturating_sub(bucket.at_ms) as f64 / 1_000.0 * self.per_second;
        bucket.left = (bucket.left + gained).min(full);
        bucket.at_ms = now_ms;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - bucket.left) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_slowed_down_and_no_other() {
        let mut pace = Pace::new(10);
        let (loud, calm) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert!((0..20).all(|_| pace.take(loud, 0).is_ok()));
        assert_eq!(pace.take(loud, 0), Err(Duration::from_millis(100)));
        assert_eq!(pace.take(calm, 0), Ok(()));
        assert_eq!(pace.take(loud, 100), Ok(()));
        assert!(pace.take(loud, 100).is_err());
        // Time that goes back gives nothing.
        assert!(pace.take(loud, 0).is_err());
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory() {
        let mut pace = Pace::new(1);
        for number in 0..100_000_u32 {
            let _taken = pace.take(IpAddr::from(number.to_be_bytes()), 0);
        }
        assert_eq!(pace.buckets.len(), ADDRESSES_MAX);
        // Later, those who are quiet again make room.
        assert!(pace.take(IpAddr::from([255, 0, 0, 1]), 10_000).is_ok());
        assert_eq!(pace.buckets.len(), 1);
    }
}
