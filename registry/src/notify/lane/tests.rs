//! One address through good and bad days, and against a naive model of what a receiver must have heard.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use pulse_proto::model::{Severity, UnixMillis};

use super::*;
use crate::alert::Case;
use crate::alert::example::{again, book, firing, resolved, worse};
use crate::alert::silence::SilenceId;
use crate::query::filter::AlertFilter;

const SECOND: Duration = Duration::from_secs(1);
const RESEND: Duration = Duration::from_mins(1);

fn at(seconds: u64) -> UnixMillis {
    UnixMillis::new(1_000_000 + seconds * 1_000)
}

fn wish() -> Wish {
    Wish { min_severity: Severity::Warning, filter: AlertFilter::default() }
}

fn events(known: &Book) -> Lane {
    Lane::restore("hook", wish(), Style::Events { at_once: 4 }, BTreeMap::new(), known)
}

fn state(known: &Book) -> Lane {
    let style = Style::State { batch: 3, resend: RESEND, labels: Labels::new() };
    Lane::restore("ops", wish(), style, BTreeMap::new(), known)
}

fn failed(retry_after: Option<Duration>) -> Outcome {
    Outcome::Failed { why: "no".to_owned(), retry_after, in_doubt: false }
}

fn in_doubt() -> Outcome {
    Outcome::Failed { why: "timed out".to_owned(), retry_after: None, in_doubt: true }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused(why.to_owned())
}

/// As it is after a restart.
fn restarted(lane: &mut Lane, cases: &[&Case]) -> Lane {
    let kept = lane.take_unkept().into_iter().filter_map(|(id, kept)| Some((id, kept?))).collect();
    let known = book(cases.iter().copied().cloned());
    Lane::restore("hook", wish(), lane.style.clone(), kept, &known)
}

fn silenced(mut case: Case) -> Case {
    case.silenced_by = vec![SilenceId::new("s")];
    case
}

/// Shows the cases, sends all there is, and answers what was told.
fn told(lane: &mut Lane, cases: &[&Case], now: UnixMillis, outcome: &Outcome) -> Vec<(String, Phase)> {
    let known = book(cases.iter().copied().cloned());
    for case in cases {
        lane.look(case);
    }
    let mut told = Vec::new();
    loop {
        let dispatches = lane.take(&known, now);
        if dispatches.is_empty() {
            return told;
        }
        for dispatch in dispatches {
            told.extend(
                dispatch.items.iter().map(|item| (item.case.subject.name.to_string(), item.event.phase)),
            );
            lane.answered(dispatch, outcome.clone(), now, 0.5);
        }
    }
}

fn delivered(lane: &mut Lane, cases: &[&Case], now: UnixMillis) -> Vec<Phase> {
    told(lane, cases, now, &Outcome::Delivered).into_iter().map(|(_, phase)| phase).collect()
}

#[test]
fn each_piece_of_news_is_told_once() {
    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    let critical = worse(tank.clone(), Severity::Critical, at(2));
    assert_eq!(delivered(&mut lane, &[&tank], at(0)), [Phase::Firing(Severity::Warning)]);
    assert_eq!(delivered(&mut lane, &[&tank], at(1)), []);
    assert_eq!(delivered(&mut lane, &[&critical], at(2)), [Phase::Firing(Severity::Critical)]);
    let over = resolved(critical, at(3));
    assert_eq!(delivered(&mut lane, &[&over], at(3)), [Phase::Resolved]);
    assert_eq!(delivered(&mut lane, &[&over], at(4)), []);
    assert_eq!(lane.fate(&over).0, "hook was told that it resolved.");
    let back = again(over, at(5));
    assert_eq!(delivered(&mut lane, &[&back], at(5)), [Phase::Firing(Severity::Critical)]);
    assert!(lane.next_at().is_none());
}

