//! What a case goes by is what holds now, whatever lies between: labels and names, what
//! stands above it, what it names, who was told. Also after a restart.

use proptest::prelude::*;

use super::*;
use crate::alert::case::Step;
use crate::alert::{row, silence};
use crate::state::resource::{Parent, Rare};
use crate::state::{Change, Changes};

fn faulted() -> Arc<Resource> {
    pool_in("FAULTED", Severity::Critical)
}

fn below(resource: &Resource, parent: &Resource) -> Arc<Resource> {
    let mut below = resource.clone();
    below.site_mut().parent = Some(Parent { id: parent.id, name: parent.name().into() });
    Arc::new(below)
}

fn lost(resource: &Resource) -> Arc<Resource> {
    Arc::new(Resource { freshness: Freshness::Lost, ..resource.clone() })
}

fn labelled(resource: &Resource, site: &str) -> Arc<Resource> {
    let mut labelled = resource.clone();
    let place = labelled.site_mut();
    let labels = Arc::new(BTreeMap::from([("site".to_owned(), site.to_owned())]));
    let (connection, name) = (place.connection.clone(), format!("nas of {site}").into());
    place.origin = Arc::new(crate::state::origin::Origin::new(connection, name, labels));
    Arc::new(labelled)
}

fn dataset() -> Arc<Resource> {
    let seed =
        Seed { topology: Some(StorageTopology::Dataset), ..Seed::new(ResourceType::Storage, 2, "nas") };
    let reason = HealthReason {
        code: "zfs_dataset_locked",
        severity: Severity::Warning,
        summary: "it is locked".to_owned(),
        evidence: pulse_proto::model::Evidence::default(),
    };
    Arc::new(Resource {
        rare: Rare { reasons: [reason].into(), ..Rare::default() }.kept(),
        ..(*seed.build()).clone()
    })
}

fn silenced(filter: &str, scene: &Scene) -> pb::Silence {
    pb::Silence {
        filter: filter.to_owned(),
        reason: "it is known".to_owned(),
        author: "ops".to_owned(),
        expires_at: Some(pulse_proto::convert::timestamp_to_wire(scene.now + 48 * HOUR)),
        ..pb::Silence::default()
    }
}

#[test]
fn an_open_case_has_the_labels_and_names_of_now() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[labelled(&faulted(), "a")]);
    scene.later(MINUTE, &[labelled(&faulted(), "b")]);
    let silence = silenced("labels.site = b AND connection_name = \"nas of b\"", &scene);
    let command = Command::CreateSilence { id: SilenceId::new("one"), silence };
    assert!(scene.engine.command(command, scene.now).is_ok());
    scene.keep();
    for _ in 0..2 {
        assert!(!scene.notifies("pool-state"), "it is silenced by what it is called now");
        let shown = scene.book.cases().find(|case| case.origin.name() == "pool-state").expect("a case");
        assert_eq!(shown.subject.labels["site"], "b");
        scene.restart();
    }
    let revision = scene.engine.revision;
    scene.later(MINUTE, &[labelled(&faulted(), "b")]);
    assert_eq!(scene.engine.revision, revision, "the same again is no news");
}

#[test]
fn what_nobody_was_told_of_hides_nothing_however_long_a_step_takes() {
    let dismissed = told(&faulted(), |record| {
        record.incidents =
            vec![Incident { dismissed: true, ..incident("VolumeStatus", AlertLevel::Critical) }];
    });
    for millis in [0, 1, 500] {
        let mut scene = Scene::new();
        let view = scene.view(std::slice::from_ref(&dismissed));
        scene.engine.whole(&view, scene.now);
        scene.now = scene.now + Duration::from_millis(millis);
        scene.keep();
        assert!(scene.notifies("pool-state"), "{millis} ms");
        scene.restart();
        scene.later(MINUTE, std::slice::from_ref(&dismissed));
        assert!(scene.notifies("pool-state"), "{millis} ms, after a restart");
    }
}

#[test]
fn what_is_absent_stands_where_it_stood() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[host(), below(&faulted(), &host())]);
    scene.stop_reading("pools", SectionOutcome::Failed);
    scene.later(MINUTE, &[lost(&host())]);
    for restarted in [false, true] {
        assert!(scene.notifies("system-unreachable"));
        assert_eq!(scene.state("pool-state"), Some(CaseState::Firing));
        assert!(!scene.notifies("pool-state"), "restarted: {restarted}");
        scene.restart();
        scene.later(MINUTE, &[lost(&host())]);
    }
}

