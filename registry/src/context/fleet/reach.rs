//! What nobody can see: systems that are not heard of, and sections that
//! cannot be read.

use std::collections::BTreeMap;

use pulse_proto::model::{
    ConnectionState, Freshness, SectionName, SectionOutcome, SectionReport, UnixMillis,
};

use super::{Part, Scope};
use crate::context::fact::{Basis, Fact};
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::words;
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

/// Of a system that is not heard of.
fn silence(shard: &Shard) -> Option<Fact> {
    let state = shard.status.as_ref().map(|status| status.state);
    let tallies = shard.resources.tallies();
    let known: u64 = tallies.iter().map(|(_, tally)| tally.count).sum();
    let fresh = tallies.iter().filter(|(profile, _)| profile.freshness() == Freshness::Fresh);
    let fresh: u64 = fresh.map(|(_, tally)| tally.count).sum();
    let words = match state {
        Some(ConnectionState::BackingOff) => " cannot be reached",
        Some(ConnectionState::Refused) => " refuses the connection, which needs an operator",
        Some(ConnectionState::Disabled) => return None,
        _ if known > 0 && fresh == 0 => " is not heard of",
        _ => return None,
    };
    let mut statement = say!["Warning: system ", name(shard), words];
    let seen = shard.sections.values().filter_map(|report| report.observed_at).max();
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
    if known == 0 {
        statement.add("nothing is known of it.");
    } else {
        statement.add(words::count(known, "resource")).add(" of it are shown as last seen.");
    }
    let mut fact = Fact::derived("unreachable", statement).with_value(words::digits(known), "resources");
    // It is about the system, where one is known.
    let host = shard.resources.iter().find(|resource| resource.parent.is_none());
    fact.origin = host.map(|host| crate::context::fact::Origin {
        resource: host.id.clone(),
        connection: shard.connection.clone(),
        section: host.document.section.clone(),
        source: host.source,
        freshness: host.freshness,
    });
    Some(fact)
}

fn name(shard: &Shard) -> Piece {
    let name = shard.status.as_ref().map(|status| status.name.as_str()).filter(|name| !name.is_empty());
    told(Kind::System, name.unwrap_or(shard.connection.as_str()))
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
fn unread(shard: &Shard, report: &SectionReport) -> Option<Fact> {
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
