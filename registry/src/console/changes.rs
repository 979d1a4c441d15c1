//! What changed lately, newest first, as sentences a person reads.

use std::sync::Arc;

use pulse_proto::model::{ResourceId, UnixMillis};

use super::address::segment;
use super::figure::When;
use crate::query::changes::ChangesQuery;
use crate::query::filter::EntryFilter;
use crate::query::sight::Sight;
use crate::state::timeline::{Entry, EntryKind};
use crate::state::view::View;

/// Facts of one entry that are shown.
const STEPS_MAX: usize = 4;

#[derive(Clone, Debug)]
pub struct Change {
    pub at: When,
    pub name: String,
    pub href: String,
    /// The system it is part of.
    pub system: String,
    pub what: &'static str,
    pub steps: Vec<Step>,
    pub reason: String,
}

#[derive(Clone, Debug)]
pub struct Step {
    pub field: String,
    pub from: String,
    pub to: String,
}

/// Of one resource, or of all that a caller sees.
pub fn newest(
    view: &Arc<View>,
    of: Option<ResourceId>,
    filter: &str,
    sight: &Sight,
    size: usize,
    now: UnixMillis,
) -> Vec<Change> {
    let Ok(filter) = EntryFilter::parse(filter) else { return Vec::new() };
    let query = ChangesQuery::new(of, filter).within(sight.clone());
    let page = query.page(&view.past.timeline, None, size);
    page.entries.iter().map(|entry| change(view, entry, now)).collect()
}

fn change(view: &View, entry: &Entry, now: UnixMillis) -> Change {
    let what = match entry.kind {
        EntryKind::Created => "appeared",
        EntryKind::StateTransition => "changed",
        EntryKind::ConfigUpdate => "was set up differently",
        EntryKind::RelationshipChange => "moved",
        EntryKind::Removed => "is gone",
    };
    let system = view.shard(&entry.connection).and_then(|shard| shard.status.as_ref());
    let tells_more = !matches!(entry.kind, EntryKind::Created | EntryKind::Removed);
    let step = |step: crate::state::timeline::Step<'_>| Step {
        field: step.field.replace('_', " "),
        from: step.from.to_owned(),
        to: step.to.to_owned(),
    };
    let name = system.map(|status| status.name.clone()).unwrap_or_default();
    Change {
        at: When { at: entry.at, now },
        href: if view.get(&entry.id).is_some() {
            format!("/console/resources/{}", segment(&entry.id.text()))
        } else {
            String::new()
        },
        system: if name == entry.name() { String::new() } else { name },
        name: entry.name().to_owned(),
        what,
        steps: if tells_more { entry.steps().take(STEPS_MAX).map(step).collect() } else { Vec::new() },
        reason: entry.reason().to_owned(),
    }
}