#[test]
fn what_comes_to_stand_higher_up_stands_above_all_below() {
    let mut scene = Scene::new();
    let pool = pool(10);
    let locked = below(&dataset(), &pool);
    scene.later(MINUTE, &[Arc::clone(&pool), Arc::clone(&locked)]);
    scene.later(MINUTE, &[Arc::clone(&pool), Arc::clone(&locked)]);
    assert!(scene.notifies("dataset-locked"));
    let (system, placed) = (lost(&host()), below(&pool, &host()));
    scene.now = scene.now + MINUTE;
    let view = scene.view(&[Arc::clone(&system), Arc::clone(&placed), locked]);
    let items = vec![Change::Added(system), Change::Changed { before: pool, after: placed }];
    scene.engine.changes(&Changes::new(Revision(2), scene.now, items), &view, scene.now);
    scene.keep();
    assert!(scene.notifies("system-unreachable") && !scene.notifies("dataset-locked"));
    scene.restart();
    scene.keep();
    assert!(!scene.notifies("dataset-locked"), "it is kept");
}

#[test]
fn a_silence_by_what_silences_decide_is_refused_and_a_kept_one_left_out() {
    let mut scene = Scene::new();
    for field in ["silenced", "suppressed", "acknowledged", "revision"] {
        let word = if field == "revision" { "7" } else { "true" };
        let silence = silenced(&format!("rule = pool-usage AND NOT {field} = {word}"), &scene);
        let command = Command::CreateSilence { id: SilenceId::new("one"), silence };
        let Err(Refusal::Invalid(invalid)) = scene.engine.command(command, scene.now) else {
            panic!("{field} is taken");
        };
        assert_eq!(invalid.field, "silence.filter");
        assert!(invalid.problem.contains(field), "{invalid:?}");
    }
    let id = SilenceId::new("one");
    let fine = silenced("dismissed = false", &scene);
    let mut kept = silence::parse(fine, id.clone(), scene.now, 1, scene.now).expect("a silence");
    kept.filter_text = "silenced = true".to_owned();
    let note = row::silence(&id, Some(&kept));
    scene.notes.insert(note.key, note.value.expect("a row"));
    let (engine, _, damaged) = Engine::restore(&scene.notes, Keeping::default(), scene.now);
    assert!(engine.silences.is_empty());
    assert!(matches!(&damaged[..], [one] if one.contains("silenced")), "{damaged:?}");
}

#[test]
fn texts_that_do_not_print_are_refused() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[faulted()]);
    let id = scene.case("pool-state").expect("a case").id;
    let said = |who: &str, comment: &str| Command::Acknowledge {
        id,
        who: who.to_owned(),
        comment: comment.to_owned(),
        etag: String::new(),
    };
    let raw = "ops\u{1b}[31m";
    let silence = pb::Silence { reason: raw.to_owned(), ..silenced("rule = pool-state", &scene) };
    let rule = |remedy: &str| pb::AlertRule {
        id: "pool-state".to_owned(),
        remedy: remedy.to_owned(),
        ..pb::AlertRule::default()
    };
    for (command, field) in [
        (said(raw, ""), "who"),
        (said("ops", "seen\0"), "comment"),
        (Command::CreateSilence { id: SilenceId::new("one"), silence }, "silence.reason"),
        (Command::UpdateRule { rule: rule(raw), paths: Vec::new() }, "rule.remedy"),
    ] {
        let refused = scene.engine.command(command, scene.now);
        let is_named = matches!(&refused, Err(Refusal::Invalid(invalid)) if invalid.field == field);
        assert!(is_named, "{field}: {refused:?}");
    }
}

/// A system on which these services do not run.
fn stopped(services: &str) -> Arc<Resource> {
    let reason = HealthReason {
        code: "service_stopped",
        severity: Severity::Warning,
        summary: "what should run does not".to_owned(),
        evidence: [("services", services)].into(),
    };
    Arc::new(Resource {
        rare: Rare { reasons: [reason].into(), ..Rare::default() }.kept(),
        ..(*host()).clone()
    })
}

