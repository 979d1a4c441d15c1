//! Pools with what they are made of and what lies in them, as a tree below
//! their systems; or everything in one list, what needs somebody first. What is
//! asked for is found by the registry's own filters; here it is only arranged.

mod row;
mod tree;

use std::sync::Arc;

use askama::Template;
use pulse_proto::model::{DataSource, SourceBadge, UnixMillis};

pub use self::row::{Kind, Redundancy, Row, Scan, Toggle};
use super::address::Query;
use super::filter::{self, Pick};
use super::layout::{Choice, Layout, Pager};
use super::look::{Badge, Health, Look};
use super::systems::Scope;
use crate::query::filter::{Candidates, Filter};
use crate::query::list::Listing;
use crate::query::order::Order;
use crate::query::summary::Summary;
use crate::state::view::{Found, Shard, View};

pub const PATH: &str = "/console/storage";
/// Everything this page is about.
pub const ABOUT: &str = "type = storage OR type = physical_disk";
const LIST_ROWS: usize = 60;
/// So many are put in order whole.
const SORTED_MAX: usize = 5_000;

#[derive(Debug, Template)]
#[template(path = "console/storage.html")]
pub struct Page {
    pub layout: Layout,
    pub query: Query,
    pub healths: Vec<Choice>,
    pub kinds: Vec<Pick>,
    pub groupings: Vec<Pick>,
    pub sources: Vec<Pick>,
    pub labels: Vec<Pick>,
    pub groups: Vec<Group>,
    pub pager: Pager,
    /// What the pager counts.
    pub unit: &'static str,
    pub problem: String,
    /// Without any filter there is nothing.
    pub is_empty_fleet: bool,
    /// By more than a text.
    pub is_filtered: bool,
}

/// Rows that belong together, under the name of their system or of their health.
#[derive(Debug)]
pub struct Group {
    /// For the page's script.
    pub key: String,
    pub title: String,
    pub href: String,
    pub look: Option<Look>,
    pub badge: Option<Badge>,
    pub rows: Vec<Row>,
}

const HEALTHS: [(&str, &str, &str); 4] = [
    ("", "All", ""),
    ("healthy", "Healthy", "severity <= monitor AND status = online AND freshness = fresh"),
    ("attention", "Attention", "(severity >= warning OR freshness != fresh)"),
    ("offline", "Offline", "status = offline"),
];
const KINDS: [(&str, &str, &str); 4] = [
    ("", "Pools, datasets and disks", ""),
    ("pool", "Pools", "topology = pool"),
    ("dataset", "Datasets", "topology = dataset"),
    ("disk", "Disks", "type = physical_disk"),
];
const GROUPINGS: [(&str, &str); 3] =
    [("", "By system, as a tree"), ("health", "By health"), ("none", "One list")];

/// What was asked, as filters.
struct Asked {
    /// Without the choice of health, which is counted.
    beside_health: String,
    whole: String,
    /// Something but place and source is chosen: a pool is shown with what matches in it, and not with everything.
    is_narrow: bool,
}

impl Asked {
    fn of(query: &Query) -> Self {
        let mut terms = vec![format!("({ABOUT})")];
        terms.extend(filter::terms(query));
        let kind = KINDS.iter().find(|(value, ..)| *value == query.get("kind")).map_or("", |(.., term)| term);
        terms.extend((!kind.is_empty()).then(|| kind.to_owned()));
        let text = query.get("q");
        if !text.is_empty() {
            let anything = filter::contains(&["name", "connection_name", "state"], text);
            // What only disks have is asked of disks alone.
            let disks = filter::contains(&["serial", "model"], text);
            terms.push(format!("({anything} OR (type = physical_disk AND {disks}))"));
        }
        let system = query.get("system");
        if !system.is_empty() {
            terms.push(format!("connection_name = {}", filter::quoted(system)));
        }
        let beside_health = terms.join(" AND ");
        let health = health(query.get("health"));
        terms.extend((!health.is_empty()).then(|| health.to_owned()));
        let is_narrow = ["q", "kind", "status", "filter"].iter().any(|name| !query.get(name).is_empty())
            || !health.is_empty();
        Self { beside_health, whole: terms.join(" AND "), is_narrow }
    }
}

fn health(chosen: &str) -> &'static str {
    HEALTHS.iter().find(|(value, ..)| *value == chosen).map_or("", |(.., term)| term)
}

