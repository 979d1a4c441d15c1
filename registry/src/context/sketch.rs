//! What a context wants to know of one connection's resources, gathered in one
//! walk over its indexes: its troubles by reason, its systems, pools and tasks,
//! and what takes most. Depends on the rows alone, so it is made once for each
//! version of a shard.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use pulse_proto::model::{ResourceType, Severity, StorageTopology, UnixMillis, Zfs};

use super::fact::Fact;
use super::piece::say;
use super::say::protection::{Run, period};
use super::say::{self, Thing, machine, problem};
use super::words;
use crate::state::document::read::{Message, number};
use crate::state::resource::Resource;
use crate::state::view::Rows;
use crate::state::view::profile::Dimension;

/// Facts at hand of one connection for one reason; all are counted.
const FIRST_MAX: usize = 8;
/// Things at hand of one connection by one measure.
const TOP_MAX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sketch {
    pub(super) troubles: BTreeMap<Cause, Trouble>,
    pub(super) systems: Vec<Ranked>,
    pub(super) pools: Vec<Ranked>,
    pub(super) tasks: Vec<TaskLine>,
    /// When they end, and what to say of it.
    pub(super) certificates: Vec<(UnixMillis, Fact)>,
    /// When pools were scrubbed last.
    pub(super) scrubs: Vec<(UnixMillis, Fact)>,
    pub(super) largest: Vec<Ranked>,
    pub(super) snapshots: Vec<Ranked>,
    pub(super) hottest: Vec<Ranked>,
    pub(super) busiest: Vec<Ranked>,
    pub(super) fullest_memory: Vec<Ranked>,
}

/// Why resources are in trouble; the worst stand first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cause {
    pub severity: Reverse<Severity>,
    /// What matters more comes first.
    pub rank: u8,
    pub class: &'static str,
    pub code: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trouble {
    pub count: u64,
    /// Not all of them when there are many.
    pub first: Vec<Fact>,
}

/// What is listed by weight, the greatest first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ranked {
    pub severity: Severity,
    pub weight: u64,
    pub fact: Fact,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct TaskLine {
    pub fact: Fact,
    pub run: Run,
    pub enabled: bool,
    /// When the state was reached.
    pub since: Option<UnixMillis>,
    /// How often it should be.
    pub period: Option<Duration>,
}

impl Sketch {
    /// Of the rows for which `keeps` holds.
    pub(super) fn of(rows: &Rows, keeps: impl Fn(usize) -> bool) -> Self {
        let mut sketch = Self::default();
        let of = |dimension, values: u32| {
            let bits = rows.any_of(dimension, values);
            bits.map(|bits| bits.iter().filter(|row| keeps(*row)).collect::<Vec<_>>()).unwrap_or_default()
        };
        let severities =
            1 << Severity::Monitor as u32 | 1 << Severity::Warning as u32 | 1 << Severity::Critical as u32;
        for row in of(Dimension::Severity, severities) {
            sketch.trouble(&rows[row]);
        }
        for row in of(Dimension::Type, 1 << ResourceType::Host as u32) {
            sketch.system(&rows[row]);
        }
        for row in of(Dimension::Topology, 1 << StorageTopology::Pool as u32) {
            sketch.pool(&rows[row]);
        }
        // Every one of these is kept, not the first few, and those of pools are long.
        sketch.systems.iter_mut().chain(&mut sketch.pools).for_each(|ranked| ranked.fact.statement.fit());
        for row in of(Dimension::Type, 1 << ResourceType::ProtectionTask as u32) {
            sketch.task(&rows[row]);
        }
        let datasets = of(Dimension::Topology, 1 << StorageTopology::Dataset as u32);
        let sizes: Vec<_> = datasets.iter().filter_map(|row| Some((*row, sizes(&rows[*row])?))).collect();
        let own = sizes.iter().map(|(row, sizes)| (sizes.own, *row)).collect();
        sketch.largest = top(own, rows, |resource, _| say::profile(resource));
        let kept = sizes.iter().map(|(row, sizes)| (sizes.snapshots, *row)).collect();
        sketch.snapshots = top(kept, rows, |thing, bytes| {
            let mut statement = say!["Snapshots of "];
            statement.append(thing.called()).add(" hold ").add(words::size(bytes)).add(".");
            Some(thing.fact("snapshots", statement).with_value(words::digits(bytes), "bytes"))
        });
        let disks = of(Dimension::Type, 1 << ResourceType::PhysicalDisk as u32);
        let heat = disks
            .iter()
            .filter_map(|row| Some((tenths(rows[*row].document.temperature_celsius()?, 200.0)?, *row)));
        sketch.hottest = top(heat.collect(), rows, |thing, tenths| {
            let mut statement = say::capital(&thing.called());
            statement.add(" is at ").add(words::digits((tenths + 5) / 10)).add(" °C.");
            Some(thing.fact("temperature", statement).with_value(words::digits((tenths + 5) / 10), "celsius"))
        });
        sketch
    }

