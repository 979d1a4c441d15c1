//! Connections: where each one is in its life, what is wrong and what helps,
//! and what is read of it. The registry knows how reading goes; hosts, attempts
//! and remedies are known to the collectors, where their addresses are set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use pulse_proto::model::{ConnectionState, ResourceType, SectionOutcome, SectionReport, UnixMillis};

use super::address::{Query, segment};
use super::figure::{When, span};
use super::filter;
use super::layout::{Choice, Layout, Pager};
use super::look::Badge;
use super::systems::{Scope, carries};
use crate::query::sight::Sight;
use crate::state::view::profile::Dimension;
use crate::state::view::{Shard, View};

pub const PATH: &str = "/console/connections";
const PAGE_ROWS: usize = 50;

/// What a collector says of one connection beyond what the registry knows.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub name: String,
    pub host: String,
    pub state: Option<ConnectionState>,
    pub reason: String,
    pub remedy: String,
    pub since: Option<UnixMillis>,
    pub next_attempt_at: Option<UnixMillis>,
    pub labels: Scope,
    pub facts: Vec<(&'static str, String)>,
    /// Of the collectors, the one that has it.
    pub collector: usize,
}

/// By id, and why some collectors do not answer.
#[derive(Clone, Debug, Default)]
pub struct Hearsay {
    pub connections: BTreeMap<String, Told>,
    pub problems: Vec<String>,
}

#[derive(Debug, Template)]
#[template(path = "console/connections.html")]
pub struct Page {
    pub layout: Layout,
    pub query: Query,
    pub states: Vec<Choice>,
    pub rows: Vec<Row>,
    pub pager: Pager,
    pub all: usize,
    pub problems: Vec<String>,
    /// With what was asked for.
    pub problem: String,
}

#[derive(Debug, Template)]
#[template(path = "console/connection.html")]
pub struct OnePage {
    pub layout: Layout,
    pub row: Row,
    pub life: Vec<(&'static str, bool)>,
    pub sections: Vec<Section>,
    pub facts: Vec<(&'static str, String)>,
    pub hosts: Vec<(String, String)>,
    pub can_refresh: bool,
    pub problems: Vec<String>,
}

#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub name: String,
    pub host: String,
    pub labels: Vec<String>,
    pub badge: Badge,
    pub since: Option<When>,
    pub reason: String,
    pub remedy: String,
    pub next: Option<When>,
    pub good_sections: usize,
    pub bad_sections: String,
    pub resources: usize,
    urgency: u8,
}

#[derive(Debug)]
pub struct Section {
    pub name: String,
    pub badge: Badge,
    pub read: Option<When>,
    pub since: Option<When>,
    pub every: String,
    pub error: String,
}

fn badge(state: Option<ConnectionState>) -> (Badge, u8, &'static str) {
    let (token, word, urgency, group) = match state {
        Some(ConnectionState::Refused) => ("bad", "Refused", 0, "trouble"),
        Some(ConnectionState::BackingOff) => ("away", "Unreachable", 1, "trouble"),
        Some(ConnectionState::Degraded) => ("warn", "Degraded", 2, "trouble"),
        Some(ConnectionState::Connecting) => ("watch", "Connecting", 3, "live"),
        Some(ConnectionState::Authenticating) => ("watch", "Signing in", 3, "live"),
        None => ("unknown", "Unknown", 3, "trouble"),
        Some(ConnectionState::Live) => ("ok", "Live", 4, "live"),
        Some(ConnectionState::Disabled) => ("paused", "Switched off", 5, "off"),
    };
    (Badge { token, word }, urgency, group)
}

const LIFE: [(ConnectionState, &str); 7] = [
    (ConnectionState::Disabled, "Switched off"),
    (ConnectionState::Connecting, "Connecting"),
    (ConnectionState::Authenticating, "Signing in"),
    (ConnectionState::Live, "Live"),
    (ConnectionState::Degraded, "Degraded"),
    (ConnectionState::BackingOff, "Waiting to try again"),
    (ConnectionState::Refused, "Refused"),
];

/// One connection, as both know it.
struct Known<'a> {
    id: String,
    shard: Option<&'a Arc<Shard>>,
    told: Option<&'a Told>,
}

