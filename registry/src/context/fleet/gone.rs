//! What is known of things that went: what the timeline and alerts keep of them, and of the systems that went with them.

use std::collections::BTreeMap;

use pulse_proto::model::{ConnectionId, ResourceType, Severity, Status, UnixMillis};

use crate::alert::Case;
use crate::query::filter::{Filter, Glimpse};
use crate::state::timeline::{Entry, EntryKind, Step};
use crate::state::view::View;

/// Systems that are not there any more.
#[derive(Debug, Default)]
pub(in crate::context) struct Gone<'a>(BTreeMap<&'a ConnectionId, System<'a>>);

#[derive(Debug)]
struct System<'a> {
    name: &'a str,
    labels: BTreeMap<String, String>,
}

impl<'a> Gone<'a> {
    pub(super) fn since(view: &'a View, since: UnixMillis) -> Self {
        let entries = view.past.timeline.chunks().flat_map(|chunk| chunk.items.iter().rev());
        let mut systems = BTreeMap::new();
        for entry in entries.take_while(|entry| entry.at >= since) {
            let is_system = entry.kind == EntryKind::Removed && entry.resource_type == ResourceType::Host;
            if is_system && view.shard(&entry.connection).is_none() {
                systems.entry(&entry.connection).or_insert_with(|| System::of(entry));
            }
        }
        Self(systems)
    }

    pub(super) fn name(&self, connection: &ConnectionId) -> Option<&str> {
        self.0.get(connection).map(|system| system.name)
    }

    /// Whether anything that this connection brought may match, as far as its name and its labels tell.
    pub(super) fn may_match(&self, view: &View, filter: &Filter, connection: &ConnectionId) -> bool {
        filter.glimpsed(&self.glimpse(view, connection)) != Some(false)
    }

    /// Of something that a system has or had.
    fn glimpse<'b>(&'b self, view: &'b View, connection: &'b ConnectionId) -> Glimpse<'b> {
        let (connection_name, labels) = match (view.shard(connection), self.0.get(connection)) {
            (Some(shard), _) => {
                let status = shard.status.as_ref();
                (status.map(|status| status.name.as_str()), status.map(|status| &status.labels))
            }
            (None, Some(system)) => (Some(system.name), Some(&system.labels)),
            (None, None) => (None, None),
        };
        Glimpse {
            id: None,
            resource_type: None,
            name: None,
            technology: None,
            pool: None,
            connection,
            connection_name,
            labels,
            source: None,
            status: None,
            severity: None,
        }
    }

    /// Whether the filter matches what the thing was.
    pub(super) fn matches(&self, view: &View, filter: &Filter, entry: &Entry) -> bool {
        let last = |field: &str| {
            let step = entry.steps().find(|step| step.field == field)?;
            Some(if entry.kind == EntryKind::Removed { step.from } else { step.to })
        };
        let unsaid = (entry.kind == EntryKind::Removed).then_some(Severity::Healthy);
        let glimpse = Glimpse {
            id: Some(&entry.id),
            resource_type: Some(entry.resource_type),
            name: Some(entry.name()),
            technology: Some(entry.technology()),
            pool: last("pool"),
            source: Some(entry.source),
            status: last("status").and_then(Status::from_token),
            severity: last("severity").map_or(unsaid, Severity::from_token),
            ..self.glimpse(view, &entry.connection)
        };
        filter.glimpsed(&glimpse) == Some(true)
    }
}

impl<'a> System<'a> {
    fn of(entry: &'a Entry) -> Self {
        let label =
            |step: Step<'_>| Some((step.field.strip_prefix("labels.")?.to_owned(), step.from.to_owned()));
        Self { name: entry.name(), labels: entry.steps().filter_map(label).collect() }
    }
}

/// Whether the filter matches what an alert was about, with the severity of the alert.
pub(in crate::context) fn matches(filter: &Filter, case: &Case) -> bool {
    let subject = &case.subject;
    let glimpse = Glimpse {
        id: Some(&subject.id),
        resource_type: Some(subject.resource_type),
        name: Some(&subject.name),
        technology: Some(&subject.technology),
        pool: Some(&subject.pool).filter(|pool| !pool.is_empty()).map(|pool| &**pool),
        connection: &subject.connection,
        connection_name: Some(&subject.connection_name),
        labels: Some(&subject.labels),
        source: None,
        status: None,
        severity: Some(case.severity),
    };
    filter.glimpsed(&glimpse) == Some(true)
}
