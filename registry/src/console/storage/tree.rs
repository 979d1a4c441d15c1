//! Systems, their pools, and in these datasets and disks. Pools are what pages
//! are made of; what is in a pool is shown when it is opened, when the fleet is
//! small, or when it is what was asked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{Freshness, ResourceType, StorageTopology, UnixMillis};

use super::row::{Kind, More, Row, Toggle};
use super::{Arranged, Group, PATH, health_of};
use crate::console::address::{Query, segment};
use crate::console::filter::quoted;
use crate::console::layout::Pager;
use crate::console::look::{Health, Look, Reach};
use crate::console::systems::Scope;
use crate::query::filter::Filter;
use crate::query::list::Listing;
use crate::state::view::profile::Dimension;
use crate::state::view::{Found, Shard, View};

const PAGE_POOLS: usize = 25;
/// A page with so few rows shows all of them.
const OPEN_ROWS_MAX: usize = 80;
/// Rows in pools on one page; what finds no room is counted, and listed elsewhere.
const INSIDE_ROWS_MAX: usize = 80;
const HEADS: &str = "(topology = pool OR severity >= warning OR (type = physical_disk AND NOT pool:*))";

/// The first is what needs somebody most.
type Urgency = (Reverse<Health>, Reverse<bool>);

/// One pool, or the disks of a system that are in none.
#[derive(Debug)]
struct Unit {
    shard: Arc<Shard>,
    pool: String,
    urgency: Urgency,
    /// Of all of its system.
    worst: Urgency,
    /// Its own row.
    head: Option<usize>,
    /// Rows of what matches in it.
    matches: Vec<usize>,
}

impl Unit {
    /// With all that lies in it.
    fn fill(&mut self, filter: &Filter) {
        let (shard, pool) = (&self.shard, self.pool.as_str());
        if pool.is_empty() {
            return;
        }
        let kinds = 1 << ResourceType::Storage as u32 | 1 << ResourceType::PhysicalDisk as u32;
        let Some(rows) = shard.resources.any_of(Dimension::Type, kinds) else { return };
        let filter = filter.within(shard);
        let inside = |row: &usize| {
            let document = &shard.resources[*row].document;
            document.pool() == pool && Kind::of(document) != Kind::Pool && filter.matches(*row)
        };
        self.matches = rows.iter().filter(inside).collect();
    }

    fn system(&self) -> &str {
        self.shard.resources.first().map_or("", |resource| &resource.connection_name)
    }

    fn inside(&self) -> Vec<Found> {
        self.matches.iter().map(|row| self.shard.found(*row)).collect()
    }
}

/// What is to be arranged.
pub(super) struct Matches<'a> {
    pub(super) filter: &'a Filter,
    /// All of it and more, where somebody has looked already, and what of that is wanted.
    pub(super) known: Option<(Listing, Filter)>,
    /// A pool is shown with what matches in it, and not with everything.
    pub(super) is_narrow: bool,
}

impl Matches<'_> {
    fn units(&self, view: &Arc<View>, scope: &Scope) -> Vec<Unit> {
        if let Some((known, wanted)) = &self.known {
            return gather(known, wanted);
        }
        let find = |filter: &Filter| {
            gather(&Listing::unsorted(Arc::clone(view), filter.scan(view), filter), &Filter::all())
        };
        // Everything is much: heads of pools and what needs somebody are enough to arrange it.
        let heads = format!("{} AND {HEADS}", self.filter.canonical());
        match Filter::parse_within(&heads, scope) {
            Ok(heads) if !self.is_narrow => find(&heads),
            _ => find(self.filter),
        }
    }
}

