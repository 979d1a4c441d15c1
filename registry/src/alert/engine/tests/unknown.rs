//! What is absent or stale says nothing: neither to a condition nor to a selector. And
//! one read is one observation of all that it brings.

use pulse_proto::model::Task;

use super::*;
use crate::state::resource::Rare;

fn expression(text: &str) -> pb::AlertRule {
    pb::AlertRule {
        condition: Some(pb::alert_rule::Condition::Expression(text.to_owned())),
        raise_confirmations: 1,
        clear_confirmations: 1,
        ..pb::AlertRule::default()
    }
}

/// A pool of which nobody told how full it is.
fn untold() -> Arc<Resource> {
    told(&pool(0), |record| record.capacity = None)
}

#[test]
fn how_full_a_pool_is_counts_once_for_each_read_of_the_datasets() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[pool(90)]);
    scene.stop_reading("datasets", SectionOutcome::Fresh);
    for _ in 0..5 {
        scene.later(Duration::from_secs(10), &[pool(90)]);
        assert_eq!(
            scene.state("pool-usage"),
            Some(CaseState::Pending),
            "the pool was read, not what it holds"
        );
    }
    scene.unread.clear();
    scene.later(Duration::from_secs(10), &[pool(90)]);
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing));
    scene.stop_reading("datasets", SectionOutcome::Failed);
    for _ in 0..10 {
        scene.later(MINUTE, &[pool(20)]);
    }
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing), "what is stale resolves nothing");
}

#[test]
fn what_nobody_told_neither_fires_nor_resolves() {
    let absent = untold();
    for text in
        ["NOT capacity.used_ratio < 0.85", "capacity.used_ratio >= 0.85", "capacity.used_ratio != 0.5"]
    {
        let mut scene = Scene::new();
        scene.rule(expression(text));
        for _ in 0..3 {
            scene.later(MINUTE, &[Arc::clone(&absent)]);
            assert_eq!(scene.state("mine"), None, "{text} of what is absent");
        }
        scene.later(MINUTE, &[pool(90)]);
        assert_eq!(scene.state("mine"), Some(CaseState::Firing), "{text}");
        for _ in 0..3 {
            scene.later(MINUTE, &[Arc::clone(&absent)]);
            scene.later(MINUTE, &[stale(&pool(50))]);
            assert_eq!(scene.state("mine"), Some(CaseState::Firing), "{text} holds on");
        }
        scene.later(MINUTE, &[pool(50)]);
        assert_eq!(scene.state("mine"), Some(CaseState::Resolved), "{text}");
    }
}

#[test]
fn a_pool_that_has_no_value_any_more_is_as_full_as_it_was() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[pool(90)]);
    scene.later(MINUTE, &[pool(90)]);
    for _ in 0..3 {
        scene.later(MINUTE, &[untold()]);
    }
    assert_eq!(scene.state("pool-usage"), Some(CaseState::Firing));
}

#[test]
fn one_part_that_is_known_can_decide() {
    let mut scene = Scene::new();
    scene.rule(expression("topology = pool AND (severity = critical OR capacity.used_ratio > 0.8)"));
    scene.later(MINUTE, &[untold()]);
    assert_eq!(scene.state("mine"), None);
    let sick = told(&pool_in("FAULTED", Severity::Critical), |record| record.capacity = None);
    scene.later(MINUTE, &[sick]);
    assert_eq!(scene.state("mine"), Some(CaseState::Firing), "the rest does not matter");
}

#[test]
fn silence_ends_no_case_by_a_word_on_freshness() {
    let selected =
        pb::AlertRule { selector: "freshness = fresh".to_owned(), ..expression("state = DEGRADED") };
    for rule in [selected, expression("freshness = fresh AND state = DEGRADED")] {
        let mut scene = Scene::new();
        let degraded = pool_in("DEGRADED", Severity::Warning);
        scene.rule(rule);
        scene.later(MINUTE, &[Arc::clone(&degraded)]);
        assert_eq!(scene.state("mine"), Some(CaseState::Firing));
        scene.later(MINUTE, &[stale(&degraded)]);
        scene.restart();
        scene.later(MINUTE, &[stale(&degraded)]);
        assert_eq!(scene.state("mine"), Some(CaseState::Firing), "it is silent, not well");
        scene.later(MINUTE, &[pool(10)]);
        assert_eq!(scene.state("mine"), Some(CaseState::Resolved));
    }
}

