//! What Pulse got wrong, done right: each test is named after the behaviour. Goes the whole way without a network: what a NAS
//! says, decoded and mapped by the collector, judged by the registry. `docs/predecessor.md` says which point is held by which test.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

#[path = "predecessor/alerts.rs"]
mod alerts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use pulse_collector::api::section::{CallFailure, assemble};
use pulse_collector::api::{Section, SectionFailure, Tag, metrics};
use pulse_collector::connection::{Raw, Tls, validate};
use pulse_collector::mapping;
use pulse_collector::secret::Secret;
use pulse_collector::snapshot::Snapshot;
use pulse_proto::model::{
    AlertLevel, CollectorId, ConnectionId, DataSource, Epoch, Freshness, IngestRecord, Sequence, Severity,
    Status, UnixMillis, Zfs,
};
use pulse_registry::health::Tables;
use pulse_registry::state::{Applied, Batch, Boundary, Input, Resource, State};
use pulse_tests::evidence::{missing, quoted, rows};
use pulse_tests::task::root;
use serde_json::{Value, json};

const T0: UnixMillis = UnixMillis::new(1_790_000_000_000);
const MINUTE: Duration = Duration::from_mins(1);

/// One NAS as its collector knows it.
struct Nas {
    id: ConnectionId,
    snapshot: Snapshot,
    sequence: u64,
    /// When it is read and told.
    now: UnixMillis,
}

impl Nas {
    fn new(id: &str) -> Self {
        let mut nas = Self {
            id: ConnectionId::parse(id).unwrap(),
            snapshot: Snapshot::default(),
            sequence: 0,
            now: T0,
        };
        nas.says_itself();
        nas
    }

    fn says_itself(&mut self) {
        self.says(Section::System, &[(Tag::SystemInfo, json!({"hostname": "nas", "version": "25.10.1"}))]);
    }

    fn says(&mut self, section: Section, replies: &[(Tag, Value)]) {
        let replies: Vec<(Tag, Result<Vec<u8>, CallFailure>)> =
            replies.iter().map(|(tag, reply)| (*tag, Ok(reply.to_string().into_bytes()))).collect();
        self.snapshot.apply(section, assemble(section, &replies), self.now, MINUTE);
    }

    fn has_pool(&mut self, name: &str, status: &str, topology: &Value) {
        let pool = json!([{"id": 1, "name": name, "guid": "1", "status": status, "size": 4_000, "allocated": 1_000,
            "free": 3_000, "topology": topology}]);
        self.says(Section::Pools, &[(Tag::Pools, pool)]);
    }

    fn records(&self) -> Vec<IngestRecord> {
        mapping::records(&self.id, "the nas", &self.snapshot).records
    }

    fn record(&self, id: &str) -> IngestRecord {
        let id = format!("system:{}{id}", self.id);
        let found = self.records().into_iter().find(|record| record.source_id.as_str() == id);
        found.unwrap_or_else(|| panic!("no record {id}"))
    }

    /// Everything that is known, as one snapshot.
    fn tell(&mut self, registry: &mut Registry) -> Applied {
        self.tell_in_order(registry, self.records())
    }

    fn tell_in_order(&mut self, registry: &mut Registry, records: Vec<IngestRecord>) -> Applied {
        self.sequence += 1;
        let reports = self.snapshot.reports();
        let batch = Batch {
            collector: CollectorId::parse("c").unwrap(),
            connection: self.id.clone(),
            epoch: Epoch(1),
            sequence: Sequence(self.sequence),
            source: DataSource::Truenas,
            snapshot_begin: true,
            snapshot_end: true,
            upserts: records.into_iter().map(Into::into).collect(),
            removals: Vec::new(),
            sections: Some(reports.into_iter().map(|report| (report.section.clone(), report)).collect()),
            status: None,
            digest: None,
            base: None,
            kept: BTreeSet::new(),
            refused: Vec::new(),
        };
        registry.0.apply(Input::Batch(Box::new(batch)), self.now)
    }
}

