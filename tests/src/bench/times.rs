//! Many durations, asked for their ranks.

use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Milliseconds that so many percent do not exceed; 0 of nothing.
    pub fn rank(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).map_or(0.0, |time| millis(*time))
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_nearest_ranks() {
        let mut times = Times::default();
        assert!(times.rank(99).abs() < f64::EPSILON);
        (1..=200).for_each(|ms| times.add(Duration::from_millis(ms)));
        let ranks = [times.rank(50), times.rank(99), times.rank(100)];
        assert_eq!(ranks.map(f64::round), [100.0, 198.0, 200.0]);
    }
}
