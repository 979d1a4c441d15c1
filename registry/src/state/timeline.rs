//! Which changes are worth telling later, and how: the entries of the timeline.
//! Pure. Figures that only move (sizes, temperatures, rates) make none.

mod texts;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, DataSource, ResourceId, ResourceType, Revision, Severity, UnixMillis,
};

use super::change::Change;
use super::document::Document;
use super::document::read::number;
use super::past::Position;
use super::resource::Resource;

pub use self::texts::{Step, Texts};

/// Where a resource comes from and where it goes to.
pub const ABSENT: &str = "absent";

/// Words are Pulse's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Created,
    StateTransition,
    ConfigUpdate,
    RelationshipChange,
    Removed,
}

impl EntryKind {
    pub const ALL: [Self; 5] =
        [Self::Created, Self::StateTransition, Self::ConfigUpdate, Self::RelationshipChange, Self::Removed];

    pub const fn token(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::StateTransition => "state_transition",
            Self::ConfigUpdate => "config_update",
            Self::RelationshipChange => "relationship_change",
            Self::Removed => "removed",
        }
    }

    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.token() == token)
    }
}

/// One line of the timeline. Says enough of its resource to be read when that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub position: Position,
    pub at: UnixMillis,
    pub kind: EntryKind,
    pub id: ResourceId,
    pub resource_type: ResourceType,
    pub connection: ConnectionId,
    pub source: DataSource,
    /// What it is called, what happened, and what caused that as far as known.
    pub texts: Texts,
}

/// They are part of the entry; where they are kept is nobody's concern.
impl Deref for Entry {
    type Target = Texts;

    fn deref(&self) -> &Texts {
        &self.texts
    }
}

/// A step in the making.
struct Made {
    field: Box<str>,
    from: Box<str>,
    to: Box<str>,
}

impl Made {
    fn told(&self) -> Step<'_> {
        let Self { field, from, to } = self;
        Step { field, from, to }
    }
}

/// The entries of one revision, in the order of its changes.
pub fn entries(revision: Revision, at: UnixMillis, changes: &[Change]) -> Vec<Arc<Entry>> {
    let mut entries = Vec::new();
    for change in changes {
        if matches!(change, Change::Changed { before, after } if differ_in_figures(before, after)) {
            continue;
        }
        let told: Vec<(EntryKind, Vec<Made>, &str, &Resource)> = match change {
            Change::Added(after) => {
                let steps = vec![step("status", ABSENT, after.status.token())];
                vec![(EntryKind::Created, steps, cause(after), after)]
            }
            Change::Removed(before) => {
                vec![(EntryKind::Removed, last_steps(before), "", before)]
            }
            Change::Changed { before, after } => {
                let (state, reason) = state_steps(before, after);
                let told = [
                    (EntryKind::StateTransition, state, reason),
                    (EntryKind::RelationshipChange, relation_steps(before, after), ""),
                    (EntryKind::ConfigUpdate, config_steps(before, after), ""),
                ];
                told.into_iter().map(|(kind, steps, reason)| (kind, steps, reason, &**after)).collect()
            }
        };
        for (kind, steps, reason, resource) in told.into_iter().filter(|(_, steps, ..)| !steps.is_empty()) {
            let index = u32::try_from(entries.len()).unwrap_or(u32::MAX);
            entries.push(Arc::new(Entry {
                position: Position { revision, index },
                at,
                kind,
                id: resource.id,
                resource_type: resource.resource_type(),
                connection: resource.connection.clone(),
                source: resource.source,
                texts: Texts::of(
                    resource.display_name(),
                    resource.document.technology(),
                    reason,
                    steps.iter().map(Made::told),
                ),
            }));
        }
    }
    entries
}

/// Known to differ in nothing that is told. Most changes are such, and neither of the two is read.
fn differ_in_figures(before: &Resource, after: &Resource) -> bool {
    let told = |resource: &Resource| (resource.status, resource.severity, resource.freshness);
    triomphe::Arc::ptr_eq(&before.anchor, &after.anchor)
        && before.document.is_alike(&after.document)
        && told(before) == told(after)
}