    fn trouble(&mut self, resource: &Resource) {
        let told_by_child = |code: &str| code == "child_health";
        let own = resource.reasons().iter().find(|reason| !told_by_child(reason.code));
        // A system is not in trouble besides its pools and disks.
        let Some(worst) = own.filter(|reason| reason.severity > Severity::Healthy) else { return };
        let class = say::class(resource.resource_type(), resource.document.topology());
        let cause =
            Cause { severity: Reverse(worst.severity), rank: rank(resource), class, code: worst.code };
        let trouble = self.troubles.entry(cause).or_default();
        trouble.count += 1;
        if trouble.first.len() < FIRST_MAX {
            let least = worst.severity.min(Severity::Warning);
            trouble.first.extend(with(resource, |thing| problem::problem(thing, least)));
        }
    }

    fn system(&mut self, resource: &Resource) {
        let severity = resource.severity;
        with(resource, |thing| {
            let facets = &thing.record.facets;
            let metrics = facets.metrics.as_deref();
            let ranked = |weight, fact| Ranked { severity, weight, fact };
            self.systems.extend(say::profile(thing).map(|fact| ranked(0, fact)));
            let cpu = metrics.and_then(|metrics| tenths(metrics.cpu_percent?, 100.5));
            self.busiest.extend(cpu.map(|tenths| {
                let mut statement = say::capital(&thing.called());
                statement.add(" uses ").add(words::digits((tenths + 5) / 10)).add(" % of its processors.");
                let value = words::digits((tenths + 5) / 10);
                ranked(tenths, thing.fact("cpu", statement).with_value(value, "percent"))
            }));
            self.fullest_memory.extend(metrics.and_then(machine::memory_percent).map(|percent| {
                let mut statement = say::capital(&thing.called());
                statement.add(" uses ").add(words::percent(percent)).add(" of its memory.");
                ranked(percent, thing.fact("memory", statement).with_value(words::digits(percent), "percent"))
            }));
            for fact in machine::host_details(thing) {
                if fact.code == "certificate"
                    && let Ok(at) = fact.value.as_str().parse()
                {
                    self.certificates.push((UnixMillis::new(at), fact));
                }
            }
            Some(())
        });
    }

    fn pool(&mut self, resource: &Resource) {
        let severity = resource.severity;
        with(resource, |thing| {
            let sizes = thing.record.capacity.as_ref();
            let weight = sizes.and_then(|sizes| words::share(sizes.used_bytes?, sizes.total_bytes?));
            let fact = say::profile(thing)?;
            self.pools.push(Ranked { severity, weight: weight.unwrap_or(0), fact });
            let storage = thing.record.facets.storage.as_ref()?;
            let Some(Zfs::Pool(pool)) = &storage.zfs else { return Some(()) };
            let scan = pool.scan.as_ref().filter(|scan| scan.function.eq_ignore_ascii_case("SCRUB"))?;
            let at = scan.end_time.filter(|_| scan.state.eq_ignore_ascii_case("FINISHED"))?;
            let mut statement = say::capital(&thing.called());
            statement.add(" was scrubbed last ").add(super::piece::Piece::Ago(at)).add(".");
            self.scrubs.push((
                at,
                thing.fact("scrub_age", statement).with_value(words::digits(at.get()), "unix_ms"),
            ));
            Some(())
        });
    }

