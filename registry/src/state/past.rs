//! What a view remembers of before: resources that are gone, for watchers who
//! come back, and the timeline. Bounded by count and age.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{ConnectionId, DataSource, ResourceId, ResourceType, Revision, UnixMillis};

use super::change::{Change, Changes};
use super::log::Log;
use super::resource::Resource;
use super::row::{Note, Notes, Write};
use super::timeline::Entry;

/// Removed resources remembered for watchers who come back.
pub const TOMBSTONES_MAX: usize = 100_000;
/// How long a removed resource is remembered.
pub const TOMBSTONE_AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// A place in what happened: the revision, and the number within it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub revision: Revision,
    pub index: u32,
}

/// A resource that is gone, as far as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    pub position: Position,
    pub at: UnixMillis,
    pub id: ResourceId,
    pub resource_type: ResourceType,
    pub name: Box<str>,
    pub technology: Box<str>,
    pub connection: ConnectionId,
    pub connection_name: Box<str>,
    pub source: DataSource,
}

impl Tombstone {
    pub fn of(resource: &Resource, position: Position, at: UnixMillis) -> Self {
        Self {
            position,
            at,
            id: resource.id,
            resource_type: resource.resource_type(),
            name: resource.name().into(),
            technology: resource.document.technology().into(),
            connection: resource.connection.clone(),
            connection_name: (*resource.connection_name).into(),
            source: resource.source,
        }
    }
}

/// What a resume token depends on beside the records. Changes alone lead from one view to the next only while this stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Horizon {
    /// What was removed at or before this revision may be forgotten: nobody can resume from before it.
    pub floor: Revision,
    /// Who makes resources of records: the release, and the settings that hide some.
    pub shown_by: String,
}

/// How much of the timeline is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// At least so many entries; at most a chunk more.
    pub entries: usize,
    pub age: Duration,
}

/// What Pulse keeps.
impl Default for Retention {
    fn default() -> Self {
        Self { entries: 200_000, age: Duration::from_hours(30 * 24) }
    }
}

/// Part of every view.
#[derive(Clone, Debug, Default)]
pub struct Past {
    pub horizon: Horizon,
    pub tombstones: Log<Tombstone>,
    pub timeline: Log<Entry>,
    pub retention: Retention,
}

/// As it was stored. Without a horizon the store is new, or older than horizons.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    pub horizon: Option<Horizon>,
    /// Ascending by position.
    pub tombstones: Vec<Arc<Tombstone>>,
    /// Ascending by position.
    pub entries: Vec<Arc<Entry>>,
    /// What others keep beside the records.
    pub notes: Notes,
}

impl Remembered {
    /// What a start at `revision` may build on. A token leads from one view to the next only when both are made of the
    /// same records in the same way; otherwise, and when something was lost (`damaged`), a new revision begins that
    /// nobody can reach by changes. Returns the revision, and what must be durable before anything is shown.
    pub fn begin(&mut self, revision: Revision, shown_by: &str, damaged: bool) -> (Revision, Option<Write>) {
        let known = self.horizon.as_ref().is_some_and(|horizon| horizon.shown_by == shown_by);
        if known && !damaged {
            return (revision, None);
        }
        // Of nothing nobody has a token.
        let floor = if revision == Revision(0) { revision } else { revision.next() };
        let horizon = Horizon { floor, shown_by: shown_by.to_owned() };
        self.tombstones.clear();
        self.horizon = Some(horizon.clone());
        (floor, Some(Write::Horizon(horizon)))
    }
}

impl Remembered {
    /// Steps that store it.
    pub fn writes(self) -> impl Iterator<Item = Write> {
        let Self { horizon, tombstones, entries, notes } = self;
        let rows = tombstones.into_iter().map(Write::Tombstone).chain(entries.into_iter().map(Write::Entry));
        let notes = notes.into_iter().map(|(key, value)| Write::Note(Note { key, value: Some(value) }));
        horizon.map(Write::Horizon).into_iter().chain(rows).chain(notes)
    }
}

impl Past {
    /// Steps that store all of it.
    pub fn into_writes(self) -> impl Iterator<Item = Write> {
        let Self { horizon, tombstones, timeline, retention: _ } = self;
        let rows = tombstones.into_items().map(Write::Tombstone);
        std::iter::once(Write::Horizon(horizon)).chain(rows).chain(timeline.into_items().map(Write::Entry))
    }

    /// At `revision`, without trust in what was there before its horizon.
    pub fn restore(remembered: Remembered, revision: Revision, retention: Retention) -> Self {
        let Remembered { horizon, tombstones, entries, notes: _ } = remembered;
        let horizon = horizon.unwrap_or(Horizon { floor: revision, shown_by: String::new() });
        let floor = horizon.floor;
        let kept = tombstones.into_iter().filter(|tombstone| tombstone.position.revision > floor);
        let timeline = entries.into_iter().collect();
        Self { horizon, tombstones: kept.collect(), timeline, retention }
    }

