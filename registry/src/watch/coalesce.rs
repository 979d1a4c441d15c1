//! Several changes of one resource as one: what the reader had, and what it
//! should have now. What lies between is not news to a reader who was slow.

use std::collections::{BTreeMap, VecDeque, btree_map};
use std::sync::Arc;

use pulse_proto::model::{ResourceId, Revision};
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};

use crate::query::filter::Filter;
use crate::state::change::{Change, Changes};
use crate::state::resource::Resource;
use crate::state::timeline::Entry;

/// A resource before the first and after the last of its changes.
#[derive(Clone, Debug)]
struct Span {
    before: Option<Arc<Resource>>,
    after: Option<Arc<Resource>>,
    /// As last known: `after`, or what was removed.
    last: Arc<Resource>,
    revision: Revision,
    /// It was to be seen at some point in between.
    passed: bool,
    entries: Vec<Arc<Entry>>,
}

/// What to tell of one resource.
#[derive(Clone, Debug)]
pub(super) struct News {
    pub kind: Kind,
    pub removal: Removal,
    pub resource: Arc<Resource>,
    pub revision: Revision,
    /// What the timeline says of it, oldest first.
    pub entries: Vec<Arc<Entry>>,
}

/// Ascending by resource id, each resource at most once.
pub(super) fn coalesce(changes: &[Arc<Changes>], filter: &Filter) -> VecDeque<News> {
    let mut spans: BTreeMap<&ResourceId, Span> = BTreeMap::new();
    for step in changes {
        let mut entries = step.entries.iter().peekable();
        for change in &step.items {
            let (before, after, last) = match change {
                Change::Added(resource) => (None, Some(resource), resource),
                Change::Changed { before, after } => (Some(before), Some(after), after),
                Change::Removed(resource) => (Some(resource), None, resource),
            };
            // Both are in the order of ids.
            let own = std::iter::from_fn(|| entries.next_if(|entry| entry.id == *change.id())).cloned();
            match spans.entry(change.id()) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(Span {
                        before: before.cloned(),
                        after: after.cloned(),
                        last: Arc::clone(last),
                        revision: step.revision,
                        passed: false,
                        entries: own.collect(),
                    });
                }
                btree_map::Entry::Occupied(mut span) => {
                    let span = span.get_mut();
                    span.passed = span.passed || shown(span.after.as_ref(), filter);
                    span.after = after.cloned();
                    span.last = Arc::clone(last);
                    span.revision = step.revision;
                    span.entries.extend(own);
                }
            }
        }
    }
    spans.into_values().filter_map(|span| news(span, filter)).collect()
}

/// The time of observation is no part of a watch's filter.
fn shown(resource: Option<&Arc<Resource>>, filter: &Filter) -> bool {
    resource.is_some_and(|resource| filter.matches(resource, None))
}

fn news(span: Span, filter: &Filter) -> Option<News> {
    let Span { before, after, last, revision, passed, entries } = span;
    let had = shown(before.as_ref(), filter);
    let has = shown(after.as_ref(), filter);
    let (kind, removal) = match (had, has) {
        // A reader who resumes may have seen it on a stream that broke in the middle of a revision.
        (false, false) if !passed => return None,
        (false, true) => (Kind::Added, Removal::Unspecified),
        (true, true) => (Kind::Changed, Removal::Unspecified),
        (_, false) if after.is_some() => (Kind::Removed, Removal::Filtered),
        (_, false) => (Kind::Removed, Removal::Deleted),
    };
    Some(News { kind, removal, resource: last, revision, entries })
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ResourceType, Severity, UnixMillis};

    use super::*;
    use crate::query::fixture::Seed;

    type Told = (Kind, Removal, u64);

    fn seed(severity: Severity, revision: u64) -> Arc<Resource> {
        Seed { severity, revision, ..Seed::new(ResourceType::Storage, 1, "nas") }.build()
    }

    fn told(items: Vec<Change>, filter: &str) -> Vec<Told> {
        let changes: Vec<Arc<Changes>> = items
            .into_iter()
            .zip(10..)
            .map(|(item, revision)| {
                Arc::new(Changes::new(Revision(revision), UnixMillis::new(0), vec![item]))
            })
            .collect();
        let filter = Filter::parse(filter).expect("a filter");
        coalesce(&changes, &filter)
            .into_iter()
            .map(|news| (news.kind, news.removal, news.resource.revision.0))
            .collect()
    }

    #[test]
    fn one_resource_is_told_once_and_only_what_the_reader_can_tell_apart() {
        let (good, bad) = (seed(Severity::Healthy, 1), seed(Severity::Critical, 2));
        let worse = Change::Changed { before: Arc::clone(&good), after: Arc::clone(&bad) };
        let better = Change::Changed { before: Arc::clone(&bad), after: Arc::clone(&good) };
        let added = Change::Added(Arc::clone(&good));
        let removed = Change::Removed(Arc::clone(&bad));
        let none = Removal::Unspecified;
        let table: Vec<(Vec<&Change>, &str, Vec<Told>)> = vec![
            (vec![&added], "", vec![(Kind::Added, none, 1)]),
            (vec![&added, &worse], "", vec![(Kind::Added, none, 2)]),
            (vec![&worse, &better], "", vec![(Kind::Changed, none, 1)]),
            (vec![&removed], "", vec![(Kind::Removed, Removal::Deleted, 2)]),
            (vec![&added, &worse, &removed], "", vec![(Kind::Removed, Removal::Deleted, 2)]),
            (vec![&added, &worse], "severity = warning", vec![]),
            (vec![&removed, &added], "", vec![(Kind::Changed, none, 1)]),
            (vec![&worse], "severity = critical", vec![(Kind::Added, none, 2)]),
            (vec![&better], "severity = critical", vec![(Kind::Removed, Removal::Filtered, 1)]),
            (vec![&worse, &better], "severity = critical", vec![(Kind::Removed, Removal::Filtered, 1)]),
            (vec![&removed], "severity = critical", vec![(Kind::Removed, Removal::Deleted, 2)]),
            (vec![&worse, &removed], "severity = healthy", vec![(Kind::Removed, Removal::Deleted, 2)]),
            (vec![&removed], "severity = healthy", vec![]),
        ];
        for (items, filter, expected) in table {
            let items: Vec<Change> = items.into_iter().cloned().collect();
            assert_eq!(told(items.clone(), filter), expected, "{filter:?} {items:?}");
        }
    }
}
