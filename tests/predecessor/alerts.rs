//! The same of alerts: what Pulse missed, raised without cause, or took for over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_collector::api::section::{Data, SectionRead};
use pulse_collector::api::{Section, SectionFailure, Tag, metrics};
use pulse_proto::model::{AlertLevel, Severity};
use pulse_registry::alert::engine::{Engine, Keeping};
use pulse_registry::alert::{Case, CaseId, CaseState};
use pulse_registry::state::Notes;
use serde_json::{Value, json};

use crate::{MINUTE, Nas, Registry, T0, alert, disk, mirror};

/// A NAS, the registry it tells, and the alerts that come of it.
struct Scene {
    nas: Nas,
    registry: Registry,
    engine: Engine,
    cases: BTreeMap<CaseId, Arc<Case>>,
}

impl Scene {
    fn new() -> Self {
        let (engine, _, _) = Engine::restore(&Notes::new(), Keeping::default(), T0);
        Self { nas: Nas::new("a"), registry: Registry::new(), engine, cases: BTreeMap::new() }
    }

    /// A minute later the NAS is read: `says` is what is new of it.
    fn read(&mut self, says: impl FnOnce(&mut Nas)) {
        self.nas.now = self.nas.now + MINUTE;
        self.nas.says_itself();
        says(&mut self.nas);
        self.nas.tell(&mut self.registry);
        self.look();
    }

    /// Time passes, and nothing is read.
    fn silence(&mut self, time: Duration) {
        self.nas.now = self.nas.now + time;
        while self.registry.0.tick(self.nas.now).is_some() {}
        self.look();
    }

    fn look(&mut self) {
        let (view, now) = (self.registry.0.view(), self.nas.now);
        self.engine.whole(view, now);
        let outcome = self.engine.flush(now).unwrap_or_default();
        self.cases.extend(outcome.cases.into_iter().map(|case| (case.id, case)));
    }

    fn find(&self, origin: &str) -> Option<&Case> {
        let of = |case: &&Arc<Case>| case.origin.name() == origin;
        self.cases.values().filter(of).max_by_key(|case| case.revision).map(|case| &**case)
    }

    fn get(&self, origin: &str) -> &Case {
        self.find(origin).unwrap_or_else(|| panic!("no {origin} in {:?}", self.open()))
    }

    fn open(&self) -> Vec<(&str, &str)> {
        let open = self.cases.values().filter(|case| case.is_open());
        open.map(|case| (case.origin.name(), &*case.subject.name)).collect()
    }
}

fn pool(nas: &mut Nas, state: &str) {
    nas.has_pool("tank", state, &Value::Null);
}

#[test]
fn an_emergency_is_an_alert_like_every_level() {
    for level in ["INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL", "ALERT", "EMERGENCY"] {
        let mut scene = Scene::new();
        scene.read(|nas| {
            nas.says(Section::Alerts, &[(Tag::Alerts, json!([alert(level, "Odd", &Value::Null)]))]);
        });
        let case = scene.get("Odd");
        assert!(case.state == CaseState::Firing && case.notifies(), "{level}: {case:?}");
        let native = case.native.as_ref().unwrap();
        assert_eq!(native.level.token(), level.to_lowercase());
        assert_eq!(case.severity == Severity::Critical, native.level >= AlertLevel::Error, "{level}");
    }
}

#[test]
fn a_suspended_pool_is_a_critical_alert_at_once() {
    let mut scene = Scene::new();
    scene.read(|nas| pool(nas, "SUSPENDED"));
    let case = scene.get("pool-state");
    assert!(case.notifies() && case.severity == Severity::Critical, "{case:?}");
    assert_eq!(scene.open(), [("pool-state", "tank")], "one alert, and of the pool");
}

#[test]
fn what_finished_well_is_no_alert() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.read(|nas| {
            let now = nas.now.get();
            let scan = json!({"function": "SCRUB", "state": "FINISHED", "errors": 0, "end_time": {"$date": now - 5_000}});
            let pool = json!([{"id": 1, "name": "tank", "status": "ONLINE", "scan": scan}]);
            nas.says(Section::Pools, &[(Tag::Pools, pool)]);
            let task = json!([{"id": 1, "name": "r", "direction": "PUSH", "source_datasets": ["tank"],
                "target_dataset": "far/tank", "enabled": true, "state": {"state": "FINISHED", "datetime": {"$date": now - 5_000}}}]);
            nas.says(Section::Replications, &[(Tag::Replications, task)]);
        });
    }
    assert!(scene.open().is_empty(), "{:?}", scene.open());
}

#[test]
fn a_disk_that_tells_nothing_of_its_health_raises_nothing() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.read(|nas| {
            nas.has_pool("tank", "ONLINE", &mirror(&[disk("sda", "ONLINE")]));
            let disks = json!([{"name": "sda", "smart_status": null, "togglesmart": true}]);
            nas.says(Section::Disks, &[(Tag::Disks, disks)]);
            nas.snapshot.apply(Section::Temperatures, Err(SectionFailure::Forbidden), nas.now, MINUTE);
        });
    }
    assert!(scene.open().is_empty(), "{:?}", scene.open());
}

