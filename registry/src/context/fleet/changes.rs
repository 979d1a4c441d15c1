//! What happened lately, newest first, from the timeline.

use std::collections::BTreeMap;

use pulse_proto::model::{Freshness, ResourceId, ResourceType};

use super::gone::Gone;
use super::{Scope, Told};
use crate::context::fact::{Basis, Fact, Origin};
use crate::context::piece::{Kind, Piece, Statement, say, told};
use crate::context::say;
use crate::context::words;
use crate::state::timeline::{ABSENT, Entry, EntryKind, Step};
use crate::state::view::View;

/// Entries that are looked at.
const ENTRIES_MAX: usize = 4_000;
/// Entries that are told.
const TOLD_MAX: usize = 200;
/// Entries of one resource that are told.
const PER_RESOURCE_MAX: u32 = 3;
/// Steps of one entry that are told.
const STEPS_MAX: usize = 3;

pub(super) fn facts(view: &View, scope: &Scope) -> Told {
    let is_news = |entry: &Entry| entry.at >= scope.since;
    let mut facts = Vec::new();
    let mut told: BTreeMap<&ResourceId, u32> = BTreeMap::new();
    let mut selected = 0;
    let gone = Gone::since(view, scope.since);
    let entries = view.past.timeline.chunks().flat_map(|chunk| chunk.items.iter().rev());
    for entry in entries.take(ENTRIES_MAX).take_while(|entry| is_news(entry)) {
        if !scope.sight.sees(&entry.connection) || scope.is_filtered() && !selects(view, &gone, scope, entry)
        {
            continue;
        }
        selected += 1;
        if facts.len() >= TOLD_MAX {
            continue;
        }
        let times = told.entry(&entry.id).or_default();
        *times += 1;
        if *times <= PER_RESOURCE_MAX {
            facts.push(((entry.kind != EntryKind::StateTransition), fact(view, &gone, entry)));
        }
    }
    // What went from one state to another matters more than what came and went.
    facts.sort_by_key(|(is_minor, _)| *is_minor);
    let facts = facts.into_iter().map(|(_, fact)| fact).collect();
    let all = !scope.is_filtered() && scope.sight.is_whole();
    Told { facts, total: if all { news(view, is_news) } else { selected } }
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

/// By what a thing is, or was when it went.
fn selects(view: &View, gone: &Gone<'_>, scope: &Scope, entry: &Entry) -> bool {
    match view.get(&entry.id) {
        Some(found) => scope.filter.matches(&found.resource, found.observed_at),
        None => gone.matches(view, &scope.filter, entry),
    }
}

/// "2 h ago pool "tank" on "nas-1" went from online to warning: ..."
pub(in crate::context) fn fact(view: &View, gone: &Gone<'_>, entry: &Entry) -> Fact {
    let mut statement =
        say![words::Own::from(noun(entry)).capital(), " ", told(name_kind(entry), &*entry.name)];
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
            let steps = entry.steps.iter().take(STEPS_MAX).map(|told| step(told, name_kind(entry)));
            statement.add(" changed ").add(Piece::Ago(entry.at)).add(": ");
            statement.append(Statement::list(steps, ", "))
        }
    };
    if !entry.reason.is_empty() {
        statement.add("; because of ").add(told(Kind::Text, &*entry.reason));
    }
    statement.add(".");
    let mut fact =
        Fact::derived(entry.kind.token(), statement).with_value(words::digits(entry.at.get()), "unix_ms");
    fact.basis =
        Some(Basis { source: entry.source, observed_at: Some(entry.at), freshness: Freshness::Fresh });
    fact.origin = view.get(&entry.id).map(|found| Origin {
        resource: entry.id.clone(),
        connection: entry.connection.clone(),
        section: found.resource.document.section.clone(),
        source: entry.source,
        freshness: found.resource.freshness,
    });
    fact
}

/// Names of fields are the registry's own, values need not be. A name is of the kind `name`.
fn step(step: &Step, name: Kind) -> Statement {
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
    let field = OWN.iter().find(|field| **field == &*step.field);
    let value = |value: &str| match value {
        ABSENT => Piece::from("nothing"),
        value => match step.field.strip_prefix("labels.") {
            Some(key) => say::label_value(key, value),
            None => told(kind(&step.field, value, name), value),
        },
    };
    let mut said = match (field, step.field.strip_prefix("labels.")) {
        (Some(field), _) => say![*field],
        (None, Some(key)) => say!["label ", told(Kind::Label, key)],
        (None, None) => say![told(Kind::Label, &*step.field)],
    };
    said.add(" ").add(value(&step.from)).add(" to ").add(value(&step.to));
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
    match (entry.resource_type, &*entry.technology) {
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
    match (entry.resource_type, &*entry.technology) {
        (ResourceType::Storage, "zfs-dataset") => Kind::Path,
        (ResourceType::Storage, _) => Kind::Pool,
        (ResourceType::PhysicalDisk, _) => Kind::Word,
        (ResourceType::NetworkShare, _) => Kind::Share,
        (ResourceType::ProtectionTask, _) => Kind::Label,
        (ResourceType::AppContainer | ResourceType::Vm | ResourceType::SystemContainer, _) => Kind::Workload,
        _ => Kind::System,
    }
}