impl Known<'_> {
    fn state(&self) -> Option<ConnectionState> {
        let at_registry = self.shard.and_then(|shard| shard.status.as_ref()).map(|status| status.state);
        self.told.and_then(|told| told.state).or(at_registry)
    }

    fn row(&self, now: UnixMillis) -> Row {
        let status = self.shard.and_then(|shard| shard.status.as_ref());
        let (told, empty) = (self.told, Told::default());
        let said = told.unwrap_or(&empty);
        let (badge, urgency, _) = badge(self.state());
        let when = |at: Option<UnixMillis>| at.map(|at| When { at, now });
        let name = status.map(|status| status.name.clone()).filter(|name| !name.is_empty());
        let labels = status.map(|status| &status.labels).or(told.map(|told| &told.labels));
        let reports: Vec<&SectionReport> =
            self.shard.iter().flat_map(|shard| shard.sections.values()).collect();
        let bad: Vec<&str> = reports
            .iter()
            .filter(|report| is_bad(report.outcome))
            .map(|report| report.section.as_str())
            .collect();
        let first = |told: &str, held: Option<&String>| {
            if told.is_empty() { held.cloned().unwrap_or_default() } else { told.to_owned() }
        };
        Row {
            id: segment(&self.id),
            name: name.unwrap_or_else(|| first(&said.name, Some(&self.id))),
            host: said.host.clone(),
            labels: labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect(),
            badge,
            since: when(said.since.or(status.and_then(|status| status.since))),
            reason: first(&said.reason, status.map(|status| &status.reason)),
            remedy: said.remedy.clone(),
            next: when(said.next_attempt_at.filter(|at| *at > now)),
            good_sections: reports.len() - bad.len(),
            bad_sections: match bad.len() {
                0 => String::new(),
                1..=3 => format!("not {}", bad.join(", ")),
                more => format!("{more} not"),
            },
            resources: self.shard.map_or(0, |shard| shard.resources.len()),
            urgency,
        }
    }
}

/// Where in a list somebody looks for it: what is wrong first, what there is nothing to say of last.
const fn place(outcome: SectionOutcome) -> u8 {
    match outcome {
        SectionOutcome::Failed | SectionOutcome::Forbidden | SectionOutcome::Partial => 0,
        SectionOutcome::Fresh | SectionOutcome::Unchanged => 1,
        SectionOutcome::Unsupported | SectionOutcome::Disabled => 2,
    }
}

const fn is_bad(outcome: SectionOutcome) -> bool {
    place(outcome) == 0
}

/// All that a caller sees, the most urgent first.
fn known<'a>(view: &'a View, heard: &'a Hearsay, scope: &Scope) -> Vec<Known<'a>> {
    let sight = Sight::of(view, scope);
    let held = view.shards().filter(|shard| sight.sees(&shard.connection)).map(|shard| {
        let id = shard.connection.as_str().to_owned();
        Known { told: heard.connections.get(&id), shard: Some(shard), id }
    });
    let known_here: BTreeSet<&str> = view.shards().map(|shard| shard.connection.as_str()).collect();
    let others = heard.connections.keys().filter(|id| !known_here.contains(id.as_str()));
    let others = others.map(|id| Known { id: id.clone(), shard: None, told: heard.connections.get(id) });
    held.chain(others.filter(|known| known.told.is_some_and(|told| carries(&told.labels, scope)))).collect()
}

/// Why a collector does not answer. Where it is is the business of whoever runs it.
fn problems(heard: &Hearsay, scope: &Scope) -> Vec<String> {
    let shown = |problem: &String| if scope.is_empty() { problem.clone() } else { String::new() };
    heard.problems.iter().map(shown).collect()
}