#[test]
fn who_wants_no_word_gets_none_and_who_had_one_hears_the_end() {
    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    assert_eq!(delivered(&mut lane, &[&silenced(tank.clone())], at(0)), []);
    assert_eq!(lane.fate(&silenced(tank.clone())).0, "hook is not told: the alert is quiet.");
    let over = resolved(silenced(tank.clone()), at(1));
    assert_eq!(delivered(&mut lane, &[&over], at(1)), [], "never heard that it fires");
    assert_eq!(delivered(&mut lane, &[&tank], at(2)), [Phase::Firing(Severity::Warning)]);
    let quiet = silenced(worse(tank, Severity::Critical, at(3)));
    assert_eq!(delivered(&mut lane, &[&quiet], at(3)), []);
    assert_eq!(delivered(&mut lane, &[&resolved(quiet, at(4))], at(4)), [Phase::Resolved]);
    let mild = firing("mild", Severity::Monitor, at(5));
    assert_eq!(delivered(&mut lane, &[&mild], at(5)), []);
    assert_eq!(lane.fate(&mild).0, "hook is not told: monitor is milder than its min_severity, warning.");
}

#[test]
fn a_failing_receiver_is_tried_later_with_one_request_and_hears_the_newest_state() {
    let mut lane = events(&Book::default());
    let pools: Vec<Case> = (0..6).map(|n| firing(&format!("p{n}"), Severity::Warning, at(0))).collect();
    let known = book(pools.clone());
    for case in &pools {
        lane.look(case);
    }
    let mut dispatches = lane.take(&known, at(0));
    assert_eq!(dispatches.len(), 4);
    assert_eq!(lane.answered(dispatches.remove(0), failed(None), at(0), 1.0), News::Failing);
    for dispatch in dispatches {
        assert_eq!(lane.answered(dispatch, failed(Some(20 * SECOND)), at(0), 0.0), News::None);
    }
    assert_eq!(lane.next_at(), Some(at(20)), "as the receiver asked");
    assert!(lane.take(&known, at(19)).is_empty());
    assert_eq!(lane.take(&known, at(20)).len(), 1, "one request to see whether it works");
    assert_eq!(lane.waiting(), 6);

    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    assert_eq!(told(&mut lane, &[&tank], at(0), &failed(None)).len(), 1);
    let (text, next) = lane.fate(&tank);
    assert!(text.contains("failed 1 times, no") && next > Some(at(0)), "{text}");
    let critical = worse(tank, Severity::Critical, at(2));
    assert_eq!(delivered(&mut lane, &[&critical], at(90)), [Phase::Firing(Severity::Critical)]);
    assert_eq!(
        lane.tally,
        Tally { delivered: 1, failed: 1, last_success_at: Some(at(90)), ..Tally::default() }
    );
}

#[test]
fn what_is_over_before_it_was_told_is_not_told() {
    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    told(&mut lane, &[&tank], at(0), &failed(None));
    assert_eq!(delivered(&mut lane, &[&resolved(tank, at(5))], at(90)), []);
    assert_eq!((lane.waiting(), lane.told()), (0, 0));
}

#[test]
fn what_may_have_been_told_hears_its_end() {
    let tank = firing("tank", Severity::Warning, at(0));
    let over = resolved(tank.clone(), at(5));
    for (cut_off, restart) in [(false, false), (false, true), (true, true)] {
        let mut lane = events(&Book::default());
        if cut_off {
            lane.look(&tank);
            assert_eq!(lane.take(&book([tank.clone()]), at(0)).len(), 1);
            lane.abandon(at(0));
        } else {
            told(&mut lane, &[&tank], at(0), &in_doubt());
        }
        let quiet = silenced(tank.clone());
        assert!(lane.fate(&quiet).0.contains("may have been told"), "{:?}", lane.fate(&quiet));
        assert_eq!(lane.told(), 0);
        if restart {
            lane = restarted(&mut lane, &[&quiet]);
        }
        assert_eq!(delivered(&mut lane, &[&quiet], at(60)), [], "quiet before it was surely told");
        assert_eq!(delivered(&mut lane, &[&over], at(90)), [Phase::Resolved]);
        assert!(lane.take_unkept().values().all(Option::is_none));
    }
    // What fires still is told again, and a refusal leaves the doubt.
    let mut lane = events(&Book::default());
    told(&mut lane, &[&tank], at(0), &in_doubt());
    let mut lane = restarted(&mut lane, &[&tank]);
    assert_eq!(told(&mut lane, &[&tank], at(60), &refused("status 401")).len(), 1);
    assert_eq!(delivered(&mut lane, &[&over], at(90)), [Phase::Resolved]);
}

