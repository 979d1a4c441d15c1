//! Rules of the mapping that the samples do not show.

use std::cmp::Reverse;

use pulse_proto::model::{AlertLevel, IngestRecord};
use serde_json::{Value, json};

use super::samples::{mapped, replies, snapshot};
use super::{Mapped, records, samples};
use crate::api::{Section, SectionFailure, Tag};

fn one<'a>(mapped: &'a Mapped, id: &str) -> &'a IngestRecord {
    let found =
        mapped.records.iter().find(|record| record.source_id.as_str() == format!("system:conn-1{id}"));
    found.unwrap_or_else(|| panic!("no record {id}"))
}

fn of(parts: &[(Tag, Value)]) -> Mapped {
    let replies: Vec<_> = parts.iter().map(|(tag, value)| (*tag, value.to_string())).collect();
    mapped(&replies)
}

const POOL_STATES: [&str; 8] =
    ["ONLINE", "DEGRADED", "FAULTED", "OFFLINE", "UNAVAIL", "REMOVED", "SUSPENDED", "SPLIT"];
const VDEV_STATES: [&str; 10] = [
    "ONLINE",
    "DEGRADED",
    "FAULTED",
    "OFFLINE",
    "UNAVAIL",
    "REMOVED",
    "SPLIT",
    "UNKNOWN",
    "CLOSED",
    "CANT_OPEN",
];

#[test]
fn every_state_travels_as_told() {
    for state in POOL_STATES.into_iter().chain(["MELTED"]) {
        let mapped = of(&[(Tag::Pools, json!([{"name": "p", "guid": "1", "status": state}]))]);
        assert_eq!(one(&mapped, "/pool:p").state, state);
    }
    for state in VDEV_STATES {
        let topology =
            json!({"data": [{"type": "DISK", "guid": "7", "status": state, "disk": "sda", "name": "x"}]});
        let mapped = of(&[
            (Tag::Pools, json!([{"name": "p", "status": "ONLINE", "topology": topology}])),
            (Tag::Disks, json!([{"name": "sda", "serial": "S1"}])),
        ]);
        assert_eq!(one(&mapped, "/disk:sda").state, state);
    }
    for state in ["BOOTING", "READY", "SHUTTING_DOWN"] {
        let mapped = of(&[(Tag::SystemInfo, json!({"hostname": "n"})), (Tag::SystemState, json!(state))]);
        assert_eq!(one(&mapped, "").state, state);
    }
}

#[test]
fn a_system_not_yet_read_has_no_record_and_a_forbidden_one_a_bare_one() {
    assert!(mapped(&[]).records.is_empty() && mapped(&[]).skipped.is_empty());
    let pools = (Tag::Pools, json!([{"name": "p"}]).to_string());
    let mut failed = snapshot(&[pools, (Tag::SystemInfo, "[]".to_owned())]);
    assert_eq!(records(&samples::connection(), "the nas", &failed).records.len(), 1);
    let now = pulse_proto::model::UnixMillis::new(1);
    failed.apply(Section::System, Err(SectionFailure::Forbidden), now, std::time::Duration::from_mins(1));
    let bare = records(&samples::connection(), "the nas", &failed);
    assert_eq!(one(&bare, "").name, "the nas");
}

#[test]
fn a_dataset_hangs_on_the_nearest_that_is_there() {
    let datasets = json!([{"name": "a"}, {"name": "a/b"}, {"name": "a/x/y"}, {"name": "gone/z"}]);
    let parent =
        |mapped: &Mapped, id: &str| one(mapped, id).parent_source_id.as_ref().map(ToString::to_string);
    let without_pools = of(&[(Tag::Datasets, datasets.clone())]);
    let with_pools = of(&[(Tag::Datasets, datasets), (Tag::Pools, json!([{"name": "a"}]))]);
    for mapped in [&without_pools, &with_pools] {
        assert_eq!(parent(mapped, "/dataset:a").as_deref(), Some("system:conn-1/pool:a"));
        assert_eq!(parent(mapped, "/dataset:a/b").as_deref(), Some("system:conn-1/dataset:a"));
        assert_eq!(parent(mapped, "/dataset:a/x/y").as_deref(), Some("system:conn-1/dataset:a"));
    }
    assert_eq!(parent(&without_pools, "/dataset:gone/z").as_deref(), Some("system:conn-1/pool:gone"));
    assert_eq!(parent(&with_pools, "/dataset:gone/z").as_deref(), Some("system:conn-1"));
}