/// A system with certificates that end in so many days.
fn certified(days: &[(&str, u32)], now: UnixMillis) -> Arc<Resource> {
    told(&host(), |record| {
        let certificate = |(name, days): &(&str, u32)| Certificate {
            name: (*name).to_owned(),
            not_after: Some(now + 24 * HOUR * *days),
            ..Certificate::default()
        };
        let certificates = days.iter().map(certificate).collect();
        record.facets.truenas = Some(Box::new(TrueNas { certificates, ..TrueNas::default() }));
    })
}

#[test]
fn an_acknowledgement_is_of_what_was_named_and_of_nothing_more() {
    let at = Scene::new().now;
    for (rule, fewer, seen, more) in [
        ("system-service", stopped("smb"), stopped("nfs, smb"), stopped("nfs, smb, ssh")),
        (
            "system-certificate",
            certified(&[("a", 5)], at),
            certified(&[("a", 5), ("b", 6)], at),
            certified(&[("a", 5), ("b", 6), ("c", 7)], at),
        ),
    ] {
        let mut scene = Scene::new();
        for _ in 0..2 {
            scene.later(MINUTE, std::slice::from_ref(&seen));
        }
        assert!(scene.notifies(rule), "{rule}");
        scene.acknowledge(rule);
        scene.restart();
        for known in [&seen, &fewer, &seen] {
            scene.later(MINUTE, std::slice::from_ref(known));
            assert!(!scene.notifies(rule), "{rule}: it was seen");
        }
        scene.later(MINUTE, std::slice::from_ref(&more));
        assert!(scene.notifies(rule), "{rule}: nobody has seen the last one");
        let last = scene.case(rule).and_then(|case| case.transitions.last()).expect("a step");
        assert_eq!(last.step, Step::Withdrawn);
    }
}

