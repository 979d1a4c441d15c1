//! The core over small views: silences, forecasts, stale data, restarts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{
    AlertLevel, Certificate, ConnectionId, Dataset, Freshness, HealthReason, Incident, IngestRecord,
    ResourceType, Revision, SectionName, SectionOutcome, SectionReport, Severity, StorageTopology, TrueNas,
    UnixMillis, Ups, Zfs,
};
use pulse_proto::pb::registry::v1 as pb;

use super::*;
use crate::alert::CaseState;
use crate::query::fixture::{Seed, capacity};
use crate::state::{Document, Notes, Resource, Shard, View};

const START: UnixMillis = UnixMillis::new(1_790_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

mod absent;
mod cover;
mod growth;
mod keeping;
mod now;
mod unknown;

/// A core with what was kept of it, and the clock.
struct Scene {
    engine: Engine,
    notes: Notes,
    book: Book,
    now: UnixMillis,
    /// Sections that are not read now: when they were last, and what came of the newest attempt.
    unread: BTreeMap<&'static str, (UnixMillis, SectionOutcome)>,
}

impl Scene {
    fn new() -> Self {
        let (engine, book, damaged) = Engine::restore(&Notes::new(), Keeping::default(), START);
        assert!(damaged.is_empty());
        Self { engine, notes: Notes::new(), book, now: START, unread: BTreeMap::new() }
    }

    /// From now on the section is not read.
    fn stop_reading(&mut self, section: &'static str, outcome: SectionOutcome) {
        self.unread.insert(section, (self.now, outcome));
    }

    fn view(&self, resources: &[Arc<Resource>]) -> View {
        view(resources, self.now, &self.unread)
    }

    /// The engine is asked to make the rule, which is well formed.
    fn rule(&mut self, rule: pb::AlertRule) {
        let rule = pb::AlertRule { severity: Severity::Warning.to_wire(), name: "mine".to_owned(), ..rule };
        let said = self.engine.command(Command::CreateRule(rule), self.now);
        assert!(said.is_ok(), "{said:?}");
    }

    fn acknowledge(&mut self, origin: &str) {
        let id = self.case(origin).expect("a case").id;
        let command =
            Command::Acknowledge { id, who: "ops".to_owned(), comment: String::new(), etag: String::new() };
        assert!(self.engine.command(command, self.now).is_ok());
        self.keep();
    }

    fn notifies(&self, origin: &str) -> bool {
        self.case(origin).is_some_and(Case::notifies)
    }

    fn keep(&mut self) {
        let Some(outcome) = self.engine.flush(self.now) else { return };
        self.book = outcome.onto(&self.book, Revision(0));
        for note in outcome.notes {
            match note.value {
                Some(value) => drop(self.notes.insert(note.key, value)),
                None => drop(self.notes.remove(&note.key)),
            }
        }
    }

    /// Some time later the source is read again and says this.
    fn later(&mut self, by: Duration, resources: &[Arc<Resource>]) {
        self.now = self.now + by;
        let view = self.view(resources);
        self.engine.tick(&view, self.now, 1_000);
        self.engine.whole(&view, self.now);
        self.keep();
    }

    fn restart(&mut self) {
        let (engine, book, damaged) = Engine::restore(&self.notes, Keeping::default(), self.now);
        assert!(damaged.is_empty(), "{damaged:?}");
        assert_eq!(book.len(), self.engine.places.len(), "every case is there");
        assert!(book.outlooks().eq(self.book.outlooks()), "what is expected outlives a restart");
        (self.engine, self.book) = (engine, book);
    }

    fn case(&self, origin: &str) -> Option<&Case> {
        self.engine.cases.values().flat_map(BTreeMap::values).find(|case| case.origin.name() == origin)
    }

    fn state(&self, origin: &str) -> Option<CaseState> {
        self.case(origin).map(|case| case.state)
    }
}

fn view(
    resources: &[Arc<Resource>],
    now: UnixMillis,
    unread: &BTreeMap<&'static str, (UnixMillis, SectionOutcome)>,
) -> View {
    view_at(1, resources, now, unread)
}

fn view_at(
    revision: u64,
    resources: &[Arc<Resource>],
    now: UnixMillis,
    unread: &BTreeMap<&'static str, (UnixMillis, SectionOutcome)>,
) -> View {
    let section = |name: &str| {
        let section = SectionName::parse(name).expect("a section");
        let (at, outcome) = unread.get(name).copied().unwrap_or((now, SectionOutcome::Fresh));
        let report = SectionReport {
            section: section.clone(),
            outcome,
            observed_at: Some(at),
            since: None,
            interval: MINUTE,
            error: String::new(),
        };
        (section, report)
    };
    let sections = ["pools", "alerts", "ups", "datasets"].into_iter().map(section).collect();
    let mut resources = resources.to_vec();
    resources.sort_by_key(|a| a.id);
    let connection = ConnectionId::parse("nas").expect("an id");
    View::of(Revision(revision), [Shard::build(None, connection, None, sections, resources)])
}

fn pool(percent: u64) -> Arc<Resource> {
    Seed { capacity: Some(capacity(1_000, percent * 10)), ..Seed::new(ResourceType::Storage, 1, "nas") }
        .build()
}

/// The same thing with another record.
fn told(resource: &Resource, change: impl FnOnce(&mut IngestRecord)) -> Arc<Resource> {
    let mut record = resource.document.record().expect("a record");
    change(&mut record);
    Arc::new(Resource { document: Document::of(&record), ..resource.clone() })
}

/// A pool in this state, as health finds it.
fn pool_in(state: &str, severity: Severity) -> Arc<Resource> {
    let sick = Seed { severity, ..Seed::new(ResourceType::Storage, 1, "nas") }.build();
    told(&sick, |record| {
        record.incidents.clear();
        record.state = state.to_owned();
    })
}

fn stale(resource: &Resource) -> Arc<Resource> {
    Arc::new(Resource { freshness: Freshness::Stale, ..resource.clone() })
}

fn host() -> Arc<Resource> {
    Seed::new(ResourceType::Host, 0, "nas").build()
}

fn incident(klass: &str, level: AlertLevel) -> Incident {
    Incident {
        provider: "truenas".to_owned(),
        native_id: format!("{klass}-1"),
        klass: klass.to_owned(),
        level,
        text: "something is up".to_owned(),
        args_json: String::new(),
        node: "Controller A".to_owned(),
        dismissed: false,
        one_shot: false,
        started_at: None,
    }
}

#[test]
fn a_full_pool_is_confirmed_fires_and_clears_below_the_trigger() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[pool(90)]);
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Pending), "seen once");
    scene.later(MINUTE, &[pool(90)]);
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing));
    let began = scene.case("pool-usage").map(|case| case.first_seen_at);
    let severity = |scene: &Scene| scene.case("pool-usage").map(|case| case.severity);
    scene.later(MINUTE, &[pool(96)]);
    assert_eq!(severity(&scene), Some(Severity::Warning), "seen once");
    scene.later(MINUTE, &[pool(96)]);
    assert_eq!(severity(&scene), Some(Severity::Critical));
    for percent in [94, 96, 91, 94, 90, 91] {
        scene.later(MINUTE, &[pool(percent)]);
        assert_eq!(severity(&scene), Some(Severity::Critical), "it has not gone back so far, or once only");
    }
    scene.later(MINUTE, &[pool(90)]);
    scene.later(MINUTE, &[pool(90)]);
    assert_eq!(severity(&scene), Some(Severity::Warning));
    for _ in 0..3 {
        scene.later(MINUTE, &[pool(83)]);
        assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing), "above where it clears");
    }
    scene.later(MINUTE, &[pool(79)]);
    scene.later(MINUTE, &[pool(78)]);
    let case = scene.case("pool-usage").expect("a case");
    assert_eq!(
        (case.state, case.first_seen_at),
        (CaseState::Resolved, began.expect("a time")),
        "it never moves"
    );
    let end = case.transitions.last().expect("a step");
    for evidence in [&case.evidence, &end.evidence] {
        assert_eq!((evidence["value"].as_str(), evidence["resolution"].as_str()), ("78.0", "cleared"));
    }
    assert!(end.text.contains("78 %"), "{}", end.text);
}