#[test]
fn only_a_task_that_writes_here_makes_a_target() {
    for (direction, transport, readonly, expected) in [
        ("PULL", "SSH", "SET", true),
        ("PUSH", "LOCAL", "REQUIRE", true),
        ("PULL", "SSH+NETCAT", "", true),
        ("PUSH", "SSH", "SET", false),
        ("PULL", "SSH", "IGNORE", false),
    ] {
        let task = json!([{"id": 1, "direction": direction, "transport": transport, "readonly": readonly, "target_dataset": "t/r"}]);
        let datasets =
            json!([{"name": "t/r/child", "readonly": {"parsed": true}}, {"name": "t/rr", "readonly": true}]);
        let mapped = of(&[(Tag::Datasets, datasets), (Tag::Replications, task)]);
        let tagged = |id: &str| one(&mapped, id).tags.contains(&"state:replication-readonly".to_owned());
        assert_eq!(tagged("/dataset:t/r/child"), expected, "{direction} {transport} {readonly}");
        assert!(!tagged("/dataset:t/rr"));
    }
}

#[test]
fn a_missing_disk_has_a_record_and_keeps_its_id() {
    let topology = json!({"data": [{"type": "DISK", "guid": "99", "name": "99", "status": "UNAVAIL", "device": null,
        "disk": null, "unavail_disk": {"name": "sdk", "serial": "SER-1234", "size": 5}}]});
    let pools = (Tag::Pools, json!([{"name": "p", "status": "DEGRADED", "topology": topology}]));
    for (disks, id, section, missing) in [
        (json!([]), "/disk:sdk", "pools", true),
        (json!([{"name": "sdk", "serial": "OTHER-77"}]), "/disk:SER-1234", "pools", true),
        (json!([{"name": "sdk", "serial": "SER-1234"}]), "/disk:sdk", "disks", true),
    ] {
        let mapped = of(&[pools.clone(), (Tag::Disks, disks)]);
        let record = one(&mapped, id);
        let facet = record.facets.physical_disk.as_ref().expect("a disk");
        assert_eq!((record.section.as_str(), facet.missing), (section, missing), "{id}");
        assert_eq!((facet.pool.as_str(), facet.vdev_state.as_str()), ("p", "UNAVAIL"));
        assert_eq!(record.identity.machine_id, "SER-1234");
    }
}

#[test]
fn a_disk_that_left_its_pool_is_in_none() {
    let topology =
        json!({"data": [{"type": "DISK", "guid": "99", "name": "x", "status": "ONLINE", "disk": "sdb"}]});
    let mapped = of(&[
        (Tag::Pools, json!([{"name": "p", "topology": topology}])),
        (Tag::Disks, json!([{"name": "sda", "zfs_guid": "99"}, {"name": "sdb", "zfs_guid": "98"}])),
    ]);
    let pool = |id: &str| one(&mapped, id).facets.physical_disk.as_ref().map(|disk| disk.pool.clone());
    assert_eq!(pool("/disk:sda").as_deref(), Some(""));
    assert_eq!(pool("/disk:sdb").as_deref(), Some("p"));
}