    fn task(&mut self, resource: &Resource) {
        self.tasks.extend(with(resource, TaskLine::of));
    }
}

impl TaskLine {
    pub(super) fn of(thing: &Thing<'_>) -> Option<Self> {
        let task = thing.record.facets.protection_task.as_deref()?;
        let fact = say::profile(thing)?;
        let run = Run::of(task);
        // What goes on, or waits, has done so at least since its record changed last.
        let changed = || run.is_open().then_some(thing.resource.updated_at);
        let since = task.state_since.or_else(changed);
        Some(Self { fact, run, enabled: task.enabled != Some(false), since, period: period(&task.schedule) })
    }
}

/// Decodes the resource's record and has something said of it.
pub(super) fn with<T>(resource: &Resource, say: impl FnOnce(&Thing<'_>) -> Option<T>) -> Option<T> {
    // Stored bytes that are no record cannot be told of.
    let record = resource.document.record().ok()?;
    say(&Thing { resource, record: &record })
}

/// The greatest by measure and row.
fn top(
    mut measured: Vec<(u64, usize)>,
    rows: &Rows,
    say: impl Fn(&Thing<'_>, u64) -> Option<Fact>,
) -> Vec<Ranked> {
    let greatest = |entry: &(u64, usize)| (Reverse(entry.0), entry.1);
    measured.retain(|(weight, _)| *weight > 0);
    if measured.len() > TOP_MAX {
        measured.select_nth_unstable_by_key(TOP_MAX, greatest);
        measured.truncate(TOP_MAX);
    }
    measured.sort_unstable_by_key(greatest);
    let ranked = |(weight, row): (u64, usize)| {
        let resource = &rows[row];
        let fact = with(resource, |thing| say(thing, weight))?;
        Some(Ranked { severity: resource.severity, weight, fact })
    };
    measured.into_iter().filter_map(ranked).collect()
}

struct Sizes {
    /// Without what lies in datasets below.
    own: u64,
    snapshots: u64,
}

/// Of a dataset below the root of its pool, which is the pool itself.
fn sizes(resource: &Resource) -> Option<Sizes> {
    const USED: u32 = 11;
    const USED_BY_CHILDREN: u32 = 17;
    const USED_BY_SNAPSHOTS: u32 = 19;
    let dataset: Message<'_> = resource.document.fields().message(number::STORAGE)?.message(6)?;
    dataset.text(1).contains('/').then_some(())?;
    let used = dataset.integer(USED)?;
    let own = used.saturating_sub(dataset.integer(USED_BY_CHILDREN).unwrap_or(0));
    Some(Sizes { own, snapshots: dataset.integer(USED_BY_SNAPSHOTS).unwrap_or(0) })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn tenths(value: f64, most: f64) -> Option<u64> {
    (0.0..=most).contains(&value).then(|| (value * 10.0).round() as u64)
}

/// What matters more comes first.
fn rank(resource: &Resource) -> u8 {
    match resource.resource_type() {
        ResourceType::Storage if resource.document.topology() != Some(StorageTopology::Dataset) => 0,
        ResourceType::Host => 1,
        ResourceType::ProtectionTask => 2,
        // Its pool names it, too.
        ResourceType::PhysicalDisk => 3,
        ResourceType::Storage => 4,
        ResourceType::NetworkShare => 5,
        ResourceType::AppContainer | ResourceType::Vm => 6,
        _ => 7,
    }
}
