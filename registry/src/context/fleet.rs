//! The context of a fleet, or of the part of it that a filter selects.

pub(super) mod changes;
mod counts;
pub(super) mod gone;
mod list;
pub(super) mod reach;
mod selected;
mod topic;
pub(super) mod worse;

pub use topic::{Topic, Topics};

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Severity, UnixMillis};

use self::counts::{Beside, Counts};
use super::alerts;
use super::best::Best;
use super::fact::{Basis, Fact};
use super::memo::Memo;
use super::pack::{Draft, Section};
use super::piece::say;
use super::say::problem;
use super::say::protection::Run;
use super::sketch::{Cause, Ranked, Sketch, Trouble};
use super::words;
use crate::alert::Book;
use crate::query::filter::Filter;
use crate::query::sight::Sight;
use crate::state::view::{Shard, View};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Scope {
    pub filter: Filter,
    /// Beyond the filter: who sees only some is told nothing of what others' connections brought.
    pub sight: Sight,
    /// Changes before that are old.
    pub since: UnixMillis,
    /// Room for the answer: more facts than fit into it are counted, not made.
    pub max_tokens: usize,
    pub topics: Topics,
}

impl Scope {
    /// How many things of one kind are worth a sentence each before they are counted.
    pub(super) fn detail(&self) -> usize {
        DETAIL_MIN.max(self.max_tokens / TOKENS_PER_DETAIL)
    }

    /// Facts of one section at hand; more do not fit.
    pub(super) fn facts_max(&self) -> usize {
        1 + self.max_tokens / TOKENS_PER_FACT_MIN
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.filter.canonical().is_empty()
    }
}

/// Changes of so long ago are still news.
pub const RECENT: Duration = Duration::from_hours(24);
/// So many sentences for each reason, at least.
const DETAIL_MIN: usize = 4;
/// A budget of so many tokens is worth one sentence more for each reason.
const TOKENS_PER_DETAIL: usize = 150;
/// The shortest sentence of a list, `Pool "a" on "b": c.`, with its bullet takes more.
const TOKENS_PER_FACT_MIN: usize = 8;
/// Things at hand by one measure.
const TOP_MAX: usize = 5;

/// One connection's part in the answer.
struct Part {
    shard: Arc<Shard>,
    sketch: Arc<Sketch>,
}

/// The same view, scope and time make the same draft.
pub fn draft(view: &View, book: &Book, memo: &Memo, scope: &Scope, now: UnixMillis) -> Draft {
    let (parts, counts) = parts(view, memo, scope);
    let (unreachable, blind) = reach::facts(&parts, scope, now);
    // Nobody knows how a system is that is not heard of: that comes first.
    let mut wrong = unreachable;
    for severity in [Severity::Critical, Severity::Warning] {
        wrong.extend(troubles(&parts, scope, |cause| cause.severity.0 == severity));
    }
    let hides = |shard: &&Arc<Shard>| counts.total() == 0 && reach::may_hold(shard, scope);
    let beside = Beside {
        unseen: view.shards().filter(hides).count() as u64,
        is_filtered: scope.is_filtered(),
        is_well: wrong.is_empty(),
        silent: parts.iter().filter(|part| part.shard.resources.is_empty()).count() as u64,
        alerts: alerts::count(book, view, scope),
    };
    let head = counts.head(&beside);
    let mut wrong = Some(Told::all(wrong));
    let mut blind = Some(Told::all(blind));
    let section = |topic: Topic| {
        let Told { facts, total } = match topic {
            Topic::WrongNow => wrong.take().unwrap_or_default(),
            Topic::GettingWorse => worse::facts(&parts, book, view, scope, now),
            Topic::Alerts => alerts::open(book, view, scope),
            Topic::BlindSpots => blind.take().unwrap_or_default(),
            Topic::Systems => ranked(parts.iter().flat_map(|part| &part.sketch.systems), scope),
            Topic::Pools => ranked(parts.iter().flat_map(|part| &part.sketch.pools), scope),
            Topic::ProtectionTasks => tasks(&parts, scope, now),
            Topic::TopConsumers => Told::all(consumers(&parts)),
            Topic::RecentChanges => changes::facts(view, scope),
            Topic::Inventory => Told::all(counts.inventory()),
            Topic::Resources => Told { facts: list::facts(view, scope), total: counts.total() },
        };
        Section { title: topic.title(), share: topic.share(), facts, total, hint: topic.hint() }
    };
    let draft = Draft { head, sections: scope.topics.iter().map(section).collect() };
    draft.resting_on(Basis::of(parts.iter().map(|part| &*part.shard)))
}

