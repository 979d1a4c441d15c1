//! The life of a case against a reference model that knows only the whole
//! history, under random schedules; and the corners by name.

use proptest::prelude::*;
use pulse_proto::model::{AlertLevel, ConnectionId, ResourceId, ResourceType};

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
    Over,
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
    severity: Option<Severity>,
    /// Looks from here on may tell of another severity.
    settled: usize,
}

impl Model {
    /// The looks in a row, up to the newest, that find it worse than it is taken to be; or milder.
    fn leaning(&self, worse: bool) -> Vec<(Past, Severity)> {
        let mut leaning = Vec::new();
        for past in self.history[self.settled..].iter().rev() {
            match past.says {
                Says::Unknown => {}
                Says::Holds(found)
                    if Some(found) != self.severity && (Some(found) > self.severity) == worse =>
                {
                    leaning.push((*past, found));
                }
                _ => break,
            }
        }
        leaning.reverse();
        leaning
    }

    fn weigh(&mut self, found: Severity, past: Past, policy: Policy) {
        let Some(known) = self.severity else { return };
        if found < known && self.state == Some(CaseState::Pending) {
            (self.severity, self.settled) = (Some(found), self.history.len());
            return;
        }
        let worse = found > known;
        let leaning = self.leaning(worse);
        let mut reads: Vec<UnixMillis> = leaning.iter().map(|(past, _)| past.observed_at).collect();
        reads.dedup();
        let Some((first, _)) = leaning.first() else { return };
        let long = !worse || past.now.since(first.now) >= policy.hold;
        let severities = leaning.iter().map(|(_, severity)| *severity);
        let sure = if worse { severities.min() } else { severities.max() };
        if long && reads.len() >= if worse { policy.raise } else { policy.clear } as usize {
            (self.severity, self.settled) = (sure, self.history.len());
        }
    }

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
        let clears = run.last().is_some_and(|past| matches!(past.says, Says::Clear | Says::Gone));
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
            (_, Says::Unknown)
            | (None | Some(CaseState::Resolved), Says::Clear | Says::Gone | Says::Over) => {}
            (Some(CaseState::Pending), Says::Clear | Says::Gone | Says::Over) => self.end(past.now, false),
            (Some(CaseState::Firing), Says::Over) => self.end(past.now, true),
            (Some(CaseState::Firing), Says::Clear | Says::Gone) => {
                let calm = !self.flapping || past.now.since(since) >= CALM_AFTER;
                if self.reads(&run) >= policy.clear as usize && calm {
                    self.end(past.now, true);
                }
            }
            (Some(CaseState::Firing), Says::Holds(found)) => {
                self.weigh(found, past, policy);
                if self.flapping && past.now.since(since) >= CALM_AFTER {
                    self.flapping = false;
                    self.flips.clear();
                }
            }
            (None | Some(CaseState::Pending | CaseState::Resolved), Says::Holds(found)) => {
                let again = self.fired && self.ended_at.is_some_and(|at| past.now.since(at) <= REOPEN_WITHIN);
                if self.state == Some(CaseState::Pending) {
                    self.weigh(found, past, policy);
                } else {
                    if !again {
                        (self.first_seen, self.fired) = (Some(past.now), false);
                        (self.flips, self.flapping) = (Vec::new(), false);
                    }
                    self.state = Some(CaseState::Pending);
                    self.ended_at = None;
                    (self.severity, self.settled) = (Some(found), self.history.len());
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
        section: None,
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
        named: BTreeSet::new(),
    }
}

fn stepped(case: Option<Case>, past: Past, policy: Policy) -> Stepped {
    let origin = Origin::Rule(RuleId::parse("a-rule").expect("an id"));
    let remedy: Arc<str> = "do something".into();
    let begin = Begin { origin: &origin, subject: &subject, remedy: &remedy };
    let said = match past.says {
        Says::Holds(severity) => Said::Holds(finding(severity)),
        Says::Clear => Said::Clear(Contrary::default()),
        Says::Unknown => Said::Unknown,
        Says::Gone => Said::Gone(Contrary::default()),
        Says::Over => Said::Over("over"),
    };
    let look = Look { observed_at: past.observed_at, now: past.now, revision: Revision(1) };
    step(case, &begin, said, look, policy)
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let says = prop_oneof![
        4 => Just(Says::Holds(Severity::Warning)),
        2 => Just(Says::Holds(Severity::Critical)),
        1 => Just(Says::Holds(Severity::Monitor)),
        4 => Just(Says::Clear),
        1 => Just(Says::Unknown),
        1 => Just(Says::Gone),
        1 => Just(Says::Over),
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
            let open = after.case.as_ref().filter(|case| case.is_open());
            if let Some(case) = open {
                prop_assert_eq!(Some(case.severity), model.severity, "{:?} {:?}", past, before);
            }
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
    let case = stepped(None, at(0, Says::Holds(Severity::Warning)), ONCE).case.expect("a case");
    seen(case)
}

fn seen(mut case: Case) -> Case {
    case.acknowledged = Some(super::super::case::Acknowledgement {
        who: "ops".to_owned(),
        at: case.last_seen_at,
        comment: String::new(),
        severity: case.severity,
        named: BTreeSet::new(),
        native: case.native.clone(),
    });
    case
}

fn last_step(case: &Case) -> Option<(Step, &str)> {
    case.transitions.last().map(|last| (last.step, last.text.as_str()))
}

#[test]
fn who_has_seen_it_is_forgotten_when_it_grows_worse() {
    let case = seen_by_somebody();
    assert!(!case.notifies());
    let same = stepped(Some(case), at(10, Says::Holds(Severity::Warning)), ONCE).case.expect("a case");
    assert!(!same.notifies());
    let worse = stepped(Some(same), at(20, Says::Holds(Severity::Critical)), ONCE).case.expect("a case");
    assert!(worse.notifies() && worse.acknowledged.is_none());
    let (step, text) = last_step(&worse).expect("a step");
    assert_eq!(step, Step::Withdrawn);
    assert!(text.contains("critical") && text.contains("ops") && text.contains("warning"), "{text}");
}

/// A native alert of a class that is believed at once, with these alerts of it.
fn listed(case: Option<Case>, seconds: u64, level: AlertLevel, ids: &[&str], dismissed: bool) -> Stepped {
    let origin = Origin::Native("VolumeStatus".into());
    let remedy: Arc<str> = "do something".into();
    let begin = Begin { origin: &origin, subject: &subject, remedy: &remedy };
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    let native = Some(Native { level, ids, dismissed });
    let said = Said::Holds(Finding { native, ..finding(Severity::Critical) });
    let past = at(seconds, Says::Unknown);
    let look = Look { observed_at: past.now, now: past.now, revision: Revision(1) };
    step(case, &begin, said, look, ONCE)
}

#[test]
fn an_acknowledgement_holds_for_the_native_alerts_that_were_seen() {
    use AlertLevel::{Critical, Emergency};
    let case = seen(listed(None, 0, Critical, &["a", "b"], false).case.expect("a case"));
    let fewer = listed(Some(case), 10, Critical, &["b"], false).case.expect("a case");
    assert!(!fewer.notifies(), "{fewer:?}");
    for (level, ids, why) in [(Critical, ["b", "c"], "c"), (Emergency, ["a", "b"], "emergency")] {
        let more = listed(Some(fewer.clone()), 20, level, &ids, false);
        assert!(more.told);
        let more = more.case.expect("a case");
        assert!(more.notifies() && more.acknowledged.is_none(), "{more:?}");
        let (step, text) = last_step(&more).expect("a step");
        assert!(step == Step::Withdrawn && text.contains(why) && text.contains("ops"), "{text}");
    }
}

#[test]
fn a_dismissal_holds_for_the_native_alert_that_was_dismissed() {
    let known = listed(None, 0, AlertLevel::Critical, &["a"], true).case.expect("a case");
    assert!(!known.notifies());
    let restored = listed(Some(known.clone()), 10, AlertLevel::Critical, &["a"], false).case.expect("a case");
    assert!(restored.notifies() && last_step(&restored).is_some_and(|(step, _)| step != Step::Withdrawn));
    let another = listed(Some(known), 10, AlertLevel::Critical, &["a", "b"], false).case.expect("a case");
    assert!(another.notifies() && last_step(&another).is_some_and(|(step, _)| step == Step::Withdrawn));
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
fn a_severity_that_comes_and_goes_each_minute_moves_nothing() {
    let policy = Policy { raise: 2, clear: 2, hold: Duration::ZERO };
    let mut case = None;
    for minute in 0..20 {
        let severity = if minute % 2 == 0 { Severity::Warning } else { Severity::Critical };
        case = stepped(case, at(minute * 60, Says::Holds(severity)), policy).case;
    }
    let case = case.expect("a case");
    let steps: Vec<Step> = case.transitions.iter().map(|step| step.step).collect();
    assert_eq!((steps, case.severity), (vec![Step::Pending, Step::Firing], Severity::Warning));
    let first = stepped(Some(case), at(1_200, Says::Holds(Severity::Critical)), policy).case;
    let second = stepped(first, at(1_260, Says::Holds(Severity::Critical)), policy).case.expect("a case");
    assert_eq!(second.severity, Severity::Critical, "twice in a row it is");
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