/// What a thing was when it went, as far as nothing that stays says it. Labels are those of the system.
fn last_steps(before: &Resource) -> Vec<Made> {
    let gone = |field: &str, from: &str| step(field, from, ABSENT);
    let mut steps = vec![gone("status", before.status.token())];
    if before.severity > Severity::Healthy {
        steps.push(gone("severity", before.severity.token()));
    }
    match before.resource_type() {
        ResourceType::PhysicalDisk if !before.document.pool().is_empty() => {
            steps.push(gone("pool", before.document.pool()));
        }
        ResourceType::Host => {
            steps.extend(before.labels.iter().map(|(key, value)| gone(&format!("labels.{key}"), value)));
        }
        _ => {}
    }
    steps
}

/// Why a resource is as it is.
fn cause(resource: &Resource) -> &str {
    resource.reasons().first().map_or("", |reason| &reason.summary)
}

/// What one looks at first leads; when a resource is no longer heard of, that is what everything else follows from.
fn state_steps<'a>(before: &Resource, after: &'a Resource) -> (Vec<Made>, &'a str) {
    let mut steps = Vec::new();
    let mut add = |field, from: &str, to: &str| {
        if from != to {
            steps.push(step(field, from, to));
        }
    };
    add("status", before.status.token(), after.status.token());
    add("severity", before.severity.token(), after.severity.token());
    add("state", before.document.state(), after.document.state());
    if before.freshness == after.freshness {
        return (steps, cause(after));
    }
    let freshness = step("freshness", before.freshness.token(), after.freshness.token());
    if before.document.state() == after.document.state() && before.severity == after.severity {
        steps.insert(0, freshness);
        return (steps, after.error().unwrap_or_default());
    }
    steps.push(freshness);
    (steps, cause(after))
}

/// A parent that was only late, or went, is told by its own entry.
fn relation_steps(before: &Resource, after: &Resource) -> Vec<Made> {
    let mut steps = Vec::new();
    if before.document.parent_source_id != after.document.parent_source_id {
        let parent = |resource: &Resource| match (&resource.parent, &resource.document.parent_source_id) {
            (Some(parent), _) => parent.id.to_string(),
            (None, Some(source_id)) => source_id.to_string(),
            (None, None) => ABSENT.to_owned(),
        };
        steps.push(step("parent_id", &parent(before), &parent(after)));
    }
    if before.connection != after.connection {
        steps.push(step("connection", before.connection.as_str(), after.connection.as_str()));
    }
    steps
}

/// Fields that say where a thing lies.
const PLACES: [u32; 4] =
    [number::STORAGE, number::PHYSICAL_DISK, number::NETWORK_SHARE, number::PROTECTION_TASK];

fn config_steps(before: &Resource, after: &Resource) -> Vec<Made> {
    let mut steps = Vec::new();
    let (old, new) = (&before.document, &after.document);
    let mut add = |field, from: &str, to: &str| {
        if from != to {
            steps.push(step(field, from, to));
        }
    };
    // Most changes are of figures: what lies in no field that differs is not read.
    let differing = if old.is_alike(new) { 0 } else { old.fields().differing(new.fields()) };
    let is_same_kind = old.resource_type == new.resource_type;
    let mut compare = |field, numbers: &[u32], text: fn(&Document) -> &str| {
        if !is_same_kind || numbers.iter().any(|number| differing & 1 << number != 0) {
            add(field, text(old), text(new));
        }
    };
    compare("name", &[number::NAME], Document::name);
    compare("technology", &[number::TECHNOLOGY], Document::technology);
    compare("version", &[number::APP, number::AGENT], Document::version);
    compare("model", &[number::PHYSICAL_DISK, number::AGENT], Document::model);
    compare("serial", &[number::PHYSICAL_DISK, number::AGENT], Document::serial);
    compare("pool", &PLACES, Document::pool);
    compare("dataset", &PLACES, Document::dataset);
    add("connection_name", &before.connection_name, &after.connection_name);
    if before.labels != after.labels {
        let keys: BTreeSet<&String> = before.labels.keys().chain(after.labels.keys()).collect();
        for key in keys {
            let value = |resource: &Resource| resource.labels.get(key).cloned().unwrap_or_default();
            let (from, to) = (value(before), value(after));
            if from != to {
                steps.push(step(&format!("labels.{key}"), &from, &to));
            }
        }
    }
    steps
}

