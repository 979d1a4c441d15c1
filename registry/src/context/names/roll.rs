//! The names that the resources of one connection bring.

use std::collections::BTreeSet;

use pulse_proto::model::{IngestRecord, ResourceType, StorageTopology};

use super::remote::{Remote, is_common_user, short_name};
use super::{Meaning, folded};
use crate::context::piece::Kind;
use crate::context::say::name_kind;
use crate::context::say::protection::client_kind;
use crate::context::sketch::with;
use crate::state::view::Shard;
use crate::state::view::bits::Bits;
use crate::state::view::profile::Dimension;

/// Equal for what has the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    own: Named,
    /// Names of the other ends of tasks: perhaps of systems that nobody watches.
    heard: Named,
}

/// Ascending by name.
type Named = Box<[(Box<str>, Meaning)]>;

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
            Names { system: if status.is_empty() { connection } else { status }, ..Names::default() };
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
        let named = |all: BTreeSet<_>| all.into_iter().map(meaning).collect();
        Self { own: named(names.all), heard: named(names.heard) }
    }

    /// All of them, own and heard.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.names().chain(self.heard())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.own.iter().map(|(name, meaning)| (&**name, meaning))
    }

    pub(super) fn heard(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.heard.iter().map(|(name, meaning)| (&**name, meaning))
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

#[derive(Default)]
struct Names<'a> {
    /// What operators call the system.
    system: &'a str,
    all: BTreeSet<(String, Kind, String)>,
    heard: BTreeSet<(String, Kind, String)>,
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
        if let Some(short) = short_name(name) {
            self.all.insert((folded(short), Kind::System, self.system.to_owned()));
        }
    }

    fn remote(&mut self, text: &str) {
        let Remote { user, host } = Remote::of(text);
        self.user(user);
        for name in [Some(host), short_name(host)].into_iter().flatten().filter(|name| !name.is_empty()) {
            self.heard.insert((folded(name), Kind::System, host.to_owned()));
        }
    }

    fn user(&mut self, name: &str) {
        if !is_common_user(name) {
            self.thing(Kind::User, name);
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
            for user in [&share.map_root_user, &share.map_all_user] {
                self.user(user);
            }
            share
                .hosts
                .iter()
                .filter(|host| client_kind(host) == Kind::System)
                .for_each(|host| self.remote(host));
        }
        if let Some(task) = &facets.protection_task {
            self.remote(&task.remote);
        }
    }
}