    /// Takes in one revision; says what must become durable with it.
    pub fn take(&mut self, changes: &Changes, writes: &mut Vec<Write>) {
        let Changes { revision, at, items, entries, extent: _ } = changes;
        writes.extend(entries.iter().map(|entry| Write::Entry(Arc::clone(entry))));
        self.timeline.append(entries.iter().cloned());
        let Retention { entries: max, age } = self.retention;
        if let Some(forgotten) = self.timeline.trim(max, |entry| at.since(entry.at) > age) {
            writes.push(Write::ForgetEntries(forgotten.position));
        }
        let gone = items.iter().filter_map(|change| match change {
            Change::Removed(resource) => Some(resource),
            Change::Added(_) | Change::Changed { .. } => None,
        });
        let tombstones = gone.zip(0..).map(|(resource, index)| {
            Arc::new(Tombstone::of(resource, Position { revision: *revision, index }, *at))
        });
        let tombstones: Vec<Arc<Tombstone>> = tombstones.collect();
        if tombstones.is_empty() {
            return;
        }
        writes.extend(tombstones.iter().map(|tombstone| Write::Tombstone(Arc::clone(tombstone))));
        self.tombstones.append(tombstones);
        let is_old = |tombstone: &Tombstone| at.since(tombstone.at) > TOMBSTONE_AGE_MAX;
        if let Some(forgotten) = self.tombstones.trim(TOMBSTONES_MAX, is_old) {
            self.horizon.floor = forgotten.position.revision;
            writes.push(Write::Horizon(self.horizon.clone()));
        }
    }

    /// What went after `revision`, oldest first.
    pub fn gone_after(&self, revision: Revision) -> impl Iterator<Item = &Arc<Tombstone>> {
        self.tombstones.from(move |tombstone| tombstone.position.revision <= revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::fixture::Seed;

    fn removal(number: u64, revision: u64, at: UnixMillis) -> Changes {
        let resource = Seed { revision: 1, ..Seed::new(ResourceType::Storage, number, "nas") }.build();
        Changes::new(Revision(revision), at, vec![Change::Removed(resource)])
    }

    fn horizon(floor: u64) -> Horizon {
        Horizon { floor: Revision(floor), shown_by: "one".to_owned() }
    }

    #[test]
    fn a_start_goes_on_only_when_it_shows_the_same_in_the_same_way() {
        let none = Remembered::default();
        let some = Remembered { horizon: Some(horizon(3)), ..Remembered::default() };
        for (remembered, revision, shown_by, damaged, expected) in [
            (&none, 0, "one", false, (0, Some(0))),
            (&none, 7, "one", false, (8, Some(8))),
            (&some, 7, "one", false, (7, None)),
            (&some, 7, "two", false, (8, Some(8))),
            (&some, 7, "one", true, (8, Some(8))),
        ] {
            let (begun, write) = remembered.clone().begin(Revision(revision), shown_by, damaged);
            let floor = write.map(|write| match write {
                Write::Horizon(horizon) if horizon.shown_by == shown_by => horizon.floor.0,
                other => panic!("{other:?}"),
            });
            assert_eq!((begun.0, floor), expected, "{revision} {shown_by} {damaged}");
        }
    }

    #[test]
    fn what_went_is_remembered_until_it_is_too_old() {
        let start = UnixMillis::new(1_000_000);
        let mut past = Past { horizon: horizon(0), ..Past::default() };
        let mut writes = Vec::new();
        for revision in 1..=600 {
            past.take(&removal(revision, revision, start), &mut writes);
        }
        let buried = writes.iter().filter(|write| matches!(write, Write::Tombstone(_)));
        assert_eq!((buried.count(), past.timeline.len()), (600, 600));
        let gone: Vec<u64> = past.gone_after(Revision(597)).map(|t| t.position.revision.0).collect();
        assert_eq!(gone, [598, 599, 600]);
        let shown = past.tombstones.from(|_| false).next().expect("the first");
        assert_eq!((&*shown.name, shown.connection.as_str(), shown.at), ("thing-1", "nas", start));

        writes.clear();
        past.take(&removal(601, 601, start + TOMBSTONE_AGE_MAX + Duration::from_secs(1)), &mut writes);
        assert_eq!(past.horizon.floor, Revision(512), "whole chunks, and only when all of one is too old");
        let [Write::Entry(_), Write::Tombstone(_), Write::Horizon(written)] = &writes[..] else {
            panic!("{writes:?}");
        };
        assert_eq!(written, &past.horizon);
        let all = past.tombstones.from(|_| false).cloned().collect();
        let again =
            Remembered { horizon: Some(past.horizon.clone()), tombstones: all, ..Remembered::default() };
        let again = Past::restore(again, Revision(601), Retention::default());
        assert_eq!(again.tombstones.len(), past.tombstones.len());
    }
}
