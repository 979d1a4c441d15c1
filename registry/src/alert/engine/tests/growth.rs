//! Error counters: no growth is lost, whatever lies between two looks, and nothing that
//! is not told is growth or its end.

use proptest::prelude::*;
use pulse_proto::model::{Evidence, Pool, Vdev, VdevGroup};

use super::*;
use crate::state::resource::Rare;
use crate::state::{Change, Changes};

const GROWING: &str = "pool-errors-growing";
const STEP: Duration = Duration::from_mins(2);

type Told = [Option<u64>; 2];

/// What a read says, and how the core comes to hear of it.
#[derive(Clone, Copy, Debug)]
struct Read {
    /// `None`: the pool is not there.
    told: Option<Told>,
    is_stale: bool,
    how: How,
}

#[derive(Clone, Copy, Debug)]
enum How {
    /// As a change of the resource.
    Change,
    /// Everything is looked at: a rule was changed, or too much happened.
    Pass,
    /// The same, and what changed until then is known.
    Ordered,
    /// It was taken, and the registry was killed before the rules were asked.
    Killed,
}

/// A pool under a core that hears of it in every way.
struct World {
    scene: Scene,
    revision: u64,
    pool: Option<Arc<Resource>>,
    created: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { scene: Scene::new(), revision: 1, pool: None, created: 0 };
        world.scene.later(HOUR, &[]);
        world
    }

    fn read(&mut self, read: Read) {
        self.scene.now = self.scene.now + STEP;
        self.revision += 1;
        let before = self.pool.take();
        let pool = read.told.map(|told| {
            if before.is_none() {
                self.created = self.revision;
            }
            let pool = counted(told);
            let freshness = if read.is_stale { Freshness::Stale } else { Freshness::Fresh };
            let revision = Revision(self.revision);
            let mut pool = Resource { freshness, revision, ..(*pool).clone() };
            pool.anchor_mut().created = Revision(self.created);
            Arc::new(pool)
        });
        self.pool.clone_from(&pool);
        self.scene.unread.clear();
        if read.is_stale {
            self.scene.unread.insert("pools", (START, SectionOutcome::Failed));
        }
        let all: Vec<_> = self.pool.iter().cloned().collect();
        let view = view_at(self.revision, &all, self.scene.now, &self.scene.unread);
        let change = match (before, pool) {
            (None, Some(after)) => Some(Change::Added(after)),
            (Some(before), Some(after)) => Some(Change::Changed { before, after }),
            (Some(before), None) => Some(Change::Removed(before)),
            (None, None) => None,
        };
        let items = change.into_iter().collect();
        let changes = Changes::new(Revision(self.revision), self.scene.now, items);
        match read.how {
            How::Change => {
                self.scene.engine.changes(&changes, &view, self.scene.now);
                // That it is not there is looked at again by and by.
                self.scene.engine.tick(&view, self.scene.now, 1_000);
            }
            How::Pass => self.scene.engine.whole(&view, self.scene.now),
            How::Ordered => {
                self.scene.engine.pass_over(&[Arc::new(changes)]);
                self.scene.engine.whole(&view, self.scene.now);
            }
            How::Killed => {
                self.scene.restart();
                self.scene.engine.whole(&view, self.scene.now);
            }
        }
        self.scene.keep();
    }

    fn says(&mut self, told: Told) {
        self.read(Read { told: Some(told), is_stale: false, how: How::Change });
    }

    fn counts(&self) -> bool {
        let counted = |memory: &Memory| memory.counted != crate::alert::condition::Counted::default();
        self.scene.engine.memory.values().any(counted)
    }

    fn is_open(&self) -> bool {
        self.scene.case(GROWING).is_some_and(Case::is_open)
    }

    fn grew(&self) -> Option<(u64, u64)> {
        let case = self.scene.case(GROWING).filter(|case| case.is_open())?;
        let number = |key: &str| case.evidence[key].parse().expect("a number");
        Some((number("from"), number("to")))
    }
}

fn counted(told: Told) -> Arc<Resource> {
    super::told(&pool(0), |record| {
        let device = |(at, errors): (usize, Option<u64>)| Vdev {
            name: format!("sd{at}"),
            guid: format!("guid-{at}"),
            read_errors: errors.map(|_| 0),
            write_errors: errors.map(|_| 0),
            checksum_errors: errors,
            ..Vdev::default()
        };
        let vdevs = told.into_iter().enumerate().map(device).collect();
        let groups = vec![VdevGroup { role: "data".to_owned(), vdevs }];
        record.facets.storage.as_mut().expect("a facet").zfs =
            Some(Zfs::Pool(Pool { groups, ..Pool::default() }));
    })
}

#[test]
fn growth_is_found_by_whichever_look_comes_next() {
    for how in [How::Change, How::Pass, How::Killed] {
        for base in [0, 5] {
            let mut world = World::new();
            world.says([Some(base), Some(0)]);
            assert!(!world.is_open(), "it came with them");
            world.read(Read { told: Some([Some(9), Some(0)]), is_stale: false, how });
            assert_eq!(world.grew(), Some((base, 9)), "{how:?}");
            let devices = world.scene.case(GROWING).map(|case| case.evidence["devices"].clone());
            assert_eq!(devices.as_deref(), Some("sd0"));
        }
    }
}