#[test]
fn what_ended_it_is_of_the_revision_that_ended_it() {
    let mut scene = Scene::new();
    let at = |percent: u64, revision| {
        let seed = Seed { revision, ..Seed::new(ResourceType::Storage, 1, "nas") };
        Seed { capacity: Some(capacity(1_000, percent * 10)), ..seed }.build()
    };
    for (percent, revision) in [(90, 7), (90, 7), (60, 9), (60, 9)] {
        scene.later(MINUTE, &[at(percent, revision)]);
    }
    let case = scene.case("pool-usage").expect("a case");
    let end = case.transitions.last().expect("a step");
    assert_eq!(
        (case.state, case.resource_revision, end.revision),
        (CaseState::Resolved, Revision(9), Revision(9))
    );
}

#[test]
fn what_is_stale_neither_fires_nor_resolves() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        scene.later(MINUTE, &[stale(&pool(99))]);
    }
    assert_eq!(scene.state("pool-usage"), None);
    scene.later(MINUTE, &[pool(90)]);
    scene.later(MINUTE, &[pool(90)]);
    for _ in 0..5 {
        scene.later(MINUTE, &[stale(&pool(10))]);
        assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing));
    }
}

#[test]
fn a_pool_that_fills_up_is_told_a_week_ahead() {
    let mut scene = Scene::new();
    for hours in 0..40_u64 {
        // A percent in two hours: from 40 % on it is full in five days.
        scene.later(HOUR, &[pool(40 + hours / 2)]);
        if hours < 24 {
            assert_eq!(scene.state("pool-forecast"), None, "a day must be known");
        }
    }
    assert_eq!(scene.state("pool-forecast"), Some(CaseState::Firing));
    let (_, outlook) = scene.book.outlooks().next().expect("what is expected of the pool");
    let days = outlook.fill.expect("a forecast").full_at.since(scene.now).as_secs() / 86_400;
    assert!((2..=4).contains(&days), "40 % left, 12 % a day: {days}");
    scene.restart();
    scene.later(HOUR, &[pool(60)]);
    assert_eq!(scene.state("pool-forecast"), Some(CaseState::Firing), "what it knows outlives a restart");
    for _ in 0..80 {
        scene.later(3 * HOUR, &[pool(60)]);
    }
    assert_eq!(scene.state("pool-forecast"), Some(CaseState::Resolved));
    assert_eq!(scene.book.outlooks().next(), None, "what does not grow is never full");
}

