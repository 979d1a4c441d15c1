//! What a resource lies in, what lies in it, and what would go with it.

use std::cmp::Reverse;

use pulse_proto::model::{IngestRecord, ResourceType, StorageTopology, Task, Zfs};

use crate::context::fact::Fact;
use crate::context::piece::{Kind, say, told};
use crate::context::say::{self, Thing};
use crate::context::sketch::with;
use crate::context::words;
use crate::state::resource::Resource;
use crate::state::view::Shard;

/// Things told one by one.
const TOLD_MAX: usize = 60;

/// What stands around it, and what depends on it.
pub(super) fn facts(shard: &Shard, thing: &Thing<'_>) -> (Vec<Fact>, Vec<Fact>) {
    let mut around: Vec<&Resource> = Vec::new();
    let mut dependents: Vec<&Resource> = Vec::new();
    for resource in shard.resources.iter().filter(|resource| resource.id != thing.resource.id) {
        match relation(thing, resource) {
            Relation::Around => around.push(resource),
            Relation::Dependent => dependents.push(resource),
            Relation::None => {}
        }
    }
    let mut facts = parent(shard, thing);
    facts.extend(told_of(around));
    (facts, told_of(dependents))
}

fn parent(shard: &Shard, thing: &Thing<'_>) -> Vec<Fact> {
    let Some(parent) = &thing.resource.parent else { return Vec::new() };
    let known = shard.resources.iter().find(|resource| resource.id == parent.id);
    let kind = known.map_or_else(
        // Of another connection's, its type is in its id.
        || if parent.id.kind() == ResourceType::Storage { Kind::Path } else { Kind::System },
        |parent| say::name_kind(parent),
    );
    let statement = say!["It belongs to ", told(kind, &*parent.name), "."];
    vec![thing.fact("parent", statement)]
}

/// The worst first; those that are left are counted.
fn told_of(mut resources: Vec<&Resource>) -> Vec<Fact> {
    resources.sort_by_key(|resource| (Reverse(resource.severity), resource.resource_type()));
    let more = resources.len().saturating_sub(TOLD_MAX) as u64;
    let profile = |resource: &&Resource| with(resource, say::profile);
    let mut facts: Vec<Fact> = resources.iter().take(TOLD_MAX).filter_map(profile).collect();
    if more > 0 {
        let statement = say![
            words::count(more, "thing"),
            " more: a filter by connection_name and type or pool finds them."
        ];
        facts.push(Fact::derived("more", statement).covering(more));
    }
    facts
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Around,
    /// Would be gone with it.
    Dependent,
    None,
}

fn relation(thing: &Thing<'_>, other: &Resource) -> Relation {
    let (kind, topology) = (other.resource_type(), other.document.topology());
    let is_child = other.parent.as_ref().is_some_and(|parent| parent.id == thing.resource.id);
    let is_parent = thing.resource.parent.as_ref().is_some_and(|parent| parent.id == other.id);
    if is_parent {
        return Relation::Around;
    }
    let uses = matches!(
        kind,
        ResourceType::NetworkShare
            | ResourceType::ProtectionTask
            | ResourceType::AppContainer
            | ResourceType::Vm
            | ResourceType::SystemContainer
    );
    match place(thing) {
        // Of a system everything else is told by its own pools and tasks.
        None if thing.record.resource_type == ResourceType::Host => match (kind, topology) {
            (_, Some(StorageTopology::Pool)) => Relation::Around,
            _ if uses => Relation::Dependent,
            _ => Relation::None,
        },
        None if is_child || is_home(thing.record, other) => Relation::Around,
        None => Relation::None,
        Some(place) if uses => {
            if with(other, |other| lies_in(other.record, place).then_some(())).is_some() {
                Relation::Dependent
            } else {
                Relation::None
            }
        }
        Some(place) => {
            let own = match kind {
                ResourceType::PhysicalDisk => other.document.pool() == place,
                ResourceType::Storage => below(other.document.dataset(), place),
                _ => is_child,
            };
            if own { Relation::Around } else { Relation::None }
        }
    }
}