fn step(field: &str, from: &str, to: &str) -> Made {
    Made { field: field.into(), from: from.into(), to: to.into() }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{Freshness, Status};

    use super::*;
    use crate::query::fixture::{Seed, capacity};
    use crate::state::origin::Origin;
    use crate::state::resource::{Rare, Site};

    fn told(change: Change) -> Vec<String> {
        let entries = entries(Revision(7), UnixMillis::new(5), &[change]);
        let line = |(index, entry): (usize, &Arc<Entry>)| {
            let position = (entry.position.revision.0, entry.position.index as usize);
            assert_eq!((position, entry.at), ((7, index), UnixMillis::new(5)));
            let steps: Vec<String> =
                entry.steps().map(|s| format!("{} {}>{}", s.field, s.from, s.to)).collect();
            format!("{}: {} ({})", entry.kind.token(), steps.join(", "), entry.reason())
        };
        entries.iter().enumerate().map(line).collect()
    }

    fn sited(resource: &Resource, change: impl FnOnce(&mut Site)) -> Arc<Resource> {
        let mut resource = resource.clone();
        change(resource.site_mut());
        Arc::new(resource)
    }

    #[test]
    fn every_kind_of_change_has_its_entries() {
        let seed = || Seed::new(ResourceType::Storage, 1, "a");
        let good = seed().build();
        let bad = Seed { severity: Severity::Critical, status: Status::Offline, ..seed() }.build();
        let stale = Seed { freshness: Freshness::Stale, status: Status::Warning, ..seed() }.build();
        let rare = Rare { error: Some(Arc::from("timed out")), ..Rare::default() }.kept();
        let stale = Arc::new(Resource { rare, ..(*stale).clone() });
        let larger = Seed { capacity: Some(capacity(9, 1)), revision: 2, ..seed() }.build();
        let moved = Seed::new(ResourceType::Storage, 1, "b").build();
        let named = Seed { name: "other".to_owned(), ..seed() }.build();
        let labelled = sited(&good, |site| {
            let labels = Arc::new([("site".into(), "x".into())].into());
            let (connection, name) = (site.connection.clone(), Arc::clone(&site.connection_name));
            site.origin = Arc::new(Origin::new(connection, name, labels));
        });
        let orphan = sited(&good, |site| site.parent = None);
        let changed = |before: &Arc<Resource>, after: &Arc<Resource>| Change::Changed {
            before: Arc::clone(before),
            after: Arc::clone(after),
        };
        let host = Seed::new(ResourceType::Host, 1, "a").build();
        let table: [(Change, &[&str]); 12] = [
            (Change::Added(Arc::clone(&good)), &["created: status absent>online ()"]),
            (Change::Added(Arc::clone(&bad)), &["created: status absent>offline (the pool is not well)"]),
            (
                Change::Removed(Arc::clone(&bad)),
                &["removed: status offline>absent, severity critical>absent ()"],
            ),
            (Change::Removed(host), &["removed: status online>absent, labels.site dc-1>absent ()"]),
            (
                changed(&good, &bad),
                &[
                    "state_transition: status online>offline, severity healthy>critical, state ONLINE>DEGRADED (the pool is not well)",
                ],
            ),
            (
                changed(&bad, &good),
                &[
                    "state_transition: status offline>online, severity critical>healthy, state DEGRADED>ONLINE ()",
                ],
            ),
            (
                changed(&good, &stale),
                &["state_transition: freshness fresh>stale, status online>warning (timed out)"],
            ),
            (
                changed(&stale, &bad),
                &[
                    "state_transition: status warning>offline, severity healthy>critical, state ONLINE>DEGRADED, freshness stale>fresh (the pool is not well)",
                ],
            ),
            (changed(&good, &larger), &[]),
            (
                changed(&good, &moved),
                &["relationship_change: connection a>b ()", "config_update: connection_name NAS a>NAS b ()"],
            ),
            (changed(&good, &named), &["config_update: name thing-1>other, pool thing-1>other ()"]),
            (changed(&good, &labelled), &["config_update: labels.site dc-1>x ()"]),
        ];
        for (change, expected) in table {
            assert_eq!(told(change.clone()), expected, "{change:?}");
        }
        assert_eq!(told(changed(&good, &orphan)), [""; 0], "its parent's own entry tells");
    }
}
