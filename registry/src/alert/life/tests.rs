//! The life of a case against a reference model that knows only the whole
//! history, under random schedules; and the corners by name.

use proptest::prelude::*;
use pulse_proto::model::{ConnectionId, ResourceId, ResourceType};

use super::*;
use crate::alert::rule::RuleId;

const START: u64 = 1_000_000_000;

/// One look: how long after the one before, whether the source was read anew, and what it says.
#[derive(Clone, Copy, Debug)]
struct Event {
    after: Duration,
    anew: bool,
    says: Says,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Holds(Severity),
    Clear,
    Unknown,
    Gone,
}

/// What a look was, in the history.
#[derive(Clone, Copy, Debug)]
struct Past {
    now: UnixMillis,
    observed_at: UnixMillis,
    says: Says,
}

/// Walks the whole history for every question.
#[derive(Debug, Default)]
struct Model {
    history: Vec<Past>,
    state: Option<CaseState>,
    first_seen: Option<UnixMillis>,
    /// The case has been confirmed at least once.
    fired: bool,
    ended_at: Option<UnixMillis>,
    flips: Vec<UnixMillis>,
    flapping: bool,
}

impl Model {
    /// The looks in a row, up to the newest, that say the same; those that say nothing do not count.
    fn run(&self) -> Vec<Past> {
        let holds = |past: &Past| matches!(past.says, Says::Holds(_));
        let told: Vec<Past> =
            self.history.iter().copied().filter(|past| past.says != Says::Unknown).collect();
        let Some(newest) = told.last() else { return Vec::new() };
        let mut run: Vec<Past> =
            told.iter().rev().take_while(|past| holds(past) == holds(newest)).copied().collect();
        run.reverse();
        run
    }

    /// Distinct reads in the run that are newer than what came before it, or in it when it is the first.
    fn reads(&self, run: &[Past]) -> usize {
        let began = run.first().map(|past| past.now);
        let before = self.history.iter().filter(|past| past.says != Says::Unknown && Some(past.now) < began);
        let before = before.map(|past| past.observed_at).max();
        let clears = run.last().is_some_and(|past| past.says == Says::Clear);
        let mut reads: Vec<UnixMillis> = run.iter().map(|past| past.observed_at).collect();
        reads.dedup();
        // That it holds may be seen in a read that said otherwise of something before; that it does not may not.
        reads.iter().filter(|read| !clears || before.is_none_or(|before| **read > before)).count()
    }

    fn step(&mut self, past: Past, policy: Policy) {
        self.history.push(past);
        let run = self.run();
        let since = run.first().map_or(past.now, |first| first.now);
        match (self.state, past.says) {
            (_, Says::Unknown) | (None | Some(CaseState::Resolved), Says::Clear | Says::Gone) => {}
            (Some(CaseState::Pending), Says::Clear | Says::Gone) => self.end(past.now, false),
            (Some(CaseState::Firing), Says::Gone) => self.end(past.now, true),
            (Some(CaseState::Firing), Says::Clear) => {
                let calm = !self.flapping || past.now.since(since) >= CALM_AFTER;
                if self.reads(&run) >= policy.clear as usize && calm {
                    self.end(past.now, true);
                }
            }
            (Some(CaseState::Firing), Says::Holds(_)) => {
                if self.flapping && past.now.since(since) >= CALM_AFTER {
                    self.flapping = false;
                    self.flips.clear();
                }
            }
            (None | Some(CaseState::Pending | CaseState::Resolved), Says::Holds(_)) => {
                let again = self.fired && self.ended_at.is_some_and(|at| past.now.since(at) <= REOPEN_WITHIN);
                if self.state != Some(CaseState::Pending) {
                    if !again {
                        (self.first_seen, self.fired) = (Some(past.now), false);
                        (self.flips, self.flapping) = (Vec::new(), false);
                    }
                    self.state = Some(CaseState::Pending);
                    self.ended_at = None;
                }
                if self.reads(&run) >= policy.raise as usize && past.now.since(since) >= policy.hold {
                    (self.state, self.fired) = (Some(CaseState::Firing), true);
                    self.flip(past.now);
                }
            }
        }
    }

    fn end(&mut self, now: UnixMillis, fired: bool) {
        (self.state, self.ended_at) = (Some(CaseState::Resolved), Some(now));
        if fired {
            self.flip(now);
        }
        self.flapping = false;
    }

    fn flip(&mut self, now: UnixMillis) {
        self.flips.push(now);
        self.flips.retain(|at| now.since(*at) <= FLAP_WINDOW);
        self.flapping |= self.flips.len() >= FLAP_CHANGES;
    }
}

fn subject() -> Subject {
    Subject {
        id: ResourceId::parse("storage-0000000000000001").expect("an id"),
        resource_type: ResourceType::Storage,
        name: "tank".into(),
        technology: "zfs-pool".into(),
        pool: "tank".into(),
        connection: ConnectionId::parse("nas").expect("an id"),
        connection_name: "NAS".into(),
        labels: Arc::default(),
    }
}

fn finding(severity: Severity) -> Finding {
    Finding {
        severity,
        summary: format!("it is {severity}"),
        evidence: BTreeMap::new(),
        weight: None,
        min_delta: 0.0,
        native: None,
    }
}

