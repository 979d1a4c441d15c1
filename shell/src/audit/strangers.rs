//! How many lines refusals of nobody in particular may fill: whoever needs no credential to be refused could write as
//! much as he likes. Beyond that they are counted. Pure: takes `now`.

const INTERVAL_MS: u64 = 60_000;
/// Lines of one interval.
const LINES_MAX: u32 = 60;

#[derive(Debug, Default)]
pub(crate) struct Strangers {
    began_ms: u64,
    lines: u32,
    unwritten: u64,
}

impl Strangers {
    /// Whether this refusal gets a line of its own.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.began_ms) >= INTERVAL_MS {
            (self.began_ms, self.lines) = (now_ms, 0);
        }
        let fits = self.lines < LINES_MAX;
        if fits {
            self.lines += 1;
        } else {
            self.unwritten += 1;
        }
        fits
    }

    /// How many had none, once their interval is over.
    pub(crate) fn unwritten(&mut self, now_ms: u64) -> Option<u64> {
        let over = now_ms.saturating_sub(self.began_ms) >= INTERVAL_MS;
        (over && self.unwritten > 0).then(|| std::mem::take(&mut self.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_fills_so_many_lines_and_is_counted() {
        let mut strangers = Strangers::default();
        let written = (0..1_000_u64).filter(|n| strangers.take(INTERVAL_MS + n)).count();
        assert_eq!(u32::try_from(written), Ok(LINES_MAX));
        assert_eq!(strangers.unwritten(INTERVAL_MS + 2_000), None, "it goes on");
        assert_eq!(strangers.unwritten(2 * INTERVAL_MS), Some(1_000 - u64::from(LINES_MAX)));
        assert_eq!(strangers.unwritten(3 * INTERVAL_MS), None, "told once");
        assert!(strangers.take(2 * INTERVAL_MS), "and the next interval has room again");
        // Time that goes back gives nothing.
        let written = (0..1_000).filter(|_| strangers.take(0)).count();
        assert!(written < 1_000);
    }
}
