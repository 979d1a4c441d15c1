//! What happened lately, newest first, from the timeline.

use std::collections::BTreeMap;

use pulse_proto::model::{Freshness, ResourceId, ResourceType, UnixMillis};

use super::gone::Gone;
use super::selected::Selected;
use super::{Scope, Told};
use crate::context::fact::{Basis, Fact, Origin};
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::say;
use crate::context::words;
use crate::state::timeline::{ABSENT, Entry, EntryKind, Step};
use crate::state::view::View;

/// Entries that are looked at where all of them are asked for: they are counted without.
const ENTRIES_MAX: usize = 4_000;
/// Entries of one resource that are told before every resource had its own.
const PER_RESOURCE_MAX: u32 = 3;
/// Steps of one entry that are told.
const STEPS_MAX: usize = 3;

pub(super) fn facts(view: &View, scope: &Scope) -> Told {
    let is_news = |entry: &Entry| entry.at >= scope.since;
    let gone = Gone::since(view, scope.since);
    let mut selected = Selected::new(view, &gone, scope);
    let all = !scope.is_filtered() && scope.sight.is_whole();
    let entries = view.past.timeline.chunks().flat_map(|chunk| chunk.items.iter().rev());
    let entries = entries.take(if all { ENTRIES_MAX } else { usize::MAX });
    let mut end = None;
    let mut told = Vec::new();
    let mut times: BTreeMap<&ResourceId, u32> = BTreeMap::new();
    for entry in entries.take_while(|entry| is_news(entry)) {
        match selected.holds(entry) {
            Some(true) => {
                let times = times.entry(&entry.id).or_default();
                *times += 1;
                told.push((*times > PER_RESOURCE_MAX, entry));
            }
            Some(false) => {}
            None => {
                end = Some(entry.at);
                break;
            }
        }
    }
    let total = if all { news(view, is_news) } else { told.len() as u64 };
    // What went from one state to another matters more than what came and went.
    told.sort_by_key(|(is_repeated, entry)| (*is_repeated, entry.kind != EntryKind::StateTransition));
    let changes = told.iter().take(scope.facts_max()).map(|(_, entry)| fact(view, &gone, entry));
    let facts: Vec<Fact> = end.map(not_all).into_iter().chain(changes).collect();
    if facts.is_empty() && scope.topics.are_asked() {
        return Told::all(vec![nothing(scope)]);
    }
    Told { facts, total }
}

/// That there may be more, and how to find it.
fn not_all(end: UnixMillis) -> Fact {
    let statement = say![
        "Only so many changes were looked through, back to ",
        Piece::Ago(end),
        ": to find older ones ask with a filter that names a system, or for the context of one resource.",
    ];
    Fact::derived("changes_not_all", statement).covering(0)
}

/// Said to who asks for changes: silence would read as if nobody had looked.
fn nothing(scope: &Scope) -> Fact {
    let what = if scope.is_filtered() { "Nothing that matches the filter" } else { "Nothing" };
    let statement =
        say![what, " changed since ", Piece::Ago(scope.since), ", as far as the timeline remembers."];
    Fact::derived("nothing_changed", statement)
}

/// All that is news: the newest come first, so a chunk whose oldest entry is news is as a whole.
fn news(view: &View, is_news: impl Fn(&Entry) -> bool) -> u64 {
    let mut count = 0;
    for chunk in view.past.timeline.chunks() {
        let old = chunk.items.partition_point(|entry| !is_news(entry));
        count += (chunk.items.len() - old) as u64;
        if old > 0 {
            break;
        }
    }
    count
}