struct Registry(State);

impl Registry {
    fn new() -> Self {
        Self(State::new(Arc::new(Tables::default()), Boundary::default()))
    }

    fn all(&self) -> Vec<Arc<Resource>> {
        self.0.view().iter().map(|(_, resource)| Arc::clone(resource)).collect()
    }

    fn find(&self, id: &str) -> Option<Arc<Resource>> {
        self.all().into_iter().find(|resource| resource.document.source_id.as_str() == id)
    }

    fn get(&self, id: &str) -> Arc<Resource> {
        self.find(id).unwrap_or_else(|| panic!("no resource {id}: {:#?}", self.all()))
    }
}

/// What the registry makes of one NAS.
fn judged(mut nas: Nas) -> Registry {
    let mut registry = Registry::new();
    nas.tell(&mut registry);
    registry
}

fn disk(name: &str, status: &str) -> Value {
    json!({"name": name, "type": "DISK", "guid": name, "status": status, "disk": name, "children": []})
}

fn mirror(disks: &[Value]) -> Value {
    json!({"data": [{"name": "mirror-0", "type": "MIRROR", "guid": "9", "status": "ONLINE", "children": disks}]})
}

fn alert(level: &str, klass: &str, args: &Value) -> Value {
    json!({"uuid": format!("{klass}-{level}"), "klass": klass, "level": level, "args": args, "text": "some text",
        "datetime": {"$date": 5_000}, "dismissed": false, "one_shot": false, "node": "A"})
}

#[test]
fn an_emergency_is_kept_and_critical() {
    let mut nas = Nas::new("a");
    nas.says(Section::Alerts, &[(Tag::Alerts, json!([alert("EMERGENCY", "Odd", &Value::Null)]))]);
    let incident = nas.record("").incidents.remove(0);
    assert_eq!((incident.level, incident.klass.as_str()), (AlertLevel::Emergency, "Odd"));
    assert_eq!(judged(nas).get("system:a").severity, Severity::Critical);
}

#[test]
fn a_finished_replication_is_known_and_online() {
    let mut nas = Nas::new("a");
    let task = json!([{"id": 1, "name": "r", "direction": "PUSH", "transport": "SSH", "source_datasets": ["tank"],
        "target_dataset": "far/tank", "enabled": true, "state": {"state": "FINISHED", "datetime": {"$date": 5_000},
        "last_snapshot": "tank@auto-1", "warnings": ["one skipped"]}}]);
    nas.says(Section::Replications, &[(Tag::Replications, task)]);
    let record = nas.record("/task:replication:1");
    let facet = record.facets.protection_task.unwrap();
    // State, newest snapshot and since when: what its age is counted from.
    assert_eq!((facet.state.as_str(), facet.last_snapshot.as_str()), ("FINISHED", "tank@auto-1"));
    assert_eq!(facet.state_since, Some(UnixMillis::new(5_000)));
    assert_eq!(facet.warnings, ["one skipped"]);
    let task = judged(nas).get("system:a/task:replication:1");
    assert_eq!((task.status, task.severity), (Status::Online, Severity::Healthy), "{:?}", task.reasons());
}

#[test]
fn a_replication_without_a_target_is_still_told() {
    let mut nas = Nas::new("a");
    let tasks = json!([{"id": 1, "name": "half", "source_datasets": ["tank"], "target_dataset": null,
        "state": {"state": "ERROR", "error": "no target"}}]);
    nas.says(Section::Replications, &[(Tag::Replications, tasks)]);
    let facet = nas.record("/task:replication:1").facets.protection_task.unwrap();
    assert_eq!((facet.target.as_str(), facet.message.as_str()), ("", "no target"));
}

