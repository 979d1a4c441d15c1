//! What keeps what quiet: only the same thing, and only while somebody is told of it.

use super::*;

/// A pool in a state, with a native alert of these ids.
fn sick(state: &str, severity: Severity, ids: &[&str]) -> Arc<Resource> {
    told(&pool_in(state, severity), |record| {
        record.incidents = ids
            .iter()
            .map(|id| Incident {
                native_id: (*id).to_owned(),
                ..incident("VolumeStatus", AlertLevel::Critical)
            })
            .collect();
    })
}

fn steps(scene: &Scene, origin: &str) -> Vec<crate::alert::case::Step> {
    let case = scene.case(origin).expect("a case");
    case.transitions.iter().map(|step| step.step).collect()
}

#[test]
fn a_pool_that_is_suspended_after_its_degradation_was_acknowledged_is_told() {
    use crate::alert::case::Step;
    // The NAS is slow to say so itself, or never does.
    for ids in [&["old"][..], &["new"][..]] {
        let mut scene = Scene::new();
        scene.later(MINUTE, &[sick("DEGRADED", Severity::Warning, &["old"])]);
        assert!(scene.notifies("VolumeStatus") && !scene.notifies("pool-state"));
        scene.acknowledge("VolumeStatus");
        scene.later(MINUTE, &[sick("DEGRADED", Severity::Warning, &["old"])]);
        scene.restart();
        scene.later(MINUTE, &[sick("DEGRADED", Severity::Warning, &["old"])]);
        for origin in ["VolumeStatus", "pool-state"] {
            assert!(!scene.notifies(origin), "{origin}: somebody knows");
        }
        scene.later(MINUTE, &[sick("SUSPENDED", Severity::Critical, ids)]);
        let native = ids[0] == "new";
        assert_eq!((scene.notifies("VolumeStatus"), scene.notifies("pool-state")), (native, !native));
        assert_eq!(steps(&scene, "VolumeStatus").contains(&Step::Withdrawn), native);
    }
}

#[test]
fn what_was_silenced_or_dismissed_hides_nothing_that_comes_after() {
    let silence = |scene: &mut Scene| {
        let silence = pb::Silence {
            filter: "klass = VolumeStatus".to_owned(),
            reason: "it is known".to_owned(),
            author: "ops".to_owned(),
            expires_at: Some(pulse_proto::convert::timestamp_to_wire(scene.now + 48 * HOUR)),
            ..pb::Silence::default()
        };
        let said =
            scene.engine.command(Command::CreateSilence { id: SilenceId::new("one"), silence }, scene.now);
        assert!(said.is_ok(), "{said:?}");
        scene.keep();
    };
    let degraded = sick("DEGRADED", Severity::Warning, &["old"]);
    let dismissed = |resource: &Arc<Resource>| {
        told(resource, |record| record.incidents.iter_mut().for_each(|incident| incident.dismissed = true))
    };

    // What it kept quiet it keeps quiet; what grows worse is told.
    for is_dismissed in [false, true] {
        let as_it_is = |resource: Arc<Resource>| if is_dismissed { dismissed(&resource) } else { resource };
        let mut scene = Scene::new();
        scene.later(MINUTE, &[Arc::clone(&degraded)]);
        scene.now = scene.now + MINUTE;
        if !is_dismissed {
            silence(&mut scene);
        }
        scene.later(MINUTE, &[as_it_is(Arc::clone(&degraded))]);
        assert!(!scene.notifies("VolumeStatus") && !scene.notifies("pool-state"), "{is_dismissed}");
        scene.later(MINUTE, &[as_it_is(sick("FAULTED", Severity::Critical, &["old"]))]);
        assert!(!scene.notifies("VolumeStatus") && scene.notifies("pool-state"), "{is_dismissed}");
    }

    // Of which nobody was ever told hides nothing.
    let mut scene = Scene::new();
    silence(&mut scene);
    scene.later(MINUTE, &[degraded]);
    assert!(!scene.notifies("VolumeStatus") && scene.notifies("pool-state"));
}

#[test]
fn a_rule_of_an_operator_is_told_beside_what_came_along() {
    let mut scene = Scene::new();
    let reason = pb::ReasonCondition { codes: vec!["zfs_pool_state".to_owned()], min_severity: 0 };
    scene.rule(pb::AlertRule {
        id: "pool-state-mine".to_owned(),
        condition: Some(pb::alert_rule::Condition::Reason(reason)),
        raise_confirmations: 1,
        ..pb::AlertRule::default()
    });
    scene.later(MINUTE, &[sick("DEGRADED", Severity::Warning, &["one"])]);
    assert!(scene.notifies("pool-state-mine") && !scene.notifies("pool-state"));
}

