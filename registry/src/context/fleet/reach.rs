//! What nobody can see: systems that are not heard of, and sections that
//! cannot be read.

use std::collections::BTreeMap;

use pulse_proto::model::{
    ConnectionState, Freshness, ResourceType, SectionName, SectionOutcome, SectionReport, UnixMillis,
};

use super::{Part, Scope};
use crate::context::fact::{Basis, Fact};
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::words;
use crate::query::filter::Glimpse;
use crate::state::view::Shard;

/// Systems that are not heard of, and what else is not seen.
pub(super) fn facts(parts: &[Part], scope: &Scope, now: UnixMillis) -> (Vec<Fact>, Vec<Fact>) {
    let mut unreachable = Vec::new();
    let mut blind: BTreeMap<(SectionOutcome, SectionName), Vec<Fact>> = BTreeMap::new();
    let mut late: Vec<Fact> = Vec::new();
    for part in parts {
        let shard = &part.shard;
        match silence(shard) {
            Some(fact) => unreachable.push(fact),
            None if state(shard) == Some(ConnectionState::Disabled) && shard.resources.is_empty() => {
                late.push(switched_off(shard));
            }
            None => {
                for report in shard.sections.values() {
                    match unread(shard, report) {
                        Some(fact) => {
                            blind.entry((report.outcome, report.section.clone())).or_default().push(fact);
                        }
                        None => late.extend(overdue(shard, report, now)),
                    }
                }
            }
        }
    }
    let total = unreachable.len();
    // They leave room for what is known to be wrong.
    let detail = scope.detail() / 2;
    if total > detail {
        unreachable.truncate(detail);
        let more = (total - unreachable.len()) as u64;
        let statement = say![
            "Warning: ",
            words::count(more, "system"),
            " more cannot be reached (filter: type = host AND freshness != fresh).",
        ];
        unreachable.push(Fact::derived("unreachable", statement).covering(more));
    }
    let few = |((outcome, section), mut facts): ((SectionOutcome, SectionName), Vec<Fact>)| {
        let total = facts.len();
        facts.truncate(scope.detail());
        if total > facts.len() {
            let more = (total - facts.len()) as u64;
            let statement = say![
                "Section ",
                told(Kind::Word, section.as_str()),
                " is ",
                said(outcome),
                " on ",
                words::count(more, "system"),
                " more.",
            ];
            facts.push(Fact::derived("section", statement).covering(more));
        }
        facts
    };
    let mut blind: Vec<Fact> = blind.into_iter().flat_map(few).collect();
    blind.extend(late);
    (unreachable, blind)
}

/// Whether nothing is known of a system that the scope may be about.
pub(super) fn is_silent(shard: &Shard, scope: &Scope) -> bool {
    shard.resources.is_empty()
        && scope.sight.sees(&shard.connection)
        && scope.filter.glimpsed(&glimpse(shard)) != Some(false)
}

/// Whether something in such a system may be what the scope is about.
pub(super) fn may_hold(shard: &Shard, scope: &Scope) -> bool {
    let anything = Glimpse { resource_type: None, name: None, ..glimpse(shard) };
    shard.resources.is_empty()
        && scope.sight.sees(&shard.connection)
        && scope.filter.glimpsed(&anything) != Some(false)
}

/// Of a system of which nothing was read.
fn glimpse(shard: &Shard) -> Glimpse<'_> {
    let status = shard.status.as_ref();
    Glimpse {
        id: None,
        resource_type: Some(ResourceType::Host),
        name: Some(called(shard)),
        technology: None,
        pool: None,
        connection: &shard.connection,
        connection_name: status.map(|status| status.name.as_str()),
        labels: status.map(|status| &status.labels),
        source: None,
        status: None,
        severity: None,
    }
}

fn state(shard: &Shard) -> Option<ConnectionState> {
    shard.status.as_ref().map(|status| status.state)
}

/// Of a system that nobody wants to hear of.
fn switched_off(shard: &Shard) -> Fact {
    let statement = say!["System ", name(shard), " is switched off by an operator; nothing is known of it."];
    Fact::derived("unreachable", statement).with_value(words::digits(0), "resources")
}

