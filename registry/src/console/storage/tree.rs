//! Systems, their pools, and in these datasets and disks. Pools are what pages
//! are made of; what is in a pool is shown when it is opened, when the fleet is
//! small, or when it is what was asked for.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::{ConnectionId, ResourceType, StorageTopology, UnixMillis};

use super::row::{Kind, More, Row, Toggle};
use super::{Arranged, Group, PATH, health_of};
use crate::console::address::{Query, segment};
use crate::console::filter::quoted;
use crate::console::layout::Pager;
use crate::console::look::{Health, Look, Reach};
use crate::console::systems::Scope;
use crate::query::filter::Filter;
use crate::query::list::Listing;
use crate::query::order::Order;
use crate::state::view::profile::Dimension;
use crate::state::view::{Found, Shard, View};

const PAGE_POOLS: usize = 25;
/// A page with so few rows shows all of them.
const OPEN_ROWS_MAX: usize = 80;
/// Rows in pools on one page; what finds no room is counted, and listed elsewhere.
const INSIDE_ROWS_MAX: usize = 80;
const HEADS: &str = "(topology = pool OR severity >= warning OR (type = physical_disk AND NOT pool:*))";

type Key = (ConnectionId, String);
/// The first is what needs somebody most.
type Urgency = (Reverse<Health>, Reverse<bool>);

/// One pool, or the disks of a system that are in none.
#[derive(Debug)]
struct Unit {
    key: Key,
    system: Arc<str>,
    urgency: Urgency,
    /// Of all of its system.
    worst: Urgency,
    pool: Option<Found>,
    /// What matches in it.
    matches: Vec<Found>,
}

impl Unit {
    /// With all that lies in it.
    fn fill(&mut self, view: &View, filter: &Filter) {
        let (connection, pool) = &self.key;
        let Some(shard) = view.shard(connection).filter(|_| !pool.is_empty()) else { return };
        let kinds = 1 << ResourceType::Storage as u32 | 1 << ResourceType::PhysicalDisk as u32;
        let Some(rows) = shard.resources.any_of(Dimension::Type, kinds) else { return };
        let all = rows.iter().filter(|row| shard.resources[*row].document.pool() == pool);
        let all = all.map(|row| found(shard, row)).filter(|found| Kind::of(found) != Kind::Pool);
        self.matches = all.filter(|found| filter.matches(&found.resource, found.observed_at)).collect();
    }
}

/// What is to be arranged.
pub(super) struct Matches<'a> {
    pub(super) filter: &'a Filter,
    /// All of it, where somebody has looked already.
    pub(super) known: Option<Vec<Found>>,
    /// A pool is shown with what matches in it, and not with everything.
    pub(super) is_narrow: bool,
}