pub fn page(
    layout: Layout,
    view: &View,
    heard: &Hearsay,
    query: Query,
    scope: &Scope,
    now: UnixMillis,
) -> Page {
    let known = known(view, heard, scope);
    let text = query.get("q").to_lowercase();
    let all = known.len();
    let found: Vec<(Row, &str)> = known
        .iter()
        .map(|known| (known.row(now), badge(known.state()).2))
        .filter(|(row, _)| {
            [&row.name, &row.host, &row.reason].iter().any(|told| told.to_lowercase().contains(&text))
        })
        .collect();
    let count = |wanted: &str| found.iter().filter(|(_, group)| *group == wanted).count() as u64;
    let states = [
        ("", "All", Some(found.len() as u64)),
        ("trouble", "In trouble", Some(count("trouble"))),
        ("live", "Live", Some(count("live"))),
        ("off", "Switched off", Some(count("off"))),
    ];
    let unknown = filter::unknown(&query, "state", states.map(|(value, ..)| value));
    let states = filter::choices(&query, PATH, "state", states);
    let chosen = query.get("state");
    let mut rows: Vec<Row> = found
        .into_iter()
        .filter(|(_, group)| chosen.is_empty() || *group == chosen)
        .map(|(row, _)| row)
        .collect();
    rows.sort_by_cached_key(|row| {
        (row.urgency, row.bad_sections.is_empty(), row.name.clone(), row.id.clone())
    });
    let (pager, from) = Pager::of(&query, PATH, rows.len(), PAGE_ROWS);
    let rows = rows.into_iter().skip(from).take(PAGE_ROWS).collect();
    Page {
        layout,
        states,
        rows,
        pager,
        all,
        problems: problems(heard, scope),
        problem: unknown.unwrap_or_default(),
        query,
    }
}

/// `None`: there is no such connection for this caller.
pub fn one(
    layout: Layout,
    view: &View,
    heard: &Hearsay,
    id: &str,
    scope: &Scope,
    now: UnixMillis,
) -> Option<OnePage> {
    let known = known(view, heard, scope).into_iter().find(|known| known.id == id)?;
    let when = |at: Option<UnixMillis>| at.map(|at| When { at, now });
    let section = |report: &SectionReport| {
        let (token, word) = match report.outcome {
            SectionOutcome::Fresh | SectionOutcome::Unchanged => ("ok", "Read"),
            SectionOutcome::Partial => ("warn", "In part"),
            SectionOutcome::Failed => ("bad", "Failed"),
            SectionOutcome::Forbidden => ("warn", "Not permitted"),
            SectionOutcome::Unsupported => ("off", "Not there"),
            SectionOutcome::Disabled => ("paused", "Switched off"),
        };
        Section {
            name: report.section.as_str().to_owned(),
            badge: Badge { token, word },
            read: when(report.observed_at),
            since: when(report.since),
            every: span(report.interval),
            error: report.error.clone(),
        }
    };
    let mut sections: Vec<&SectionReport> =
        known.shard.iter().flat_map(|shard| shard.sections.values()).collect();
    sections.sort_by_key(|report| (place(report.outcome), report.section.as_str()));
    let hosts = known.shard.and_then(|shard| {
        let rows = shard.resources.any_of(Dimension::Type, 1 << ResourceType::Host as u32)?;
        let host = |row: usize| {
            let host = &shard.resources[row];
            (host.display_name().to_owned(), super::resource::link(&host.id))
        };
        Some(rows.iter().map(host).collect())
    });
    let state = known.state();
    let can_refresh = known.told.is_some() && layout.visitor.may_operate();
    Some(OnePage {
        life: LIFE.iter().map(|(step, word)| (*word, state == Some(*step))).collect(),
        sections: sections.into_iter().map(section).collect(),
        facts: known.told.map(|told| told.facts.clone()).unwrap_or_default(),
        hosts: hosts.unwrap_or_default(),
        row: known.row(now),
        can_refresh,
        layout,
        problems: problems(heard, scope),
    })
}

/// Whether somebody may act on a connection.
pub fn is_seen(view: &View, id: &str, scope: &Scope) -> bool {
    let shard = view.shards().find(|shard| shard.connection.as_str() == id);
    shard.map_or(scope.is_empty(), |shard| Sight::of(view, scope).sees(&shard.connection))
}
