//! What sources say in words, and whether they say anything: expressions over a
//! resource, reasons of its health, and the reach of its system.

use pulse_proto::model::{ConnectionState, Freshness, HealthReason, Severity, UnixMillis};

use super::{Answer, Question, evidence, finding};
use crate::alert::life::{Contrary, Said};
use crate::alert::source;
use crate::query::filter::Filter;
use crate::state::Resource;

/// The reason that health makes of error counters.
const ERRORS: &str = "zfs_device_errors";

/// `of_freshness`: it asks nothing that grows old, so silence is an answer.
pub(super) fn expression(
    filter: &Filter,
    text: &str,
    of_freshness: bool,
    severity: Severity,
    question: &Question<'_>,
) -> Answer {
    let resource = question.lens.resource;
    let own_at = question.lens.shard.and_then(|shard| shard.observed_at(resource));
    let sources = question.lens.sources(question.now);
    if !of_freshness && sources.read_at(source::Part::Own).is_none() {
        return Answer::unknown(question.now);
    }
    let holds = filter.judge(resource, own_at, &|field, word| {
        source::of_field(field, word, resource).is_none_or(|part| sources.read_at(part).is_some())
    });
    let said = match holds {
        None => Said::Unknown,
        Some(false) => question.clear(|| Contrary {
            text: format!("{}: no longer {text}", resource.display_name()),
            evidence: shown(text, resource),
        }),
        Some(true) => {
            let mut found = finding(severity, format!("{}: {text}", resource.display_name()));
            found.evidence = shown(text, resource);
            Said::Holds(found)
        }
    };
    if of_freshness {
        return Answer::of(said, own_at.unwrap_or(resource.updated_at));
    }
    // The read that is longest ago: once that comes anew, all of it was seen anew.
    let mut read_at: Option<UnixMillis> = None;
    filter.any(|field, word| {
        let part = source::of_field(field, word, resource);
        read_at = part.and_then(|part| sources.read_at(part)).into_iter().chain(read_at).min();
        false
    });
    Answer::of(said, read_at.or(own_at).unwrap_or(resource.updated_at))
}

fn shown(text: &str, resource: &Resource) -> std::collections::BTreeMap<String, String> {
    evidence([
        ("expression", text.to_owned()),
        ("state", resource.document.state().to_owned()),
        ("status", resource.status.token().to_owned()),
        ("severity", resource.severity.token().to_owned()),
        ("freshness", resource.freshness.token().to_owned()),
    ])
}

pub(super) fn reason(
    codes: &[String],
    min: Severity,
    own: Option<Severity>,
    question: &Question<'_>,
) -> Answer {
    let resource = question.lens.resource;
    let sources = question.lens.sources(question.now);
    let read_at = |code: &str| sources.read_at(source::of_reason(code, resource));
    let fits = resource
        .reasons()
        .iter()
        .filter(|reason| reason.severity >= min && codes.iter().any(|code| code == reason.code));
    let mut fits: Vec<&HealthReason> = fits.collect();
    fits.sort_by_key(|reason| std::cmp::Reverse(reason.severity));
    // What is worse and not known to be over stands in the way of being milder.
    let rows = if question.open.is_some() { fits.get(..1).unwrap_or_default() } else { &fits[..] };
    let seen = rows.iter().find_map(|reason| Some((reason, read_at(reason.code)?)));
    if let Some((worst, at)) = seen {
        let more = match fits.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let mut found = finding(own.unwrap_or(worst.severity), format!("{}{more}", worst.summary));
        let facts = worst.evidence.iter().chain([("code", worst.code)]);
        found.evidence = facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        found.named = fits.iter().flat_map(|reason| named(reason)).collect();
        return Answer::of(Said::Holds(found), at);
    }
    // That there is none is known when all that could bring one was read.
    let read = codes.iter().map(|code| read_at(code)).collect::<Option<Vec<UnixMillis>>>();
    let (true, Some(read)) = (fits.is_empty() && !has_errors_untold(codes, question), read) else {
        return Answer::unknown(question.now);
    };
    let clear = question.clear(|| Contrary {
        text: format!("{}: {} is not told any more.", resource.display_name(), codes.join(", ")),
        evidence: evidence([
            ("state", resource.document.state().to_owned()),
            ("status", resource.status.token().to_owned()),
            ("severity", resource.severity.token().to_owned()),
        ]),
    });
    Answer::of(clear, read.into_iter().min().unwrap_or(question.now))
}

/// Health knows what a read tells. That errors are gone is told by a counter, and not by its absence.
fn has_errors_untold(codes: &[String], question: &Question<'_>) -> bool {
    codes.iter().any(|code| code == ERRORS)
        && question.memory.is_some_and(|memory| memory.counted.has_errors_untold(&question.lens.devices()))
}

/// The services, certificates or devices that a reason names, without what it says of each.
fn named(reason: &HealthReason) -> impl Iterator<Item = String> {
    let lists = [("services", ", "), ("certificates", ", "), ("devices", "; ")];
    let told = lists.into_iter().filter_map(|(key, between)| Some(reason.evidence.get(key)?.split(between)));
    told.flatten().filter_map(|one| one.split_whitespace().next()).map(str::to_owned)
}

pub(super) fn reach(own: Option<Severity>, question: &Question<'_>) -> Said {
    let resource = question.lens.resource;
    let status = question.lens.shard.and_then(|shard| shard.status.as_ref());
    let state = status.map(|status| status.state);
    if state == Some(ConnectionState::Disabled) {
        return Said::Over("Its connection is switched off.");
    }
    let refused = state == Some(ConnectionState::Refused);
    let facts = |why: &str| {
        evidence([
            ("freshness", resource.freshness.token().to_owned()),
            ("connection_state", state.map(|state| state.token().to_owned()).unwrap_or_default()),
            ("reason", why.to_owned()),
        ])
    };
    let severity = match resource.freshness {
        Freshness::Fresh if !refused => {
            return question.clear(|| Contrary {
                text: format!("{} is reached.", resource.display_name()),
                evidence: facts(""),
            });
        }
        _ if refused => Severity::Critical,
        Freshness::Lost => Severity::Critical,
        Freshness::Stale | Freshness::Fresh => Severity::Warning,
    };
    let why = status.map(|status| status.reason.as_str()).filter(|reason| !reason.is_empty());
    let why = why.or(resource.error()).unwrap_or("nothing was heard of it");
    let how = if refused { "refuses the connection" } else { "is not reached" };
    let mut found = finding(own.unwrap_or(severity), format!("{} {how}: {why}", resource.display_name()));
    found.evidence = facts(why);
    Said::Holds(found)
}
