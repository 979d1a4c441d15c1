//! The systems: one row each, with what somebody who runs them asks first.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use pulse_proto::model::{DataSource, IngestRecord, SourceBadge, Status, UnixMillis};

use super::address::{Query, segment};
use super::figure::{Bar, When, percent, whole_percent};
use super::filter::{self, Pick};
use super::layout::{Choice, Layout, Pager};
use super::look::{Badge, Health, Look};
use super::systems::{self, Scope, System};
use crate::query::filter::Filter;
use crate::query::summary::Summary;
use crate::state::view::View;

pub const PATH: &str = "/console/infrastructure";
const PAGE_ROWS: usize = 50;
/// Too hot for a disk, by any maker's word.
const HOT_CELSIUS: f64 = 55.0;

#[derive(Debug, Template)]
#[template(path = "console/infrastructure.html")]
pub struct Page {
    pub layout: Layout,
    pub query: Query,
    pub severities: Vec<Choice>,
    pub sorts: Vec<Pick>,
    pub sources: Vec<Pick>,
    pub statuses: Vec<Pick>,
    pub labels: Vec<Pick>,
    pub rows: Vec<Row>,
    pub pager: Pager,
    /// Why nothing can be shown.
    pub problem: String,
    /// Without any filter there are so many.
    pub all: u64,
    /// By more than a text.
    pub is_filtered: bool,
}

#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub about: String,
    pub sources: Vec<SourceBadge>,
    pub labels: Vec<String>,
    pub look: Look,
    /// What is in it and not well: the worst, and how many.
    pub inside: Option<(Badge, u64)>,
    pub cpu: Option<Share>,
    pub memory: Option<Memory>,
    pub capacity: Option<Used>,
    pub hottest: Option<Heat>,
    pub inventory: Vec<(u64, &'static str)>,
    pub seen: Option<When>,
}

#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub bar: Bar,
    pub percent: u8,
}

#[derive(Clone, Copy, Debug)]
pub struct Memory {
    pub bar: Bar,
    pub total: u64,
    /// What programs hold. Not known where the size of the cache is not.
    pub used: Option<u64>,
    pub arc: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub bar: Bar,
    pub percent: u8,
    pub used: u64,
    pub total: u64,
}