/// "2 h ago pool "tank" on "nas-1" went from online to warning: ..."
pub(in crate::context) fn fact(view: &View, gone: &Gone<'_>, entry: &Entry) -> Fact {
    let mut statement =
        say![words::Own::from(noun(entry)).capital(), " ", told(name_kind(entry), entry.name())];
    if entry.resource_type != ResourceType::Host {
        let shard = view.shard(&entry.connection).and_then(|shard| shard.status.as_ref());
        let system = shard.map(|status| status.name.as_str()).filter(|name| !name.is_empty());
        let system = system.or_else(|| gone.name(&entry.connection));
        statement.add(" on ").add(told(Kind::System, system.unwrap_or(entry.connection.as_str())));
    }
    match entry.kind {
        EntryKind::Created => statement.add(" appeared ").add(Piece::Ago(entry.at)),
        EntryKind::Removed => statement.add(" went away ").add(Piece::Ago(entry.at)),
        EntryKind::StateTransition | EntryKind::ConfigUpdate | EntryKind::RelationshipChange => {
            let steps = entry.steps().take(STEPS_MAX).map(|told| step(told, name_kind(entry)));
            statement.add(" changed ").add(Piece::Ago(entry.at)).add(": ");
            statement.append(Statement::list(steps, ", "));
            match entry.steps().count().saturating_sub(STEPS_MAX) as u64 {
                0 => &mut statement,
                more => statement.add(", and ").add(words::count(more, "field")).add(" more"),
            }
        }
    };
    if !entry.reason().is_empty() {
        statement.add("; because of ").add(told(Kind::Sentence, entry.reason()));
    }
    statement.add(".");
    let mut fact =
        Fact::derived(entry.kind.token(), statement).with_value(words::digits(entry.at.get()), "unix_ms");
    fact.basis =
        Some(Basis { source: entry.source, observed_at: Some(entry.at), freshness: Freshness::Fresh });
    fact.origin = view.get(&entry.id).map(|found| Origin {
        resource: entry.id,
        connection: entry.connection.clone(),
        section: found.resource.document.section.clone(),
        source: entry.source,
        freshness: found.resource.freshness,
    });
    fact
}

/// Names of fields are the registry's own, values need not be. A name is of the kind `name`.
fn step(step: Step<'_>, name: Kind) -> Statement {
    const OWN: [&str; 14] = [
        "status",
        "severity",
        "state",
        "freshness",
        "parent_id",
        "connection",
        "name",
        "technology",
        "version",
        "model",
        "serial",
        "pool",
        "dataset",
        "connection_name",
    ];
    let field = OWN.iter().find(|field| **field == step.field);
    let value = |value: &str| match value {
        ABSENT => Piece::from("nothing"),
        value => match step.field.strip_prefix("labels.") {
            Some(key) => say::label_value(key, value),
            None => told(kind(step.field, value, name), value),
        },
    };
    let mut said = match (field, step.field.strip_prefix("labels.")) {
        (Some(field), _) => say![*field],
        (None, Some(key)) => say!["label ", told(Kind::Label, key)],
        (None, None) => say![told(Kind::Label, step.field)],
    };
    said.add(" ").add(value(step.from)).add(" to ").add(value(step.to));
    said
}

fn kind(field: &str, value: &str, name: Kind) -> Kind {
    match field {
        "name" => name,
        "parent_id" if ResourceId::parse(value).is_ok() => Kind::Id,
        // A parent that is not known yet is told by an id that is made of names.
        "dataset" | "parent_id" => Kind::Path,
        "connection" | "connection_name" => Kind::System,
        "pool" => Kind::Pool,
        "serial" => Kind::Serial,
        _ => Kind::Word,
    }
}

fn noun(entry: &Entry) -> &'static str {
    match (entry.resource_type, entry.technology()) {
        (ResourceType::Host, _) => "system",
        (ResourceType::Storage, "zfs-dataset") => "dataset",
        (ResourceType::Storage, _) => "pool",
        (ResourceType::PhysicalDisk, _) => "disk",
        (ResourceType::AppContainer, _) => "app",
        (ResourceType::Vm, _) => "virtual machine",
        (ResourceType::NetworkShare, _) => "share",
        (ResourceType::ProtectionTask, _) => "protection task",
        (other, _) => other.token(),
    }
}

fn name_kind(entry: &Entry) -> Kind {
    match (entry.resource_type, entry.technology()) {
        (ResourceType::Storage, "zfs-dataset") => Kind::Path,
        (ResourceType::Storage, _) => Kind::Pool,
        (ResourceType::PhysicalDisk, _) => Kind::Word,
        (ResourceType::NetworkShare, _) => Kind::Share,
        (ResourceType::ProtectionTask, _) => Kind::Label,
        (ResourceType::AppContainer | ResourceType::Vm | ResourceType::SystemContainer, _) => Kind::Workload,
        _ => Kind::System,
    }
}