#[test]
fn a_battery_that_empties_is_too_little_and_not_too_much() {
    let system = |charge| {
        told(&host(), |record| {
            let ups = Ups { charge_percent: Some(charge), ..Ups::default() };
            record.facets.truenas = Some(Box::new(TrueNas { ups: Some(ups), ..TrueNas::default() }));
        })
    };
    let mut scene = Scene::new();
    scene.later(MINUTE, &[system(100.0)]);
    assert_eq!(scene.state("system-ups-charge"), None);
    scene.later(MINUTE, &[system(40.0)]);
    scene.later(MINUTE, &[system(15.0)]);
    scene.later(MINUTE, &[system(15.0)]);
    let case = scene.case("system-ups-charge").expect("a case");
    assert_eq!((case.state, case.severity), (CaseState::Firing, Severity::Critical));
    scene.later(MINUTE, &[system(55.0)]);
    scene.later(MINUTE, &[system(55.0)]);
    assert_eq!(scene.state("system-ups-charge"), Some(CaseState::Firing), "not charged enough");
    scene.later(MINUTE, &[system(80.0)]);
    scene.later(MINUTE, &[system(80.0)]);
    assert_eq!(scene.state("system-ups-charge"), Some(CaseState::Resolved));
}

#[test]
fn every_level_and_every_class_of_native_alerts_is_a_case() {
    for level in AlertLevel::ALL {
        let mut scene = Scene::new();
        let system = told(&host(), |record| record.incidents = vec![incident("NobodyKnowsIt", *level)]);
        scene.later(MINUTE, &[system]);
        let case = scene.case("NobodyKnowsIt").expect("a case");
        assert_eq!(case.state, CaseState::Firing, "{level}");
        assert_eq!(case.native.as_ref().map(|native| native.level), Some(*level));
        assert_eq!(case.severity == Severity::Critical, *level >= AlertLevel::Error, "{level}");
        assert_eq!(case.evidence["node"], "Controller A");
        scene.later(MINUTE, &[host()]);
        assert_eq!(scene.state("NobodyKnowsIt"), Some(CaseState::Firing), "gone once is not gone");
        scene.later(MINUTE, &[host()]);
        assert_eq!(scene.state("NobodyKnowsIt"), Some(CaseState::Resolved));
    }
}

#[test]
fn what_was_dismissed_at_the_source_is_kept_and_quiet() {
    let mut scene = Scene::new();
    let dismissed = |so| {
        told(&host(), |record| {
            record.incidents =
                vec![Incident { dismissed: so, ..incident("CertificateIsExpiring", AlertLevel::Critical) }];
        })
    };
    scene.later(MINUTE, &[dismissed(false)]);
    assert!(scene.case("CertificateIsExpiring").is_some_and(Case::notifies));
    scene.later(MINUTE, &[dismissed(true)]);
    let case = scene.case("CertificateIsExpiring").expect("a case");
    assert!(case.is_dismissed() && !case.notifies() && case.state == CaseState::Firing);
    scene.later(MINUTE, &[dismissed(false)]);
    assert!(scene.case("CertificateIsExpiring").is_some_and(Case::notifies));
}

