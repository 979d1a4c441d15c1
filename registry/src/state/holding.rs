//! Everything held of one connection: records as told, and the resources made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionStatus, DataSource, Freshness, IngestRecord, Resource, ResourceType, SectionName,
    SectionReport, SourceId, UnixMillis,
};

use super::judge::Judge;
use super::lease::Cursor;
use super::row::{ConnectionRow, RecordRow, Stamp};

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) record: Arc<IngestRecord>,
    pub(super) stamp: Stamp,
    /// `None` until it was derived for the first time.
    pub(super) resource: Option<Arc<Resource>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) ids: BTreeSet<SourceId>,
    /// Sections that this snapshot says it read completely.
    pub(super) complete: BTreeSet<SectionName>,
}

#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub(super) cursor: Cursor,
    pub(super) source: DataSource,
    pub(super) removed: bool,
    pub(super) status: Option<ConnectionStatus>,
    pub(super) name: Arc<str>,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    pub(super) sections: BTreeMap<SectionName, SectionReport>,
    pub(super) freshness: BTreeMap<SectionName, Freshness>,
    /// When `freshness` will next differ if nothing is heard.
    pub(super) deadline: Option<UnixMillis>,
    pub(super) entries: BTreeMap<SourceId, Entry>,
    /// Who names whom as parent; a parent need not be there.
    pub(super) children: BTreeMap<SourceId, BTreeSet<SourceId>>,
    pub(super) hosts: BTreeSet<SourceId>,
    /// What a snapshot under way has named so far.
    pub(super) seen: Option<Seen>,
    /// Times of observation moved since the row was last written.
    pub(super) unwritten: bool,
}

impl Holding {
    pub(super) fn new(cursor: Cursor, source: DataSource) -> Self {
        Self {
            cursor,
            source,
            removed: false,
            status: None,
            name: Arc::from(""),
            labels: Arc::default(),
            sections: BTreeMap::new(),
            freshness: BTreeMap::new(),
            deadline: None,
            entries: BTreeMap::new(),
            children: BTreeMap::new(),
            hosts: BTreeSet::new(),
            seen: None,
            unwritten: false,
        }
    }

    /// As it was before a restart. A snapshot that was under way must begin again.
    pub(super) fn restore(row: ConnectionRow, records: Vec<RecordRow>) -> Self {
        let ConnectionRow { cursor, source, removed, status, sections, freshness } = row;
        let mut holding = Self::new(cursor, source);
        holding.removed = removed;
        holding.set_status(status);
        holding.sections = sections;
        holding.freshness = freshness;
        for RecordRow { record, stamp } in records {
            holding.put(record, stamp);
        }
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
        self.name = Arc::from(status.name.as_str());
        self.labels = Arc::new(status.labels.clone());
        self.status = Some(status);
        changed
    }

    /// Takes a record, new or changed. Returns the one it replaces.
    pub(super) fn put(&mut self, record: Arc<IngestRecord>, stamp: Stamp) -> Option<Arc<IngestRecord>> {
        let id = record.source_id.clone();
        let old = self.entries.remove(&id);
        if let Some(old) = &old {
            self.unlink(&old.record);
        }
        if let Some(parent) = &record.parent_source_id {
            self.children.entry(parent.clone()).or_default().insert(id.clone());
        }
        if record.resource_type == ResourceType::Host {
            self.hosts.insert(id.clone());
        }
        let (stamp, resource) = old.as_ref().map_or((stamp, None), |old| (old.stamp, old.resource.clone()));
        self.entries.insert(id, Entry { record, stamp, resource });
        old.map(|entry| entry.record)
    }

    pub(super) fn take(&mut self, id: &SourceId) -> Option<Entry> {
        let entry = self.entries.remove(id)?;
        self.unlink(&entry.record);
        Some(entry)
    }

    fn unlink(&mut self, record: &IngestRecord) {
        self.hosts.remove(&record.source_id);
        let Some(parent) = &record.parent_source_id else { return };
        if let Some(children) = self.children.get_mut(parent) {
            children.remove(&record.source_id);
            if children.is_empty() {
                self.children.remove(parent);
            }
        }
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
