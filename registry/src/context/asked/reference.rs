//! From what a reader of a context calls a thing back to the thing: an id, or
//! "<system>/<name>" with names or pseudonyms.

use pulse_proto::model::{ConnectionId, ResourceId, ResourceType, StorageTopology};

use super::Asking;
use crate::context::piece::Kind;
use crate::context::say::name_kind;
use crate::state::resource::Resource;
use crate::state::view::profile::Dimension;
use crate::state::view::{Found, Shard};

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    /// It is a system of which no record was ever read.
    Unread(ConnectionId),
    /// Several have that name; some of their ids.
    Ambiguous(Vec<ResourceId>),
}

/// Where datasets are mounted.
const MOUNTED: &str = "/mnt/";
/// Ids that are told when a name is not enough.
const TOLD_MAX: usize = 10;

impl Asking<'_> {
    /// What is out of sight is not there.
    pub fn resource(&self, text: &str) -> Result<Found, Lost> {
        if let Some(id) = self.id(text)
            && let Some(found) =
                self.view.get(&id).filter(|found| self.sight.sees(&found.resource.connection))
        {
            return Ok(found);
        }
        let mut found = self.called(|shard| self.within(shard, text));
        if found.is_empty() {
            found = self.called(|shard| self.within_own(shard, text));
        }
        if found.is_empty() {
            if let Some(connection) = self.unread(text) {
                return Err(Lost::Unread(connection));
            }
            // Where it is may be left out.
            found = self.called(|_| Some(text));
        }
        let Some(best) = found.iter().map(|(rank, _)| *rank).min() else { return Err(Lost::Nothing) };
        let best: Vec<&Resource> =
            found.into_iter().filter(|(rank, _)| *rank == best).map(|(_, resource)| resource).collect();
        match best[..] {
            [resource] => self.view.get(&resource.id).ok_or(Lost::Nothing),
            _ => Err(Lost::Ambiguous(best.iter().take(TOLD_MAX).map(|resource| resource.id).collect())),
        }
    }

    /// A system that is called so and has no record.
    fn unread(&self, text: &str) -> Option<ConnectionId> {
        let has_record =
            |shard: &Shard| shard.resources.any_of(Dimension::Type, 1 << ResourceType::Host as u32).is_some();
        let mut called = self.shards().filter(|shard| self.within(shard, text) == Some(""));
        called.find(|shard| !has_record(shard)).map(|shard| shard.connection.clone())
    }

    /// What is called by the rest of the text in the systems that the text begins with.
    fn called<'t>(&self, rest: impl Fn(&Shard) -> Option<&'t str>) -> Vec<(u8, &Resource)> {
        let mut found = Vec::new();
        for shard in self.shards() {
            if let Some(rest) = rest(shard) {
                let called = shard.resources.iter().filter(|resource| self.is_called(resource, rest));
                found.extend(called.map(|resource| (rank(resource), &**resource)));
            }
        }
        found
    }

    /// The id that is written so, as far as he may know of it.
    pub(super) fn id(&self, text: &str) -> Option<ResourceId> {
        let own = || self.is_open().then(|| ResourceId::parse(text).ok()).flatten();
        self.pseudonyms.unseal(text).or_else(own)
    }

    /// By its name, a disk also by its serial, a dataset also by where it is mounted.
    fn is_called(&self, resource: &Resource, text: &str) -> bool {
        if text.is_empty() {
            return resource.resource_type() == ResourceType::Host;
        }
        let is_it = |kind: Kind, name: &str| {
            !name.is_empty() && (self.is_open() && name == text || self.shows(kind, name, text))
        };
        let kind = name_kind(resource);
        is_it(kind, resource.display_name())
            || kind == Kind::Path
                && text.strip_prefix(MOUNTED).is_some_and(|inner| self.is_called(resource, inner))
            || resource.resource_type() == ResourceType::PhysicalDisk
                && is_it(Kind::Serial, resource.document.serial())
    }
}

/// A pool comes before the dataset at its root, which has the same name, and what is in a system before the system.
fn rank(resource: &Resource) -> u8 {
    match resource.resource_type() {
        ResourceType::Host => 2,
        _ => u8::from(resource.document.topology() == Some(StorageTopology::Dataset)),
    }
}