impl Matches<'_> {
    fn units(&mut self, view: &Arc<View>, scope: &Scope) -> Vec<Unit> {
        if let Some(known) = self.known.take() {
            return gather(known);
        }
        let find = |filter: &Filter| {
            gather(Listing::find(Arc::clone(view), filter, &Order::default(), usize::MAX).from(0))
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
    mut matches: Matches<'_>,
    query: &Query,
    scope: &Scope,
    now: UnixMillis,
) -> Arranged {
    let mut units = matches.units(view, scope);
    let Matches { filter, is_narrow, .. } = matches;
    let mut worst: BTreeMap<ConnectionId, Urgency> = BTreeMap::new();
    for unit in &units {
        let known = worst.entry(unit.key.0.clone()).or_insert(unit.urgency);
        *known = unit.urgency.min(*known);
    }
    for unit in &mut units {
        unit.worst = worst.get(&unit.key.0).copied().unwrap_or(unit.urgency);
    }
    units.sort_by(|a, b| {
        let place = |unit: &Unit| (unit.worst, Arc::clone(&unit.system));
        let system = place(a).cmp(&place(b)).then_with(|| a.key.0.cmp(&b.key.0));
        system.then_with(|| a.urgency.cmp(&b.urgency)).then_with(|| a.key.1.cmp(&b.key.1))
    });
    let (pager, from) = Pager::of(query, PATH, units.len(), PAGE_POOLS);
    let mut shown: Vec<Unit> = units.into_iter().skip(from).take(PAGE_POOLS).collect();
    if !is_narrow {
        for unit in &mut shown {
            unit.fill(view, filter);
        }
    }
    let within = Filter::parse_within("", scope).unwrap_or(Filter::all());
    let rows: usize = shown.iter().map(|unit| if is_narrow { 0 } else { 1 + unit.matches.len() }).sum();
    let all = !is_narrow && rows <= OPEN_ROWS_MAX;
    let mut open = Open { query, all, is_narrow, room: INSIDE_ROWS_MAX };
    let mut groups: Vec<Group> = Vec::new();
    for unit in shown {
        let system = unit.key.0.as_str().to_owned();
        if groups.last().is_none_or(|last| last.key != system) {
            groups.push(group(view, &unit, system, &within, now));
        }
        if let Some(group) = groups.last_mut() {
            open.rows(view, unit, &mut group.rows, now);
        }
    }
    Arranged { groups, pager, unit: "pool" }
}

/// All that matches, pool by pool.
fn gather(all: impl IntoIterator<Item = Found>) -> Vec<Unit> {
    let mut units: BTreeMap<Key, Unit> = BTreeMap::new();
    for found in all {
        let resource = &found.resource;
        let key = (resource.connection.clone(), resource.document.pool().to_owned());
        let old = found.resource.freshness != pulse_proto::model::Freshness::Fresh;
        let urgency = (Reverse(health_of(&found)), Reverse(old));
        let unit = units.entry(key.clone()).or_insert_with(|| Unit {
            key,
            system: Arc::clone(&resource.connection_name),
            urgency,
            worst: urgency,
            pool: None,
            matches: Vec::new(),
        });
        unit.urgency = unit.urgency.min(urgency);
        if Kind::of(&found) == Kind::Pool { unit.pool = Some(found) } else { unit.matches.push(found) }
    }
    units.into_values().collect()
}

fn group(view: &View, unit: &Unit, key: String, within: &Filter, now: UnixMillis) -> Group {
    let shard = view.shard(&unit.key.0);
    let hosts =
        shard.and_then(|shard| shard.resources.any_of(Dimension::Type, 1 << ResourceType::Host as u32));
    let host = shard.zip(hosts).and_then(|(shard, hosts)| {
        let mut rows = hosts.iter().filter(|row| within.matches(&shard.resources[*row], None));
        // Of several nobody can say here which one it is.
        let (first, second) = (rows.next()?, rows.next());
        second.is_none().then(|| found(shard, first))
    });
    let href = host.as_ref().map(|host| format!("/console/resources/{}", segment(host.resource.id.as_str())));
    let title = if unit.system.is_empty() { unit.key.0.as_str().to_owned() } else { unit.system.to_string() };
    Group {
        key,
        title,
        href: href.unwrap_or_default(),
        look: host.map(|host| Look::of(&host, view, now)).filter(|look| look.reach != Reach::Fresh),
        badge: None,
        rows: Vec::new(),
    }
}

fn found(shard: &Shard, row: usize) -> Found {
    let resource = Arc::clone(&shard.resources[row]);
    let observed_at = shard.observed_at(&resource);
    Found { resource, observed_at }
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
    fn rows(&mut self, view: &View, unit: Unit, rows: &mut Vec<Row>, now: UnixMillis) {
        let shard = view.shard(&unit.key.0);
        let pool = unit.pool.or_else(|| shard.and_then(|shard| pool_of(shard, &unit.key.1)));
        let Some(pool) = pool else {
            // In no pool, or in one that nobody told of.
            let shown = unit.matches.len().min(self.room);
            self.room -= shown;
            rows.extend(unit.matches.iter().take(shown).map(|found| Row::of(found, view, 0, false, now)));
            if let Some(last) = rows.last_mut().filter(|_| shown < unit.matches.len()) {
                last.more = Some(self.more(&unit.system, &unit.key.1, unit.matches.len()));
            }
            return;
        };
        let mut row = Row::of(&pool, view, 0, false, now);
        let is_chosen = self.query.all("fold").any(|chosen| chosen == row.key);
        let open = self.is_narrow || self.all != is_chosen;
        let mut inside = unit.matches;
        if !self.is_narrow {
            let disks = inside.iter().filter(|found| Kind::of(found) == Kind::Disk).count();
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
        let (told, left) = arranged(&unit.key.1, inside, self.room, |depth, found| {
            rows.push(Row::of(found, view, depth, false, now));
        });
        self.room -= told;
        if left > 0 {
            rows[place].more = Some(self.more(&unit.system, &unit.key.1, all));
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

fn pool_of(shard: &Shard, name: &str) -> Option<Found> {
    let pools = shard.resources.any_of(Dimension::Topology, 1 << StorageTopology::Pool as u32)?;
    let row = pools.iter().find(|row| shard.resources[*row].document.pool() == name)?;
    Some(found(shard, row))
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
        inside.into_iter().partition(|found| Kind::of(found) == Kind::Disk);
    let urgency = |found: &Found| (Reverse(health_of(found)), found.resource.document.name().to_owned());
    disks.sort_by_cached_key(|disk| (urgency(disk), disk.resource.id.clone()));
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
