//! Everything held of one connection: records as told, and the resources made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, ConnectionStatus, DataSource, Freshness, ResourceType, SectionName, SectionReport,
    SourceId, UnixMillis,
};

use super::document::{Document, Families, Family, Upsert};
use super::entries::Entries;
use super::fresh::{Fresh, Waiting};
use super::judge::Judge;
use super::lease::Cursor;
use super::origin::Origin;
use super::resource::Resource;
use super::row::{ConnectionRow, RecordRow, Stamp};
use super::table::Table;

/// Longest way from a record to what has no parent.
const PARENTS_MAX: usize = 256;
/// How far a machine is looked for above a thing.
const ANCESTORS_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) document: Document,
    /// `None` until it was derived for the first time, and while another record leads what it is part of.
    pub(super) resource: Option<Arc<Resource>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) ids: Table<SourceId, ()>,
    /// Sections that this snapshot says it read completely.
    pub(super) complete: BTreeSet<SectionName>,
}

#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) cursor: Cursor,
    pub(super) source: DataSource,
    pub(super) removed: bool,
    pub(super) status: Option<ConnectionStatus>,
    pub(super) origin: Arc<Origin>,
    pub(super) sections: BTreeMap<SectionName, SectionReport>,
    pub(super) freshness: BTreeMap<SectionName, Freshness>,
    /// When `freshness` will next differ if nothing is heard.
    pub(super) deadline: Option<UnixMillis>,
    pub(super) entries: Entries,
    pub(super) fresh: Waiting,
    /// Of each entry as it lies there, after a start and until all are derived.
    restored: Vec<Stamp>,
    /// Those of records that came since the start.
    families: Families,
    pub(super) hosts: BTreeSet<SourceId>,
    /// What a snapshot under way has named so far.
    pub(super) seen: Option<Seen>,
    /// Times of observation moved since the row was last written.
    pub(super) unwritten: bool,
}

impl Holding {
    pub(super) fn new(connection: ConnectionId, cursor: Cursor, source: DataSource) -> Self {
        Self {
            cursor,
            source,
            removed: false,
            status: None,
            origin: Arc::new(Origin::new(connection, Arc::from(""), Arc::default())),
            sections: BTreeMap::new(),
            freshness: BTreeMap::new(),
            deadline: None,
            entries: Entries::default(),
            fresh: Waiting::default(),
            restored: Vec::new(),
            families: Families::default(),
            hosts: BTreeSet::new(),
            seen: None,
            unwritten: false,
        }
    }

    /// As it was before a restart. A snapshot that was under way must begin again.
    pub(super) fn restore(connection: ConnectionId, row: ConnectionRow, records: Vec<RecordRow>) -> Self {
        let ConnectionRow { cursor, source, removed, status, sections, freshness } = row;
        let mut holding = Self::new(connection, cursor, source);
        holding.removed = removed;
        holding.set_status(status);
        holding.sections = sections;
        holding.freshness = freshness;
        holding.entries.reserve(records.len());
        holding.restored.reserve_exact(records.len());
        for RecordRow { document, stamp } in records {
            if document.resource_type == ResourceType::Host {
                holding.hosts.insert(document.source_id.clone());
            }
            holding.restored.push(stamp);
            holding.entries.insert(Entry { document, resource: None });
        }
        // A store tells each record once.
        debug_assert_eq!(holding.restored.len(), holding.entries.len());
        holding
    }

    pub(super) fn row(&self) -> ConnectionRow {
        ConnectionRow {
            cursor: self.cursor.clone(),
            source: self.source,
            removed: self.removed,
            status: self.status.clone(),
            sections: self.sections.clone(),
            freshness: self.freshness.clone(),
        }
    }

    /// Whether anything of a resource depends on what changed.
    pub(super) fn set_status(&mut self, status: Option<ConnectionStatus>) -> bool {
        let Some(status) = status else { return false };
        if self.status.as_ref() == Some(&status) {
            return false;
        }
        let seen = |status: &ConnectionStatus| (status.state, status.name.clone(), status.labels.clone());
        let changed = self.status.as_ref().map(seen) != Some(seen(&status));
        let (name, labels) = (Arc::from(status.name.as_str()), Arc::new(status.labels.clone()));
        let origin = Origin::new(self.origin.connection.clone(), name, labels);
        if origin != *self.origin {
            self.origin = Arc::new(origin);
        }
        self.status = Some(status);
        changed
    }

    /// Takes a record, new or changed.
    pub(super) fn put(&mut self, upsert: Upsert, stamp: Stamp) {
        let Upsert { document, is_decoded: _, beside } = upsert;
        self.place(document, Fresh { beside, unstamped: true, stamp });
    }