#[test]
fn a_refusal_costs_the_refused_alone_until_it_changes() {
    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    assert_eq!(told(&mut lane, &[&tank], at(0), &refused("status 400")).len(), 1);
    assert!(lane.fate(&tank).0.contains("refused to be told: status 400"));
    assert_eq!(delivered(&mut lane, &[&tank], at(1)), []);
    assert_eq!(delivered(&mut lane, &[&resolved(tank.clone(), at(2))], at(2)), [], "it never knew");
    assert!(lane.take_unkept().values().all(Option::is_none));
    let other = firing("other", Severity::Warning, at(3));
    assert_eq!(delivered(&mut lane, &[&other], at(3)), [Phase::Firing(Severity::Warning)]);
    let critical = worse(again(tank, at(4)), Severity::Critical, at(4));
    assert_eq!(delivered(&mut lane, &[&critical], at(4)), [Phase::Firing(Severity::Critical)]);
}

#[test]
fn who_heard_that_it_fires_hears_its_end_whatever_was_refused_between() {
    for restart in [false, true] {
        let mut lane = events(&Book::default());
        let tank = firing("tank", Severity::Warning, at(0));
        assert_eq!(delivered(&mut lane, &[&tank], at(0)), [Phase::Firing(Severity::Warning)]);
        let critical = worse(tank, Severity::Critical, at(1));
        assert_eq!(told(&mut lane, &[&critical], at(1), &refused("status 401")).len(), 1);
        assert!(lane.fate(&critical).0.contains("refused to be told: status 401"));
        assert_eq!(lane.told(), 1);
        if restart {
            lane = restarted(&mut lane, &[&critical]);
        }
        let over = resolved(critical, at(2));
        assert_eq!(delivered(&mut lane, &[&over], at(2)), [Phase::Resolved], "{restart}");
        assert!(lane.take_unkept().values().all(Option::is_none));
    }
}

#[test]
fn an_end_that_was_refused_is_not_shown_as_told() {
    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    delivered(&mut lane, &[&tank], at(0));
    let over = resolved(tank, at(1));
    assert_eq!(told(&mut lane, &[&over], at(1), &refused("status 401")).len(), 1);
    assert_eq!(
        lane.fate(&over),
        (
            "hook refused to be told that it resolved: status 401. It is not tried again.".to_owned(),
            Some(at(1))
        )
    );
    assert_eq!(delivered(&mut lane, &[&over], at(2)), []);
}