fn stepped(case: Option<Case>, past: Past, policy: Policy) -> Stepped {
    let origin = Origin::Rule(RuleId::parse("a-rule").expect("an id"));
    let remedy: Arc<str> = "do something".into();
    let begin = Begin { origin: &origin, subject: &subject, remedy: &remedy };
    let said = match past.says {
        Says::Holds(severity) => Said::Holds(finding(severity)),
        Says::Clear => Said::Clear,
        Says::Unknown => Said::Unknown,
        Says::Gone => Said::Gone("gone"),
    };
    let look = Look { observed_at: past.observed_at, now: past.now, revision: Revision(1) };
    step(case, &begin, said, look, policy)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let says = prop_oneof![
        4 => Just(Says::Holds(Severity::Warning)),
        1 => Just(Says::Holds(Severity::Critical)),
        4 => Just(Says::Clear),
        1 => Just(Says::Unknown),
        1 => Just(Says::Gone),
    ];
    let after = prop_oneof![6 => 1_u64..30, 2 => 60_u64..400, 1 => 800_u64..1_200];
    let event = (after, prop::bool::weighted(0.8), says).prop_map(|(seconds, anew, says)| Event {
        after: Duration::from_secs(seconds),
        anew,
        says,
    });
    prop::collection::vec(event, 1..60)
}

fn policies() -> impl Strategy<Value = Policy> {
    (1_u32..4, 1_u32..4, prop_oneof![Just(0_u64), Just(20), Just(300)])
        .prop_map(|(raise, clear, hold)| Policy { raise, clear, hold: Duration::from_secs(hold) })
}

fn schedule(events: &[Event]) -> Vec<Past> {
    let mut now = UnixMillis::new(START);
    let mut observed_at = now;
    let mut schedule = Vec::new();
    for event in events {
        now = now + event.after;
        if event.anew {
            observed_at = now;
        }
        schedule.push(Past { now, observed_at, says: event.says });
    }
    schedule
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_case_lives_as_the_whole_history_says(events in events(), policy in policies()) {
        let mut model = Model::default();
        let mut case: Option<Case> = None;
        for past in schedule(&events) {
            model.step(past, policy);
            let before = case.clone();
            let after = stepped(case.take(), past, policy);
            let state = after.case.as_ref().map(|case| case.state);
            prop_assert_eq!(state, model.state, "{:?} {:?}", past, before);
            prop_assert_eq!(after.case.as_ref().map(|case| case.first_seen_at), model.first_seen);
            prop_assert_eq!(after.case.as_ref().is_some_and(Case::is_flapping), model.flapping, "{:?} {:?}", past, after.case);
            if state != before.as_ref().map(|case| case.state) {
                prop_assert!(after.told, "a change of state is told");
            }
            if past.says == Says::Unknown {
                prop_assert_eq!(&after.case, &before, "what is not known changes nothing");
            }
            prop_assert!(after.look_again.is_none_or(|at| at > past.now), "never at once again");
            case = after.case;
        }
    }

    #[test]
    fn equal_input_gives_equal_output(events in events(), policy in policies()) {
        let run = || {
            let mut case = None;
            for past in schedule(&events) {
                case = stepped(case, past, policy).case;
            }
            case
        };
        prop_assert_eq!(run(), run());
    }
}

fn at(seconds: u64, says: Says) -> Past {
    let now = UnixMillis::new(START) + Duration::from_secs(seconds);
    Past { now, observed_at: now, says }
}

const ONCE: Policy = Policy { raise: 1, clear: 1, hold: Duration::ZERO };

/// A warning that fires and is acknowledged.
fn seen_by_somebody() -> Case {
    let mut case = stepped(None, at(0, Says::Holds(Severity::Warning)), ONCE).case.expect("a case");
    case.acknowledged = Some(super::super::case::Acknowledgement {
        who: "ops".to_owned(),
        at: case.first_seen_at,
        comment: String::new(),
        severity: Severity::Warning,
    });
    case
}

#[test]
fn who_has_seen_it_is_forgotten_when_it_grows_worse() {
    let case = seen_by_somebody();
    assert!(!case.notifies());
    let same = stepped(Some(case), at(10, Says::Holds(Severity::Warning)), ONCE).case.expect("a case");
    assert!(!same.notifies());
    let worse = stepped(Some(same), at(20, Says::Holds(Severity::Critical)), ONCE).case.expect("a case");
    assert!(worse.notifies() && worse.acknowledged.is_none());
    assert_eq!(worse.transitions.last().map(|last| last.step), Some(Step::Severity));
}

#[test]
fn who_has_seen_it_is_forgotten_when_it_resolves_and_comes_back() {
    let case = seen_by_somebody();
    let resolved = stepped(Some(case), at(10, Says::Clear), ONCE).case.expect("a case");
    assert_eq!(resolved.state, CaseState::Resolved);
    let again = stepped(Some(resolved), at(20, Says::Holds(Severity::Warning)), ONCE).case.expect("a case");
    assert!(again.state == CaseState::Firing && again.notifies() && again.acknowledged.is_none());
}

#[test]
fn one_read_looked_at_twice_is_one_observation() {
    let policy = Policy { raise: 2, ..ONCE };
    let first = at(0, Says::Holds(Severity::Warning));
    let mut case = stepped(None, first, policy).case;
    for seconds in 1..10 {
        let again = Past { observed_at: first.observed_at, ..at(seconds, first.says) };
        case = stepped(case, again, policy).case;
    }
    assert_eq!(case.as_ref().map(|case| case.state), Some(CaseState::Pending));
    let case = stepped(case, at(11, first.says), policy).case;
    assert_eq!(case.map(|case| case.state), Some(CaseState::Firing));
}
