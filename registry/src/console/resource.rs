//! One resource in depth: why it is as it is, what it is made of, what stands
//! around it, what became of it lately, and what its source said, word by word.

mod facts;
mod vdevs;

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use pulse_proto::model::{
    AlertLevel, IngestRecord, ResourceId, ResourceType, SourceBadge, StorageTopology, UnixMillis, Zfs,
};

pub use self::facts::{Fact, Section};
pub use self::vdevs::{Errors, Leaf, Role, Vdev};
use super::address::segment;
use super::alerts::{self, Line};
use super::changes::{self, Change};
use super::figure::When;
use super::infrastructure::{self, Memory, Share, Used};
use super::layout::Layout;
use super::look::{Badge, Health, Look, Reach};
use super::storage::{Redundancy, Scan};
use super::systems::{Scope, carries};
use crate::alert::book::Book;
use crate::query::sight::Sight;
use crate::state::resource::Resource;
use crate::state::view::{Found, Shard, View};

pub const PATH: &str = "/console/resources";
const CHANGES_MAX: usize = 25;
/// Things around it that are listed.
const RELATED_MAX: usize = 120;
/// Longest raw record on the page, in lines.
const RAW_LINES_MAX: usize = 1_500;

#[derive(Debug, Template)]
#[template(path = "console/resource.html")]
pub struct Page {
    pub layout: Layout,
    pub kind: &'static str,
    pub name: String,
    pub id: String,
    pub state: String,
    pub look: Look,
    pub trail: Vec<(String, String)>,
    /// Why it is not fresh, and what that means.
    pub old: Option<Old>,
    pub sources: Vec<Source>,
    pub labels: Vec<String>,
    pub reasons: Vec<Reason>,
    pub alerts: Vec<Line>,
    pub quiet_alerts: usize,
    pub incidents: Vec<Incident>,
    pub used: Option<Used>,
    pub cpu: Option<Share>,
    pub memory: Option<Memory>,
    pub redundancy: Option<Redundancy>,
    pub scan: Option<Scan>,
    pub roles: Vec<Role>,
    pub sections: Vec<Section>,
    pub related: Vec<Related>,
    pub more_related: usize,
    pub changes: Vec<Change>,
    pub raw: String,
}

#[derive(Debug)]
pub struct Old {
    pub text: &'static str,
    pub reason: String,
}

#[derive(Debug)]
pub struct Source {
    pub badge: SourceBadge,
    pub id: String,
    pub freshness: &'static str,
    pub seen: Option<When>,
    pub error: String,
}

#[derive(Debug)]
pub struct Reason {
    pub badge: Badge,
    pub summary: String,
    pub evidence: Vec<(String, String)>,
}

/// A native alert.
#[derive(Debug)]
pub struct Incident {
    pub badge: Badge,
    pub level: &'static str,
    pub klass: String,
    pub text: String,
    pub since: Option<When>,
    pub dismissed: bool,
}

/// Things of one kind.
#[derive(Debug)]
pub struct Related {
    pub title: &'static str,
    pub things: Vec<Thing>,
}

#[derive(Debug)]
pub struct Thing {
    pub name: String,
    pub href: String,
    pub look: Look,
    pub state: String,
}