#[test]
fn the_end_of_what_was_refused_while_it_resolved_is_not_told() {
    let mut lane = events(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    lane.look(&tank);
    let flying = lane.take(&book([tank.clone()]), at(0));
    let over = resolved(tank, at(1));
    lane.look(&over);
    for dispatch in flying {
        lane.answered(dispatch, refused("status 400"), at(2), 0.5);
    }
    assert_eq!(delivered(&mut lane, &[&over], at(3)), []);
    assert!(lane.take_unkept().values().all(Option::is_none), "it is forgotten");
}

#[test]
fn the_worst_goes_first_and_two_requests_never_speak_of_one_case() {
    let mut lane = events(&Book::default());
    let mild = firing("mild", Severity::Warning, at(0));
    let bad = firing("bad", Severity::Critical, at(0));
    let order: Vec<String> =
        told(&mut lane, &[&mild, &bad], at(0), &Outcome::Delivered).into_iter().map(|(n, _)| n).collect();
    assert_eq!(order, ["bad", "mild"]);

    let critical = worse(mild, Severity::Critical, at(1));
    lane.look(&critical);
    let flying = lane.take(&book([critical.clone()]), at(1));
    let over = resolved(critical, at(2));
    lane.look(&over);
    let known = book([over]);
    assert!(lane.take(&known, at(2)).is_empty() && lane.next_at().is_none(), "the first has not landed");
    for dispatch in flying {
        lane.answered(dispatch, Outcome::Delivered, at(3), 0.5);
    }
    assert_eq!(lane.take(&known, at(3))[0].items[0].event.phase, Phase::Resolved);
}

#[test]
fn an_alertmanager_is_told_again_until_it_is_over_also_what_became_quiet() {
    let mut lane = state(&Book::default());
    let tank = firing("tank", Severity::Warning, at(0));
    assert_eq!(delivered(&mut lane, &[&tank], at(0)).len(), 1);
    assert_eq!(lane.next_at(), Some(at(60)));
    assert_eq!(delivered(&mut lane, &[&silenced(tank.clone())], at(59)), []);
    assert_eq!(delivered(&mut lane, &[&silenced(tank.clone())], at(60)), [Phase::Firing(Severity::Warning)]);

    // Another severity is another alert there; the one before it ends.
    let critical = worse(tank, Severity::Critical, at(61));
    lane.look(&critical);
    let known = book([critical.clone()]);
    let mut dispatches = lane.take(&known, at(61));
    let dispatch = dispatches.remove(0);
    let item = &dispatch.items[0];
    assert_eq!(item.before.as_ref().map(|labels| labels["severity"].as_str()), Some("warning"));
    assert_eq!(
        (item.labels["severity"].as_str(), item.labels["label_site_room"].as_str()),
        ("critical", "a")
    );
    let body =
        String::from_utf8(alertmanager::body(&dispatch.items, at(61), RESEND, &|_| None)).expect("text");
    let posted: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(posted[0]["endsAt"], "1970-01-01T00:17:41Z");
    assert_eq!(posted[1]["endsAt"], "1970-01-01T00:21:41Z", "four times the interval");
    assert_eq!(posted[1]["startsAt"], "1970-01-01T00:16:40Z");
    lane.answered(dispatch, Outcome::Delivered, at(61), 0.5);

    let over = resolved(critical, at(70));
    assert_eq!(delivered(&mut lane, &[&over], at(70)), [Phase::Resolved]);
    assert_eq!(delivered(&mut lane, &[], at(120)), []);
    assert!(lane.next_at().is_none(), "nothing is left to tell");
}

#[test]
fn an_alertmanager_gets_batches_and_a_refused_one_again_at_its_time() {
    let mut lane = state(&Book::default());
    let pools: Vec<Case> = (0..7).map(|n| firing(&format!("p{n}"), Severity::Warning, at(0))).collect();
    let known = book(pools.clone());
    for case in &pools {
        lane.look(case);
    }
    let first = lane.take(&known, at(0));
    assert_eq!((first.len(), first[0].items.len()), (1, 3));
    for dispatch in first {
        lane.answered(dispatch, refused("status 400"), at(0), 0.5);
    }
    assert_eq!(delivered(&mut lane, &pools.iter().collect::<Vec<_>>(), at(1)).len(), 4);
    assert_eq!(delivered(&mut lane, &pools.iter().collect::<Vec<_>>(), at(61)).len(), 7);
    assert_eq!(lane.told(), 7);
}

#[test]
fn after_a_restart_a_webhook_hears_nothing_twice_and_an_alertmanager_everything() {
    let tank = firing("tank", Severity::Warning, at(0));
    let known = book([tank.clone()]);
    let mut hook = events(&Book::default());
    delivered(&mut hook, &[&tank], at(0));
    let kept: BTreeMap<CaseId, Kept> =
        hook.take_unkept().into_iter().filter_map(|(id, kept)| Some((id, kept?))).collect();
    let mut hook = Lane::restore("hook", wish(), Style::Events { at_once: 4 }, kept.clone(), &known);
    assert_eq!(delivered(&mut hook, &[&tank], at(9)), []);
    let over = resolved(tank.clone(), at(10));
    assert_eq!(delivered(&mut hook, &[&over], at(10)), [Phase::Resolved]);

    let style = Style::State { batch: 3, resend: RESEND, labels: Labels::new() };
    let mut ops = Lane::restore("ops", wish(), style.clone(), kept.clone(), &known);
    assert_eq!(delivered(&mut ops, &[&tank], at(9)), [Phase::Firing(Severity::Warning)]);
    // It resolved while the registry was down, or went without a word.
    let mut ops = Lane::restore("ops", wish(), style.clone(), kept.clone(), &book([over.clone()]));
    assert_eq!(delivered(&mut ops, &[&over], at(11)), [Phase::Resolved]);
    let mut ops = Lane::restore("ops", wish(), style, kept, &Book::default());
    assert_eq!(delivered(&mut ops, &[], at(11)), []);
    assert!(ops.has_unkept());
}

/// What happens to a few cases and to the receiver.
#[derive(Clone, Debug)]
enum Op {
    Fire(usize, bool),
    Resolve(usize),
    Silence(usize, bool),
    Answer(u8),
    Wait(u64),
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..3_usize, any::<bool>()).prop_map(|(case, critical)| Op::Fire(case, critical)),
        (0..3_usize).prop_map(Op::Resolve),
        (0..3_usize, any::<bool>()).prop_map(|(case, quiet)| Op::Silence(case, quiet)),
        (0..9_u8).prop_map(Op::Answer),
        (1..400_u64).prop_map(Op::Wait),
        Just(Op::Restart),
    ]
}