#[test]
fn a_disk_has_its_real_rotation_rate_or_none() {
    let mut nas = Nas::new("a");
    let disks = json!([{"name": "sda", "rotationrate": 5_400, "type": "HDD"}, {"name": "sdb", "rotationrate": null, "type": "HDD"},
        {"name": "nvme0n1", "rotationrate": null, "type": "SSD"}]);
    nas.says(Section::Disks, &[(Tag::Disks, disks)]);
    let rpm = |name: &str| nas.record(&format!("/disk:{name}")).facets.physical_disk.unwrap().rpm;
    assert_eq!((rpm("sda"), rpm("sdb"), rpm("nvme0n1")), (Some(5_400), None, None));
}

#[test]
fn two_disks_with_one_serial_stay_two() {
    for serial in ["Not Specified", "REAL-SERIAL-1"] {
        let mut registry = Registry::new();
        for (id, status) in [("a", "ONLINE"), ("b", "FAULTED")] {
            let mut nas = Nas::new(id);
            nas.has_pool("tank", "ONLINE", &mirror(&[disk("sda", status)]));
            nas.says(Section::Disks, &[(Tag::Disks, json!([{"name": "sda", "serial": serial}]))]);
            nas.tell(&mut registry);
        }
        let (good, bad) = (registry.get("system:a/disk:sda"), registry.get("system:b/disk:sda"));
        assert_ne!(good.id, bad.id, "{serial}");
        assert_eq!((good.severity, bad.severity), (Severity::Healthy, Severity::Critical), "{serial}");
    }
}

#[test]
fn two_systems_of_one_name_and_serial_stay_two() {
    let mut registry = Registry::new();
    for id in ["a", "b"] {
        let mut nas = Nas::new(id);
        let info = json!({"hostname": "truenas", "version": "25.10.1", "system_serial": "0123456789"});
        nas.says(
            Section::System,
            &[(Tag::SystemInfo, info), (Tag::HostId, json!("same")), (Tag::GlobalId, json!("same"))],
        );
        nas.tell(&mut registry);
    }
    assert_eq!(registry.all().len(), 2);
    assert_eq!(registry.get("system:a").name(), "truenas");
}

#[test]
fn tags_and_incidents_are_replaced_and_an_ended_alert_goes() {
    let mut nas = Nas::new("a");
    let mut registry = Registry::new();
    let states = ["ONLINE", "FAULTED", "ONLINE"];
    for state in states {
        nas.has_pool("tank", state, &Value::Null);
        let alerts = if state == "FAULTED" {
            json!([alert("CRITICAL", "VolumeStatus", &json!({"volume": "tank"}))])
        } else {
            json!([])
        };
        nas.says(Section::Alerts, &[(Tag::Alerts, alerts)]);
        nas.tell(&mut registry);
        let record = registry.get("system:a/pool:tank").document.record().unwrap();
        let health: Vec<&String> = record.tags.iter().filter(|tag| tag.starts_with("health:")).collect();
        assert_eq!(health, [&format!("health:{}", state.to_lowercase())]);
        assert_eq!(record.incidents.len(), usize::from(state == "FAULTED"), "{state}");
    }
    let pool = registry.get("system:a/pool:tank");
    assert_eq!((pool.status, pool.severity), (Status::Online, Severity::Healthy), "{:?}", pool.reasons());
}

#[test]
fn a_pool_without_a_state_has_no_empty_tag() {
    let mut nas = Nas::new("a");
    nas.says(Section::Pools, &[(Tag::Pools, json!([{"name": "tank"}]))]);
    assert_eq!(nas.record("/pool:tank").tags, ["pool", "truenas", "zfs"]);
}