#[test]
fn a_spare_in_use_is_told_as_one() {
    let leaf = |guid: &str, disk: &str, status: &str| {
        json!({"type": "DISK", "guid": guid, "name": disk, "disk": disk, "status": status,
            "stats": {"checksum_errors": if status == "ONLINE" { 3 } else { 0 }}})
    };
    let topology = json!({
        "data": [{"type": "SPARE", "children": [leaf("1", "sda", "FAULTED"), leaf("2", "sdb", "ONLINE")]}],
        "spare": [leaf("2", "sdb", "UNAVAIL"), leaf("3", "sdc", "ONLINE")],
    });
    let mapped = of(&[
        (Tag::Pools, json!([{"name": "p", "topology": topology}])),
        (Tag::Disks, json!([{"name": "sda"}, {"name": "sdb"}, {"name": "sdc"}])),
    ]);
    for (id, role, in_use, errors) in
        [("sda", "data", None, 0), ("sdb", "spare", Some(true), 3), ("sdc", "spare", Some(false), 3)]
    {
        let facet = one(&mapped, &format!("/disk:{id}")).facets.physical_disk.clone().expect("a disk");
        assert_eq!((facet.pool_role.as_str(), facet.spare_in_use), (role, in_use), "{id}");
        assert_eq!(facet.checksum_errors, Some(errors), "{id}");
    }
}

#[test]
fn of_two_pools_with_one_name_the_imported_one_counts() {
    let pools = json!([{"name": "p", "guid": "1", "status": "OFFLINE", "topology": null},
        {"name": "p", "guid": "2", "status": "ONLINE", "topology": {"data": [{"type": "DISK"}]}}]);
    let mapped = of(&[(Tag::Pools, pools)]);
    assert_eq!(one(&mapped, "/pool:p").state, "ONLINE");
    assert_eq!(mapped.skipped.len(), 1);
}

#[test]
fn names_that_cannot_stand_in_an_id_cost_themselves() {
    let long = "x".repeat(2_000);
    let mapped = of(&[
        (Tag::Pools, json!([{"name": "a\u{7}"}, {"name": "ok"}])),
        (Tag::Disks, json!([{"name": long}, {"name": "sda"}])),
        (Tag::Datasets, json!([{"name": "ok/a\n"}, {"name": "ok/ü", "pool": "b\u{0}"}])),
    ]);
    let ids: Vec<_> = mapped.records.iter().map(|record| record.source_id.as_str()).collect();
    assert_eq!(ids, ["system:conn-1/dataset:ok/ü", "system:conn-1/disk:sda", "system:conn-1/pool:ok"]);
    assert_eq!(mapped.skipped.len(), 3);
}

/// Class, arguments, text, and what it is about.
fn about(klass: &str, args: &Value, text: &str) -> String {
    let mut replies = replies("v25_10_0");
    replies.retain(|(tag, _)| *tag != Tag::Alerts);
    let alert = json!([{"uuid": "u", "klass": klass, "args": args, "formatted": text, "level": "WARNING"}]);
    replies.push((Tag::Alerts, alert.to_string()));
    let mapped = records(&samples::connection(), "the nas", &snapshot(&replies));
    let mut on = mapped.records.iter().filter(|record| !record.incidents.is_empty());
    let id = on.next().expect("every alert is somewhere").source_id.to_string();
    assert!(on.next().is_none(), "an alert is in one place");
    id.strip_prefix("system:conn-1").unwrap_or_default().to_owned()
}