/// Of a system that is not heard of.
fn silence(shard: &Shard) -> Option<Fact> {
    let tallies = shard.resources.tallies();
    let known: u64 = tallies.iter().map(|(_, tally)| tally.count).sum();
    let fresh = tallies.iter().filter(|(profile, _)| profile.freshness() == Freshness::Fresh);
    let fresh: u64 = fresh.map(|(_, tally)| tally.count).sum();
    let seen = shard.sections.values().filter_map(|report| report.observed_at).max();
    let words = match state(shard) {
        Some(ConnectionState::BackingOff) => " cannot be reached",
        Some(ConnectionState::Refused) => " refuses the connection, which needs an operator",
        Some(ConnectionState::Disabled) => return None,
        _ if known > 0 && fresh == 0 => " is not heard of",
        _ if known == 0 && seen.is_none() => " is not heard of, it was never read",
        _ => return None,
    };
    let mut statement = say!["Warning: system ", name(shard), words];
    let since = shard.status.as_ref().and_then(|status| status.since).filter(|_| fresh > 0 || seen.is_none());
    if let Some(at) = seen {
        statement.add(", last seen ").add(Piece::Ago(at));
    } else if let Some(at) = since {
        statement.add(", since ").add(Piece::Ago(at));
    }
    if let Some(reason) =
        shard.status.as_ref().map(|status| &status.reason).filter(|reason| !reason.is_empty())
    {
        statement.add(", it says ").add(told(Kind::Text, reason));
    }
    statement.add("; ");
    match known {
        0 => statement.add("nothing is known of it."),
        1 => statement.add("1 resource of it is shown as last seen."),
        _ => statement.add(words::count(known, "resource")).add(" of it are shown as last seen."),
    };
    let mut fact = Fact::derived("unreachable", statement).with_value(words::digits(known), "resources");
    // It is about the system, where one is known.
    let host = shard.resources.iter().find(|resource| resource.parent.is_none());
    fact.origin = host.map(|host| crate::context::fact::Origin {
        resource: host.id,
        connection: shard.connection.clone(),
        section: host.document.section.clone(),
        source: host.source,
        freshness: host.freshness,
    });
    Some(fact)
}

/// By the name that operators gave it.
pub(in crate::context) fn called(shard: &Shard) -> &str {
    let name = shard.status.as_ref().map(|status| status.name.as_str()).filter(|name| !name.is_empty());
    name.unwrap_or(shard.connection.as_str())
}

pub(in crate::context) fn name(shard: &Shard) -> Piece {
    told(Kind::System, called(shard))
}

const fn said(outcome: SectionOutcome) -> &'static str {
    match outcome {
        SectionOutcome::Failed => "failing",
        SectionOutcome::Forbidden => "forbidden to the credential",
        SectionOutcome::Partial => "read only in part",
        SectionOutcome::Disabled => "switched off by an operator",
        SectionOutcome::Unsupported => "not there in that release",
        SectionOutcome::Fresh | SectionOutcome::Unchanged => "read",
    }
}

/// Of a section that cannot be read as it should.
pub(in crate::context) fn unread(shard: &Shard, report: &SectionReport) -> Option<Fact> {
    use SectionOutcome::{Disabled, Failed, Forbidden, Partial};
    matches!(report.outcome, Failed | Forbidden | Partial | Disabled).then_some(())?;
    let mut statement = say![
        "On ",
        name(shard),
        " the section ",
        told(Kind::Word, report.section.as_str()),
        " is ",
        said(report.outcome)
    ];
    if let Some(at) = report.since {
        statement.add(", since ").add(Piece::Ago(at));
    }
    if !report.error.is_empty() {
        statement.add(", it says ").add(told(Kind::Text, &report.error));
    }
    statement.add(".");
    Some(Fact::derived("section", statement).resting_on(Basis::of_section(shard, report)))
}

/// Of a section that is read, but not lately.
fn overdue(shard: &Shard, report: &SectionReport, now: UnixMillis) -> Option<Fact> {
    let at = report.observed_at?;
    (now.since(at) > report.stale_after()).then_some(())?;
    let statement: Statement = say![
        "On ",
        name(shard),
        " the section ",
        told(Kind::Word, report.section.as_str()),
        " was last read ",
        Piece::Ago(at),
        ".",
    ];
    Some(Fact::derived("section", statement).resting_on(Basis::of_section(shard, report)))
}
