//! The context of one resource: what it is and how it is, what stands around
//! it, what depends on it, and what happened to it.

mod around;
pub mod unread;

use std::time::Duration;

use pulse_proto::model::{
    Freshness, Incident, SectionOutcome, Severity, SourceBadge, Status, UnixMillis, Zfs,
};

use super::alerts as cases;
use super::fact::{Basis, Fact};
use super::fleet::gone::Gone;
use super::fleet::{changes, worse};
use super::pack::{Draft, Section};
use super::piece::{Kind, Piece, say, told};
use super::say::protection::Run;
use super::say::{self, Thing, machine, problem, storage};
use super::words;
use crate::alert::{Book, CaseState};
use crate::query::changes::ChangesQuery;
use crate::query::filter::EntryFilter;
use crate::query::sight::Sight;
use crate::state::view::{Found, Shard, View};

/// Changes of so long ago still matter to one resource.
pub const RECENT: Duration = Duration::from_hours(7 * 24);
/// Entries of the timeline at hand; more fit into no usual budget.
const ENTRIES_MAX: usize = 500;

/// Who asks, and when.
#[derive(Clone, Debug)]
pub struct Scope {
    /// What he may see of the resource's past.
    pub sight: Sight,
    /// Changes before that are old.
    pub since: UnixMillis,
    pub now: UnixMillis,
}

/// `None` when the stored bytes are no record.
pub fn draft(view: &View, book: &Book, found: &Found, scope: &Scope) -> Option<Draft> {
    let resource = &found.resource;
    let record = resource.document.record().ok()?;
    let thing = Thing { resource, record: &record };
    let shard = view.shard(&resource.connection)?;
    let section = |title, share, facts, hint| Section { title, share, facts, total: 0, hint };
    let (around, dependents) = around::facts(shard, &thing);
    let (changes, changed) = entries(view, found, scope);
    let larger = "a larger max_tokens";
    let draft = Draft {
        head: vec![headline(&thing, found.observed_at)],
        sections: vec![
            section("State", 35, state(&thing, is_alerted(book, &thing)), larger),
            section(
                "Getting worse",
                15,
                worse::of_resource(resource, book.outlook(&resource.id), scope.now)
                    .into_iter()
                    .chain(worse::of_task(&thing, scope.now))
                    .collect(),
                larger,
            ),
            section("Alerts", 15, cases::of_resource(book, view, &resource.id, &scope.sight), larger),
            section("Alerts of the system", 20, alerts(&thing), larger),
            section("Depends on it", 20, dependents, larger),
            section("Around it", 20, around, larger),
            Section {
                total: changed,
                ..section("Recent changes", 15, changes, "a later since or a larger max_tokens")
            },
            section("Identity", 10, identity(&thing), larger),
            section("Details", 15, details(&thing), larger),
            section("Capabilities and limits", 10, limits(shard, &thing), larger),
        ],
    };
    Some(draft.resting_on(Basis::of([&**shard])))
}

/// What it is, how it is and how old that is.
fn headline(thing: &Thing<'_>, observed_at: Option<UnixMillis>) -> Fact {
    let resource = thing.resource;
    let mut statement = say::capital(&thing.called());
    statement.add(": status ").add(resource.status.token()).add(", severity ").add(resource.severity.token());
    if !thing.record.state.is_empty() {
        statement.add(", state ").add(say::state(&thing.record.state));
    }
    statement.add("; ");
    match (resource.freshness, observed_at) {
        (Freshness::Fresh, Some(at)) => statement.add("read ").add(Piece::Ago(at)),
        (Freshness::Fresh, None) => statement.add("up to date"),
        (_, Some(at)) => statement.add("not up to date, last read ").add(Piece::Ago(at)),
        (_, None) => statement.add("not up to date, nobody knows since when"),
    };
    if let Some(error) = resource.error() {
        statement.add(", it says ").add(told(Kind::Text, error));
    }
    statement.add(".");
    thing.fact("resource", statement).with_value(resource.severity.token().into(), "severity")
}

/// Whether an alert of it fires, told by itself or by another.
fn is_alerted(book: &Book, thing: &Thing<'_>) -> bool {
    book.of(&thing.resource.id).any(|case| case.state == CaseState::Firing)
}

/// The profile in words, then each reason.
fn state(thing: &Thing<'_>, is_alerted: bool) -> Vec<Fact> {
    let mut facts: Vec<Fact> = say::profile(thing).into_iter().collect();
    for reason in thing.resource.reasons() {
        let mut statement = say![words::Own::from(reason.severity.token()).capital(), ": "];
        statement.append(problem::phrase(reason, thing.record)).add(".");
        let value = words::Own::from(reason.severity.token());
        facts.push(Fact::derived(reason.code, statement).with_value(value, "severity").about(thing.origin()));
    }
    let failed = thing.record.facets.protection_task.as_deref().is_some_and(|task| Run::of(task) == Run::Bad);
    let is_known = thing.resource.status != Status::Unknown && !failed;
    let is_well =
        is_known && thing.resource.severity == Severity::Healthy && thing.resource.reasons().is_empty();
    if is_well && !is_alerted {
        let words = if thing.resource.freshness == Freshness::Fresh {
            "Nothing is wrong with it."
        } else {
            "Nothing was wrong with it when it was last seen."
        };
        facts.push(Fact::derived("healthy", say![words]).about(thing.origin()));
    }
    facts
}