#[test]
fn a_parent_may_come_after_its_child() {
    let tell = |reversed: bool| {
        let mut nas = Nas::new("a");
        nas.has_pool("tank", "ONLINE", &mirror(&[disk("sda", "ONLINE")]));
        nas.says(
            Section::Datasets,
            &[(Tag::Datasets, json!([{"name": "tank"}, {"name": "tank/a"}, {"name": "tank/a/b"}]))],
        );
        nas.says(Section::Disks, &[(Tag::Disks, json!([{"name": "sda"}]))]);
        let mut records = nas.records();
        if reversed {
            records.reverse();
        }
        let mut registry = Registry::new();
        nas.tell_in_order(&mut registry, records);
        let parents = registry
            .all()
            .into_iter()
            .map(|resource| (resource.id, resource.parent.as_ref().map(|parent| parent.id)));
        parents.collect::<BTreeMap<_, _>>()
    };
    let parents = tell(true);
    assert_eq!(parents, tell(false));
    assert_eq!(parents.values().filter(|parent| parent.is_none()).count(), 1, "the system alone has none");
}

#[test]
fn a_pool_that_is_gone_goes() {
    let mut nas = Nas::new("a");
    let mut registry = Registry::new();
    nas.has_pool("old", "ONLINE", &Value::Null);
    nas.tell(&mut registry);
    nas.has_pool("new", "ONLINE", &Value::Null);
    nas.tell(&mut registry);
    assert!(registry.find("system:a/pool:old").is_none() && registry.find("system:a/pool:new").is_some());
}

#[test]
fn what_could_not_be_read_is_not_gone() {
    let mut nas = Nas::new("a");
    let mut registry = Registry::new();
    nas.says(Section::Apps, &[(Tag::Apps, json!([{"name": "plex", "id": "plex", "state": "RUNNING"}]))]);
    nas.tell(&mut registry);
    for failure in
        [SectionFailure::Failed("late".into()), SectionFailure::Forbidden, SectionFailure::Unsupported]
    {
        let mut other = Nas { sequence: nas.sequence, ..Nas::new(nas.id.as_str()) };
        other.snapshot = Snapshot::default();
        other.says(Section::System, &[(Tag::SystemInfo, json!({"hostname": "nas"}))]);
        other.snapshot.apply(Section::Apps, Err(failure), T0, MINUTE);
        other.tell(&mut registry);
        nas.sequence = other.sequence;
        assert!(registry.find("system:a/app:plex").is_some());
    }
}

#[test]
fn what_is_switched_off_goes_and_says_so() {
    let mut nas = Nas::new("a");
    let mut registry = Registry::new();
    nas.has_pool("tank", "ONLINE", &Value::Null);
    nas.says(Section::Datasets, &[(Tag::Datasets, json!([{"name": "tank"}]))]);
    nas.tell(&mut registry);
    assert!(registry.find("system:a/dataset:tank").is_some());
    nas.snapshot.disable(&BTreeSet::from([Section::Datasets]), T0);
    nas.tell(&mut registry);
    assert!(
        registry.find("system:a/dataset:tank").is_none() && registry.find("system:a/pool:tank").is_some()
    );
    let view = registry.0.view();
    let report = &view.shard(&nas.id).expect("its shard").sections[&Section::Datasets.name()];
    assert_eq!(report.outcome.token(), "disabled");
}

#[test]
fn an_unchanged_reading_changes_and_writes_no_record() {
    let mut nas = Nas::new("a");
    let mut registry = Registry::new();
    nas.has_pool("tank", "ONLINE", &mirror(&[disk("sda", "ONLINE")]));
    assert!(nas.tell(&mut registry).changes.is_some());
    let revision = registry.0.view().revision;
    assert_eq!(nas.tell(&mut registry).changes, None);
    assert_eq!(registry.0.view().revision, revision);
}