#[test]
fn alerts_find_what_they_concern() {
    for (klass, args, text, expected) in [
        ("VolumeStatus", json!({"volume": "archive", "state": "DEGRADED"}), "", "/pool:archive"),
        ("VolumeStatus", json!(null), "Pool archive state is DEGRADED: x", "/pool:archive"),
        ("VolumeStatus", json!({"volume": "nowhere"}), "Pool nowhere state", ""),
        ("BootPoolStatus", json!({"status": "DEGRADED"}), "", "/pool:boot-pool"),
        ("ZpoolCapacityCritical", json!({"volume": "tank", "capacity": 90}), "", "/pool:tank"),
        ("ScrubStarted", json!("tank"), "", "/pool:tank"),
        ("PoolUpgraded", json!(["tank"]), "", "/pool:tank"),
        ("QuotaCritical", json!({"dataset": "tank/media", "name": "Quota"}), "", "/dataset:tank/media"),
        (
            "QuotaWarning",
            json!(null),
            "Quota exceeded on dataset tank/media. Used 90%",
            "/dataset:tank/media",
        ),
        ("SnapshotFailed", json!({"name": "tank/media"}), "", "/dataset:tank/media"),
        ("SnapshotTotalCount", json!({"count": 9, "x": "tank"}), "", ""),
        ("EncryptedDataset", json!({"datasets": ["tank/vault", "tank/media"]}), "", "/pool:tank"),
        ("SMART", json!({"device": "/dev/sda [SAT]", "message": "x"}), "", "/disk:sda"),
        ("SMARTFailedSelfTest", json!({"serial": "ZL2A1F4K"}), "", "/disk:sda"),
        ("SMART", json!(null), "Device: /dev/nvme0n1, 3 errors", "/disk:nvme0n1"),
        ("DiskTemperatureTooHot", json!(null), "Disk sda1 is too hot", "/disk:sda"),
        (
            "ReplicationFailed",
            json!({"name": "tank/media - archive/media", "message": "m"}),
            "",
            "/task:replication:3",
        ),
        ("ZpoolCapacityNotice", json!({"volume": "tank", "capacity": 71}), "", "/pool:tank"),
        ("ZpoolCapacityWarning", json!({"volume": "archive", "capacity": 81}), "", "/pool:archive"),
        ("ScrubPaused", json!("archive"), "", "/pool:archive"),
        ("ScrubNotStarted", json!({"pool": "archive", "text": "busy"}), "", "/pool:archive"),
        ("SnapshotCount", json!({"dataset": "tank/media", "count": 600}), "", "/dataset:tank/media"),
        ("ReplicationSuccess", json!({"name": "tank/media - archive/media"}), "", "/task:replication:3"),
        ("SMARTUncorrectedErrors", json!({"device": "sda", "serial": "x"}), "", "/disk:sda"),
        ("SMARTSpareBlockCount", json!({"device": "nvme0n1"}), "", "/disk:nvme0n1"),
        ("UPSOnBattery", json!({"ups": "ups"}), "UPS ups is on battery power", ""),
        ("UPSCommbad", json!({"ups": "ups"}), "", ""),
        ("ApiKeyRevoked", json!({"key_name": "pulse"}), "API key pulse was revoked", ""),
        ("RESTAPIUsage", json!({"ip_addresses": "192.0.2.7"}), "REST was used from 192.0.2.7", ""),
        ("AppUpdate", json!({"name": "jellyfin"}), "", "/app:jellyfin"),
        ("SomethingNew", json!({"device": "sdz"}), "about pool tank", "/disk:sdz"),
        ("SomethingNew", json!({"name": "tank"}), "all is well", ""),
        ("SomethingNew", json!(null), "Pool 'tank' lost /dev/sda", "/pool:tank"),
        ("SomethingNew", json!(null), "Lost disk with serial 2211E6123456", "/disk:sdx"),
        ("CertificateExpired", json!({"name": "tank"}), "Certificate tank has expired", ""),
        ("", json!([[1, {"pool": "tank"}]]), "", "/pool:tank"),
    ] {
        assert_eq!(about(klass, &args, text), expected, "{klass} {args} {text}");
    }
}

#[test]
fn incidents_are_ordered_bounded_and_keep_what_is_dismissed() {
    let alerts: Vec<Value> = (0..300)
        .map(|i| {
            let level = AlertLevel::ALL[i % AlertLevel::ALL.len()].token().to_uppercase();
            json!({"uuid": format!("u{i}"), "klass": "ScrubPaused", "args": "p", "level": level, "dismissed": i == 6,
                "text": "t", "args2": null})
        })
        .collect();
    let doubled: Vec<_> = alerts.iter().chain(&alerts).cloned().collect();
    let mapped = of(&[
        (Tag::Pools, json!([{"name": "p"}])),
        (Tag::Alerts, json!(doubled)),
        (Tag::SystemInfo, json!([])),
    ]);
    let incidents = &one(&mapped, "/pool:p").incidents;
    assert_eq!(incidents.len(), 256);
    assert!(
        incidents.is_sorted_by(|a, b| (a.dismissed, Reverse(a.level)) <= (b.dismissed, Reverse(b.level)))
    );
    assert!(incidents.iter().any(|incident| !incident.dismissed && incident.native_id == "u13"));
    assert_eq!(mapped.skipped.len(), 1);
}
