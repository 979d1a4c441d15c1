//! What happens in a round, all of it drawn from the seed. Pure: the same seed gives the same rounds, whatever the appliances do.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::change::{self, Change};
use super::fault::{self, Fault};

/// A fault that does not pass by itself is lifted before so many further acts.
const FAULT_ACTS_MAX: usize = 10;
const KILLS_MAX: usize = 4;
/// Of so many acts one is a fault.
const FAULT_SHARE: u64 = 3;
/// Of so many rounds one may have faults after which a minute passes, so that most of a run is no waiting.
const MINUTES_EVERY: u64 = 4;

/// How dense and how long a round is.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub acts: usize,
    /// Between two acts: none at all in a burst, and up to this.
    pub pause_max: Duration,
    /// New logins that the faults of a round cost one appliance.
    pub logins_max: usize,
    /// Whether there may be faults after which a minute passes by design, in some rounds.
    pub takes_minutes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Collector,
    Registry,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Change {
        on: usize,
        change: Change,
    },
    /// Lifted after so many acts, where it does not pass by itself.
    Fault {
        on: usize,
        fault: Fault,
        acts: usize,
    },
    /// kill -9; started again after so many acts.
    Kill {
        service: Service,
        acts: usize,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub act: Act,
    pub pause: Duration,
}

/// Services are killed in the rounds 2, 4, 8 ...: each process of the last rounds lives for half of the run, and what it leaks
/// adds up.
pub fn kills(round: u64) -> bool {
    round >= 2 && round.is_power_of_two()
}

/// The acts of round `number`, for so many appliances.
pub fn round(seed: u64, number: u64, appliances: usize, pace: Pace) -> Vec<Step> {
    let rng = &mut seeded(seed, number);
    let pace = Pace { takes_minutes: pace.takes_minutes && number % MINUTES_EVERY == 1, ..pace };
    let mut logins = vec![0; appliances];
    let first = number.saturating_mul(u64::try_from(pace.acts).unwrap_or(u64::MAX));
    let mut steps: Vec<Step> = (first..)
        .take(pace.acts)
        .map(|at| {
            let nth = at / FAULT_SHARE;
            let is_fault = at.is_multiple_of(FAULT_SHARE);
            let fault = is_fault.then(|| draw_fault(seed, nth, pace, &mut logins, rng)).flatten();
            let act = fault.unwrap_or_else(|| draw_change(seed, at - nth, appliances, rng));
            Step { act, pause: pause(pace, rng) }
        })
        .collect();
    if kills(number) {
        for nth in 0..rng.random_range(2..=KILLS_MAX) {
            let service = if nth % 2 == 0 { Service::Collector } else { Service::Registry };
            let kill = Act::Kill { service, acts: rng.random_range(0..4) };
            let at = rng.random_range(0..=steps.len());
            steps.insert(at, Step { act: kill, pause: pause(pace, rng) });
        }
    }
    steps
}

fn draw_change(seed: u64, at: u64, appliances: usize, rng: &mut StdRng) -> Act {
    let kind = deal(&change::Kind::ALL, seed, at);
    Act::Change { on: rng.random_range(0..appliances), change: Change::draw(kind, rng) }
}

/// None when it would cost an appliance more logins than it may.
fn draw_fault(seed: u64, at: u64, pace: Pace, logins: &mut [usize], rng: &mut StdRng) -> Option<Act> {
    let kind = deal(&fault::Kind::ALL, seed, at);
    if kind == fault::Kind::BusyLogin && !pace.takes_minutes {
        return None;
    }
    let free: Vec<usize> = (0..logins.len())
        .filter(|on| !kind.costs_a_login() || logins.get(*on).is_some_and(|spent| *spent < pace.logins_max))
        .collect();
    let on = *free.get(rng.random_range(0..free.len().max(1)))?;
    if kind.costs_a_login()
        && let Some(spent) = logins.get_mut(on)
    {
        *spent += 1;
    }
    Some(Act::Fault { on, fault: Fault::draw(kind, rng), acts: rng.random_range(1..FAULT_ACTS_MAX) })
}

/// Every third pause is none: what comes together is what breaks things.
fn pause(pace: Pace, rng: &mut StdRng) -> Duration {
    if rng.random_range(0..3) == 0 { Duration::ZERO } else { pace.pause_max.mul_f64(rng.random()) }
}

/// From a deck that is shuffled each time it is used up, so that nothing is left out for long.
fn deal<T: Copy>(kinds: &[T], seed: u64, at: u64) -> T {
    let size = u64::try_from(kinds.len()).unwrap_or(1).max(1);
    let mut deck = kinds.to_vec();
    rand::seq::SliceRandom::shuffle(deck.as_mut_slice(), &mut seeded(!seed, at / size));
    deck[usize::try_from(at % size).unwrap_or(0)]
}

fn seeded(seed: u64, number: u64) -> StdRng {
    // An odd constant far from small numbers: rounds of neighbouring seeds have nothing in common.
    StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PACE: Pace =
        Pace { acts: 60, pause_max: Duration::from_millis(100), logins_max: 2, takes_minutes: true };

    #[test]
    fn a_seed_gives_its_rounds_again_and_another_one_others() {
        let rounds = |seed| (0..5).map(|number| round(seed, number, 6, PACE)).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        let (these, those) = (rounds(7), rounds(8));
        assert!(these.iter().all(|one| !those.contains(one)));
    }

    #[test]
    fn everything_comes_up_and_no_appliance_pays_for_all_of_it() {
        let (mut faults, mut changes, mut killed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for number in 0..20 {
            let mut logins = [0; 6];
            for step in round(1, number, 6, PACE) {
                match step.act {
                    Act::Fault { on, fault, .. } => {
                        logins[on] += usize::from(fault.kind.costs_a_login());
                        faults.insert(fault.kind);
                    }
                    Act::Change { change, .. } => {
                        changes.insert(format!("{change:?}").split(',').next().map(str::to_owned));
                    }
                    Act::Kill { .. } => {
                        killed.insert(number);
                    }
                }
            }
            assert!(logins.iter().all(|spent| *spent <= PACE.logins_max), "{logins:?}");
        }
        assert_eq!(faults.len(), fault::Kind::ALL.len());
        assert_eq!(changes.len(), change::Kind::ALL.len());
        assert_eq!(killed, BTreeSet::from([2, 4, 8, 16]));
        let hurried = Pace { takes_minutes: false, ..PACE };
        let busy = |step: &Step| matches!(&step.act, Act::Fault { fault, .. } if fault.kind == fault::Kind::BusyLogin);
        assert!((0..20).all(|number| !round(1, number, 6, hurried).iter().any(busy)));
    }
}