#[test]
fn the_boot_pool_and_parity_are_not_usable_capacity() {
    let mut nas = Nas::new("a");
    let boot = json!({"name": "boot-pool", "status": "ONLINE", "properties": {"size": {"parsed": 500}, "allocated": {"parsed": 100},
        "free": {"parsed": 400}}, "groups": {"data": []}});
    let pool = json!([{"name": "tank", "guid": "1", "status": "ONLINE", "size": 6_000, "allocated": 1_800, "free": 4_200}]);
    nas.says(Section::Pools, &[(Tag::Pools, pool)]);
    nas.says(Section::Boot, &[(Tag::BootPool, boot)]);
    nas.says(
        Section::Datasets,
        &[(
            Tag::Datasets,
            json!([{"name": "tank", "used": {"parsed": 1_000}, "available": {"parsed": 2_500}}]),
        )],
    );
    let tank = nas.record("/pool:tank").capacity.unwrap();
    assert_eq!(
        (tank.total_bytes, tank.used_bytes, tank.raw_total_bytes),
        (Some(3_500), Some(1_000), Some(6_000))
    );
    let boot = nas.record("/pool:boot-pool").capacity.unwrap();
    assert_eq!((boot.total_bytes, boot.available_bytes, boot.raw_total_bytes), (None, None, Some(500)));
    assert_eq!(nas.record("").capacity, None, "a system claims no bytes of its own");
}

#[test]
fn a_faulted_disk_is_critical_and_an_idle_spare_is_fine() {
    let mut nas = Nas::new("a");
    let mut topology = mirror(&[disk("sda", "ONLINE"), disk("sdb", "FAULTED")]);
    topology["spare"] = json!([disk("sdc", "ONLINE")]);
    nas.has_pool("tank", "DEGRADED", &topology);
    nas.says(Section::Disks, &[(Tag::Disks, json!([{"name": "sda"}, {"name": "sdb"}, {"name": "sdc"}]))]);
    let registry = judged(nas);
    let of = |name: &str| registry.get(&format!("system:a/disk:{name}"));
    assert_eq!(of("sda").severity, Severity::Healthy);
    assert_eq!(of("sdb").severity, Severity::Critical, "{:?}", of("sdb").reasons());
    assert_eq!((of("sdc").severity, of("sdc").status), (Severity::Healthy, Status::Online));
    let spare = of("sdc").document.record().unwrap().facets.physical_disk.unwrap();
    assert_eq!(spare.pool_role, "spare");
}

#[test]
fn a_suspended_pool_is_offline_and_critical() {
    let mut nas = Nas::new("a");
    nas.has_pool("tank", "SUSPENDED", &Value::Null);
    let pool = judged(nas).get("system:a/pool:tank");
    assert_eq!((pool.status, pool.severity), (Status::Offline, Severity::Critical));
}

#[test]
fn disks_of_the_boot_pool_are_known() {
    let mut nas = Nas::new("a");
    let boot = json!({"name": "boot-pool", "status": "ONLINE", "groups": {"data": [disk("sdz", "ONLINE")]}});
    nas.says(Section::Pools, &[(Tag::Pools, json!([]))]);
    nas.says(Section::Boot, &[(Tag::BootPool, boot)]);
    nas.says(Section::Disks, &[(Tag::Disks, json!([{"name": "sdz"}]))]);
    let facet = nas.record("/disk:sdz").facets.physical_disk.unwrap();
    assert_eq!((facet.pool.as_str(), facet.vdev_state.as_str()), ("boot-pool", "ONLINE"));
    assert_eq!(judged(nas).get("system:a/disk:sdz").status, Status::Online);
}

#[test]
fn a_disk_that_tells_nothing_of_its_health_has_not_failed() {
    let mut nas = Nas::new("a");
    nas.has_pool("tank", "ONLINE", &mirror(&[disk("sda", "ONLINE")]));
    nas.says(Section::Disks, &[(Tag::Disks, json!([{"name": "sda", "smart_status": null}]))]);
    let disk = judged(nas).get("system:a/disk:sda");
    assert_eq!((disk.status, disk.severity), (Status::Online, Severity::Healthy), "{:?}", disk.reasons());
}

#[test]
fn a_dataset_of_which_mounted_is_not_told_is_not_unmounted() {
    let mut nas = Nas::new("a");
    nas.says(
        Section::Datasets,
        &[(Tag::Datasets, json!([{"name": "tank", "readonly": {"parsed": false}, "locked": false}]))],
    );
    let dataset = judged(nas).get("system:a/dataset:tank");
    assert_eq!(
        (dataset.status, dataset.severity),
        (Status::Online, Severity::Healthy),
        "{:?}",
        dataset.reasons()
    );
}

