//! The whole fleet at a glance: what needs somebody now, and every system as a
//! cell of a grid, the worst first.

use std::sync::Arc;

use askama::Template;
use pulse_proto::model::{ResourceType, UnixMillis};

use super::address::segment;
use super::alerts::{self, Line};
use super::changes::{self, Change};
use super::infrastructure::Used;
use super::layout::Layout;
use super::look::{Badge, Health, Reach};
use super::systems::{self, Scope, System};
use crate::alert::book::Book;
use crate::query::filter::Filter;
use crate::query::sight::Sight;
use crate::query::summary::Summary;
use crate::state::view::View;

pub const PATH: &str = "/console";
/// Kinds of alerts on the page.
const ALERTS_MAX: usize = 6;
const CHANGES_MAX: usize = 10;
/// What the cells of the grid may take of the page; the worst are first, the rest is counted.
const CELLS_BYTES_MAX: usize = 80_000;
/// Of a cell, its name and id apart.
const CELL_BYTES: usize = 43;
/// A band of more cells than these has no room for names.
const NAMED_MAX: usize = 120;

#[derive(Debug, Template)]
#[template(path = "console/fleet.html")]
pub struct Page {
    pub layout: Layout,
    pub alerts: Vec<Line>,
    pub more_alerts: usize,
    pub figures: Vec<Figure>,
    pub capacity: Option<Used>,
    pub bands: Vec<Band>,
    pub systems: usize,
    /// Systems that did not get a cell.
    pub more: usize,
    pub changes: Vec<Change>,
}

/// How many there are of something, how many of them are not well, and how many were not seen lately.
#[derive(Debug)]
pub struct Figure {
    pub count: u64,
    pub label: &'static str,
    pub href: &'static str,
    pub attention: u64,
    pub unseen: u64,
}

/// Systems that look alike.
#[derive(Debug)]
pub struct Band {
    pub badge: Badge,
    pub token: &'static str,
    pub count: usize,
    pub cells: Vec<Cell>,
    /// Names are told by pointing at a cell.
    pub dense: bool,
    pub href: String,
}

#[derive(Debug)]
pub struct Cell {
    pub id: String,
    pub name: String,
}

pub fn page(layout: Layout, view: &Arc<View>, book: &Book, scope: &Scope, now: UnixMillis) -> Page {
    let sight = Sight::of(view, scope);
    let found = systems::find(view, "", scope, now).unwrap_or_default();
    let (alerts, more_alerts) = alerts::loudest(book, &sight, ALERTS_MAX, now);
    let summary = |filter| {
        Filter::parse_within(filter, scope).map(|filter| Summary::of(view, &filter)).unwrap_or_default()
    };
    let (all, bad) = (summary(""), summary("severity >= warning"));
    let unseen = summary("freshness != fresh");
    let of = |summary: &Summary, kind| summary.by_type.get(&kind).map_or(0, |tally| tally.count);
    let figure = |kind, label, href| Figure {
        count: of(&all, kind),
        label,
        href,
        attention: of(&bad, kind),
        unseen: of(&unseen, kind),
    };
    let figures = vec![
        figure(ResourceType::Host, "systems", "/console/infrastructure"),
        figure(ResourceType::Storage, "pools and datasets", "/console/storage"),
        figure(ResourceType::PhysicalDisk, "disks", "/console/storage?kind=disk&group=none"),
    ];
    let capacity = all.pool_capacity;
    let systems = found.len();
    let bands = bands(&found);
    let shown: usize = bands.iter().map(|band| band.cells.len()).sum();
    Page {
        layout,
        alerts,
        more_alerts,
        figures,
        capacity: Used::of(capacity.used_bytes, capacity.total_bytes),
        bands,
        systems,
        more: systems - shown,
        changes: changes::newest(view, None, "kind != created", &sight, CHANGES_MAX, now),
    }
}

/// What can be seen by its health, what cannot by why.
fn bands(found: &[System]) -> Vec<Band> {
    const BY_HEALTH: [(Health, &str); 6] = [
        (Health::Critical, "severity=critical"),
        (Health::Warning, "severity=warning"),
        (Health::Unknown, "status=unknown"),
        (Health::Stopped, "status=offline"),
        (Health::Monitor, "severity=monitor"),
        (Health::Healthy, "severity=healthy"),
    ];
    const UNSEEN: [Reach; 4] = [Reach::Unreachable, Reach::Lost, Reach::Stale, Reach::SwitchedOff];
    let mut room = CELLS_BYTES_MAX;
    let mut band = |badge: Badge, query: &str, wanted: &dyn Fn(&System) -> bool| {
        let all: Vec<&System> = found.iter().filter(|system| wanted(system)).collect();
        let mut fits = |system: &&System| {
            let cell = Cell { id: segment(&system.host.resource.id.text()), name: system.name().to_owned() };
            room = room.checked_sub(CELL_BYTES + cell.id.len() + cell.name.len())?;
            Some(cell)
        };
        let cells: Vec<Cell> = all.iter().map_while(&mut fits).collect();
        let href = format!("/console/infrastructure?{query}");
        let dense = cells.len() > NAMED_MAX;
        (!all.is_empty()).then_some(Band { token: badge.token, badge, count: all.len(), cells, dense, href })
    };
    let seen = |system: &System| system.look.reach == Reach::Fresh;
    let mut bands = Vec::new();
    for (health, query) in &BY_HEALTH[..2] {
        bands.extend(band((*health).into(), query, &|system| seen(system) && system.worst == *health));
    }
    for reach in UNSEEN {
        let badge = Badge { token: reach.token(), word: reach.word() };
        bands.extend(band(badge, "severity=unseen", &|system| system.look.reach == reach));
    }
    for (health, query) in &BY_HEALTH[2..] {
        bands.extend(band((*health).into(), query, &|system| seen(system) && system.worst == *health));
    }
    bands
}