pub(super) fn arrange(
    view: &Arc<View>,
    matches: &Matches<'_>,
    query: &Query,
    scope: &Scope,
    now: UnixMillis,
) -> Arranged {
    let mut units = matches.units(view, scope);
    let Matches { filter, is_narrow, .. } = *matches;
    units.sort_by(|a, b| {
        let place = |unit: &'_ Unit| (unit.worst, unit.urgency);
        let ((worst, urgency), (worst_b, urgency_b)) = (place(a), place(b));
        let system = worst.cmp(&worst_b).then_with(|| a.system().cmp(b.system()));
        let system = system.then_with(|| a.shard.connection.cmp(&b.shard.connection));
        system.then_with(|| urgency.cmp(&urgency_b)).then_with(|| a.pool.cmp(&b.pool))
    });
    let (pager, from) = Pager::of(query, PATH, units.len(), PAGE_POOLS);
    let mut shown: Vec<Unit> = units.into_iter().skip(from).take(PAGE_POOLS).collect();
    if !is_narrow {
        for unit in &mut shown {
            unit.fill(filter);
        }
    }
    let within = Filter::parse_within("", scope).unwrap_or(Filter::all());
    let rows: usize = shown.iter().map(|unit| if is_narrow { 0 } else { 1 + unit.matches.len() }).sum();
    let all = !is_narrow && rows <= OPEN_ROWS_MAX;
    let mut open = Open { query, all, is_narrow, room: INSIDE_ROWS_MAX };
    let mut groups: Vec<Group> = Vec::new();
    for unit in &shown {
        let system = unit.shard.connection.as_str().to_owned();
        if groups.last().is_none_or(|last| last.key != system) {
            groups.push(group(view, unit, system, &within, now));
        }
        if let Some(group) = groups.last_mut() {
            open.rows(view, unit, &mut group.rows, now);
        }
    }
    Arranged { groups, pager, unit: "pool" }
}

/// All that is wanted, pool by pool. Of a large fleet only a page of it will be looked at more closely.
fn gather(listing: &Listing, wanted: &Filter) -> Vec<Unit> {
    let mut all = Vec::new();
    for (shard, rows) in listing.parts() {
        let wanted = wanted.within(shard);
        let mut units: BTreeMap<&str, Unit> = BTreeMap::new();
        for row in rows.iter().filter(|row| wanted.matches(*row)) {
            let resource = &shard.resources[row];
            let pool = resource.document.pool();
            let urgency = (Reverse(Health::of(resource)), Reverse(resource.freshness != Freshness::Fresh));
            let unit = units.entry(pool).or_insert_with(|| Unit {
                shard: Arc::clone(shard),
                pool: pool.to_owned(),
                urgency,
                worst: urgency,
                head: None,
                matches: Vec::new(),
            });
            unit.urgency = unit.urgency.min(urgency);
            match Kind::of(&resource.document) {
                Kind::Pool => unit.head = Some(row),
                Kind::Dataset | Kind::Disk | Kind::Other => unit.matches.push(row),
            }
        }
        let worst = units.values().map(|unit| unit.urgency).min();
        all.extend(units.into_values().map(|unit| Unit { worst: worst.unwrap_or(unit.urgency), ..unit }));
    }
    all
}

fn group(view: &View, unit: &Unit, key: String, within: &Filter, now: UnixMillis) -> Group {
    let shard = &unit.shard;
    let within = within.within(shard);
    let host = shard.resources.any_of(Dimension::Type, 1 << ResourceType::Host as u32).and_then(|hosts| {
        let mut rows = hosts.iter().filter(|row| within.matches(*row));
        // Of several nobody can say here which one it is.
        let (first, second) = (rows.next()?, rows.next());
        second.is_none().then(|| shard.found(first))
    });
    let href = host.as_ref().map(|host| format!("/console/resources/{}", segment(&host.resource.id.text())));
    let title = match unit.system() {
        "" => shard.connection.as_str().to_owned(),
        system => system.to_owned(),
    };
    Group {
        key,
        title,
        href: href.unwrap_or_default(),
        look: host.map(|host| Look::of(&host, view, now)).filter(|look| look.reach != Reach::Fresh),
        badge: None,
        rows: Vec::new(),
    }
}

/// Which pools show what is in them.
struct Open<'a> {
    query: &'a Query,
    all: bool,
    is_narrow: bool,
    /// Rows in pools that the page still has room for.
    room: usize,
}

