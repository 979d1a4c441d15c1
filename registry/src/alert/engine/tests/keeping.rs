//! How long what is over is kept.

use super::*;
use crate::alert::life::REOPEN_WITHIN;

const FEW: usize = 1;

fn pools(percent: u64) -> Vec<Arc<Resource>> {
    let pool = |number| {
        let seed = Seed::new(ResourceType::Storage, number, "nas");
        Seed { capacity: Some(capacity(1_000, percent * 10)), ..seed }.build()
    };
    (1..=3).map(pool).collect()
}

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.engine.keeping.cases = FEW;
    scene
}

/// As everybody sees them.
fn cases(scene: &Scene) -> Vec<(CaseId, CaseState)> {
    let cases = scene.book.cases().filter(|case| case.origin.name() == "pool-usage");
    cases.map(|case| (case.id, case.state)).collect()
}

fn states(scene: &Scene) -> Vec<CaseState> {
    cases(scene).into_iter().map(|(_, state)| state).collect()
}

#[test]
fn what_resolves_is_told_however_few_are_kept_and_may_come_back() {
    let mut scene = scene();
    for percent in [90, 90, 60, 60] {
        scene.later(MINUTE, &pools(percent));
    }
    assert_eq!(states(&scene), [CaseState::Resolved; 3]);
    let known = cases(&scene);
    for _ in 0..2 {
        scene.later(6 * MINUTE, &pools(90));
    }
    assert_eq!(cases(&scene), known.iter().map(|(id, _)| (*id, CaseState::Firing)).collect::<Vec<_>>());
    for _ in 0..2 {
        scene.later(MINUTE, &pools(60));
    }
    scene.later(REOPEN_WITHIN, &pools(60));
    assert_eq!(states(&scene), [CaseState::Resolved; 3]);
    scene.later(MINUTE, &pools(60));
    assert_eq!(states(&scene), [CaseState::Resolved; FEW], "it is too much by now");
}

#[test]
fn what_went_before_it_was_confirmed_is_told_however_few_are_kept() {
    let mut scene = scene();
    scene.later(MINUTE, &pools(90));
    assert_eq!(states(&scene), [CaseState::Pending; 3]);
    scene.later(MINUTE, &pools(60));
    assert_eq!(states(&scene), [CaseState::Resolved; 3]);
    scene.later(REOPEN_WITHIN + MINUTE, &pools(60));
    assert_eq!(states(&scene), [CaseState::Resolved; FEW]);
}

#[test]
fn an_end_is_told_though_the_next_case_began_before_that() {
    let mut scene = scene();
    scene.later(MINUTE, &pools(90));
    let known = cases(&scene);
    assert_eq!(states(&scene), [CaseState::Pending; 3]);
    // Both before anything is told.
    scene.now = scene.now + MINUTE;
    for percent in [60, 90] {
        let view = scene.view(&pools(percent));
        scene.engine.whole(&view, scene.now);
    }
    let before = scene.book.revision;
    scene.keep();
    for restart in [false, true] {
        if restart {
            scene.restart();
        }
        for (id, _) in &known {
            let ended = scene.book.get(*id).expect("the case that ended");
            assert_eq!((ended.state, ended.revision), (CaseState::Resolved, before + 1));
        }
        let pending = states(&scene).into_iter().filter(|state| *state == CaseState::Pending);
        assert_eq!((pending.count(), scene.engine.open()), (3, 3));
    }
    // What is too much by then goes, and does not come back.
    scene.later(DROPPED_KEPT + MINUTE, &pools(90));
    assert_eq!(known.iter().filter(|(id, _)| scene.book.get(*id).is_some()).count(), 0);
}

#[test]
fn of_two_that_an_earlier_release_left_open_a_start_keeps_the_newer() {
    let mut scene = scene();
    scene.later(MINUTE, &pools(90));
    let known = cases(&scene);
    let (newer, _) = known[0];
    let older = CaseId::parse(&"7".repeat(32)).expect("an id");
    let newer = scene.book.get(newer).expect("a case");
    let left = Case { id: older, first_seen_at: START, ..Case::clone(newer) };
    let note = row::case(&left, &[]);
    scene.notes.insert(note.key, note.value.expect("a row"));
    scene.restart();
    assert_eq!((cases(&scene), scene.engine.open()), (known.clone(), 3));
    // For good, and those who follow hear it.
    scene.keep();
    scene.restart();
    assert_eq!(cases(&scene), known);
    scene.later(MINUTE, &pools(90));
    assert_eq!(states(&scene), [CaseState::Firing; 3]);
}

#[test]
fn what_is_over_has_a_bound_at_any_time() {
    let mut scene = scene();
    let id = |number: usize| CaseId::parse(&format!("{number:032x}")).expect("an id");
    scene.engine.over = (0..OPEN_MAX + FEW + 5).map(|number| (scene.now, id(number))).collect();
    scene.keep();
    assert_eq!(scene.engine.over.len(), OPEN_MAX + FEW);
}
