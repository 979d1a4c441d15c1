//! What is not wrong yet and gets worse: errors that grow, pools that fill up,
//! backups that grow old, what is to be watched, certificates and scrubs.

use std::time::Duration;

use pulse_proto::model::{ResourceId, Severity, UnixMillis};

use super::{Part, Scope, Told, troubles};
use crate::alert::Book;
use crate::alert::outlook::{Filling, Growth, Outlook};
use crate::context::best::Best;
use crate::context::fact::{Fact, Origin};
use crate::context::piece::Piece;
use crate::context::say::protection::Run;
use crate::context::say::{self, Thing};
use crate::context::sketch::TaskLine;
use crate::context::words;
use crate::state::resource::Resource;
use crate::state::view::View;

/// Growth of so long ago is history.
const GROWTH_AGE_MAX: Duration = Duration::from_hours(7 * 24);
/// What is full later than that need not be told today.
const HORIZON: Duration = Duration::from_hours(90 * 24);
/// A pool that was not scrubbed for so long may hold errors nobody knows of.
const SCRUB_AGE_MAX: Duration = Duration::from_hours(35 * 24);
const CERTIFICATE_WARNING: Duration = Duration::from_hours(30 * 24);
/// A task is late after so many periods, and this much.
const LATE_PERIODS: u32 = 2;
const LATE_GRACE: Duration = Duration::from_hours(1);
/// A task that nothing runs by itself is old after that.
const UNSCHEDULED_AGE_MAX: Duration = Duration::from_hours(8 * 24);

pub(super) fn facts(parts: &[Part], book: &Book, view: &View, scope: &Scope, now: UnixMillis) -> Told {
    let mut told = outlooks(book, view, scope, now);
    told.append(old_backups(parts, scope, now));
    told.append(Told::all(troubles(parts, scope, |cause| cause.severity.0 == Severity::Monitor)));
    told.append(dated(parts, scope, now));
    told
}

/// What grew last comes first, then what is full first.
fn outlooks(book: &Book, view: &View, scope: &Scope, now: UnixMillis) -> Told {
    let (mut growing, mut filling) = (Best::new(scope.facts_max()), Best::new(scope.facts_max()));
    let selects = |id: &ResourceId| {
        let found = || view.get(id);
        !scope.is_filtered()
            || found().is_some_and(|found| scope.filter.matches(&found.resource, found.observed_at))
    };
    for (id, outlook) in book.outlooks() {
        let Outlook { growth, fill } = recent(*outlook, now);
        if growth.is_none() && fill.is_none() || !selects(id) {
            continue;
        }
        if let Some(growth) = growth {
            growing.offer(std::cmp::Reverse(growth.at), (id, growth));
        }
        if let Some(fill) = fill {
            filling.offer(fill.full_at, (id, fill));
        }
    }
    let total = growing.seen() + filling.seen();
    let growing =
        growing.into_sorted().filter_map(|(id, growth)| Some(grows(&view.get(id)?.resource, growth)));
    let mut facts: Vec<Fact> = growing.collect();
    facts.extend(
        filling.into_sorted().filter_map(|(id, filling)| Some(fills(&view.get(id)?.resource, filling))),
    );
    Told { facts, total }
}

/// As far as it matters now.
fn recent(outlook: Outlook, now: UnixMillis) -> Outlook {
    Outlook {
        growth: outlook.growth.filter(|growth| now.since(growth.at) <= GROWTH_AGE_MAX),
        fill: outlook.fill.filter(|filling| filling.full_at <= now + HORIZON),
    }
}

/// The same of one resource.
pub(in crate::context) fn of_resource(resource: &Resource, outlook: Outlook, now: UnixMillis) -> Vec<Fact> {
    let Outlook { growth, fill } = recent(outlook, now);
    let growing = growth.map(|growth| grows(resource, growth));
    growing.into_iter().chain(fill.map(|filling| fills(resource, filling))).collect()
}

