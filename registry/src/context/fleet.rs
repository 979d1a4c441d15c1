//! The context of a fleet, or of the part of it that a filter selects.

pub(super) mod changes;
mod counts;
mod list;
mod reach;
mod topic;

pub use topic::{Topic, Topics};

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Severity, UnixMillis};

use self::counts::Counts;
use super::alerts;
use super::fact::Fact;
use super::memo::Memo;
use super::pack::{Draft, Section};
use super::piece::{Statement, say};
use super::say::problem;
use super::say::protection::Run;
use super::sketch::{Cause, Ranked, Sketch, TaskLine, Trouble};
use super::words;
use crate::alert::{Book, Case};
use crate::query::filter::Filter;
use crate::state::view::{Shard, View};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Scope {
    pub filter: Filter,
    /// Changes before that are old.
    pub since: UnixMillis,
    /// How many things of one kind are worth a sentence each before they are counted.
    pub detail: usize,
    pub topics: Topics,
}

/// Changes of so long ago are still news.
pub const RECENT: Duration = Duration::from_hours(24);
/// So many sentences for each reason, at least.
const DETAIL_MIN: usize = 4;
/// A budget of so many tokens is worth one sentence more for each reason.
const TOKENS_PER_DETAIL: usize = 150;
/// A pool that was not scrubbed for so long may hold errors nobody knows of.
const SCRUB_AGE_MAX: Duration = Duration::from_hours(35 * 24);
const CERTIFICATE_WARNING: Duration = Duration::from_hours(30 * 24);
/// A task is late after so many periods, and this much.
const LATE_PERIODS: u32 = 2;
const LATE_GRACE: Duration = Duration::from_hours(1);
/// Things at hand by one measure.
const TOP_MAX: usize = 5;

/// How many sentences for each reason a budget is worth.
pub fn detail(max_tokens: usize) -> usize {
    DETAIL_MIN.max(max_tokens / TOKENS_PER_DETAIL)
}

/// One connection's part in the answer.
struct Part {
    shard: Arc<Shard>,
    sketch: Arc<Sketch>,
}

/// The same view, scope and time make the same draft.
pub fn draft(view: &View, book: &Book, memo: &Memo, scope: &Scope, now: UnixMillis) -> Draft {
    let (parts, counts) = parts(view, memo, &scope.filter);
    let (unreachable, blind) = reach::facts(&parts, scope, now);
    // Nobody knows how a system is that is not heard of: that comes first.
    let mut wrong = unreachable;
    for severity in [Severity::Critical, Severity::Warning] {
        wrong.extend(troubles(&parts, scope, |cause| cause.severity.0 == severity));
    }
    let head = counts.head(&parts, !scope.filter.canonical().is_empty(), &wrong);
    let mut wrong = Some(wrong);
    let mut blind = Some(blind);
    let section = |topic: Topic| {
        let mut total = 0;
        let facts = match topic {
            Topic::WrongNow => wrong.take().unwrap_or_default(),
            Topic::GettingWorse => worse(&parts, scope, now),
            Topic::Alerts => alerts::open(book, view, |case| selects(scope, view, case)),
            Topic::BlindSpots => blind.take().unwrap_or_default(),
            Topic::Systems => systems(&parts),
            Topic::Pools => pools(&parts),
            Topic::ProtectionTasks => tasks(&parts, now),
            Topic::TopConsumers => consumers(&parts),
            Topic::RecentChanges => changes::facts(view, scope),
            Topic::Inventory => counts.inventory(),
            Topic::Resources => {
                total = counts.total();
                list::facts(view, &scope.filter)
            }
        };
        Section { title: topic.title(), share: topic.share(), facts, total, hint: topic.hint() }
    };
    Draft { head, sections: scope.topics.iter().map(section).collect() }
}

/// What is gone matches no filter.
fn selects(scope: &Scope, view: &View, case: &Case) -> bool {
    scope.filter.canonical().is_empty()
        || view
            .get(&case.subject.id)
            .is_some_and(|found| scope.filter.matches(&found.resource, found.observed_at))
}

fn parts(view: &View, memo: &Memo, filter: &Filter) -> (Vec<Part>, Counts) {
    if filter.canonical().is_empty() {
        let whole = |shard: &Arc<Shard>| Part { shard: Arc::clone(shard), sketch: memo.sketch(shard) };
        return (view.shards().map(whole).collect(), Counts::of(view.tallies()));
    }
    let mut counts = Counts::default();
    let mut parts = Vec::new();
    for (shard, candidates) in filter.scan(view).parts {
        let rows = &shard.resources;
        let candidates = candidates.tested(|row| filter.matches(&rows[row], shard.observed_at(&rows[row])));
        if candidates.is_whole() {
            counts.add_all(rows.tallies());
            parts.push(Part { sketch: memo.sketch(&shard), shard });
        } else if !candidates.is_empty() {
            candidates.iter().for_each(|row| counts.add(&rows[row], rows.profile(row)));
            let sketch = Arc::new(Sketch::of(rows, |row| candidates.next(row) == Some(row)));
            parts.push(Part { shard, sketch });
        }
    }
    (parts, counts)
}