/// `None`: there is no such thing for this caller.
pub fn page(
    layout: Layout,
    view: &Arc<View>,
    book: &Book,
    id: &str,
    scope: &Scope,
    now: UnixMillis,
) -> Option<Page> {
    let id = ResourceId::parse(id).ok()?;
    let found = view.get(&id)?;
    let resource = Arc::clone(&found.resource);
    // What somebody may not see does not exist for him.
    if !carries(&resource.labels, scope) {
        return None;
    }
    let record = resource.document.record().ok();
    let shard = view.shard(&resource.connection);
    let look = Look::of(&found, view, now);
    let zfs = record.as_ref().and_then(|record| record.facets.storage.as_ref()?.zfs.as_ref());
    let pool = if let Some(Zfs::Pool(pool)) = zfs { Some(pool) } else { None };
    let capacity = resource.document.capacity().unwrap_or_default();
    let sight = Sight::of(view, scope);
    let alerts = alerts::of_resource(book, &id, &sight, now);
    let (related, more_related) = related(view, shard, &resource, now);
    let percent = |percent| Share { bar: super::figure::Bar::full(percent), percent };
    Some(Page {
        kind: kind(&resource),
        name: resource.display_name().to_owned(),
        id: id.to_string(),
        state: resource.document.state().to_owned(),
        trail: trail(view, &resource, scope),
        old: old(look.reach, shard.map(|shard| &**shard), &resource),
        sources: sources(view, &found, now),
        labels: resource.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        reasons: reasons(&resource),
        quiet_alerts: alerts.iter().filter(|line| !line.quiet.is_empty()).count(),
        alerts,
        incidents: record
            .iter()
            .flat_map(|record| &record.incidents)
            .map(|told| incident(told, now))
            .collect(),
        used: Used::of(capacity.used_bytes, capacity.total_bytes)
            .filter(|_| resource.resource_type() != ResourceType::PhysicalDisk),
        cpu: resource.document.cpu_percent().map(super::figure::whole_percent).map(percent),
        memory: record.as_ref().and_then(infrastructure::memory),
        redundancy: pool.and_then(Redundancy::of),
        scan: pool.and_then(|pool| pool.scan.as_ref()).map(|scan| Scan::of(scan, now)),
        roles: pool.map(|pool| vdevs::roles(pool, shard.map(|shard| &**shard))).unwrap_or_default(),
        sections: record
            .as_ref()
            .map(|record| facts::sections(record, layout.units(), now))
            .unwrap_or_default(),
        related,
        more_related,
        changes: changes::newest(view, Some(id), "", &sight, CHANGES_MAX, now),
        raw: record.as_ref().map(raw).unwrap_or_default(),
        layout,
        look,
    })
}

pub fn kind(resource: &Resource) -> &'static str {
    match (resource.resource_type(), resource.document.topology()) {
        (_, Some(StorageTopology::Pool)) => "Pool",
        (_, Some(StorageTopology::Dataset)) => "Dataset",
        (ResourceType::Host, _) => "System",
        (ResourceType::PhysicalDisk, _) => "Disk",
        (ResourceType::AppContainer, _) => "App",
        (ResourceType::Vm, _) => "Virtual machine",
        (ResourceType::SystemContainer, _) => "Container",
        (ResourceType::NetworkShare, _) => "Share",
        (ResourceType::ProtectionTask, _) => "Protection task",
        (ResourceType::Storage, _) => "Storage",
        (other, _) => other.token(),
    }
}

pub fn link(id: &ResourceId) -> String {
    format!("{PATH}/{}", segment(&id.text()))
}

/// What it lies in, the outermost first.
fn trail(view: &View, resource: &Resource, scope: &Scope) -> Vec<(String, String)> {
    /// As deep as anything lies; also ends what points at itself.
    const DEPTH_MAX: usize = 8;
    let mut trail = Vec::new();
    let mut parent = resource.parent.as_ref().map(|parent| parent.id);
    while let Some(id) = parent.take()
        && trail.len() < DEPTH_MAX
    {
        let Some(found) = view.get(&id).filter(|found| carries(&found.resource.labels, scope)) else { break };
        trail.push((found.resource.display_name().to_owned(), link(&id)));
        parent = found.resource.parent.as_ref().map(|parent| parent.id);
    }
    trail.reverse();
    trail
}

fn old(reach: Reach, shard: Option<&Shard>, resource: &Resource) -> Option<Old> {
    let text = match reach {
        Reach::Fresh => return None,
        Reach::Stale => "What is shown is older than it should be.",
        Reach::Lost => "This was not seen for so long that it should not be trusted any more.",
        Reach::Unreachable => {
            "The system cannot be reached. That does not say that it has stopped: this is how it was when it was seen last."
        }
        Reach::SwitchedOff => "Nobody reads this system: its connection is switched off.",
    };
    let told = resource.error().unwrap_or_default();
    let of_connection = shard.and_then(|shard| shard.status.as_ref()).map_or("", |status| &status.reason);
    Some(Old { text, reason: if told.is_empty() { of_connection } else { told }.to_owned() })
}

fn sources(view: &View, found: &Found, now: UnixMillis) -> Vec<Source> {
    let source = |part: crate::state::resource::SourcePart<'_>| {
        let is_leading = *part.source_id == found.resource.document.source_id;
        let seen = if is_leading { found.observed_at } else { view.seen(&part) };
        Source {
            badge: SourceBadge::of(part.source),
            id: part.source_id.as_str().to_owned(),
            freshness: part.freshness.token(),
            seen: seen.map(|at| When { at, now }),
            error: part.error.to_owned(),
        }
    };
    found.resource.sources().map(source).collect()
}