#[derive(Default)]
struct World {
    cases: BTreeMap<usize, Case>,
    kept: BTreeMap<CaseId, Kept>,
    /// What the receiver believes, from what it took.
    believes: BTreeMap<CaseId, Phase>,
    /// What it refused last, of a case that fires.
    refused: BTreeMap<CaseId, EventKey>,
    /// What it was sent without an answer, until it hears of the end.
    unsure: BTreeSet<CaseId>,
    flying: Vec<Dispatch>,
    now: u64,
}

impl World {
    fn book(&self) -> Book {
        book(self.cases.values().cloned())
    }

    fn keep(&mut self, lane: &mut Lane) {
        for (id, kept) in lane.take_unkept() {
            match kept {
                Some(kept) => drop(self.kept.insert(id, kept)),
                None => drop(self.kept.remove(&id)),
            }
        }
    }

    /// The receiver answers all there is; or it says nothing and may have taken it.
    fn answer(&mut self, lane: &mut Lane, outcome: &Outcome, silently_taken: bool) {
        self.flying.extend(lane.take(&self.book(), at(self.now)));
        for dispatch in std::mem::take(&mut self.flying) {
            for Item { case, event, .. } in &dispatch.items {
                let is_end = event.phase == Phase::Resolved;
                let was_unsure = self.unsure.contains(&case.id);
                if is_end && !matches!(outcome, Outcome::Failed { .. }) {
                    self.unsure.remove(&case.id);
                }
                match outcome {
                    Outcome::Delivered => {
                        let before = self.believes.insert(case.id, event.phase);
                        let was_refused = self.refused.remove(&case.id).is_some();
                        // Of a batch that is refused some may have been taken.
                        let may_end = before.is_some() || was_unsure || lane.style.is_state() && was_refused;
                        assert!(!is_end || may_end, "an end of what was never told");
                    }
                    // It would not hear the end: it may believe what it likes.
                    Outcome::Refused(_) if is_end => drop(self.believes.remove(&case.id)),
                    Outcome::Refused(_) => drop(self.refused.insert(case.id, event.key.clone())),
                    // An Alertmanager ends by itself what it is not told again.
                    Outcome::Failed { in_doubt: true, .. } if !lane.style.is_state() => {
                        self.unsure.insert(case.id);
                        if silently_taken {
                            self.believes.insert(case.id, event.phase);
                        }
                    }
                    Outcome::Failed { .. } => {}
                }
            }
            lane.answered(dispatch, outcome.clone(), at(self.now), 0.5);
        }
        self.keep(lane);
    }
}

