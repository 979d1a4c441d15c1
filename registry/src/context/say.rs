//! What is worth saying of a resource, in sentences. One file per family of
//! things; each says the figures an operator asks for and leaves out what the
//! source did not tell.

pub(super) mod machine;
pub(super) mod problem;
pub(super) mod protection;
pub(super) mod storage;
pub(super) mod workload;

use pulse_proto::model::{Capacity, IngestRecord, ResourceType, StorageTopology, Zfs};

use super::fact::{Fact, Origin};
use super::piece::{Kind, Piece, Statement, say, told};
use super::secret::{REMOVED, names_secret};
use super::words::{self, Own};
use crate::state::resource::Resource;

/// A resource with its record at hand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing<'a> {
    pub resource: &'a Resource,
    pub record: &'a IngestRecord,
}

impl Thing<'_> {
    pub(super) fn origin(&self) -> Origin {
        Origin::of(self.resource)
    }

    /// A fact that the source told of it.
    pub(super) fn fact(&self, code: &'static str, statement: Statement) -> Fact {
        Fact::derived(code, statement).told().about(self.origin())
    }

    /// "pool "tank" on "nas-1"".
    pub(super) fn called(&self) -> Statement {
        called(self.resource)
    }

    /// "Pool "tank" on "nas-1": a, b." of what there is to say; nothing when there is nothing.
    pub(super) fn sentence(&self, details: Vec<Statement>) -> Option<Statement> {
        let details = Statement::list(details.into_iter().filter(|detail| !detail.is_empty()), ", ");
        if details.is_empty() {
            return None;
        }
        let mut sentence = capital(&self.called());
        sentence.add(": ").append(details).add(".");
        // What is old is told as such.
        if self.resource.freshness != pulse_proto::model::Freshness::Fresh {
            sentence.add(" That is what was last seen.");
        }
        Some(sentence)
    }
}

/// The same sentence with a capital letter.
pub(super) fn capital(statement: &Statement) -> Statement {
    let mut pieces = statement.pieces().iter().cloned();
    let mut all = Statement::default();
    if let Some(first) = pieces.next() {
        all.add(match first {
            Piece::Own(own) => Piece::Own(own.capital()),
            other => other,
        });
    }
    pieces.for_each(|piece| {
        all.add(piece);
    });
    all
}

/// Its kind and name, and where it is.
pub(super) fn called(resource: &Resource) -> Statement {
    let mut name = say![noun(resource), " ", name(resource)];
    if resource.resource_type() != ResourceType::Host {
        name.add(" on ").add(system(resource));
    }
    name
}

pub(super) fn name(resource: &Resource) -> Piece {
    told(name_kind(resource), resource.display_name())
}

/// The system a thing belongs to, by the name operators gave it.
pub(super) fn system(resource: &Resource) -> Piece {
    let name = &*resource.connection_name;
    told(Kind::System, if name.is_empty() { resource.connection.as_str() } else { name })
}

pub(super) fn name_kind(resource: &Resource) -> Kind {
    match resource.resource_type() {
        ResourceType::Storage if resource.document.topology() == Some(StorageTopology::Dataset) => Kind::Path,
        ResourceType::Storage => Kind::Pool,
        ResourceType::PhysicalDisk => Kind::Word,
        ResourceType::NetworkShare => Kind::Share,
        ResourceType::ProtectionTask => Kind::Label,
        ResourceType::AppContainer
        | ResourceType::Vm
        | ResourceType::SystemContainer
        | ResourceType::DockerService
        | ResourceType::K8sDeployment
        | ResourceType::Pod => Kind::Workload,
        ResourceType::Network | ResourceType::NetworkEndpoint => Kind::Address,
        ResourceType::Host
        | ResourceType::DockerHost
        | ResourceType::K8sCluster
        | ResourceType::K8sNode
        | ResourceType::Pbs
        | ResourceType::Pmg
        | ResourceType::Ceph => Kind::System,
    }
}

/// What people call such a thing.
pub(super) fn noun(resource: &Resource) -> &'static str {
    let technology = resource.document.technology();
    match resource.resource_type() {
        ResourceType::Host => "system",
        ResourceType::Storage => match resource.document.topology() {
            Some(StorageTopology::Dataset) => "dataset",
            Some(StorageTopology::Array) => "array",
            Some(StorageTopology::Datastore) => "datastore",
            Some(StorageTopology::Pool) | None => "pool",
        },
        ResourceType::PhysicalDisk => "disk",
        ResourceType::AppContainer => "app",
        ResourceType::Vm => "virtual machine",
        ResourceType::SystemContainer => "container",
        ResourceType::NetworkShare => match technology {
            "smb" => "SMB share",
            "nfs" => "NFS share",
            "iscsi" => "iSCSI target",
            _ => "share",
        },
        ResourceType::ProtectionTask => match technology {
            "replication" => "replication task",
            "snapshot" => "snapshot task",
            "cloud-sync" => "cloud sync task",
            "rsync" => "rsync task",
            "cloud-backup" => "cloud backup task",
            _ => "protection task",
        },
        other => other.token(),
    }
}