fn reasons(resource: &Resource) -> Vec<Reason> {
    let mut reasons: Vec<_> = resource.reasons().iter().collect();
    reasons.sort_by_key(|reason| Reverse(reason.severity));
    let shown = |reason: &pulse_proto::model::HealthReason| Reason {
        badge: Health::of_severity(reason.severity).into(),
        summary: reason.summary.clone(),
        evidence: reason
            .evidence
            .iter()
            .map(|(key, value)| (key.replace('_', " "), value.to_owned()))
            .collect(),
    };
    reasons.into_iter().map(shown).collect()
}

fn incident(told: &pulse_proto::model::Incident, now: UnixMillis) -> Incident {
    let health = match told.level {
        AlertLevel::Info | AlertLevel::Notice => Health::Monitor,
        AlertLevel::Warning => Health::Warning,
        AlertLevel::Error | AlertLevel::Critical | AlertLevel::Alert | AlertLevel::Emergency => {
            Health::Critical
        }
    };
    Incident {
        badge: health.into(),
        level: told.level.token(),
        klass: told.klass.clone(),
        text: told.text.clone(),
        since: told.started_at.map(|at| When { at, now }),
        dismissed: told.dismissed,
    }
}

/// Its parts, and what uses it; the worst first.
fn related(
    view: &View,
    shard: Option<&Arc<Shard>>,
    resource: &Resource,
    now: UnixMillis,
) -> (Vec<Related>, usize) {
    const KINDS: [(&str, &str); 8] = [
        ("Pool", "Pools"),
        ("Dataset", "Datasets"),
        ("Disk", "Disks"),
        ("Share", "Shares"),
        ("App", "Apps"),
        ("Virtual machine", "Virtual machines"),
        ("Container", "Containers"),
        ("Protection task", "Protection tasks"),
    ];
    let Some(shard) = shard else { return (Vec::new(), 0) };
    let found =
        |other: &Arc<Resource>| Found { resource: Arc::clone(other), observed_at: shard.observed_at(other) };
    let all = shard.resources.iter().filter(|other| belongs(other, resource));
    let mut all: Vec<Found> = all.map(found).collect();
    all.sort_by_cached_key(|other| {
        (Reverse(Health::of(&other.resource)), other.resource.display_name().to_owned(), other.resource.id)
    });
    let more = all.len().saturating_sub(RELATED_MAX);
    all.truncate(RELATED_MAX);
    let thing = |other: &Found| Thing {
        name: other.resource.display_name().to_owned(),
        href: link(&other.resource.id),
        look: Look::of(other, view, now),
        state: other.resource.document.state().to_owned(),
    };
    let of = |(one, title): (&str, &'static str)| Related {
        title,
        things: all.iter().filter(|other| kind(&other.resource) == one).map(thing).collect(),
    };
    (KINDS.into_iter().map(of).filter(|related| !related.things.is_empty()).collect(), more)
}

fn belongs(other: &Resource, to: &Resource) -> bool {
    if other.id == to.id {
        return false;
    }
    let is_child = other.parent.as_ref().is_some_and(|parent| parent.id == to.id);
    let document = &to.document;
    is_child
        || match document.topology() {
            Some(StorageTopology::Pool) => {
                other.document.pool() == document.pool() && !document.pool().is_empty()
            }
            Some(StorageTopology::Dataset) => {
                let (other, own) = (other.document.dataset(), document.dataset());
                other.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            _ if to.resource_type() == ResourceType::Host => matches!(
                other.resource_type(),
                ResourceType::AppContainer
                    | ResourceType::Vm
                    | ResourceType::SystemContainer
                    | ResourceType::NetworkShare
                    | ResourceType::ProtectionTask
            ),
            _ => false,
        }
}

/// What the source said, without what it left out.
fn raw(record: &IngestRecord) -> String {
    let text = format!("{record:#?}");
    let says = |line: &&str| {
        let line = line.trim_end();
        !(line.ends_with(": None,") || line.ends_with(": \"\",") || line.ends_with(": [],"))
    };
    let mut lines: Vec<&str> = text.lines().filter(says).take(RAW_LINES_MAX + 1).collect();
    if lines.len() > RAW_LINES_MAX {
        lines[RAW_LINES_MAX] = "... and more; GetResource has all of it";
    }
    lines.join("\n")
}