pub fn page(layout: Layout, view: &Arc<View>, query: Query, scope: &Scope, now: UnixMillis) -> Page {
    let asked = Asked::of(&query);
    let (healths, found) = counts(view, &asked.beside_health, scope);
    let unknown = filter::unknown(&query, "health", HEALTHS.map(|(value, ..)| value))
        .or_else(|| filter::unknown(&query, "kind", KINDS.map(|(value, ..)| value)))
        .or_else(|| filter::unknown(&query, "group", GROUPINGS.map(|(value, _)| value)));
    let (arranged, problem) = match Filter::parse_within(&asked.whole, scope) {
        _ if unknown.is_some() => (Arranged::default(), unknown.unwrap_or_default()),
        Ok(filter) if query.get("group").is_empty() => {
            // What was found for the counts need not be looked for again.
            let known = found.filter(|_| asked.is_narrow).zip(chosen_health(&query));
            let matches = tree::Matches { filter: &filter, known, is_narrow: asked.is_narrow };
            (tree::arrange(view, &matches, &query, scope, now), String::new())
        }
        // Nor to be listed.
        Ok(filter) => {
            let known = found.and_then(|found| found_by_health(&found, &query));
            (list(view, &filter, known, &query, now), String::new())
        }
        Err(error) => (Arranged::default(), error.to_string()),
    };
    let sources = DataSource::ALL.iter().map(|source| (source.token(), SourceBadge::of(*source).label));
    Page {
        is_filtered: !query.beside(["q", "page", "health", "fold"]).is_empty(),
        healths: filter::choices(&query, PATH, "health", healths),
        kinds: filter::picks(query.get("kind"), KINDS.map(|(value, label, _)| (value, label))),
        groupings: filter::picks(query.get("group"), GROUPINGS),
        sources: filter::picks(query.get("source"), sources),
        labels: filter::labels(view, scope, &query),
        is_empty_fleet: query.is_empty() && arranged.groups.is_empty(),
        groups: arranged.groups,
        pager: arranged.pager,
        unit: arranged.unit,
        layout,
        query,
        problem,
    }
}

/// A choice of health: its value, its name, and how many there are of it.
type Counted = (&'static str, &'static str, Option<u64>);

/// Every choice of health; and all that was found, where it had to be looked for to be counted.
fn counts(view: &Arc<View>, beside_health: &str, scope: &Scope) -> ([Counted; 4], Option<Listing>) {
    let Ok(all) = Filter::parse_within(beside_health, scope) else {
        return (HEALTHS.map(|(value, label, _)| (value, label, None)), None);
    };
    let filters = HEALTHS.map(|(.., term)| Filter::parse(term).ok());
    // What sums do not tell is looked for once, for all of them.
    let found = Summary::counted(view, &all)
        .is_none()
        .then(|| Listing::unsorted(Arc::clone(view), all.scan(view), &all));
    let count = |term: &str, filter: &Option<Filter>| match &found {
        None if term.is_empty() => Some(Summary::of(view, &all).total),
        None => {
            let within = Filter::parse_within(&format!("{beside_health} AND {term}"), scope).ok()?;
            Some(Summary::of(view, &within).total)
        }
        Some(found) => {
            let filter = filter.as_ref()?;
            let matching = |(shard, rows): (&Arc<Shard>, &Candidates)| {
                let filter = filter.within(shard);
                rows.iter().filter(|row| filter.matches(*row)).count() as u64
            };
            Some(found.parts().map(matching).sum())
        }
    };
    let mut filters = filters.iter();
    let counted = HEALTHS
        .map(|(value, label, term)| (value, label, filters.next().and_then(|filter| count(term, filter))));
    (counted, found)
}

/// Rows in their groups, of one page.
#[derive(Debug, Default)]
struct Arranged {
    groups: Vec<Group>,
    pager: Pager,
    unit: &'static str,
}

fn chosen_health(query: &Query) -> Option<Filter> {
    Filter::parse(health(query.get("health"))).ok()
}

/// Of what was found, what has the chosen health; `None` when that is too much to be put in order whole.
fn found_by_health(found: &Listing, query: &Query) -> Option<Vec<Found>> {
    let chosen = chosen_health(query).filter(|_| found.len() <= SORTED_MAX)?;
    let mut all = Vec::new();
    for (shard, rows) in found.parts() {
        let chosen = chosen.within(shard);
        all.extend(rows.iter().filter(|row| chosen.matches(*row)).map(|row| shard.found(row)));
    }
    Some(all)
}

/// Everything in one order: the worst first, then by name, system and id.
fn list(
    view: &Arc<View>,
    filter: &Filter,
    known: Option<Vec<Found>>,
    query: &Query,
    now: UnixMillis,
) -> Arranged {
    let order =
        Order::parse("severity desc, freshness desc, display_name, connection_name").unwrap_or_default();
    let end = query.number("page").unwrap_or(1).saturating_mul(LIST_ROWS);
    let (pager, page): (Pager, Vec<Found>) = if let Some(mut known) = known {
        known.sort_by(|a, b| order.compare((&a.resource, a.observed_at), (&b.resource, b.observed_at)));
        let (pager, from) = Pager::of(query, PATH, known.len(), LIST_ROWS);
        (pager, known.into_iter().skip(from).take(LIST_ROWS).collect())
    } else {
        // Of many only those before the end of the page are put in order.
        let listing = Listing::find(Arc::clone(view), filter, &order, end);
        let (pager, from) = Pager::of(query, PATH, listing.len(), LIST_ROWS);
        (pager, listing.from(from).take(LIST_ROWS).collect())
    };
    let rows: Vec<Row> = page.iter().map(|found| Row::of(found, view, 0, true, now)).collect();
    let by_health = query.get("group") == "health";
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let health = row.look.health;
        let title = if by_health { health.word() } else { "Everything" };
        match groups.last_mut() {
            Some(last) if last.title == title => last.rows.push(row),
            _ => groups.push(Group {
                key: format!("{title}-{}", groups.len()),
                title: title.to_owned(),
                href: String::new(),
                look: None,
                badge: by_health.then(|| Badge::from(health)),
                rows: vec![row],
            }),
        }
    }
    Arranged { groups, pager, unit: "thing" }
}

fn health_of(found: &Found) -> Health {
    Health::of(&found.resource)
}