/// Of the source itself, dismissed ones too.
fn alerts(thing: &Thing<'_>) -> Vec<Fact> {
    let alert = |incident: &Incident| {
        let mut statement =
            say!["Alert ", told(Kind::Word, &incident.klass), " of level ", incident.level.token(),];
        if let Some(at) = incident.started_at {
            statement.add(", raised ").add(Piece::Ago(at));
        }
        if incident.dismissed {
            statement.add(", dismissed");
        }
        if !incident.node.is_empty() {
            statement.add(", by ").add(told(Kind::Word, &incident.node));
        }
        if !incident.text.is_empty() {
            statement.add(", it says ").add(told(Kind::Text, &incident.text));
        }
        statement.add(".");
        thing.fact("native_alert", statement).with_value(incident.level.token().into(), "level")
    };
    thing.record.incidents.iter().map(alert).collect()
}

/// Those that are told, and how many there are.
fn entries(view: &View, found: &Found, scope: &Scope) -> (Vec<Fact>, u64) {
    let query =
        ChangesQuery::new(Some(found.resource.id), EntryFilter::default()).within(scope.sight.clone());
    let entries = query.page(&view.past.timeline, None, usize::MAX).entries;
    let news = entries.iter().take_while(|entry| entry.at >= scope.since);
    let total = news.clone().count() as u64;
    let told = news.take(ENTRIES_MAX).map(|entry| changes::fact(view, &Gone::default(), entry));
    (told.collect(), total)
}

fn identity(thing: &Thing<'_>) -> Vec<Fact> {
    let resource = thing.resource;
    let mut facts = vec![thing.fact(
        "identity",
        say![
            "It was first seen ",
            Piece::Ago(resource.created_at),
            " and changed last ",
            Piece::Ago(resource.updated_at),
            ", at revision ",
            words::number(resource.revision.0),
            ".",
        ],
    )];
    let sources = resource.sources().map(|part| {
        let mut statement =
            say!["Source ", SourceBadge::of(part.source).label, " is ", part.freshness.token()];
        if !part.error.is_empty() {
            statement.add(", it says ").add(told(Kind::Text, part.error));
        }
        statement.add(".");
        thing.fact("source", statement)
    });
    facts.extend(sources);
    for (key, value) in resource.labels.iter() {
        let statement = say!["Label ", told(Kind::Label, key), " is ", say::label_value(key, value), "."];
        facts.push(thing.fact("label", statement));
    }
    if !thing.record.tags.is_empty() {
        let mut statement = say!["Tags: "];
        statement.append(say::names(Kind::Label, &thing.record.tags, 10)).add(".");
        facts.push(thing.fact("tags", statement));
    }
    facts
}

fn details(thing: &Thing<'_>) -> Vec<Fact> {
    let facets = &thing.record.facets;
    let mut facts = machine::host_details(thing);
    match facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref()) {
        Some(Zfs::Pool(pool)) => facts.extend(storage::pool_settings(thing, pool)),
        Some(Zfs::Dataset(dataset)) => facts.extend(storage::dataset_settings(thing, dataset)),
        None => {}
    }
    facts
}

/// What can be done here, and what is not seen.
fn limits(shard: &Shard, thing: &Thing<'_>) -> Vec<Fact> {
    let mut facts = vec![Fact::derived(
        "read_only",
        say!["It can be read here and not changed: changes are made on the system itself."],
    )];
    let truenas = thing.record.facets.truenas.as_deref();
    if let Some(truenas) = truenas.filter(|truenas| truenas.failover_licensed == Some(true)) {
        let works = truenas.failover_disabled_reasons.is_empty();
        let words =
            if works { "It has a partner that can take over." } else { "Its partner cannot take over now." };
        facts.push(Fact::derived("failover", say![words]).about(thing.origin()));
    }
    for report in shard.sections.values() {
        let words = match report.outcome {
            SectionOutcome::Forbidden => " of its system is forbidden to the credential.",
            SectionOutcome::Unsupported => " is not there in this release of its system.",
            SectionOutcome::Failed => " of its system cannot be read now.",
            SectionOutcome::Disabled => " of its system is switched off by an operator.",
            SectionOutcome::Partial => " of its system is read only in part.",
            SectionOutcome::Fresh | SectionOutcome::Unchanged => continue,
        };
        let statement = say!["Section ", told(Kind::Word, report.section.as_str()), words];
        facts.push(Fact::derived("section", statement).resting_on(Basis::of_section(shard, report)));
    }
    facts
}