impl Style {
    const fn is_state(&self) -> bool {
        matches!(self, Self::State { .. })
    }
}

fn styles() -> [Style; 2] {
    [Style::Events { at_once: 2 }, Style::State { batch: 2, resend: RESEND, labels: Labels::new() }]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn a_receiver_that_works_in_the_end_knows_what_is_so(ops in prop::collection::vec(op(), 0..60), style in 0..2_usize) {
        let style = styles()[style].clone();
        let mut world = World::default();
        let mut lane = Lane::restore("r", wish(), style.clone(), BTreeMap::new(), &Book::default());
        for op in ops {
            world.now += 1;
            let now = at(world.now);
            let changed = match op {
                Op::Fire(n, critical) => {
                    let severity = if critical { Severity::Critical } else { Severity::Warning };
                    let case = match world.cases.remove(&n) {
                        None => firing(&format!("p{n}"), severity, now),
                        Some(case) if case.state == CaseState::Resolved => worse(again(case, now), severity, now),
                        Some(case) if case.severity == severity => case,
                        Some(case) => worse(case, severity, now),
                    };
                    world.cases.insert(n, case);
                    Some(n)
                }
                Op::Resolve(n) => world.cases.remove(&n).map(|case| {
                    let over = if case.state == CaseState::Firing { resolved(case, now) } else { case };
                    world.cases.insert(n, over);
                    n
                }),
                Op::Silence(n, quiet) => world.cases.get_mut(&n).map(|case| {
                    case.silenced_by = if quiet { vec![SilenceId::new("s")] } else { Vec::new() };
                    n
                }),
                Op::Answer(0) => { world.answer(&mut lane, &failed(None), false); None }
                Op::Answer(1) => { world.flying.extend(lane.take(&world.book(), now)); None }
                Op::Answer(2) => { world.answer(&mut lane, &refused("no"), false); None }
                Op::Answer(taken @ 3..=4) => { world.answer(&mut lane, &in_doubt(), taken == 3); None }
                Op::Answer(_) => { world.answer(&mut lane, &Outcome::Delivered, false); None }
                Op::Wait(seconds) => { world.now += seconds; None }
                Op::Restart => {
                    // What was on its way may have arrived or not; here it did not.
                    world.flying.clear();
                    lane = Lane::restore("r", wish(), style.clone(), world.kept.clone(), &world.book());
                    None
                }
            };
            if let Some(case) = changed.and_then(|n| world.cases.get(&n)) {
                lane.look(case);
            }
        }
        for _ in 0..20 {
            world.now += 600;
            // Enough for all batches.
            for _ in 0..4 {
                world.answer(&mut lane, &Outcome::Delivered, false);
            }
        }
        for case in world.cases.values() {
            let believed = world.believes.get(&case.id);
            let news = Event::of(case).map(|event| event.key);
            match case.state {
                // Not tried again before the case changes.
                CaseState::Firing if !style.is_state() && news.as_ref() == world.refused.get(&case.id) => {}
                CaseState::Firing if !case.is_quiet() => {
                    prop_assert_eq!(believed, Some(&Phase::Firing(case.severity)));
                }
                // Whether it was told before it became quiet is a matter of timing.
                CaseState::Firing => {}
                _ => prop_assert!(!matches!(believed, Some(Phase::Firing(_))), "heard of the fire, not of its end"),
            }
        }
        prop_assert_eq!(lane.waiting(), 0);
        // What is kept as heard is what it knows to fire, or may; and beside it only what it refused.
        prop_assert!(world.kept.iter().all(|(id, kept)| kept.heard || world.refused.contains_key(id)));
        let kept: BTreeSet<CaseId> = world.kept.iter().filter(|(_, kept)| kept.heard).map(|(id, _)| *id).collect();
        let mut firing = world.unsure;
        firing.extend(world.believes.iter().filter(|(_, phase)| matches!(phase, Phase::Firing(_))).map(|(id, _)| *id));
        prop_assert_eq!(kept, firing);
    }
}