#[test]
fn a_certificate_is_known_by_the_seventh_alert_too() {
    let mut scene = Scene::new();
    let native = |name: String| Incident {
        args_json: format!(r#"{{"name":"{name}"}}"#),
        native_id: name,
        ..incident("CertificateIsExpiring", AlertLevel::Critical)
    };
    let mut names: Vec<String> = (0..6).map(|number| format!("c{number}")).collect();
    names.push("zz".to_owned());
    let system = told(&certified(&[("zz", 3)], scene.now), |record| {
        record.incidents = names.into_iter().map(native).collect();
    });
    scene.later(MINUTE, &[system]);
    assert!(scene.notifies("CertificateIsExpiring") && !scene.notifies("system-certificate"));
}

#[test]
fn a_flapping_case_ends_when_it_would_have_without_the_restart() {
    let mut scene = Scene::new();
    let (sick, fine) = (faulted(), pool(10));
    for state in [&sick, &fine, &fine, &sick, &fine, &fine, &sick, &sick, &fine] {
        scene.later(Duration::from_secs(20), std::slice::from_ref(state));
    }
    let case = scene.case("pool-state").expect("a case").clone();
    assert!(case.is_flapping() && !case.holds(), "{case:?}");
    scene.later(MINUTE, std::slice::from_ref(&fine));
    let told = crate::alert::explain::explain(
        &scene.book,
        scene.book.get(case.id).expect("a case"),
        None,
        &crate::query::sight::Sight::whole(),
    );
    assert!(
        told.iter().any(|told| told.text.contains("2 or more since") && told.text.contains("it ends at")),
        "{told:?}"
    );
    scene.restart();
    let after = scene.case("pool-state").expect("a case");
    assert_eq!(after.progress.turned_at, case.progress.turned_at);
    for minutes in 1..15 {
        assert_eq!(scene.state("pool-state"), Some(CaseState::Firing), "{minutes}");
        scene.later(MINUTE, std::slice::from_ref(&fine));
    }
    assert_eq!(scene.state("pool-state"), Some(CaseState::Resolved));
}

/// How a small fleet is at a time.
#[derive(Clone, Copy, Debug)]
struct Fleet {
    is_lost: bool,
    /// `None`: it is absent, and nobody reads there.
    pool: Option<bool>,
    is_dismissed: bool,
    is_placed: bool,
    is_relabelled: bool,
}

impl Fleet {
    fn resources(self) -> Vec<Arc<Resource>> {
        let site = if self.is_relabelled { "b" } else { "a" };
        let system = if self.is_lost { lost(&host()) } else { host() };
        let mut all = vec![labelled(&system, site)];
        if let Some(is_sick) = self.pool {
            let pool = if is_sick { faulted() } else { pool(10) };
            let pool = told(&pool, |record| {
                if is_sick {
                    let native = incident("VolumeStatus", AlertLevel::Critical);
                    record.incidents = vec![Incident { dismissed: self.is_dismissed, ..native }];
                }
            });
            let pool = if self.is_placed { below(&pool, &system) } else { pool };
            all.push(labelled(&pool, site));
        }
        all.push(labelled(&below(&dataset(), &pool(10)), site));
        all
    }
}

fn fleet() -> impl Strategy<Value = Fleet> {
    let pool = prop_oneof![2 => Just(Some(true)), 2 => Just(Some(false)), 1 => Just(None)];
    (any::<bool>(), pool, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(is_lost, pool, is_dismissed, is_placed, is_relabelled)| Fleet {
            is_lost,
            pool,
            is_dismissed,
            is_placed,
            is_relabelled,
        },
    )
}

fn changes(before: &[Arc<Resource>], after: &[Arc<Resource>], now: UnixMillis) -> Changes {
    let find = |all: &[Arc<Resource>], id: &ResourceId| all.iter().find(|one| one.id == *id).cloned();
    let came = after.iter().filter_map(|after| match find(before, &after.id) {
        None => Some(Change::Added(Arc::clone(after))),
        Some(before) if before == *after => None,
        Some(before) => Some(Change::Changed { before, after: Arc::clone(after) }),
    });
    let went = before.iter().filter(|one| find(after, &one.id).is_none());
    let went = went.map(|one| Change::Removed(Arc::clone(one)));
    Changes::new(Revision(2), now, came.chain(went).collect())
}

proptest! {
    /// Who hears of changes and who looks at everything, restarted now and then, say the same in the end.
    #[test]
    fn changes_passes_and_restarts_come_to_the_same(
        steps in proptest::collection::vec((fleet(), any::<bool>(), 0..400_u64), 1..12),
    ) {
        let (mut heard, mut looked) = (Scene::new(), Scene::new());
        let mut before = Vec::new();
        for (fleet, is_restarted, late) in &steps {
            let all = fleet.resources();
            for scene in [&mut heard, &mut looked] {
                scene.now = scene.now + HOUR;
                scene.unread.clear();
                if fleet.pool.is_none() {
                    scene.stop_reading("pools", SectionOutcome::Failed);
                }
            }
            for turn in 0..4 {
                if turn == 0 {
                    let view = heard.view(&all);
                    heard.engine.changes(&changes(&before, &all, heard.now), &view, heard.now);
                    heard.keep();
                    if *is_restarted {
                        looked.restart();
                    }
                    let view = looked.view(&all);
                    looked.engine.whole(&view, looked.now);
                    // The clock goes on while it is kept.
                    looked.engine.flush(looked.now + Duration::from_millis(*late)).into_iter().for_each(|outcome| {
                        looked.book = outcome.onto(&looked.book, Revision(0));
                        for note in outcome.notes {
                            match note.value {
                                Some(value) => drop(looked.notes.insert(note.key, value)),
                                None => drop(looked.notes.remove(&note.key)),
                            }
                        }
                    });
                } else {
                    heard.now = heard.now + Duration::from_secs(50);
                    let view = heard.view(&all);
                    heard.engine.tick(&view, heard.now, 1_000);
                    heard.keep();
                    looked.later(Duration::from_secs(50), &all);
                }
            }
            before = all;
            let shown = |scene: &Scene| -> Vec<_> {
                let cases = scene.engine.cases.values().flat_map(BTreeMap::values);
                cases.filter(|case| case.is_open()).map(|case| {
                    let site = case.subject.labels["site"].clone();
                    (case.origin.clone(), case.state, case.severity, case.notifies(), site)
                }).collect()
            };
            prop_assert_eq!(shown(&heard), shown(&looked), "{:?}", steps);
        }
    }
}
