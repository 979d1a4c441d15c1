//! What is remembered of a resource for conditions that look back. Only what was
//! read lately is learnt. What was believed of a counter is compared with what is
//! seen now, however many revisions lie between; of what shows nothing but zeros
//! nothing is kept, since the resource itself says so as long as it is known that
//! it was looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{Freshness, ResourceId, Revision, UnixMillis};

use super::Engine;
use crate::alert::condition::{Condition, Counted, Home, Memory};
use crate::alert::life::ASK_AGAIN;
use crate::alert::measure::Lens;
use crate::alert::rule::Rule;
use crate::alert::source;
use crate::state::{Change, Changes, Resource};

/// What follows from a look.
#[derive(Default)]
pub(super) struct Learnt {
    /// Another read is to decide what became of a device.
    pub(super) awaits: bool,
    /// What is seen cannot be believed yet.
    pub(super) look_again: Option<UnixMillis>,
}

impl Engine {
    /// Rules were asked about everything up to that revision.
    pub fn reached(&mut self, revision: Revision) {
        self.evaluated = self.evaluated.max(revision);
    }

    /// Remembers what conditions that look back need.
    pub(super) fn learn<'a>(
        &mut self,
        lens: &Lens<'_>,
        before: Option<&Resource>,
        mut rules: impl Iterator<Item = &'a Rule>,
        now: UnixMillis,
    ) -> Learnt {
        let resource = lens.resource;
        if let Some(memory) = self.memory.get_mut(&resource.id) {
            memory.missed = None;
        }
        let (mut changed, learnt) = self.count(lens, before, now);
        let forecasts = |rule: &'a Rule| {
            matches!(rule.condition, Condition::Forecast { .. }) && rule.selector.matches(resource, None)
        };
        if rules.any(forecasts)
            && let Some(at) = lens.sources(now).read_at(source::Part::Usable)
            && let Some((used, total)) = lens.capacity()
        {
            changed |= self.memory.entry(resource.id).or_default().fill.learn(used, total, at);
        }
        if changed {
            self.keep_memory(resource);
        }
        learnt
    }

    fn keep_memory(&mut self, resource: &Resource) {
        if let Some(memory) = self.memory.get_mut(&resource.id) {
            if memory.is_empty() {
                self.memory.remove(&resource.id);
            } else {
                let (connection, section) = (&resource.connection, &resource.document.section);
                memory.home = Some(Home { connection: connection.clone(), section: section.clone() });
            }
        }
        self.news.memory.insert(resource.id);
    }

    /// Compares the counters with what was believed of them; whether what is remembered changed.
    fn count(&mut self, lens: &Lens<'_>, before: Option<&Resource>, now: UnixMillis) -> (bool, Learnt) {
        let (resource, told) = (lens.resource, lens.devices());
        let known = self.memory.get(&resource.id).map(|memory| &memory.counted);
        let known = known.filter(|counted| **counted != Counted::default());
        if told.is_empty() && known.is_none() && before.is_none() {
            return (false, Learnt::default());
        }
        let mut counted = known.cloned().unwrap_or_else(|| match before {
            Some(before) => Counted::plain(&Lens::new(before, lens.shard).devices()),
            // It was looked at, and nothing is remembered: there was nothing but zeros.
            None if resource.created <= self.evaluated => Counted::zero(&told),
            None => Counted::default(),
        });
        let mut learnt = Learnt::default();
        match lens.sources(now).read_at(source::of_state(resource)) {
            // Nobody tells of any device: none of them is known to be gone.
            Some(_) if told.is_empty() => {}
            Some(read_at) => learnt.awaits = counted.see(&told, read_at, now),
            None => {
                counted.expect(&told);
                let is_news = resource.freshness == Freshness::Fresh && counted.differs(&told);
                learnt.look_again = is_news.then(|| now + ASK_AGAIN);
            }
        }
        if !counted.is_needed(&told) {
            counted = Counted::default();
            if !told.is_empty() && resource.created > self.evaluated_kept {
                self.news.looked_at = self.news.looked_at.max(resource.created);
            }
        }
        if known.unwrap_or(&Counted::default()) == &counted {
            return (false, learnt);
        }
        self.memory.entry(resource.id).or_default().counted = counted;
        (true, learnt)
    }

    /// A pass stands for these changes and sees what is there. What went among them is parted with as it was looked at last.
    pub fn pass_over(&mut self, skipped: &[Arc<Changes>]) {
        let mut looked_at: BTreeMap<&ResourceId, Option<&Resource>> = BTreeMap::new();
        for change in skipped.iter().flat_map(|changes| &changes.items) {
            match change {
                Change::Added(new) => drop(looked_at.entry(&new.id).or_insert(None)),
                Change::Changed { before, .. } => drop(looked_at.entry(&before.id).or_insert(Some(before))),
                Change::Removed(last) => {
                    if let Some(known) = *looked_at.entry(&last.id).or_insert(Some(last)) {
                        self.part_with(known);
                    }
                }
            }
        }
    }

    /// The view does not hold it any more, which need not mean that it is gone: what showed nothing but zeros is
    /// remembered until that is known.
    pub(super) fn part_with(&mut self, resource: &Resource) {
        let lens = Lens::new(resource, None);
        let told = lens.devices();
        let counts = |memory: &Memory| memory.counted != Counted::default();
        if told.is_empty() || self.memory.get(&resource.id).is_some_and(counts) {
            return;
        }
        self.memory.entry(resource.id).or_default().counted = Counted::plain(&told);
        self.keep_memory(resource);
    }
}