/// The dataset or pool that it is.
fn place<'a>(thing: &'a Thing<'_>) -> Option<&'a str> {
    match thing.record.facets.storage.as_ref()?.zfs.as_ref()? {
        Zfs::Pool(pool) if pool.name.is_empty() => Some(&thing.record.name),
        Zfs::Pool(pool) => Some(&pool.name),
        Zfs::Dataset(dataset) => Some(&dataset.name),
    }
}

/// Whether a dataset is the place or lies below it.
fn below(dataset: &str, place: &str) -> bool {
    dataset.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether it is the pool or the dataset that a share, a disk, a task or a workload has its data in.
fn is_home(record: &IngestRecord, other: &Resource) -> bool {
    let (place, is_pool) = match other.document.topology() {
        Some(StorageTopology::Pool) => (other.name(), true),
        Some(StorageTopology::Dataset) => (other.document.dataset(), false),
        _ => return false,
    };
    if let Some(disk) = &record.facets.physical_disk {
        return is_pool && disk.pool == place;
    }
    if let Some(task) = &record.facets.protection_task {
        // Not what lies below: that is copied with it.
        let meets = |dataset: &str| if is_pool { below(dataset, place) } else { dataset == place };
        let (reads, writes) = ends_here(task);
        return reads && task.source_datasets.iter().any(|dataset| meets(dataset))
            || writes && meets(&task.target);
    }
    lies_in(record, place)
}

/// Whether something keeps its data there.
fn lies_in(record: &IngestRecord, place: &str) -> bool {
    let facets = &record.facets;
    let path = |path: &str| below(path.trim_start_matches('/').strip_prefix("mnt/").unwrap_or(path), place);
    facets.network_share.as_ref().is_some_and(|share| {
        below(&share.dataset, place)
            || path(&share.path)
            || share
                .extents
                .iter()
                .any(|extent| path(extent) || below(extent.trim_start_matches("zvol/"), place))
    }) || facets.protection_task.as_ref().is_some_and(|task| {
        let meets = |dataset: &str| below(dataset, place) || below(place, dataset);
        let (reads, writes) = ends_here(task);
        reads && task.source_datasets.iter().any(|dataset| meets(dataset)) || writes && meets(&task.target)
    }) || facets.app.as_ref().is_some_and(|app| app.volumes.iter().any(|volume| path(&volume.source)))
        || facets.vm.as_ref().is_some_and(|vm| below(&vm.dataset, place))
}

/// Which ends of a task are on its own system: what it reads, and what it writes to. Names on another system are nobody's
/// here.
fn ends_here(task: &Task) -> (bool, bool) {
    // Other tasks name what they keep here as their source, whichever way they copy.
    if task.kind != "replication" {
        return (true, false);
    }
    let is_local = task.transport == "LOCAL" || task.direction.is_empty() && task.remote.is_empty();
    let pulls = task.direction == "PULL";
    (is_local || !pulls, is_local || pulls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_its_ends_where_its_direction_says() {
        for (kind, direction, transport, remote, expected) in [
            ("replication", "PUSH", "SSH", "far", (true, false)),
            ("replication", "PULL", "SSH", "far", (false, true)),
            ("replication", "PULL", "SSH+NETCAT", "", (false, true)),
            ("replication", "PUSH", "LOCAL", "", (true, true)),
            ("replication", "", "", "", (true, true)),
            ("replication", "", "", "far", (true, false)),
            ("cloud-sync", "PULL", "B2", "", (true, false)),
            ("rsync", "PUSH", "SSH", "far", (true, false)),
            ("snapshot", "", "", "", (true, false)),
        ] {
            let [kind, direction, transport, remote] =
                [kind, direction, transport, remote].map(str::to_owned);
            let task = Task { kind, direction, transport, remote, ..Task::default() };
            assert_eq!(ends_here(&task), expected, "{task:?}");
        }
    }

    #[test]
    fn a_place_holds_what_lies_below_it() {
        for (dataset, place, expected) in [
            ("tank", "tank", true),
            ("tank/a/b", "tank/a", true),
            ("tank/ab", "tank/a", false),
            ("tanker", "tank", false),
            ("", "tank", false),
        ] {
            assert_eq!(below(dataset, place), expected, "{dataset} {place}");
        }
    }
}