/// What many such things are counted as.
pub(super) const fn class(resource_type: ResourceType, topology: Option<StorageTopology>) -> &'static str {
    match resource_type {
        ResourceType::Host => "system",
        ResourceType::Storage => match topology {
            Some(StorageTopology::Dataset) => "dataset",
            Some(StorageTopology::Array) => "array",
            Some(StorageTopology::Datastore) => "datastore",
            Some(StorageTopology::Pool) | None => "pool",
        },
        ResourceType::PhysicalDisk => "disk",
        ResourceType::AppContainer => "app",
        ResourceType::Vm => "virtual machine",
        ResourceType::SystemContainer => "container",
        ResourceType::NetworkShare => "share",
        ResourceType::ProtectionTask => "protection task",
        other => other.token(),
    }
}

/// States that every reader knows; any other word is the source's.
const STATES: [&str; 38] = [
    "ONLINE",
    "DEGRADED",
    "FAULTED",
    "OFFLINE",
    "REMOVED",
    "UNAVAIL",
    "SUSPENDED",
    "SPLIT",
    "AVAIL",
    "INUSE",
    "UNKNOWN",
    "RUNNING",
    "STOPPED",
    "STOPPING",
    "STARTING",
    "DEPLOYING",
    "CRASHED",
    "ACTIVE",
    "ERROR",
    "PAUSED",
    "FROZEN",
    "ENABLED",
    "DISABLED",
    "LOCKED",
    "PENDING",
    "WAITING",
    "HOLD",
    "FINISHED",
    "SUCCESS",
    "FAILED",
    "ABORTED",
    "MASTER",
    "BACKUP",
    "SINGLE",
    "READY",
    "BOOTING",
    "SHUTTING_DOWN",
    "IMPORTING",
];

pub(super) fn state(word: &str) -> Piece {
    match STATES.iter().find(|state| state.eq_ignore_ascii_case(word)) {
        Some(state) => Piece::from(*state),
        None => told(Kind::Word, word),
    }
}

/// What devices of a pool are for.
const ROLES: [&str; 7] = ["data", "cache", "log", "spare", "special", "dedup", "stripe"];

pub(super) fn role(word: &str) -> Piece {
    match ROLES.iter().find(|role| role.eq_ignore_ascii_case(word)) {
        Some(role) => Piece::from(*role),
        None => told(Kind::Word, word),
    }
}

/// Of a label or a tag; nothing of one that is named a secret.
pub(super) fn label_value(key: &str, value: &str) -> Piece {
    if names_secret(key) { Piece::from(REMOVED) } else { told(Kind::Label, value) }
}

/// "61.2 TiB of 96.0 TiB used (64 %), 34.8 TiB free".
pub(super) fn capacity(capacity: &Capacity) -> Statement {
    match (capacity.used_bytes, capacity.total_bytes) {
        (Some(used), Some(total)) if total > 0 => {
            let free = capacity.available_bytes.unwrap_or(total.saturating_sub(used));
            let mut statement = say![words::size(used), " of ", words::size(total), " used"];
            if let Some(percent) = words::share(used, total) {
                statement.add(" (").add(words::percent(percent)).add(")");
            }
            statement.add(", ").add(words::size(free)).add(" free");
            statement
        }
        (Some(used), _) => say![words::size(used), " used"],
        (None, Some(total)) => say![words::size(total), " in size"],
        (None, None) => Statement::default(),
    }
}

/// Texts of one kind with commas between them, the first few.
pub(super) fn names(kind: Kind, names: &[String], most: usize) -> Statement {
    names_by(|_| kind, names, most)
}

/// The same, each of its own kind.
pub(super) fn names_by(kind: impl Fn(&str) -> Kind, names: &[String], most: usize) -> Statement {
    let mut all = Statement::list(names.iter().take(most).map(|name| say![told(kind(name), name)]), ", ");
    if names.len() > most {
        all.add(" and ").add(words::digits((names.len() - most) as u64)).add(" more");
    }
    all
}

/// The profile of a thing: what it is and how it is, in one sentence.
pub(super) fn profile(thing: &Thing<'_>) -> Option<Fact> {
    let facets = &thing.record.facets;
    let zfs = facets.storage.as_ref().and_then(|storage| storage.zfs.as_ref());
    match (thing.record.resource_type, zfs) {
        (ResourceType::Host, _) => machine::host(thing),
        (_, Some(Zfs::Pool(pool))) => storage::pool(thing, pool),
        (_, Some(Zfs::Dataset(dataset))) => storage::dataset(thing, dataset),
        (ResourceType::PhysicalDisk, _) => machine::disk(thing, facets.physical_disk.as_deref()?),
        (ResourceType::NetworkShare, _) => protection::share(thing, facets.network_share.as_deref()?),
        (ResourceType::ProtectionTask, _) => protection::task(thing, facets.protection_task.as_deref()?),
        (ResourceType::AppContainer, _) => workload::app(thing, facets.app.as_deref()?),
        (ResourceType::Vm | ResourceType::SystemContainer, _) => workload::vm(thing, facets.vm.as_deref()?),
        _ => plain(thing),
    }
}

/// Of what has no facets of its own.
fn plain(thing: &Thing<'_>) -> Option<Fact> {
    let mut details = Vec::new();
    if !thing.record.state.is_empty() {
        details.push(say![state(&thing.record.state)]);
    }
    if let Some(sizes) = &thing.record.capacity {
        details.push(capacity(sizes));
    }
    Some(thing.fact("profile", thing.sentence(details)?))
}

/// Used share of a capacity, as a value.
pub(super) fn used_percent(capacity: Option<&Capacity>) -> Own {
    let share = capacity.and_then(|capacity| words::share(capacity.used_bytes?, capacity.total_bytes?));
    share.map(words::digits).unwrap_or_default()
}