#[test]
fn what_comes_with_errors_did_not_grow_here() {
    for how in [How::Change, How::Pass, How::Killed] {
        let mut world = World::new();
        world.read(Read { told: Some([Some(9), None]), is_stale: false, how });
        world.read(Read { told: Some([Some(9), Some(4)]), is_stale: false, how });
        assert!(!world.is_open(), "{how:?}");
    }
}

#[test]
fn growth_in_a_stale_read_is_told_when_that_is_believed() {
    for how in [How::Change, How::Pass, How::Killed] {
        for base in [0, 5] {
            let mut world = World::new();
            world.says([Some(base), Some(0)]);
            world.read(Read { told: Some([Some(9), Some(0)]), is_stale: true, how });
            assert!(!world.is_open(), "nobody knows");
            world.read(Read { told: Some([Some(9), Some(0)]), is_stale: false, how });
            assert_eq!(world.grew(), Some((base, 9)), "{how:?}");
        }
    }
}

#[test]
fn one_absence_is_no_end_and_two_are() {
    for how in [How::Change, How::Pass, How::Killed] {
        let mut world = World::new();
        world.says([Some(5), Some(0)]);
        world.says([Some(9), Some(0)]);
        let gone = Read { told: None, is_stale: false, how };
        world.read(gone);
        world.read(Read { told: Some([Some(9), Some(0)]), ..gone });
        assert_eq!(world.grew(), Some((5, 9)), "{how:?}");
        world.read(gone);
        world.read(Read { how: How::Change, ..gone });
        world.read(Read { how: How::Change, ..gone });
        assert!(!world.is_open(), "{how:?}");
        assert!(world.scene.engine.memory.is_empty(), "nothing is remembered of what is gone");
    }
}

#[test]
fn a_device_that_is_not_told_of_ends_nothing_and_hides_nothing() {
    let mut world = World::new();
    world.says([Some(50), Some(0)]);
    world.says([Some(60), Some(0)]);
    world.says([None, Some(0)]);
    assert_eq!(world.grew(), Some((50, 60)), "nobody says that it stands still");
    world.says([Some(0), Some(30)]);
    assert_eq!(world.grew(), Some((0, 30)), "one was cleared, the other one grows");
    world.says([Some(0), Some(0)]);
    assert!(!world.is_open());
}

#[test]
fn a_device_that_was_taken_out_is_gone_after_two_reads() {
    let mut world = World::new();
    let without = |pool: &Arc<Resource>| {
        told(pool, |record| {
            let zfs = &mut record.facets.storage.as_mut().expect("a facet").zfs;
            let Some(Zfs::Pool(pool)) = zfs else { panic!("a pool") };
            pool.groups[0].vdevs.remove(0);
        })
    };
    world.says([Some(5), Some(1)]);
    world.says([Some(9), Some(1)]);
    let taken = without(&counted([Some(9), Some(1)]));
    world.scene.later(MINUTE, std::slice::from_ref(&taken));
    assert!(world.is_open());
    assert!(world.scene.engine.next_due().is_some_and(|due| due <= world.scene.now + MINUTE));
    world.scene.later(MINUTE, &[taken]);
    assert!(!world.is_open());
}

#[test]
fn what_went_while_a_pass_was_ordered_is_known_as_it_was_looked_at() {
    let [zeros, some, more] = [[Some(0), Some(0)], [Some(4), Some(0)], [Some(9), Some(0)]].map(Some);
    let none = None;
    // What the skipped changes say one after the other, then what grew once it is back with `more`.
    for (skipped, grown) in [
        (vec![none], Some((0, 9))),
        (vec![some, none], Some((0, 9))),
        (vec![none, some, none], Some((0, 9))),
        (vec![some], Some((0, 9))),
    ] {
        let mut world = World::new();
        world.says([Some(0), Some(0)]);
        let mut before = world.pool.clone();
        let mut changes = Vec::new();
        for told in &skipped {
            world.revision += 1;
            let revision = Revision(world.revision);
            let after = told.map(|told| Arc::new(Resource { revision, ..(*counted(told)).clone() }));
            let change = match (before, after.clone()) {
                (None, Some(after)) => Change::Added(after),
                (Some(before), Some(after)) => Change::Changed { before, after },
                (Some(before), None) => Change::Removed(before),
                (None, None) => unreachable!("it is there or was"),
            };
            changes.push(Arc::new(Changes::new(revision, world.scene.now, vec![change])));
            before = after;
        }
        world.scene.engine.pass_over(&changes);
        world.pool = before;
        let read = |told| Read { told, is_stale: false, how: How::Pass };
        world.read(read(world.pool.as_ref().and(some)));
        world.read(read(more));
        assert_eq!(world.grew(), grown, "{skipped:?}");
    }
    let mut world = World::new();
    world.read(Read { told: zeros, is_stale: false, how: How::Ordered });
    world.read(Read { told: more, is_stale: false, how: How::Ordered });
    assert_eq!(world.grew(), Some((0, 9)));
}