fn grows(resource: &Resource, growth: Growth) -> Fact {
    let Growth { counter: _, from, to, at } = growth;
    let mut statement = say::capital(&say::called(resource));
    statement.add(": errors grew from ").add(words::number(from)).add(" to ").add(words::number(to));
    statement.add(", last ").add(Piece::Ago(at)).add(".");
    let by = words::digits(to.saturating_sub(from));
    Fact::derived("errors_growing", statement).with_value(by, "errors").about(Origin::of(resource))
}

fn fills(resource: &Resource, filling: Filling) -> Fact {
    let Filling { full_at, bytes_per_day } = filling;
    let mut statement = say::capital(&say::called(resource));
    statement.add(": full ").add(Piece::Until(full_at)).add(" if it goes on like the last week, with ");
    statement.add(words::size(bytes_per_day)).add(" more each day.");
    let at = words::digits(full_at.get());
    Fact::derived("capacity_forecast", statement).with_value(at, "unix_ms").about(Origin::of(resource))
}

/// The oldest first.
fn old_backups(parts: &[Part], scope: &Scope, now: UnixMillis) -> Told {
    let mut late = Best::new(scope.facts_max());
    for task in parts.iter().flat_map(|part| &part.sketch.tasks) {
        if overdue(task, now) {
            late.offer(task.since, task);
        }
    }
    Told { total: late.seen(), facts: late.into_sorted().map(is_late).collect() }
}

/// Its last good run is longer ago than it should be, or it runs or waits for so long: while it does there is no newer one.
pub(super) fn overdue(task: &TaskLine, now: UnixMillis) -> bool {
    let is_counted = task.enabled && (task.run == Run::Good || task.run.is_open());
    let Some(since) = task.since.filter(|_| is_counted) else { return false };
    let limit = task.period.map_or(UNSCHEDULED_AGE_MAX, |period| period * LATE_PERIODS + LATE_GRACE);
    now.since(since) > limit
}

/// The same of one task.
pub(in crate::context) fn of_task(thing: &Thing<'_>, now: UnixMillis) -> Option<Fact> {
    TaskLine::of(thing).filter(|task| overdue(task, now)).map(|task| is_late(&task))
}

fn is_late(task: &TaskLine) -> Fact {
    let mut statement = task.fact.statement.clone();
    let (code, words) = match (task.run, task.period) {
        (Run::Active, Some(_)) => ("task_hanging", " That is longer than usual"),
        (Run::Active, None) => ("task_hanging", " That is longer than usual: it may hang."),
        (Run::Never | Run::Other, Some(_)) => ("task_waiting", " It waits longer than usual"),
        (Run::Never | Run::Other, None) => {
            ("task_waiting", " It waits longer than usual, and no schedule is known that runs it.")
        }
        (_, Some(_)) => ("task_late", " It is late"),
        (_, None) => ("task_old", " That is old, and no schedule is known that runs it."),
    };
    statement.add(words);
    if let Some(period) = task.period {
        statement.add(": it should run every ").add(words::span(period)).add(".");
    }
    Fact { code, statement, ..task.fact.clone() }
}

/// What ends first, or was done longest ago.
fn dated(parts: &[Part], scope: &Scope, now: UnixMillis) -> Told {
    let mut dated = Best::new(scope.facts_max());
    let sketches = || parts.iter().map(|part| &part.sketch);
    let certificates = sketches().flat_map(|sketch| &sketch.certificates);
    let scrubs = sketches().flat_map(|sketch| &sketch.scrubs);
    let soon = certificates.filter(|(at, _)| *at < now + CERTIFICATE_WARNING);
    let long_ago = scrubs.filter(|(at, _)| now.since(*at) > SCRUB_AGE_MAX);
    soon.chain(long_ago).for_each(|(at, fact)| dated.offer(*at, fact));
    Told { total: dated.seen(), facts: dated.into_sorted().cloned().collect() }
}