/// Some sentences for each reason, then how many more there are.
fn troubles(parts: &[Part], scope: &Scope, wanted: impl Fn(&Cause) -> bool) -> Vec<Fact> {
    let mut merged: BTreeMap<Cause, (Trouble, u64)> = BTreeMap::new();
    for part in parts {
        for (cause, trouble) in part.sketch.troubles.iter().filter(|(cause, _)| wanted(cause)) {
            let (all, systems) = merged.entry(*cause).or_default();
            all.count += trouble.count;
            *systems += 1;
            let room = scope.detail.saturating_sub(all.first.len());
            all.first.extend(trouble.first.iter().take(room).cloned());
        }
    }
    let mut facts = Vec::new();
    for (cause, (trouble, systems)) in merged {
        let told = trouble.first.len() as u64;
        facts.extend(trouble.first);
        let more = trouble.count.saturating_sub(told);
        if more > 0 {
            facts.push(many(&cause, more, systems));
        }
    }
    facts
}

fn many(cause: &Cause, more: u64, systems: u64) -> Fact {
    let severity = cause.severity.0;
    let mut statement = say![
        words::Own::from(severity.token()).capital(),
        ": ",
        words::count(more, cause.class),
        " more on ",
        words::count(systems, "system"),
    ];
    let common = problem::common(cause.code);
    if !common.is_empty() {
        statement.add(": ").append(common);
    }
    statement.add(" (filter: reasons.code = ").add(cause.code).add(").");
    Fact::derived(cause.code, statement).with_value(words::digits(more), "resources").covering(more)
}

/// What is not wrong yet.
fn worse(parts: &[Part], scope: &Scope, now: UnixMillis) -> Vec<Fact> {
    let sketches = || parts.iter().map(|part| &part.sketch);
    let mut late: Vec<(UnixMillis, Fact)> = sketches()
        .flat_map(|sketch| &sketch.tasks)
        .filter_map(|task| {
            let (since, period) = overdue(task, now)?;
            let mut statement = Statement::default();
            statement.append(task.fact.statement.clone()).add(" It is late: it should run every ");
            statement.add(words::span(period)).add(".");
            Some((since, Fact { code: "task_late", statement, ..task.fact.clone() }))
        })
        .collect();
    late.sort_by_key(|(since, _)| *since);
    let mut facts: Vec<Fact> = late.into_iter().map(|(_, fact)| fact).collect();
    facts.extend(troubles(parts, scope, |cause| cause.severity.0 == Severity::Monitor));
    let mut dated: Vec<&(UnixMillis, Fact)> = sketches()
        .flat_map(|sketch| &sketch.certificates)
        .filter(|(at, _)| *at < now + CERTIFICATE_WARNING)
        .collect();
    dated.extend(
        sketches().flat_map(|sketch| &sketch.scrubs).filter(|(at, _)| now.since(*at) > SCRUB_AGE_MAX),
    );
    dated.sort_by_key(|(at, _)| *at);
    facts.extend(dated.into_iter().map(|(_, fact)| fact.clone()));
    facts
}

/// Since when, and how often it should run.
fn overdue(task: &TaskLine, now: UnixMillis) -> Option<(UnixMillis, Duration)> {
    let (since, period) = task.rhythm?;
    let is_late =
        task.enabled && task.run == Run::Good && now.since(since) > period * LATE_PERIODS + LATE_GRACE;
    is_late.then_some((since, period))
}

/// The worst first, then the heaviest, then in the order of connections.
fn ranked<'a>(lines: impl Iterator<Item = &'a Ranked>) -> Vec<Fact> {
    let mut lines: Vec<&Ranked> = lines.collect();
    lines.sort_by_key(|line| (Reverse(line.severity), Reverse(line.weight)));
    lines.into_iter().map(|line| line.fact.clone()).collect()
}

fn systems(parts: &[Part]) -> Vec<Fact> {
    ranked(parts.iter().flat_map(|part| &part.sketch.systems))
}

fn pools(parts: &[Part]) -> Vec<Fact> {
    ranked(parts.iter().flat_map(|part| &part.sketch.pools))
}

/// Failed and late ones first.
fn tasks(parts: &[Part], now: UnixMillis) -> Vec<Fact> {
    let mut lines: Vec<&TaskLine> = parts.iter().flat_map(|part| &part.sketch.tasks).collect();
    lines.sort_by_key(|task| match task.run {
        _ if !task.enabled => 5,
        Run::Bad => 0,
        _ if overdue(task, now).is_some() => 1,
        Run::Other | Run::Never | Run::Untold => 2,
        Run::Active => 3,
        Run::Good => 4,
    });
    lines.into_iter().map(|task| task.fact.clone()).collect()
}

fn consumers(parts: &[Part]) -> Vec<Fact> {
    let measures: [fn(&Sketch) -> &Vec<Ranked>; 5] = [
        |sketch| &sketch.largest,
        |sketch| &sketch.snapshots,
        |sketch| &sketch.busiest,
        |sketch| &sketch.fullest_memory,
        |sketch| &sketch.hottest,
    ];
    let tops = measures.map(|measure| {
        let mut all: Vec<&Ranked> = parts.iter().flat_map(|part| measure(&part.sketch)).collect();
        all.sort_by_key(|line| Reverse(line.weight));
        all.into_iter().take(TOP_MAX).map(|line| line.fact.clone()).collect::<Vec<Fact>>()
    });
    // The first by each measure, then the second, so that a small budget sees each.
    let rounds = (0..TOP_MAX).flat_map(|place| tops.iter().filter_map(move |top| top.get(place).cloned()));
    rounds.collect()
}