#[test]
fn what_shows_nothing_but_zeros_needs_no_row() {
    let mut world = World::new();
    world.says([Some(0), Some(0)]);
    assert!(!world.counts());
    world.says([Some(1), Some(0)]);
    world.says([Some(0), Some(0)]);
    assert!(!world.counts());
}

/// Says the same of the whole history.
#[derive(Debug, Default)]
struct Model {
    believed: [Option<u64>; 2],
    grown: [Option<(u64, u64)>; 2],
    absences: usize,
    /// What was there last.
    last: Option<Told>,
}

impl Model {
    fn read(&mut self, read: Read) {
        let Some(told) = read.told else {
            let zero = Some([Some(0); 2]);
            let is_unseen = matches!(read.how, How::Pass | How::Killed) && self.last.take() == zero;
            if is_unseen && Some(self.believed) == zero && self.grew().is_none() {
                // Its going was not told, and nothing was kept of it.
                self.believed = Told::default();
            }
            self.last = None;
            if matches!(read.how, How::Killed) {
                // How often it was missed is nothing that is kept.
                self.absences = 0;
            }
            if !read.is_stale {
                self.absences += 1;
            }
            if self.absences >= 2 {
                *self = Self::default();
            }
            return;
        };
        self.absences = 0;
        self.last = Some(told);
        if read.is_stale {
            // That a counter begins with zero is believed.
            for (believed, told) in self.believed.iter_mut().zip(told) {
                *believed = believed.or(told.filter(|count| *count == 0));
            }
            return;
        }
        for (at, now) in told.into_iter().enumerate() {
            let Some(now) = now else { continue };
            let before = self.believed[at].replace(now).unwrap_or(now);
            self.grown[at] = match self.grown[at] {
                Some((from, _)) if now >= before => Some((from, now)),
                None if now > before => Some((before, now)),
                _ => None,
            };
        }
    }

    fn grew(&self) -> Option<(u64, u64)> {
        let grown = self.grown.iter().flatten();
        grown.copied().reduce(|a, b| (a.0 + b.0, a.1 + b.1))
    }
}

fn read() -> impl Strategy<Value = Read> {
    let value = || prop_oneof![1 => Just(None), 5 => (0_u64..4).prop_map(Some)];
    let told = prop_oneof![1 => Just(None), 6 => [value(), value()].prop_map(Some)];
    let how = prop_oneof![Just(How::Change), Just(How::Pass), Just(How::Ordered), Just(How::Killed)];
    let stale = prop_oneof![4 => Just(false), 1 => Just(true)];
    (told, stale, how).prop_map(|(told, is_stale, how)| Read { told, is_stale, how })
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_made_up(reads in proptest::collection::vec(read(), 1..30)) {
        let mut world = World::new();
        let mut model = Model::default();
        for (at, read) in reads.iter().enumerate() {
            let is_silent = read.told.is_some_and(|told| read.is_stale || told == Told::default());
            if is_silent && model.absences > 0 {
                // Neither that it is there nor that it is gone ends anything then.
                continue;
            }
            world.read(*read);
            model.read(*read);
            prop_assert_eq!(world.grew(), model.grew(), "after {} of {:?}", at, reads);
        }
    }
}

/// The same, as health finds it.
fn judged(told: Told) -> Arc<Resource> {
    let pool = counted(told);
    let reason = HealthReason {
        code: "zfs_device_errors",
        severity: Severity::Warning,
        summary: "sd0 has errors".to_owned(),
        evidence: Evidence::default(),
    };
    let has_errors = told.iter().flatten().any(|errors| *errors > 0);
    Arc::new(Resource {
        rare: Rare { reasons: has_errors.then_some(reason).into_iter().collect(), ..Rare::default() }.kept(),
        ..(*pool).clone()
    })
}

#[test]
fn errors_that_are_not_told_any_more_are_there_until_a_counter_says_otherwise() {
    const ERRORS: &str = "pool-errors";
    let read = |scene: &mut Scene, pool: &Arc<Resource>| {
        for _ in 0..4 {
            scene.later(STEP, std::slice::from_ref(pool));
        }
    };
    let mut scene = Scene::new();
    read(&mut scene, &judged([Some(7), Some(0)]));
    assert_eq!(scene.state(ERRORS), Some(CaseState::Firing));
    read(&mut scene, &judged([None, Some(0)]));
    assert_eq!(scene.state(ERRORS), Some(CaseState::Firing), "its counter is not told");
    scene.restart();
    read(&mut scene, &pool(0));
    assert_eq!(scene.state(ERRORS), Some(CaseState::Firing), "no device is told");
    read(&mut scene, &judged([Some(0), None]));
    assert_eq!(scene.state(ERRORS), Some(CaseState::Resolved), "somebody cleared it");
}
