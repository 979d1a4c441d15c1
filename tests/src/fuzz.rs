//! Feeds damaged inputs to whatever decodes bytes from outside: finds panics, and inputs that take far too long. Knows how to
//! damage and how to judge; what is fed, and which inputs are good ones, its callers say.

mod damage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

pub use damage::damaged;

/// Largest input that is made.
pub const INPUT_BYTES_MAX: usize = 256 * 1024;
/// An input of that size is read in milliseconds. One that takes so long is an attack; judged in runs that are measured in
/// time, in a release build, and never where inputs are counted: a test machine may be busy.
const SLOW: Duration = Duration::from_secs(2);

/// Something that decodes bytes from outside.
pub struct Target {
    pub name: &'static str,
    /// Must come back, whatever it is given.
    pub feed: fn(&[u8]),
    /// Inputs that mean something to it.
    pub seeds: Vec<Vec<u8>>,
}

/// An input that should not do what it did.
#[derive(Debug)]
pub struct Finding {
    pub target: &'static str,
    pub input: Vec<u8>,
    pub what: String,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Inputs(u64),
    Elapsed(Duration),
}

/// Feeds the seeds as they are, then damaged ones, until something is found or it is time to stop. Returns how many were fed.
#[allow(clippy::disallowed_methods, reason = "how long an input takes is what is judged")]
pub fn run(target: &Target, seed: u64, until: Until) -> Result<u64, Finding> {
    let mut rng = StdRng::seed_from_u64(seed);
    for input in &target.seeds {
        feed(target, input, until)?;
    }
    let mut fed = u64::try_from(target.seeds.len()).unwrap_or(u64::MAX);
    let began = Instant::now();
    loop {
        let over = match until {
            Until::Inputs(count) => fed >= count,
            Until::Elapsed(limit) => began.elapsed() >= limit,
        };
        if over {
            return Ok(fed);
        }
        let input = match target.seeds.len() {
            0 => damaged(&mut rng, &[], &[]),
            count => {
                let (one, other) = (rng.random_range(0..count), rng.random_range(0..count));
                damaged(&mut rng, &target.seeds[one], &target.seeds[other])
            }
        };
        feed(target, &input, until)?;
        fed += 1;
    }
}

#[allow(clippy::disallowed_methods, reason = "how long an input takes is what is judged")]
fn feed(target: &Target, input: &[u8], until: Until) -> Result<(), Finding> {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.feed)(input)));
    let found = |what: String| Finding { target: target.name, input: input.to_owned(), what };
    if let Err(panic) = outcome {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        return Err(found(format!("panicked: {}", said.unwrap_or_default())));
    }
    let took = began.elapsed();
    let is_timed = matches!(until, Until::Elapsed(_));
    if is_timed && took > SLOW { Err(found(format!("took {took:?}"))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(feed: fn(&[u8])) -> Target {
        Target { name: "t", feed, seeds: vec![br#"{"a":[1,2]}"#.to_vec(), b"[]".to_vec()] }
    }

    #[test]
    fn a_panic_is_found_with_its_input_and_a_run_repeats() {
        let picky = target(|input| assert!(!input.contains(&b'9'), "no nines"));
        let once = run(&picky, 7, Until::Inputs(100_000)).expect_err("a nine comes up");
        assert!(once.input.contains(&b'9') && once.what.contains("no nines"), "{}", once.what);
        let again = run(&picky, 7, Until::Inputs(100_000)).expect_err("the same one");
        assert_eq!(once.input, again.input);
        assert_eq!(run(&target(|_| {}), 7, Until::Inputs(50)).ok(), Some(50));
    }
}
