//! The names that the resources of one connection bring.

use std::collections::BTreeSet;
use std::net::IpAddr;

use pulse_proto::model::{IngestRecord, ResourceType, StorageTopology};

use super::{Meaning, folded};
use crate::context::piece::Kind;
use crate::context::say::name_kind;
use crate::context::sketch::with;
use crate::state::view::Shard;
use crate::state::view::bits::Bits;
use crate::state::view::profile::Dimension;

/// Ascending by name. Equal for what has the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll(Box<[(Box<str>, Meaning)]>);

/// Of everybody's systems: not worth a pseudonym in a sentence.
const COMMON_USERS: [&str; 6] = ["root", "nobody", "admin", "guest", "wheel", "truenas_admin"];

/// Whose names stand in other texts. Datasets are too many; their names are paths, and paths are told as such.
const NAMED: [ResourceType; 8] = [
    ResourceType::Host,
    ResourceType::PhysicalDisk,
    ResourceType::NetworkShare,
    ResourceType::AppContainer,
    ResourceType::Vm,
    ResourceType::SystemContainer,
    ResourceType::DockerService,
    ResourceType::ProtectionTask,
];

impl Roll {
    pub fn of(shard: &Shard) -> Self {
        let status = shard.status.as_ref().map_or("", |status| status.name.as_str());
        let connection = shard.connection.as_str();
        let mut names =
            Names { system: if status.is_empty() { connection } else { status }, all: BTreeSet::new() };
        names.system(status);
        names.system(connection);
        let rows = &shard.resources;
        let pools = rows.any_of(Dimension::Topology, 1 << StorageTopology::Pool as u32);
        for row in pools.iter().flat_map(Bits::iter) {
            names.thing(Kind::Pool, rows[row].name());
        }
        let types = NAMED.iter().fold(0, |bits, kind| bits | 1 << *kind as u32);
        let named = rows.any_of(Dimension::Type, types);
        for row in named.iter().flat_map(Bits::iter) {
            let resource = &rows[row];
            match resource.resource_type() {
                ResourceType::PhysicalDisk => names.thing(Kind::Serial, resource.document.serial()),
                ResourceType::Host | ResourceType::NetworkShare | ResourceType::ProtectionTask => {
                    if name_kind(resource) == Kind::Share {
                        names.thing(Kind::Share, resource.name());
                    }
                    with(resource, |thing| {
                        names.record(thing.record);
                        Some(())
                    });
                }
                _ => names.thing(name_kind(resource), resource.name()),
            }
        }
        let meaning =
            |(name, kind, of): (String, Kind, String)| (name.into(), Meaning { kind, of: of.into() });
        Self(names.all.into_iter().map(meaning).collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.0.iter().map(|(name, meaning)| (&**name, meaning))
    }
}

/// What a system calls itself.
pub(in crate::context) fn own_names(record: &IngestRecord) -> impl Iterator<Item = &str> {
    let facets = &record.facets;
    let truenas = facets.truenas.iter().map(|truenas| truenas.hostname.as_str());
    let agent = facets.agent.iter().map(|agent| agent.hostname.as_str());
    let hostnames = record.identity.hostnames.iter().map(String::as_str);
    let all = std::iter::once(record.name.as_str()).chain(hostnames).chain(truenas).chain(agent);
    all.filter(|name| !name.is_empty())
}

struct Names<'a> {
    /// What operators call the system.
    system: &'a str,
    all: BTreeSet<(String, Kind, String)>,
}

impl Names<'_> {
    fn thing(&mut self, kind: Kind, name: &str) {
        if !name.is_empty() {
            self.all.insert((folded(name), kind, name.to_owned()));
        }
    }

    /// One more name of the system itself. In its network it has a short one, too.
    fn system(&mut self, name: &str) {
        if name.is_empty() {
            return;
        }
        self.all.insert((folded(name), Kind::System, self.system.to_owned()));
        if name.parse::<IpAddr>().is_err()
            && let Some((first, rest)) = name.split_once('.')
            && !first.is_empty()
            && !rest.contains(char::is_whitespace)
        {
            self.all.insert((folded(first), Kind::System, self.system.to_owned()));
        }
    }

    fn record(&mut self, record: &IngestRecord) {
        let facets = &record.facets;
        if record.resource_type == ResourceType::Host {
            own_names(record).for_each(|name| self.system(name));
            if let Some(agent) = &facets.agent {
                self.thing(Kind::Serial, &agent.serial);
                for address in agent.interfaces.iter().flat_map(|interface| &interface.addresses) {
                    self.thing(Kind::Address, address.split('/').next().unwrap_or_default());
                }
            }
        }
        if let Some(share) = &facets.network_share {
            let users = [&share.map_root_user, &share.map_all_user];
            let own = users.into_iter().filter(|user| !COMMON_USERS.contains(&user.as_str()));
            own.for_each(|user| self.thing(Kind::User, user));
        }
        if let Some(task) = &facets.protection_task
            && !task.remote.is_empty()
        {
            // Perhaps a system that nobody watches.
            self.all.insert((folded(&task.remote), Kind::System, task.remote.clone()));
        }
    }
}