#[test]
fn a_silence_is_in_force_for_its_time_and_no_longer() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[pool(90)]);
    scene.later(MINUTE, &[pool(90)]);
    assert!(scene.case("pool-usage").is_some_and(Case::notifies));
    let at = |at: UnixMillis| Some(pulse_proto::convert::timestamp_to_wire(at));
    let silence = pb::Silence {
        filter: "rule = pool-usage AND labels.site = dc-1".to_owned(),
        reason: "disks come on Monday".to_owned(),
        author: "ops".to_owned(),
        starts_at: at(scene.now + HOUR),
        expires_at: at(scene.now + 3 * HOUR),
        ..pb::Silence::default()
    };
    let id = SilenceId::new("one");
    let said = scene.engine.command(Command::CreateSilence { id: id.clone(), silence }, scene.now);
    assert!(said.is_ok(), "{said:?}");
    scene.keep();
    assert!(scene.case("pool-usage").is_some_and(Case::notifies), "not yet");
    assert_eq!(scene.engine.next_due().map(|at| at <= scene.now + HOUR), Some(true));
    scene.later(HOUR, &[pool(90)]);
    assert_eq!(scene.case("pool-usage").map(|case| case.silenced_by.clone()), Some(vec![id]));
    scene.restart();
    scene.later(HOUR, &[pool(90)]);
    assert!(scene.case("pool-usage").is_some_and(|case| !case.notifies()), "it outlives a restart");
    scene.later(HOUR, &[pool(90)]);
    assert!(scene.case("pool-usage").is_some_and(Case::notifies), "it is over");
}

#[test]
fn a_rule_can_be_changed_for_some_switched_off_and_not_deleted() {
    let mut scene = Scene::new();
    let change = |scene: &mut Scene, rule: pb::AlertRule| {
        let said = scene.engine.command(Command::UpdateRule { rule, paths: Vec::new() }, scene.now);
        assert!(said.is_ok(), "{said:?}");
        scene.keep();
    };
    let id = || "pool-usage".to_owned();
    let other = pb::AlertRuleOverride {
        selector: "labels.site = dc-1".to_owned(),
        trigger: Some(50.0),
        clear: Some(45.0),
        ..pb::AlertRuleOverride::default()
    };
    change(&mut scene, pb::AlertRule { id: id(), overrides: vec![other], ..pb::AlertRule::default() });
    scene.later(MINUTE, &[pool(60)]);
    scene.later(MINUTE, &[pool(60)]);
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing));
    scene.restart();
    scene.later(MINUTE, &[pool(60)]);
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing), "the override outlives a restart");
    let off =
        pb::AlertRule { id: id(), overrides: Vec::new(), enabled: Some(false), ..pb::AlertRule::default() };
    let paths = vec!["enabled".to_owned(), "overrides".to_owned()];
    assert!(scene.engine.command(Command::UpdateRule { rule: off, paths }, scene.now).is_ok());
    scene.later(MINUTE, &[pool(60)]);
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Resolved));
    let deleted = scene.engine.command(Command::DeleteRule { id: id(), etag: String::new() }, scene.now);
    assert_eq!(deleted, Err(Refusal::BuiltIn));
    let stale =
        pb::AlertRule { id: id(), enabled: Some(true), etag: "\"0\"".to_owned(), ..pb::AlertRule::default() };
    let refused = scene.engine.command(Command::UpdateRule { rule: stale, paths: Vec::new() }, scene.now);
    assert_eq!(refused, Err(Refusal::Etag));
}

/// Everything held, but for when it was seen last: a look that is no news is not kept.
fn held(scene: &Scene) -> Vec<Case> {
    let cases = scene.engine.cases.values().flat_map(BTreeMap::values).cloned();
    let seen = |mut case: Case| {
        case.last_seen_at = case.first_seen_at;
        case.progress.counted_at = case.first_seen_at;
        case
    };
    cases.map(seen).collect()
}

#[test]
fn a_restart_changes_nothing() {
    let mut scene = Scene::new();
    let system = told(&host(), |record| record.incidents = vec![incident("SMART", AlertLevel::Emergency)]);
    let all = [system, pool(97)];
    scene.later(MINUTE, &all);
    scene.later(MINUTE, &all);
    let before = held(&scene);
    assert!(before.len() >= 2, "{before:?}");
    scene.restart();
    assert_eq!(held(&scene), before);
    let revision = scene.engine.revision;
    scene.later(MINUTE, &all);
    assert_eq!(scene.engine.revision, revision, "the same again is no news");
}