impl Used {
    pub fn of(used: Option<u64>, total: Option<u64>) -> Option<Self> {
        let (used, total) = (used?, total?);
        let percent = percent(used, total)?;
        Some(Self { bar: Bar::full(percent), percent, used, total })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Heat {
    pub celsius: i64,
    pub hot: bool,
}

impl Heat {
    #[allow(clippy::cast_possible_truncation, reason = "clamped to what a thermometer shows")]
    pub fn of(celsius: f64) -> Self {
        Self { celsius: celsius.round().clamp(-273.0, 999.0) as i64, hot: celsius >= HOT_CELSIUS }
    }
}

pub fn page(layout: Layout, view: &Arc<View>, query: Query, scope: &Scope, now: UnixMillis) -> Page {
    let mut terms = filter::terms(&query);
    let text = query.get("q");
    if !text.is_empty() {
        terms.push(filter::contains(&["display_name", "name", "connection_name", "version", "model"], text));
    }
    let severities_known = Health::ALERTING.map(|(_, word)| word).into_iter().chain(["healthy", "unseen"]);
    let unknown = filter::unknown(&query, "severity", severities_known)
        .or_else(|| filter::unknown(&query, "sort", SORTS.map(|(value, _)| value)));
    let (mut found, problem) = match systems::find(view, &terms.join(" AND "), scope, now) {
        _ if unknown.is_some() => (Vec::new(), unknown.unwrap_or_default()),
        Ok(found) => (found, String::new()),
        Err(error) => (Vec::new(), error.to_string()),
    };
    let severities = severities(&query, &found);
    if let Some(severity) = filter::severity(&query) {
        let wanted = Health::of_severity(severity);
        found.retain(|system| system.worst == wanted);
    }
    if query.get("severity") == "unseen" {
        found.retain(System::is_old);
    }
    sort(&mut found, query.get("sort"));
    let (pager, from) = Pager::of(&query, PATH, found.len(), PAGE_ROWS);
    let rows = found.iter().skip(from).take(PAGE_ROWS).map(|system| row(system, now)).collect();
    let all = Filter::parse_within("type = host", scope).map_or(0, |all| Summary::of(view, &all).total);
    let sources = DataSource::ALL.iter().map(|source| (source.token(), SourceBadge::of(*source).label));
    let statuses = Status::ALL.iter().map(|status| (status.token(), status.token()));
    Page {
        is_filtered: !query.beside(["q", "page", "severity"]).is_empty(),
        severities,
        sorts: filter::picks(query.get("sort"), SORTS),
        sources: filter::picks(query.get("source"), sources),
        statuses: filter::picks(query.get("status"), statuses),
        labels: filter::labels(view, scope, &query),
        layout,
        query,
        rows,
        pager,
        problem,
        all,
    }
}

const SORTS: [(&str, &str); 7] = [
    ("", "Attention first"),
    ("name", "Name"),
    ("cpu", "CPU, busiest first"),
    ("memory", "Memory, fullest first"),
    ("capacity", "Capacity, fullest first"),
    ("temperature", "Temperature, hottest first"),
    ("seen", "Longest unseen first"),
];

/// Ties are left as they were: by name.
fn sort(found: &mut [System], by: &str) {
    let tenths = |value: Option<f64>| Reverse(value.map(whole_tenths));
    let document = |system: &System| system.host.resource.document.clone();
    match by {
        "name" => {}
        "cpu" => found.sort_by_cached_key(|system| tenths(document(system).cpu_percent())),
        "memory" => found.sort_by_cached_key(|system| {
            Reverse(document(system).memory().and_then(|(used, total)| percent(used, total)))
        }),
        "capacity" => found.sort_by_cached_key(|system| {
            let capacity = system.counts.capacity;
            Reverse(
                capacity.used_bytes.zip(capacity.total_bytes).and_then(|(used, total)| percent(used, total)),
            )
        }),
        "temperature" => found.sort_by_cached_key(|system| tenths(system.hottest())),
        "seen" => found.sort_by_key(|system| system.host.observed_at),
        _ => found.sort_by_key(|system| (Reverse(system.worst), system.look.urgency())),
    }
}

#[allow(clippy::cast_possible_truncation, reason = "clamped")]
fn whole_tenths(value: f64) -> i64 {
    (value * 10.0).round().clamp(-1e9, 1e9) as i64
}

fn severities(query: &Query, found: &[System]) -> Vec<Choice> {
    let count = |wanted: Health| found.iter().filter(|system| system.worst == wanted).count() as u64;
    let unseen = found.iter().filter(|system| system.is_old()).count() as u64;
    let all = [
        ("", "All", Some(found.len() as u64)),
        ("critical", "Critical", Some(count(Health::Critical))),
        ("warning", "Warning", Some(count(Health::Warning))),
        ("monitor", "Monitor", Some(count(Health::Monitor))),
        ("healthy", "Healthy", Some(count(Health::Healthy))),
        ("unseen", "Not seen lately", Some(unseen)),
    ];
    filter::choices(query, PATH, "severity", all)
}

fn row(system: &System, now: UnixMillis) -> Row {
    let resource = &system.host.resource;
    let record = resource.document.record().ok();
    let counts = &system.counts;
    let inside = (counts.attention > 0)
        .then(|| counts.worst.map(|worst| (Badge::from(Health::of_severity(worst)), counts.attention)));
    let inventory = [
        (counts.pools, "pool"),
        (counts.disks, "disk"),
        (counts.shares, "share"),
        (counts.apps, "app"),
        (counts.vms, "VM"),
    ];
    let mut sources: Vec<_> = resource.sources().map(|part| part.source).collect();
    sources.dedup();
    Row {
        id: segment(&resource.id.text()),
        name: system.name().to_owned(),
        about: record.as_ref().map(about).unwrap_or_default(),
        sources: sources.into_iter().map(SourceBadge::of).collect(),
        labels: resource.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
        look: system.look,
        inside: inside.flatten(),
        cpu: resource
            .document
            .cpu_percent()
            .map(whole_percent)
            .map(|percent| Share { bar: Bar::full(percent), percent }),
        memory: record.as_ref().and_then(memory),
        capacity: Used::of(counts.capacity.used_bytes, counts.capacity.total_bytes),
        hottest: system.hottest().map(Heat::of),
        inventory: inventory.into_iter().filter(|(count, _)| *count > 0).collect(),
        seen: system.host.observed_at.map(|at| When { at, now }),
    }
}

fn about(record: &IngestRecord) -> String {
    let Some(agent) = &record.facets.agent else { return String::new() };
    let words = [agent.os_name.as_str(), agent.os_version.as_str()];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The cache stands apart: it gives memory back when programs ask for it.
pub fn memory(record: &IngestRecord) -> Option<Memory> {
    let metrics = record.facets.metrics.as_ref()?;
    let total = metrics.memory_total_bytes?;
    let (used, arc) = (metrics.memory_used_bytes, metrics.memory_arc_bytes);
    let of = |part: Option<u64>| part.and_then(|part| percent(part, total)).unwrap_or(0);
    let part = of(used);
    Some(Memory { bar: Bar { then: of(arc), ..Bar::full(part) }, total, used, arc })
}