#[test]
fn memory_of_which_the_cache_is_not_told_raises_nothing() {
    let figures = |memory: Value| metrics::decode(&json!({ "memory": memory })).unwrap();
    let unknown = figures(json!({"physical_memory_total": 100, "physical_memory_available": 0}));
    let cached =
        figures(json!({"physical_memory_total": 100, "physical_memory_available": 2, "arc_size": 90}));
    let full = figures(json!({"physical_memory_total": 100, "physical_memory_available": 2, "arc_size": 1}));
    for (told, fires) in [(unknown, false), (cached, false), (full, true)] {
        let mut scene = Scene::new();
        for _ in 0..3 {
            scene.read(|nas| {
                let data = Data::Metrics(Box::new(told.clone()));
                let read = SectionRead { data, skipped: Vec::new(), notes: Vec::new() };
                nas.snapshot.apply(Section::Metrics, Ok(read), nas.now, MINUTE);
            });
        }
        assert_eq!(scene.find("system-memory").is_some_and(Case::notifies), fires, "{told:?}");
    }
}

#[test]
fn what_is_not_heard_has_not_recovered() {
    let mut scene = Scene::new();
    scene.read(|nas| pool(nas, "FAULTED"));
    let began = scene.get("pool-state").first_seen_at;
    // Stale, then lost.
    for _ in 0..3 {
        scene.silence(Duration::from_hours(1));
        assert_eq!(scene.get("pool-state").state, CaseState::Firing);
    }
    // Heard again, but not of its pools.
    for failure in [SectionFailure::Failed("late".into()), SectionFailure::Forbidden] {
        scene.read(|nas| nas.snapshot.apply(Section::Pools, Err(failure), nas.now, MINUTE));
        assert_eq!(scene.get("pool-state").state, CaseState::Firing);
    }
    scene.read(|nas| pool(nas, "ONLINE"));
    scene.read(|nas| pool(nas, "ONLINE"));
    let case = scene.get("pool-state");
    assert_eq!((case.state, case.first_seen_at), (CaseState::Resolved, began));
}

#[test]
fn what_was_never_heard_in_time_raises_no_value_alert() {
    let mut scene = Scene::new();
    // Read long ago, told only now.
    let told = scene.nas.now;
    scene.nas.says(
        Section::Pools,
        &[(Tag::Pools, json!([{"id": 1, "name": "tank", "status": "ONLINE", "size": 100, "allocated": 99}]))],
    );
    scene.nas.now = told + Duration::from_hours(1);
    scene.nas.tell(&mut scene.registry);
    for _ in 0..3 {
        scene.silence(MINUTE);
    }
    assert!(scene.find("pool-usage").is_none(), "{:?}", scene.open());
}

#[test]
fn when_it_began_does_not_move_with_each_reading() {
    let mut scene = Scene::new();
    scene.read(|nas| pool(nas, "FAULTED"));
    let (id, began) = (scene.get("pool-state").id, scene.get("pool-state").first_seen_at);
    for minute in 0..5 {
        scene.read(|nas| {
            pool(nas, "FAULTED");
            // The source's own time of the same alert moves, too.
            let mut told = alert("CRITICAL", "VolumeStatus", &json!({"volume": "tank"}));
            told["datetime"] = json!({"$date": nas.now.get()});
            told["uuid"] = json!(format!("anew-{minute}"));
            nas.says(Section::Alerts, &[(Tag::Alerts, json!([told]))]);
        });
    }
    let case = scene.get("pool-state");
    assert_eq!((case.id, case.first_seen_at), (id, began));
    let native = scene.get("VolumeStatus");
    assert_eq!(native.first_seen_at, began + MINUTE, "one alert under five names");
    assert_eq!(scene.cases.len(), 2, "{:?}", scene.open());
}

#[test]
fn a_spare_that_is_used_raises_nothing_of_its_own() {
    for shown in ["UNAVAIL", "INUSE"] {
        let mut scene = Scene::new();
        for _ in 0..3 {
            scene.read(|nas| {
                let stands_in = json!({"name": "spare-0", "type": "SPARE", "guid": "8", "status": "DEGRADED",
                    "children": [disk("sda", "FAULTED"), disk("sdb", "ONLINE")]});
                let mut topology = mirror(&[stands_in, disk("sdc", "ONLINE")]);
                topology["spare"] = json!([disk("sdb", shown), disk("sdd", "ONLINE")]);
                nas.has_pool("tank", "DEGRADED", &topology);
                let disks = ["sda", "sdb", "sdc", "sdd"].map(|name| json!({ "name": name }));
                nas.says(Section::Disks, &[(Tag::Disks, json!(disks))]);
            });
        }
        // What failed is told, of the pool and of its disk, and nothing of a spare.
        let open = scene.open();
        assert!(open.contains(&("pool-state", "tank")) && open.contains(&("disk-state", "sda")), "{open:?}");
        assert!(open.iter().all(|(_, name)| ["tank", "sda"].contains(name)), "{shown}: {open:?}");
    }
}

#[test]
fn one_reading_that_is_looked_at_often_is_one_observation() {
    let mut scene = Scene::new();
    let full =
        json!([{"id": 1, "name": "tank", "status": "ONLINE", "size": 100, "allocated": 99, "free": 1}]);
    scene.read(|nas| nas.says(Section::Pools, &[(Tag::Pools, full.clone())]));
    for _ in 0..10 {
        scene.silence(Duration::from_secs(1));
        assert_eq!(scene.get("pool-usage").state, CaseState::Pending);
    }
    scene.read(|nas| nas.says(Section::Pools, &[(Tag::Pools, full)]));
    assert_eq!(scene.get("pool-usage").state, CaseState::Firing);
}