#[test]
fn a_read_only_replication_target_is_as_it_should_be() {
    for (target, status) in [("tank/dr", Status::Online), ("tank/other", Status::Warning)] {
        let mut nas = Nas::new("a");
        nas.says(
            Section::Datasets,
            &[(Tag::Datasets, json!([{"name": "tank/dr/x", "readonly": {"parsed": true}}]))],
        );
        nas.says(
            Section::Replications,
            &[(
                Tag::Replications,
                json!([{"id": 1, "direction": "PULL", "transport": "SSH",
            "target_dataset": target, "readonly": "SET", "state": {"state": "FINISHED"}}]),
            )],
        );
        assert_eq!(judged(nas).get("system:a/dataset:tank/dr/x").status, status, "{target}");
    }
}

#[test]
fn errors_of_a_device_are_visible_and_warn() {
    let mut nas = Nas::new("a");
    let mut bad = disk("sda", "ONLINE");
    bad["stats"] = json!({"read_errors": 0, "write_errors": 0, "checksum_errors": 7});
    nas.has_pool("tank", "ONLINE", &mirror(&[bad]));
    let Some(Zfs::Pool(pool)) = nas.record("/pool:tank").facets.storage.unwrap().zfs else {
        panic!("a pool")
    };
    // A clean row above does not hide what is below it.
    assert_eq!(pool.groups[0].vdevs[0].children[0].checksum_errors, Some(7));
    assert_eq!(pool.vdev_layout, "mirror");
    assert_eq!(judged(nas).get("system:a/pool:tank").severity, Severity::Warning);
}

#[test]
fn an_init_container_that_ended_is_fine() {
    let mut nas = Nas::new("a");
    let app = json!([{"id": "x", "name": "x", "state": "RUNNING", "active_workloads": {"containers": 2, "container_details": [
        {"id": "1", "service_name": "permissions", "state": "exited"}, {"id": "2", "service_name": "x", "state": "running"}]}}]);
    nas.says(Section::Apps, &[(Tag::Apps, app)]);
    let app = judged(nas).get("system:a/app:x");
    assert_eq!((app.status, app.severity), (Status::Online, Severity::Healthy), "{:?}", app.reasons());
}

#[test]
fn the_cache_is_no_memory_in_use() {
    let told =
        json!({"memory": {"physical_memory_total": 100, "physical_memory_available": 10, "arc_size": 60}});
    assert_eq!(metrics::decode(&told).unwrap().memory_used_bytes, Some(30));
}

#[test]
fn memory_without_figures_is_unknown_and_never_full() {
    let mut nas = Nas::new("a");
    nas.says(
        Section::System,
        &[(Tag::SystemInfo, json!({"hostname": "core", "version": "TrueNAS-13.3-U1", "physmem": 100}))],
    );
    // Over REST nothing is pushed.
    nas.snapshot.apply(Section::Metrics, Err(SectionFailure::Unsupported), T0, MINUTE);
    let record = nas.record("");
    assert_eq!(record.facets.agent.unwrap().memory_total_bytes, Some(100));
    assert_eq!(record.facets.metrics.and_then(|metrics| metrics.memory_used_bytes), None);
    assert_eq!(judged(nas).get("system:a").severity, Severity::Healthy);
}