    /// Texts that the connection has already are not kept once more: some hundred bytes of each record.
    pub(super) fn share_texts(&mut self, document: &mut Document) {
        let Self { entries, sections, families, .. } = self;
        let id = |entry: &Entry| entry.document.source_id.clone();
        let held = entries.get(&document.source_id);
        let shared = |family: &Arc<Family>| {
            if let Some(entry) = held.filter(|entry| entry.document.family() == family) {
                return Arc::clone(entry.document.family());
            }
            if let Some(known) = families.get(&family.told()) {
                return Arc::clone(known);
            }
            let mut family = Family::clone(family);
            if let Some(parent) = &mut family.parent_source_id
                && let Some(held) = entries.get(parent)
            {
                *parent = id(held);
            }
            if let Some((held, _)) = sections.get_key_value(&family.section) {
                family.section = held.clone();
            }
            families.once(Arc::new(family))
        };
        document.share(held.map(id), shared);
    }

    fn place(&mut self, document: Document, mut fresh: Fresh) {
        let id = document.source_id.clone();
        if let Some(entry) = self.entries.get_mut(&id)
            && entry.document.parent_source_id == document.parent_source_id
            && entry.document.resource_type == document.resource_type
        {
            // Its place stays: most changes are of facts.
            fresh.stamp = self.fresh.stamp(entry).unwrap_or(fresh.stamp);
            entry.document = document;
            self.fresh.insert(id, fresh);
            return;
        }
        fresh.stamp = self.entries.get(&id).and_then(|entry| self.stamp(entry)).unwrap_or(fresh.stamp);
        let resource = self.take(&id).and_then(|old| old.resource);
        if document.resource_type == ResourceType::Host {
            self.hosts.insert(id.clone());
        }
        self.entries.insert(Entry { document, resource });
        self.fresh.insert(id, fresh);
    }

    /// When a record came and last changed; of what is shown, as it is shown.
    pub(super) fn stamp(&self, entry: &Entry) -> Option<Stamp> {
        let restored = || self.restored.get(self.entries.place(&entry.document.source_id)?).copied();
        self.fresh.stamp(entry).or_else(restored)
    }

    /// After a start everything is derived that is not led.
    pub(super) fn derived(&mut self) {
        for (entry, stamp) in self.entries.iter().zip(std::mem::take(&mut self.restored)) {
            if entry.resource.is_none() {
                self.fresh.insert(entry.document.source_id.clone(), Fresh::led(stamp));
            }
        }
    }

    pub(super) fn take(&mut self, id: &SourceId) -> Option<Entry> {
        self.hosts.remove(id);
        self.fresh.remove(id);
        self.entries.remove(id)
    }

    /// Whether the record's parent is the record itself, or lies below it.
    pub(super) fn is_below(&self, document: &Document) -> bool {
        let mut above = document.parent_source_id.as_ref();
        for _ in 0..PARENTS_MAX {
            let Some(id) = above else { return false };
            if *id == document.source_id {
                return true;
            }
            above = self.entries.get(id).and_then(|entry| entry.document.parent_source_id.as_ref());
        }
        true
    }

    /// The machine a thing is in, as far as the records say.
    pub(super) fn host_of(&self, document: &Document) -> Option<&SourceId> {
        let mut parent = document.parent_source_id.as_ref();
        for _ in 0..ANCESTORS_MAX {
            let Some(entry) = parent.and_then(|id| self.entries.get(id)) else { break };
            if entry.document.resource_type == ResourceType::Host {
                return Some(&entry.document.source_id);
            }
            parent = entry.document.parent_source_id.as_ref();
        }
        // Where there is one machine, everything is in it.
        if self.hosts.len() == 1 { self.hosts.first() } else { None }
    }

    /// Everything below a record.
    pub(super) fn below(&self, id: &SourceId) -> Vec<&Entry> {
        let mut named = BTreeSet::from([id]);
        let mut open: Vec<&SourceId> = vec![id];
        let mut found = Vec::new();
        while let Some(next) = open.pop() {
            for child in self.entries.children(next) {
                let id = &child.document.source_id;
                if named.insert(id) {
                    open.push(id);
                    found.push(child);
                }
            }
        }
        found
    }

    /// Brings freshness up to `now`; returns the sections where it changed.
    pub(super) fn refresh(&mut self, judge: &dyn Judge, now: UnixMillis) -> BTreeSet<SectionName> {
        let mut changed = BTreeSet::new();
        let mut deadline: Option<UnixMillis> = None;
        for (name, report) in &self.sections {
            let freshness = judge.freshness(Some(report), now);
            if self.freshness.insert(name.clone(), freshness) != Some(freshness) {
                changed.insert(name.clone());
            }
            if let Some(next) = judge.next_transition(report, now) {
                deadline = Some(deadline.map_or(next, |least| least.min(next)));
            }
        }
        let sections = &self.sections;
        self.freshness.retain(|name, _| sections.contains_key(name));
        self.deadline = deadline;
        changed
    }

    pub(super) fn freshness_of(&self, section: &SectionName) -> Option<Freshness> {
        self.freshness.get(section).copied()
    }

    /// A section says everything there is: what it does not contain is gone.
    pub(super) fn is_complete(&self, section: &SectionName) -> bool {
        self.sections.get(section).is_some_and(|report| report.outcome.is_complete())
    }
}
