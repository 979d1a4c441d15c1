//! Watchers with the same filter and mask are one audience: of each change it
//! is decided once whether they see it, and it is encoded once. Where a watcher
//! stands is its own affair; nothing here waits for anybody.

mod part;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use prometheus_client::metrics::counter::Counter;
use pulse_proto::model::Revision;

pub(super) use self::part::{Chunk, Part};
use super::limits::Limits;
use crate::query::filter::Filter;
use crate::query::mask::Mask;
use crate::state::change::Changes;
use crate::state::view::View;

/// All audiences of a registry. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Audiences(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// By canonical filter and mask. Who is listed may have gone.
    known: Mutex<BTreeMap<(String, Mask), Weak<Audience>>>,
    /// Audiences that are there: they share what may be kept.
    present: AtomicUsize,
    limits: Limits,
    judged: Counter,
}

/// All who ask the same. It ends with the last of them.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) filter: Filter,
    pub(super) mask: Mask,
    shared: Arc<Shared>,
    kept: Mutex<Kept>,
}

/// What was told lately: those who are behind are told the same.
#[derive(Debug, Default)]
struct Kept {
    parts: BTreeMap<(Revision, usize), Slot>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slot {
    part: Arc<OnceLock<Arc<Part>>>,
    bytes: usize,
}

impl Audiences {
    /// `judged` counts changes that filters were asked about.
    pub fn new(judged: Counter) -> Self {
        Self(Arc::new(Shared { judged, ..Shared::default() }))
    }

    #[cfg(test)]
    pub(super) fn with(limits: Limits, judged: Counter) -> Self {
        Self(Arc::new(Shared { limits, judged, ..Shared::default() }))
    }

    pub(super) fn join(&self, filter: Filter, mask: Mask) -> Arc<Audience> {
        let question = (filter.canonical().to_owned(), mask.clone());
        let mut known = locked(&self.0.known);
        if let Some(audience) = known.get(&question).and_then(Weak::upgrade) {
            return audience;
        }
        known.retain(|_, audience| audience.strong_count() > 0);
        self.0.present.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&self.0);
        let audience = Arc::new(Audience { filter, mask, shared, kept: Mutex::default() });
        known.insert(question, Arc::downgrade(&audience));
        audience
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.shared.present.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Audience {
    pub(super) fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Counts changes that the filter is asked about.
    pub(super) fn judges(&self, changes: usize) {
        self.shared.judged.inc_by(changes as u64);
    }

    /// Changes of one revision from `number` times [`Self::part_len`] on, as this audience is told them. `view` tells when
    /// things were last observed.
    pub(super) fn part(self: &Arc<Self>, step: &Changes, number: usize, view: &View) -> Arc<Part> {
        let make = || Arc::new(Part::tell(self, step, number, view));
        if Arc::strong_count(self) == 1 {
            // Nobody else will ask.
            *locked(&self.kept) = Kept::default();
            return make();
        }
        let place = (step.revision, number);
        let slot = Arc::clone(&locked(&self.kept).parts.entry(place).or_default().part);
        let mut is_new = false;
        let part = slot.get_or_init(|| {
            is_new = true;
            make()
        });
        if is_new {
            let room = self.limits().kept_bytes / self.shared.present.load(Ordering::Relaxed).max(1);
            locked(&self.kept).account(place, &slot, part.bytes(), room);
        }
        Arc::clone(part)
    }

    /// Changes in one part: as many as one message may have events.
    pub(super) fn part_len(&self) -> usize {
        self.limits().events
    }
}

impl Kept {
    /// Notes how large a part turned out to be, and lets the oldest go until all fit.
    fn account(
        &mut self,
        place: (Revision, usize),
        part: &Arc<OnceLock<Arc<Part>>>,
        bytes: usize,
        room: usize,
    ) {
        if let Some(slot) = self.parts.get_mut(&place).filter(|slot| Arc::ptr_eq(&slot.part, part)) {
            slot.bytes = bytes;
            self.bytes += bytes;
        }
        while self.bytes > room
            && let Some((_, oldest)) = self.parts.pop_first()
        {
            self.bytes -= oldest.bytes;
        }
    }
}

/// A thread that panicked left behind what is recomputed anyway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, UnixMillis};

    use super::*;
    use crate::query::fixture::Seed;
    use crate::state::change::Change;

    fn step(revision: u64, resources: u64) -> Changes {
        let added = |number| {
            Change::Added(Seed { revision, ..Seed::new(ResourceType::Storage, number, "nas") }.build())
        };
        Changes::new(Revision(revision), UnixMillis::new(0), (0..resources).map(added).collect())
    }

    fn open(limits: Limits) -> (Counter, [Arc<Audience>; 3]) {
        let judged = Counter::default();
        let audiences = Audiences::with(limits, judged.clone());
        let join = |text| audiences.join(Filter::parse(text).expect("a filter"), Mask::default());
        (judged, [join("tags:even"), join("  tags : \"even\""), join("")])
    }

    #[test]
    fn who_asks_the_same_is_judged_for_once() {
        let (judged, [one, same, other]) = open(Limits::default());
        assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
        let step = step(7, 20);
        let told = one.part(&step, 0, &View::default());
        assert_eq!(told.events(), 10);
        assert!(Arc::ptr_eq(&told, &same.part(&step, 0, &View::default())));
        assert_eq!(judged.get(), 20);
        assert_eq!(other.part(&step, 0, &View::default()).events(), 20);
        assert_eq!(judged.get(), 40);
    }

    #[test]
    fn parts_split_a_revision_without_loss_or_repetition() {
        let (_, [one, _same, _]) = open(Limits { events: 6, ..Limits::default() });
        let step = step(7, 20);
        let events = |number| one.part(&step, number, &View::default()).events();
        assert_eq!([0, 1, 2, 3, 4].map(events), [3, 3, 3, 1, 0]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_with_the_audience() {
        let size = {
            let (_, [one, _same, _]) = open(Limits::default());
            one.part(&step(1, 8), 0, &View::default()).bytes()
        };
        // Two audiences share the room: each has it for two revisions and a half.
        let (judged, [one, same, other]) = open(Limits { kept_bytes: 5 * size, ..Limits::default() });
        for revision in 1..=9 {
            one.part(&step(revision, 8), 0, &View::default());
            let kept = locked(&one.kept);
            assert!(kept.bytes <= 5 * size / 2 && kept.parts.len() <= 2, "{} bytes", kept.bytes);
        }
        assert_eq!(judged.get(), 72);
        one.part(&step(9, 8), 0, &View::default());
        assert_eq!(judged.get(), 72, "the newest is kept");
        one.part(&step(3, 8), 0, &View::default());
        assert_eq!(judged.get(), 80, "who is far behind is told anew");
        drop((same, other));
        one.part(&step(9, 8), 0, &View::default());
        assert_eq!(locked(&one.kept).parts.len(), 0, "nothing is kept for one alone");
        assert_eq!(one.shared.present.load(Ordering::Relaxed), 1);
    }
}