#[test]
fn an_alert_is_attached_by_its_arguments_and_not_by_its_english() {
    let mut nas = Nas::new("a");
    nas.has_pool("tank", "ONLINE", &Value::Null);
    nas.has_pool("tank", "ONLINE", &mirror(&[disk("sda", "ONLINE")]));
    let mut told = alert("CRITICAL", "VolumeStatus", &json!({"volume": "tank", "state": "DEGRADED"}));
    told["text"] = json!("Le volume est malade");
    nas.says(Section::Alerts, &[(Tag::Alerts, json!([told]))]);
    let incident = nas.record("/pool:tank").incidents.remove(0);
    assert_eq!(incident.klass, "VolumeStatus");
    assert_eq!(serde_json::from_str::<Value>(&incident.args_json).unwrap()["volume"], "tank");
}

#[test]
fn staleness_hides_neither_state_nor_severity() {
    let mut nas = Nas::new("a");
    let mut registry = Registry::new();
    nas.has_pool("tank", "FAULTED", &Value::Null);
    nas.tell(&mut registry);
    let before = registry.get("system:a/pool:tank");
    // The limit follows the interval of the section.
    let at = T0 + MINUTE * 3 + Duration::from_millis(1);
    assert_eq!(registry.0.tick(T0 + Duration::from_mins(2)), None);
    assert!(registry.0.tick(at).is_some());
    let after = registry.get("system:a/pool:tank");
    assert_eq!(after.freshness, Freshness::Stale);
    assert_eq!((after.severity, after.document.state()), (before.severity, "FAULTED"));
    assert_eq!(after.status, Status::Warning, "unknown is not offline");
}

#[test]
fn a_share_lies_in_the_longest_dataset_and_never_without_a_parent() {
    let mut nas = Nas::new("a");
    nas.has_pool("tank", "ONLINE", &Value::Null);
    nas.says(
        Section::Datasets,
        &[(Tag::Datasets, json!([{"name": "tank"}, {"name": "tank/a"}, {"name": "tank/a/b"}]))],
    );
    let share =
        |id: u32, path: &str| json!({"id": id, "name": format!("s{id}"), "path": path, "enabled": true});
    let shares =
        [(1, "/mnt/tank/a/b/c/d", "/dataset:tank/a/b"), (2, "/mnt/tank/../etc", ""), (3, "/mnt/gone/x", "")];
    let rows: Vec<Value> = shares.iter().map(|(id, path, _)| share(*id, path)).collect();
    nas.says(Section::SmbShares, &[(Tag::SmbShares, rows.into())]);
    for (id, path, parent) in shares {
        let record = nas.record(&format!("/share:smb:{id}"));
        assert_eq!(record.parent_source_id.unwrap().as_str(), format!("system:a{parent}"), "{path}");
    }
    assert_eq!(nas.record("/dataset:tank/a/b").parent_source_id.unwrap().as_str(), "system:a/dataset:tank/a");
}

#[test]
fn http_with_a_port_in_the_host_stays_http() {
    let raw = Raw {
        name: "nas".into(),
        host: "http://host:8080".into(),
        api_key: Some(Secret::new("1-abc")),
        ..Raw::default()
    };
    let settings = validate(raw, ConnectionId::parse("a").unwrap(), T0).unwrap();
    assert_eq!((settings.tls, settings.host.as_str(), settings.port), (Tls::Off, "host", 8_080));
}

/// The points of the table, by the number that Pulse's weaknesses have there.
const POINTS: std::ops::RangeInclusive<u32> = 1..=27;
/// Held by what is not in this release, and said so.
const LATER: [u32; 2] = [24, 25];

#[test]
fn every_point_has_a_test_that_exists() {
    let table = fs::read_to_string(root().join("docs/predecessor.md")).unwrap();
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in rows(&table) {
        let [point, _, tests] = &row.cells[..] else { continue };
        let number = point.parse::<u32>().ok();
        seen.extend(number);
        if quoted(tests).next().is_none() && !number.is_some_and(|number| LATER.contains(&number)) {
            wrong.push(format!("{point}: no test"));
        }
        wrong.extend(quoted(tests).filter_map(missing).map(|what| format!("{point}: {what}")));
    }
    for number in POINTS.filter(|number| !seen.contains(number)) {
        wrong.push(format!("{number}: not in the table"));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
