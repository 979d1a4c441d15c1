//! What holds for every record, whatever the tables say.

use proptest::collection::vec;
use proptest::prelude::*;
use pulse_proto::model::{
    AlertLevel, Capacity, ConnectionState, Dataset, Disk, Expansion, Freshness, Incident, IngestRecord, Pool,
    ResourceType, Scan, Severity, Status, TrueNas, UnixMillis, Vdev, VdevGroup,
};

use super::{Tables, example, vdev};
use crate::state::Document;
use crate::state::judge::{Judge as _, Subject, WorstChild};

fn word() -> impl Strategy<Value = String> + Clone {
    let known = [
        "",
        "ONLINE",
        "DEGRADED",
        "FAULTED",
        "OFFLINE",
        "UNAVAIL",
        "REMOVED",
        "SUSPENDED",
        "UNKNOWN",
        "AVAIL",
        "INUSE",
        "OK",
        "FAILING_DEV",
        "CORRUPT_DATA",
        "IO_FAILURE_WAIT",
        "SCRUB",
        "RESILVER",
        "SCANNING",
        "FINISHED",
        "CANCELED",
        "NONE",
        "data",
        "spare",
        "cache",
        "log",
        "SPARE",
        "MIRROR",
        "READY",
        "ERROR",
        "NVME",
        "SMART",
    ];
    prop_oneof![9 => prop::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"]
}

fn count() -> impl Strategy<Value = Option<u64>> + Clone {
    prop_oneof![Just(None), Just(Some(0)), (1..100u64).prop_map(Some), Just(Some(u64::MAX))]
}

fn device() -> impl Strategy<Value = Vdev> {
    let leaf = (word(), word(), "[a-c]?", (count(), count(), count()), any::<bool>()).prop_map(
        |(state, kind, name, (read_errors, write_errors, checksum_errors), missing)| Vdev {
            guid: name.clone(),
            name,
            kind,
            state,
            read_errors,
            write_errors,
            checksum_errors,
            missing,
            ..Vdev::default()
        },
    );
    leaf.clone().prop_recursive(3, 12, 4, move |inner| {
        (leaf.clone(), vec(inner, 0..4)).prop_map(|(vdev, children)| Vdev { children, ..vdev })
    })
}

fn groups() -> impl Strategy<Value = Vec<VdevGroup>> {
    vec((word(), vec(device(), 0..4)).prop_map(|(role, vdevs)| VdevGroup { role, vdevs }), 0..4)
}

fn incident() -> impl Strategy<Value = Incident> {
    (word(), prop::sample::select(AlertLevel::ALL), ".{0,300}", any::<bool>()).prop_map(
        |(klass, level, text, dismissed)| Incident {
            provider: "truenas".into(),
            native_id: String::new(),
            klass,
            level,
            text,
            args_json: String::new(),
            node: String::new(),
            dismissed,
            one_shot: false,
            started_at: None,
        },
    )
}

fn pool() -> impl Strategy<Value = IngestRecord> {
    let scan = (word(), word(), count(), any::<bool>()).prop_map(|(function, state, errors, paused)| Scan {
        function,
        state,
        errors,
        pause_time: paused.then_some(UnixMillis::new(1)),
        ..Scan::default()
    });
    let expansion = word().prop_map(|state| Expansion { state, ..Expansion::default() });
    let facts = (word(), word(), prop::option::of(scan), prop::option::of(expansion), groups());
    (facts, count(), count()).prop_map(|((state, status_code, scan, expansion, groups), used, total)| {
        let mut record = example::pool(|pool| {
            *pool =
                Pool { name: "tank".into(), state, status_code, scan, expansion, groups, ..Pool::default() };
        });
        record.capacity = Some(Capacity { used_bytes: used, total_bytes: total, ..Capacity::default() });
        record
    })
}

fn dataset() -> impl Strategy<Value = IngestRecord> {
    let told = || prop::option::of(any::<bool>());
    let flags = (told(), told(), told(), told(), told(), any::<bool>());
    let own = (word(), word(), count(), count());
    (word(), word(), flags, count(), count(), own).prop_map(|(kind, mountpoint, flags, used, quota, own)| {
        example::dataset(|dataset| {
            let (mounted, readonly, encrypted, locked, key_loaded, replication_target) = flags;
            let (name, pool, used_by_dataset_bytes, refquota_bytes) = own;
            *dataset = Dataset {
                name,
                pool,
                used_by_dataset_bytes,
                refquota_bytes,
                kind,
                mountpoint,
                mounted,
                readonly,
                encrypted,
                locked,
                key_loaded,
                replication_target,
                used_bytes: used,
                quota_bytes: quota,
                ..Dataset::default()
            };
        })
    })
}

fn disk() -> impl Strategy<Value = IngestRecord> {
    let words = (word(), word(), word(), word(), word());
    let counts = (count(), count(), count());
    (words, counts, any::<bool>(), prop::option::of(any::<bool>()), prop::option::of(any::<f64>())).prop_map(
        |((name, vdev_state, pool, pool_role, bus), errors, missing, spare_in_use, temperature_celsius)| {
            let (read_errors, write_errors, checksum_errors) = errors;
            example::disk(|disk| {
                *disk = Disk {
                    name,
                    vdev_state,
                    pool,
                    pool_role,
                    bus,
                    read_errors,
                    write_errors,
                    checksum_errors,
                    missing,
                    spare_in_use,
                    temperature_celsius,
                    ..Disk::default()
                };
            })
        },
    )
}

fn host() -> impl Strategy<Value = IngestRecord> {
    (word(), word(), vec(".{0,20}", 0..3)).prop_map(|(system_state, failover_status, reboots)| {
        example::host(|truenas| {
            let reboot_required_reasons = reboots;
            *truenas =
                TrueNas { system_state, failover_status, reboot_required_reasons, ..TrueNas::default() };
        })
    })
}

fn plain() -> impl Strategy<Value = IngestRecord> {
    (prop::sample::select(ResourceType::ALL), word()).prop_map(|(kind, state)| example::plain(kind, &state))
}

fn record() -> impl Strategy<Value = IngestRecord> {
    // Boxed: side by side on the stack they are too large for it.
    let kinds = [pool().boxed(), dataset().boxed(), disk().boxed(), host().boxed(), plain().boxed()];
    (prop::strategy::Union::new(kinds), vec(incident(), 0..4))
        .prop_map(|(record, incidents)| IngestRecord { incidents, ..record })
}

proptest! {
    #[test]
    fn every_record_gets_a_consistent_judgement(
        record in record(),
        freshness in prop::sample::select(Freshness::ALL),
        connection in prop::option::of(prop::sample::select(ConnectionState::ALL)),
        child in prop::option::of(prop::sample::select(Severity::ALL)),
    ) {
        let tables = Tables::default();
        let worst_child = child.map(|severity| WorstChild { name: "tank", severity });
        let subject = Subject { record: &record, freshness, connection, worst_child };
        let judgement = tables.judge(&subject);
        prop_assert_eq!(&judgement, &tables.judge(&subject));
        let worst = judgement.reasons.iter().map(|reason| reason.severity).max().unwrap_or(Severity::Healthy);
        prop_assert_eq!(judgement.severity, worst);
        prop_assert!(judgement.reasons.is_sorted_by_key(|r| (std::cmp::Reverse(r.severity), r.code)));
        for reason in &judgement.reasons {
            prop_assert!(!reason.code.is_empty() && !reason.summary.is_empty());
            prop_assert!(!reason.summary.contains('\n'));
        }
        if judgement.severity >= Severity::Warning {
            prop_assert_ne!(judgement.status, Status::Online);
        }
    }

    #[test]
    fn what_is_read_of_a_kept_record_is_judged_as_the_record(record in record()) {
        let document = Document::of(&record);
        if let Ok(decoded) = document.record() {
            let read = document.judged().expect("what can be decoded can be read");
            let [of_read, of_record] = [read, decoded].map(|record| {
                let tables = Tables::default();
                let judgement = tables.judge(&example::subject(&record));
                (judgement, format!("{:?}", tables.unknown_values()))
            });
            prop_assert_eq!(of_read, of_record);
        }
    }

    #[test]
    fn freshness_changes_neither_severity_nor_reasons(record in record()) {
        let tables = Tables::default();
        let fresh = tables.judge(&example::subject(&record));
        for freshness in [Freshness::Stale, Freshness::Lost] {
            let aged = tables.judge(&Subject { freshness, ..example::subject(&record) });
            prop_assert_eq!(aged.severity, fresh.severity);
            prop_assert_eq!(&aged.reasons, &fresh.reasons);
            prop_assert_eq!(aged.status, Status::Warning);
        }
    }

    #[test]
    fn the_connection_never_changes_the_severity(record in record()) {
        let tables = Tables::default();
        let severity = tables.judge(&example::subject(&record)).severity;
        for state in ConnectionState::ALL {
            let subject = Subject { connection: Some(*state), ..example::subject(&record) };
            prop_assert_eq!(tables.judge(&subject).severity, severity);
        }
    }

    #[test]
    fn one_more_device_never_makes_a_pool_better(
        groups in groups(),
        more in device(),
        role in prop::sample::select(vec!["data", "special", "dedup", "log", "cache"]),
    ) {
        let severity = |groups: &[VdevGroup]| {
            let record = example::pool(|pool| pool.groups = groups.to_vec());
            example::judge(&record).severity
        };
        let before = severity(&groups);
        let mut worse = groups;
        // A spare that stands in elsewhere explains a spare shown as gone: not a device like another.
        let spares = worse.iter().any(|group| vdev::is_spare(&group.role));
        prop_assume!(!(spares && format!("{more:?}").to_uppercase().contains("SPARE")));
        worse.push(VdevGroup { role: role.into(), vdevs: vec![more] });
        prop_assert!(severity(&worse) >= before);
    }

    #[test]
    fn a_worse_device_never_makes_a_pool_better(vdev in device(), at in 0..vdev::ROLES.len()) {
        let severity = |vdev: Vdev| {
            let role = vdev::ROLES[at].word.to_owned();
            let record = example::pool(|pool| pool.groups = vec![VdevGroup { role, vdevs: vec![vdev] }]);
            example::judge(&record).severity
        };
        let before = severity(vdev.clone());
        let changes: [fn(&mut Vdev); 3] =
            [|vdev| vdev.state = "FAULTED".into(), |vdev| vdev.missing = true, |vdev| vdev.read_errors = Some(9)];
        for change in changes {
            let mut worse = vdev.clone();
            change(&mut worse);
            prop_assert!(severity(worse) >= before);
        }
    }

    #[test]
    fn one_more_alert_never_makes_a_thing_better(record in record(), more in incident()) {
        let before = example::judge(&record).severity;
        let mut worse = record;
        worse.incidents.push(more);
        prop_assert!(example::judge(&worse).severity >= before);
    }
}