impl Open<'_> {
    fn rows(&mut self, view: &View, unit: &Unit, rows: &mut Vec<Row>, now: UnixMillis) {
        let head = unit.head.or_else(|| pool_of(&unit.shard, &unit.pool));
        let mut inside = unit.inside();
        let Some(pool) = head.map(|row| unit.shard.found(row)) else {
            // In no pool, or in one that nobody told of.
            let shown = inside.len().min(self.room);
            self.room -= shown;
            rows.extend(inside.iter().take(shown).map(|found| Row::of(found, view, 0, false, now)));
            if let Some(last) = rows.last_mut().filter(|_| shown < inside.len()) {
                last.more = Some(self.more(unit.system(), &unit.pool, inside.len()));
            }
            return;
        };
        let mut row = Row::of(&pool, view, 0, false, now);
        let is_chosen = self.query.all("fold").any(|chosen| chosen == row.key);
        let open = self.is_narrow || self.all != is_chosen;
        if !self.is_narrow {
            let disks =
                inside.iter().filter(|found| Kind::of(&found.resource.document) == Kind::Disk).count();
            row.toggle = Some(Toggle {
                href: self.query.toggled("fold", &row.key).link(PATH),
                open,
                datasets: inside
                    .iter()
                    .filter(|found| found.resource.document.dataset().contains('/'))
                    .count(),
                disks,
            });
            if !open {
                inside.clear();
            }
        }
        let (place, all) = (rows.len(), inside.len());
        rows.push(row);
        let (told, left) = arranged(&unit.pool, inside, self.room, |depth, found| {
            rows.push(Row::of(found, view, depth, false, now));
        });
        self.room -= told;
        if left > 0 {
            rows[place].more = Some(self.more(unit.system(), &unit.pool, all));
        }
    }

    /// Where all of a pool stands in one list.
    fn more(&self, system: &str, pool: &str, count: usize) -> More {
        let of_pool =
            if pool.is_empty() { "NOT pool:*".to_owned() } else { format!("pool = {}", quoted(pool)) };
        let written = match self.query.get("filter") {
            "" => of_pool,
            written => format!("({written}) AND {of_pool}"),
        };
        let query = self.query.with("fold", "").with("page", "").with("group", "none");
        let query = query.with("system", system).with("filter", &written);
        More { count, href: query.link(PATH) }
    }
}

fn pool_of(shard: &Shard, name: &str) -> Option<usize> {
    let pools = shard.resources.any_of(Dimension::Topology, 1 << StorageTopology::Pool as u32)?;
    pools.iter().find(|row| shard.resources[*row].document.pool() == name)
}

/// Disks first, the worst of them on top; then datasets as they lie in each other, the worst of siblings first. Says how
/// many were told, and how many were left out as there was no room for more than `room`.
fn arranged(
    pool: &str,
    inside: Vec<Found>,
    room: usize,
    mut tell: impl FnMut(usize, &Found),
) -> (usize, usize) {
    let (mut disks, datasets): (Vec<Found>, Vec<Found>) =
        inside.into_iter().partition(|found| Kind::of(&found.resource.document) == Kind::Disk);
    let urgency = |found: &Found| (Reverse(health_of(found)), found.resource.document.name().to_owned());
    disks.sort_by_cached_key(|disk| (urgency(disk), disk.resource.id));
    let mut told = 0;
    for disk in disks.iter().take(room) {
        told += 1;
        tell(1, disk);
    }
    let named: BTreeMap<String, Found> = datasets
        .into_iter()
        .map(|found| (found.resource.document.dataset().to_owned(), found))
        // The root dataset is the pool itself, unless it has something to say.
        .filter(|(name, found)| name != pool || health_of(found) > Health::Healthy)
        .collect();
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut worst: BTreeMap<&str, Health> = BTreeMap::new();
    for (name, found) in &named {
        let parent = ancestors(name).find(|parent| named.contains_key(*parent)).unwrap_or_default();
        children.entry(parent).or_default().push(name);
        for place in std::iter::once(name.as_str()).chain(ancestors(name)) {
            let known = worst.entry(place).or_insert(Health::Healthy);
            *known = health_of(found).max(*known);
        }
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|name| (Reverse(worst.get(name).copied()), *name));
    }
    let mut open: Vec<(usize, &str)> =
        children.get("").into_iter().flatten().rev().map(|name| (1, *name)).collect();
    while let Some((depth, name)) = open.pop() {
        let Some(found) = named.get(name).filter(|_| told < room) else { continue };
        told += 1;
        tell(depth, found);
        open.extend(children.get(name).into_iter().flatten().rev().map(|child| (depth + 1, *child)));
    }
    (told, disks.len() + named.len() - told)
}

/// `a/b` and `a` of `a/b/c`.
fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        rest = rest.rsplit_once('/')?.0;
        Some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dataset_lies_in_all_that_its_name_says() {
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
    }
}