/// Facts of a section, and how many things there are to tell of.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) facts: Vec<Fact>,
    pub(super) total: u64,
}

impl Told {
    /// Nothing was left out.
    fn all(facts: Vec<Fact>) -> Self {
        let total = facts.iter().map(|fact| fact.covers).sum();
        Self { facts, total }
    }

    fn append(&mut self, next: Self) {
        self.facts.extend(next.facts);
        self.total += next.total;
    }
}

fn parts(view: &View, memo: &Memo, scope: &Scope) -> (Vec<Part>, Counts) {
    let filter = &scope.filter;
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
    // No resource of these matches, since there is none: nobody knows whether they would.
    let silent = view.shards().filter(|shard| reach::is_silent(shard, scope));
    parts.extend(silent.map(|shard| Part { shard: Arc::clone(shard), sketch: Arc::default() }));
    parts.sort_by(|left, right| left.shard.connection.cmp(&right.shard.connection));
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
            let room = scope.detail().saturating_sub(all.first.len());
            all.first.extend(trouble.first.iter().take(room).cloned());
        }
    }
    let mut facts = Vec::new();
    for (cause, (trouble, systems)) in merged {
        let told = trouble.first.len() as u64;
        facts.extend(trouble.first);
        let more = trouble.count.saturating_sub(told);
        if more > 0 {
            facts.push(many(&cause, more, systems, scope));
        }
    }
    facts
}

fn many(cause: &Cause, more: u64, systems: u64, scope: &Scope) -> Fact {
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
    statement.add(" (filter: reasons.code = ").add(cause.code).add(" AND severity >= ").add(severity.token());
    statement.add(if scope.is_filtered() { ", beside the one that was asked with)." } else { ")." });
    Fact::derived(cause.code, statement).with_value(words::digits(more), "resources").covering(more)
}

/// The worst first, then the heaviest, then in the order of connections.
fn ranked<'a>(lines: impl Iterator<Item = &'a Ranked>, scope: &Scope) -> Told {
    let mut best = Best::new(scope.facts_max());
    lines.for_each(|line| best.offer((Reverse(line.severity), Reverse(line.weight)), &line.fact));
    Told { total: best.seen(), facts: best.into_sorted().cloned().collect() }
}

/// Failed and late ones first.
fn tasks(parts: &[Part], scope: &Scope, now: UnixMillis) -> Told {
    let mut best = Best::new(scope.facts_max());
    for task in parts.iter().flat_map(|part| &part.sketch.tasks) {
        let place = match task.run {
            _ if !task.enabled => 5,
            Run::Bad => 0,
            _ if worse::overdue(task, now) => 1,
            Run::Other | Run::Never | Run::Untold => 2,
            Run::Active => 3,
            Run::Good => 4,
        };
        best.offer(place, &task.fact);
    }
    Told { total: best.seen(), facts: best.into_sorted().cloned().collect() }
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
        let mut best = Best::new(TOP_MAX);
        let all = parts.iter().flat_map(|part| measure(&part.sketch));
        all.for_each(|line| best.offer(Reverse(line.weight), &line.fact));
        best.into_sorted().cloned().collect::<Vec<Fact>>()
    });
    // The first by each measure, then the second, so that a small budget sees each.
    let rounds = (0..TOP_MAX).flat_map(|place| tops.iter().filter_map(move |top| top.get(place).cloned()));
    rounds.collect()
}
