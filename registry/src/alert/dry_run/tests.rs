//! What a dry run says comes about: the rule is tried, then made, and what fires
//! after one look is what was named. For each kind of condition.

use std::sync::Arc;

use pulse_proto::model::{
    Certificate, ConnectionId, Disk, Freshness, IngestRecord, Pool, ResourceType, Revision, Scan,
    SectionName, SectionOutcome, SectionReport, Severity, TrueNas, Zfs,
};
use pulse_proto::pb::registry::v1 as pb;
use pulse_proto::pb::registry::v1::alert_rule::Condition as Told;

use super::*;
use crate::alert::CaseState;
use crate::alert::engine::{Command, Engine, Keeping, new_rule};
use crate::query::fixture::{Seed, capacity};
use crate::state::{Document, Notes, Resource, Shard};

const START: UnixMillis = UnixMillis::new(1_790_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

struct Scene {
    engine: Engine,
    book: Book,
    view: View,
    now: UnixMillis,
}

impl Scene {
    fn new() -> Self {
        let (engine, book, _) = Engine::restore(&Notes::new(), Keeping::default(), START);
        Self { engine, book, view: View::default(), now: START }
    }

    /// Some time later the source is read again and says this.
    fn later(&mut self, by: Duration, resources: &[Arc<Resource>]) {
        self.now = self.now + by;
        self.view = view(resources, self.now);
        self.engine.tick(&self.view, self.now, 1_000);
        self.engine.whole(&self.view, self.now);
        self.keep();
    }

    fn keep(&mut self) {
        if let Some(outcome) = self.engine.flush(self.now) {
            self.book = outcome.onto(&self.book, Revision(1));
        }
    }

    fn try_out(&self, rule: &Rule) -> Trial {
        dry_run(rule, &self.view, &self.book, &self.engine.remembered(), self.now)
    }

    /// Tries the condition, then makes the rule; what fires then is what was said.
    fn agrees(&mut self, what: &str, condition: Told) -> Trial {
        let rule = pb::AlertRule {
            id: "mine".to_owned(),
            name: "mine".to_owned(),
            severity: Severity::Warning.to_wire(),
            condition: Some(condition),
            raise_confirmations: 1,
            ..pb::AlertRule::default()
        };
        let trial = self.try_out(&new_rule(rule.clone()).expect("a rule"));
        let said = self.engine.command(Command::CreateRule(rule), self.now);
        assert!(said.is_ok(), "{what}: {said:?}");
        self.engine.whole(&self.view, self.now);
        self.keep();
        let firing = self.book.cases().filter(|case| case.origin.name() == "mine");
        let mut firing: Vec<ResourceId> =
            firing.filter(|case| case.state == CaseState::Firing).map(|case| case.subject.id).collect();
        firing.sort();
        assert_eq!(trial.now.named, firing, "{what}");
        assert_eq!(trial.now.total, firing.len(), "{what}");
        trial
    }
}

fn view(resources: &[Arc<Resource>], now: UnixMillis) -> View {
    let section = |name: &str| {
        let section = SectionName::parse(name).expect("a section");
        let report = SectionReport {
            section: section.clone(),
            outcome: SectionOutcome::Fresh,
            observed_at: Some(now),
            since: None,
            interval: MINUTE,
            error: String::new(),
        };
        (section, report)
    };
    let sections = ["pools", "alerts"].into_iter().map(section).collect();
    let mut resources = resources.to_vec();
    resources.sort_by_key(|a| a.id);
    let connection = ConnectionId::parse("nas").expect("an id");
    View::of(Revision(1), [Shard::build(None, connection, None, sections, resources)])
}

fn pool(number: u64, percent: u64) -> Arc<Resource> {
    Seed { capacity: Some(capacity(1_000, percent * 10)), ..Seed::new(ResourceType::Storage, number, "nas") }
        .build()
}

/// The same thing with another record.
fn told(resource: &Resource, change: impl FnOnce(&mut IngestRecord)) -> Arc<Resource> {
    let mut record = resource.document.record().expect("a record");
    change(&mut record);
    Arc::new(Resource { document: Document::of(&record), ..resource.clone() })
}

fn stale(resource: &Resource) -> Arc<Resource> {
    Arc::new(Resource { freshness: Freshness::Stale, ..resource.clone() })
}

fn host(number: u64) -> Arc<Resource> {
    Seed::new(ResourceType::Host, number, "nas").build()
}

fn disk(number: u64, errors: u64) -> Arc<Resource> {
    told(&Seed::new(ResourceType::PhysicalDisk, number, "nas").build(), |record| {
        let facet = Disk { read_errors: Some(errors), ..Disk::default() };
        record.facets.physical_disk = Some(Box::new(facet));
    })
}

fn ids(resources: &[&Arc<Resource>]) -> Vec<ResourceId> {
    let mut ids: Vec<ResourceId> = resources.iter().map(|resource| resource.id).collect();
    ids.sort();
    ids
}

fn wire(duration: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(duration).ok()
}

#[test]
fn an_expression_and_a_value_that_hold_fire() {
    let (full, stale_one, fine) = (pool(1, 90), stale(&pool(2, 90)), pool(3, 10));
    let metric = |trigger, clear| {
        Told::Metric(pb::MetricCondition {
            metric: "capacity.used_percent".to_owned(),
            trigger,
            clear,
            critical: None,
            min_delta: 0.0,
        })
    };
    let mut scene = Scene::new();
    scene.later(MINUTE, &[full.clone(), stale_one.clone(), fine.clone()]);
    let trial = scene.agrees("a value", metric(80.0, 70.0));
    assert_eq!(trial.now.named, ids(&[&full]), "what is stale says nothing");
    assert_eq!(trial.lately, Found::default());

    let mut scene = Scene::new();
    scene.later(MINUTE, &[full.clone(), stale_one.clone(), fine.clone()]);
    let trial = scene.agrees("an expression", Told::Expression("topology = pool".to_owned()));
    assert_eq!(trial.now.named, ids(&[&full, &fine]));
    let mut scene = Scene::new();
    scene.later(MINUTE, &[full, stale_one.clone(), fine]);
    let trial = scene.agrees("of freshness", Told::Expression("freshness = stale".to_owned()));
    assert_eq!(trial.now.named, ids(&[&stale_one]));
}

#[test]
fn a_health_reason_and_a_lost_system_fire() {
    let fine = Seed::new(ResourceType::Storage, 1, "nas").build();
    let bad = Seed { severity: Severity::Critical, ..Seed::new(ResourceType::Storage, 2, "nas") }.build();
    let code = bad.reasons().first().expect("a reason").code.to_owned();
    let mut scene = Scene::new();
    scene.later(MINUTE, &[fine, bad.clone()]);
    let condition = Told::Reason(pb::ReasonCondition { codes: vec![code], min_severity: 0 });
    assert_eq!(scene.agrees("a reason", condition).now.named, ids(&[&bad]));

    let lost = Arc::new(Resource { freshness: Freshness::Lost, ..(*host(1)).clone() });
    let mut scene = Scene::new();
    scene.later(MINUTE, &[lost.clone(), host(2)]);
    let trial = scene.agrees("reach", Told::Reach(pb::ReachCondition {}));
    assert_eq!(trial.now.named, ids(&[&lost]));
}

#[test]
fn an_age_fires_on_both_sides_of_its_end() {
    let scrubbed = |number, days: u32| {
        told(&pool(number, 10), |record| {
            let end_time = Some(UnixMillis::new(START.get() - u64::from(days) * 86_400_000));
            let scan = Scan {
                function: "SCRUB".to_owned(),
                state: "FINISHED".to_owned(),
                end_time,
                ..Scan::default()
            };
            let pool = Pool { scan: Some(scan), ..Pool::default() };
            record.facets.storage.as_mut().expect("a facet").zfs = Some(Zfs::Pool(pool));
        })
    };
    let (old, new) = (scrubbed(1, 50), scrubbed(2, 5));
    let mut scene = Scene::new();
    scene.later(MINUTE, &[old.clone(), new, pool(3, 10)]);
    let age = |of: &str, limit| Told::Age(pb::AgeCondition { of: of.to_owned(), limit: wire(limit) });
    assert_eq!(scene.agrees("scrub", age("scrub", 20 * DAY)).now.named, ids(&[&old]));

    let certified = |number, days: u32| {
        told(&host(number), |record| {
            let not_after = Some(START + DAY * days);
            let certificates =
                vec![Certificate { name: "web".to_owned(), not_after, ..Certificate::default() }];
            record.facets.truenas = Some(Box::new(TrueNas { certificates, ..TrueNas::default() }));
        })
    };
    let (soon, later) = (certified(1, 3), certified(2, 90));
    let mut scene = Scene::new();
    scene.later(MINUTE, &[soon.clone(), later]);
    assert_eq!(scene.agrees("certificate", age("certificate_expiry", 7 * DAY)).now.named, ids(&[&soon]));
}

#[test]
fn a_counter_that_grew_fires_and_one_that_calmed_down_did_lately() {
    let growth = |calm_after| {
        Told::Growth(pb::GrowthCondition {
            counter: "errors.total".to_owned(),
            by: 2,
            calm_after: wire(calm_after),
        })
    };
    for (calm_after, fires) in [(10 * HOUR, true), (HOUR, false)] {
        let mut scene = Scene::new();
        let before = view(&[disk(1, 0), disk(2, 5)], scene.now);
        let after = [disk(1, 7), disk(2, 5)];
        scene.later(MINUTE, &[disk(1, 0), disk(2, 5)]);
        scene.now = scene.now + MINUTE;
        scene.view = view(&after, scene.now);
        let changed = |at: &Arc<Resource>| crate::state::Change::Changed {
            before: before.get(&at.id).expect("it was there").resource,
            after: Arc::clone(at),
        };
        let changes = crate::state::Changes::new(Revision(2), scene.now, after.iter().map(changed).collect());
        scene.engine.changes(&changes, &scene.view, scene.now);
        scene.later(5 * HOUR, &after);
        let trial = scene.agrees("growth", growth(calm_after));
        let grown = ids(&[&after[0]]);
        let found = if fires { (grown, Vec::new()) } else { (Vec::new(), grown) };
        assert_eq!((trial.now.named, trial.lately.named), found, "{calm_after:?}");
    }
}

#[test]
fn a_pool_that_fills_up_fires_as_far_as_is_remembered() {
    let mut scene = Scene::new();
    for hours in 0..40_u64 {
        scene.later(HOUR, &[pool(1, 40 + hours / 2), pool(2, 40)]);
    }
    let forecast = |within| Told::Forecast(pb::ForecastCondition { full_within: wire(within) });
    assert_eq!(scene.agrees("forecast", forecast(30 * DAY)).now.named, ids(&[&pool(1, 0)]));
}

#[test]
fn a_changed_rule_is_tried_on_what_fires_and_what_fired() {
    let mut scene = Scene::new();
    let at = |first, second| [pool(1, first), pool(2, second)];
    for (first, second) in [(90, 90), (90, 90), (83, 20), (83, 20)] {
        scene.later(MINUTE, &at(first, second));
    }
    let rule = |trigger| {
        let known =
            scene.book.rules.values().find(|rule| rule.id.as_str() == "pool-usage").expect("built in");
        let mut changed = (**known).clone();
        if let Condition::Metric { trigger: own, .. } = &mut changed.condition {
            *own = trigger;
        }
        changed
    };
    let trial = scene.try_out(&rule(88.0));
    assert_eq!(trial.now.named, ids(&[&pool(1, 0)]), "it fires, and is above where it clears");
    assert_eq!(trial.lately.named, ids(&[&pool(2, 0)]), "it fired, and is over");
    scene.later(MINUTE, &[stale(&pool(1, 20)), pool(2, 20)]);
    let rule = {
        let known = scene.book.rules.values().find(|rule| rule.id.as_str() == "pool-usage");
        (**known.expect("built in")).clone()
    };
    assert_eq!(scene.try_out(&rule).now.named, ids(&[&pool(1, 0)]), "nothing is known, so it goes on");
}

#[test]
fn more_than_are_named_are_counted() {
    let many: Vec<Arc<Resource>> = (0..NAMED_MAX as u64 + 5).map(|number| pool(number, 90)).collect();
    let mut scene = Scene::new();
    scene.view = view(&many, scene.now);
    let rule = pb::AlertRule {
        name: "mine".to_owned(),
        severity: Severity::Warning.to_wire(),
        condition: Some(Told::Expression("topology = pool".to_owned())),
        ..pb::AlertRule::default()
    };
    let trial = scene.try_out(&new_rule(rule).expect("a rule"));
    assert_eq!((trial.now.named.len(), trial.now.total), (NAMED_MAX, NAMED_MAX + 5));
}