#[test]
fn a_selector_by_a_value_holds_on_while_that_is_not_known() {
    let mut scene = Scene::new();
    let rule = expression("state = ONLINE");
    scene.rule(pb::AlertRule { selector: "capacity.used_ratio > 0.5".to_owned(), ..rule });
    scene.later(MINUTE, &[pool(60)]);
    assert_eq!(scene.state("mine"), Some(CaseState::Firing));
    scene.later(MINUTE, &[untold()]);
    scene.later(MINUTE, &[stale(&pool(10))]);
    assert_eq!(scene.state("mine"), Some(CaseState::Firing));
    scene.later(MINUTE, &[pool(10)]);
    assert_eq!(scene.state("mine"), Some(CaseState::Resolved), "it is not selected");
}

#[test]
fn a_rule_about_freshness_itself_goes_by_silence() {
    let mut scene = Scene::new();
    scene.rule(expression("topology = pool AND NOT freshness = fresh"));
    scene.later(MINUTE, &[pool(10)]);
    assert_eq!(scene.state("mine"), None);
    scene.later(MINUTE, &[stale(&pool(10))]);
    assert_eq!(scene.state("mine"), Some(CaseState::Firing));
    scene.later(MINUTE, &[pool(10)]);
    assert_eq!(scene.state("mine"), Some(CaseState::Resolved));
}

#[test]
fn a_reason_that_a_stale_section_brought_neither_fires_nor_resolves() {
    let hot = |codes: &[&'static str]| {
        let sick = Seed { severity: Severity::Warning, ..Seed::new(ResourceType::Host, 0, "nas") }.build();
        let reasons = codes.iter().map(|code| HealthReason { code, ..sick.reasons()[0].clone() }).collect();
        Arc::new(Resource {
            rare: Rare { reasons, ..Rare::default() }.kept(),
            ..(*told(&sick, |record| record.incidents.clear())).clone()
        })
    };
    let rule = pb::AlertRule {
        condition: Some(pb::alert_rule::Condition::Reason(pb::ReasonCondition {
            codes: vec!["truenas_smart".to_owned(), "system_state".to_owned()],
            min_severity: Severity::Warning.to_wire(),
        })),
        raise_confirmations: 1,
        clear_confirmations: 1,
        ..pb::AlertRule::default()
    };
    let mut scene = Scene::new();
    scene.rule(rule);
    scene.stop_reading("alerts", SectionOutcome::Failed);
    scene.later(10 * MINUTE, &[hot(&["truenas_smart"])]);
    assert_eq!(scene.state("mine"), None, "it is from before");
    scene.later(MINUTE, &[hot(&["truenas_smart", "system_state"])]);
    assert_eq!(scene.state("mine"), Some(CaseState::Firing), "the other one was read");
    scene.later(MINUTE, &[hot(&[])]);
    assert_eq!(scene.state("mine"), Some(CaseState::Firing), "not all of it was read");
    scene.unread.clear();
    scene.later(MINUTE, &[hot(&[])]);
    assert_eq!(scene.state("mine"), Some(CaseState::Resolved));
}

/// A task that runs once a day, in this state since then.
fn task(state: &str, since: UnixMillis) -> Arc<Resource> {
    told(&Seed::new(ResourceType::ProtectionTask, 3, "nas").build(), |record| {
        record.facets.protection_task = Some(Box::new(Task {
            kind: "replication".to_owned(),
            schedule: "0 0 * * *".to_owned(),
            enabled: Some(true),
            state: state.to_owned(),
            state_since: Some(since),
            ..Task::default()
        }));
    })
}

#[test]
fn a_task_that_hangs_has_had_no_good_run_since_it_began() {
    const DAY: Duration = Duration::from_hours(24);
    for state in ["RUNNING", "WAITING", "PENDING", "HOLD"] {
        let mut scene = Scene::new();
        let hangs = task(state, START);
        for _ in 0..7 {
            scene.later(DAY, &[Arc::clone(&hangs)]);
            assert_eq!(scene.state("task-age"), None, "{state}: the run before may have been a good one");
        }
        scene.later(2 * DAY, &[Arc::clone(&hangs)]);
        scene.later(MINUTE, &[Arc::clone(&hangs)]);
        assert_eq!(scene.state("task-age"), Some(CaseState::Firing), "{state}");
        // That it began anew does not say that it went well before.
        let began = scene.now;
        scene.later(MINUTE, &[task(state, began)]);
        scene.later(MINUTE, &[task(state, began)]);
        assert_eq!(scene.state("task-age"), Some(CaseState::Firing), "{state} anew");
        let ended = scene.now;
        for _ in 0..3 {
            scene.later(MINUTE, &[task("FINISHED", ended)]);
        }
        assert_eq!(scene.state("task-age"), Some(CaseState::Resolved), "{state}, then a good run");
    }
}