/// A system with a certificate that ends in so many days, a charge, and native alerts.
fn system(certificate: (&str, u32), charge: f64, incidents: Vec<Incident>, now: UnixMillis) -> Arc<Resource> {
    told(&host(), |record| {
        let (name, days) = certificate;
        let not_after = Some(now + 24 * HOUR * days);
        let certificate = Certificate { name: name.to_owned(), not_after, ..Certificate::default() };
        record.facets.truenas = Some(Box::new(TrueNas {
            certificates: vec![certificate],
            ups: Some(Ups { charge_percent: Some(charge), ..Ups::default() }),
            ..TrueNas::default()
        }));
        record.incidents = incidents;
    })
}

#[test]
fn a_certificate_is_hidden_by_an_alert_of_the_same_one_alone() {
    let named = |klass: &str, name: &str| Incident {
        args_json: format!(r#"{{"name":"{name}","count":3}}"#),
        ..incident(klass, AlertLevel::Critical)
    };
    for (native, hides) in [
        (named("CertificateParsingFailed", "web"), false),
        (named("CertificateIsExpiring", "other"), false),
        (named("CertificateIsExpiring", "web"), true),
        (
            Incident {
                text: "Certificate 'web' has expired.".to_owned(),
                ..incident("CertificateExpired", AlertLevel::Critical)
            },
            true,
        ),
        (
            Incident {
                text: "Certificate 'web2' has expired.".to_owned(),
                ..incident("CertificateExpired", AlertLevel::Critical)
            },
            false,
        ),
    ] {
        let mut scene = Scene::new();
        let system = system(("web", 3), 100.0, vec![native.clone()], scene.now);
        scene.later(MINUTE, &[system]);
        assert_eq!(scene.notifies("system-certificate"), !hides, "{native:?}");
        assert!(scene.notifies(&native.klass));
    }
}

#[test]
fn a_charge_that_is_low_is_hidden_by_the_alert_that_says_so_alone() {
    for (klass, hides) in [("UPSCommbad", false), ("UPSOnBattery", false), ("UPSBatteryLow", true)] {
        let mut scene = Scene::new();
        for _ in 0..2 {
            let native = vec![incident(klass, AlertLevel::Critical)];
            let system = system(("web", 300), 10.0, native, scene.now);
            scene.later(MINUTE, &[system]);
        }
        assert_eq!(scene.state("system-ups-charge"), Some(CaseState::Firing));
        assert_eq!(scene.notifies("system-ups-charge"), !hides, "{klass}");
    }
}

#[test]
fn a_full_quota_is_hidden_by_no_pool_and_by_the_alert_of_the_same_quota() {
    let dataset = |native: Vec<Incident>| {
        let seed =
            Seed { topology: Some(StorageTopology::Dataset), ..Seed::new(ResourceType::Storage, 2, "nas") };
        let dataset = told(&seed.build(), |record| {
            let facet = Dataset {
                used_bytes: Some(90),
                used_by_dataset_bytes: Some(90),
                quota_bytes: Some(100),
                refquota_bytes: Some(100),
                ..Dataset::default()
            };
            record.facets.storage.as_mut().expect("a facet").zfs = Some(Zfs::Dataset(facet));
            record.incidents = native;
        });
        let parent = crate::state::resource::Parent { id: pool(0).id, name: "tank".into() };
        let mut below = Resource::clone(&dataset);
        below.site_mut().parent = Some(parent);
        Arc::new(below)
    };
    let quota = |name: &str| Incident {
        args_json: format!(r#"{{"name":"{name}","dataset":"tank/a"}}"#),
        ..incident("QuotaWarning", AlertLevel::Warning)
    };
    for (native, loud) in [
        (vec![], [true, true]),
        (vec![quota("Quota")], [false, true]),
        (vec![quota("Refquota")], [true, false]),
    ] {
        let mut scene = Scene::new();
        for _ in 0..2 {
            let all = [sick("DEGRADED", Severity::Warning, &["one"]), dataset(native.clone())];
            scene.later(MINUTE, &all);
        }
        let told = ["dataset-quota", "dataset-refquota"].map(|rule| scene.notifies(rule));
        assert_eq!(told, loud, "{native:?}");
    }
}
