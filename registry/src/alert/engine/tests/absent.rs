//! What is no longer there: an observation like any other, and none while nobody reads.

use super::*;

fn faulted() -> Arc<Resource> {
    pool_in("FAULTED", Severity::Critical)
}

#[test]
fn a_pool_that_is_exported_is_gone_after_as_many_reads_as_a_recovery_takes() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[host(), faulted()]);
    assert_eq!(scene.state("pool-state"), Some(CaseState::Firing));
    scene.later(MINUTE, &[host()]);
    assert_eq!(scene.state("pool-state"), Some(CaseState::Firing), "gone once is not gone");
    let read_at = scene.now;
    scene.stop_reading("pools", SectionOutcome::Fresh);
    for _ in 0..5 {
        scene.later(Duration::from_secs(5), &[host()]);
        assert_eq!(scene.state("pool-state"), Some(CaseState::Firing), "one read is one observation");
    }
    assert!(scene.engine.next_due().is_some_and(|due| due > scene.now), "it is looked at again");
    scene.unread.clear();
    scene.later(MINUTE, &[host()]);
    let case = scene.case("pool-state").expect("a case");
    assert!(scene.now > read_at && case.state == CaseState::Resolved, "{case:?}");
    let end = case.transitions.last().expect("a step");
    assert_eq!((case.evidence["resolution"].as_str(), end.evidence["section"].as_str()), ("gone", "pools"));
    assert!(end.text.contains("gone"), "{}", end.text);
}

#[test]
fn a_pool_that_comes_back_was_never_gone() {
    let mut scene = Scene::new();
    for _ in 0..4 {
        scene.later(MINUTE, &[faulted()]);
        scene.later(MINUTE, &[]);
        assert_eq!(scene.state("pool-state"), Some(CaseState::Firing));
    }
    let steps = scene.case("pool-state").map(|case| case.transitions.len());
    assert_eq!(steps, Some(2), "it began and fired");
}

#[test]
fn nothing_is_gone_while_its_section_fails_or_is_stale() {
    for outcome in [SectionOutcome::Failed, SectionOutcome::Forbidden, SectionOutcome::Fresh] {
        let mut scene = Scene::new();
        scene.later(MINUTE, &[faulted()]);
        scene.stop_reading("pools", outcome);
        for _ in 0..10 {
            scene.later(MINUTE, &[]);
        }
        assert_eq!(scene.state("pool-state"), Some(CaseState::Firing), "{outcome}");
        scene.restart();
        scene.later(MINUTE, &[]);
        assert_eq!(scene.state("pool-state"), Some(CaseState::Firing), "{outcome}, after a restart");
        scene.unread.clear();
        scene.later(MINUTE, &[]);
        scene.later(MINUTE, &[]);
        assert_eq!(scene.state("pool-state"), Some(CaseState::Resolved), "{outcome}");
    }
}

#[test]
fn with_its_connection_a_case_ends_at_once() {
    let mut scene = Scene::new();
    scene.later(MINUTE, &[faulted()]);
    scene.now = scene.now + MINUTE;
    scene.engine.whole(&View::of(Revision(2), []), scene.now);
    scene.keep();
    let case = scene.case("pool-state").expect("a case");
    assert_eq!((case.state, case.evidence["resolution"].as_str()), (CaseState::Resolved, "not_asked"));
    assert!(case.transitions.last().is_some_and(|end| end.text.contains("connection")), "{case:?}");
}
