//! From what a reader of a context calls a thing back to the thing: an id, or
//! "<system>/<name>" with names or pseudonyms.

use pulse_proto::model::{ResourceId, ResourceType, StorageTopology};

use super::Asking;
use crate::context::piece::Kind;
use crate::context::say::name_kind;
use crate::state::resource::Resource;
use crate::state::view::{Found, Shard};

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    /// Several have that name; some of their ids.
    Ambiguous(Vec<ResourceId>),
}

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
        let mut found: Vec<(u8, &Resource)> = Vec::new();
        for shard in self.shards() {
            if let Some(rest) = self.within(shard, text) {
                let called = shard.resources.iter().filter(|resource| self.is_called(resource, rest));
                found.extend(called.map(|resource| (rank(resource), &**resource)));
            }
        }
        let Some(best) = found.iter().map(|(rank, _)| *rank).min() else { return Err(Lost::Nothing) };
        found.retain(|(rank, _)| *rank == best);
        match found[..] {
            [(_, resource)] => self.view.get(&resource.id).ok_or(Lost::Nothing),
            _ => Err(Lost::Ambiguous(
                found.iter().take(TOLD_MAX).map(|(_, resource)| resource.id.clone()).collect(),
            )),
        }
    }

    /// The id that is written so, as far as he may know of it.
    pub(super) fn id(&self, text: &str) -> Option<ResourceId> {
        let own = || self.is_open().then(|| ResourceId::parse(text).ok()).flatten();
        self.pseudonyms.unseal(text).or_else(own)
    }

    /// What is left of the text after the name of the system, when it begins with that; empty for the system itself.
    fn within<'t>(&self, shard: &Shard, text: &'t str) -> Option<&'t str> {
        let name = shard.status.as_ref().map_or("", |status| status.name.as_str());
        let id = shard.connection.as_str();
        if self.is_open()
            && let Some(rest) = rest_after(text, name).or_else(|| rest_after(text, id))
        {
            return Some(rest);
        }
        let (first, rest) = text.split_once('/').unwrap_or((text, ""));
        let name = if name.is_empty() { id } else { name };
        self.shows(Kind::System, name, first, |shown| shown == first).then_some(rest)
    }

    fn is_called(&self, resource: &Resource, text: &str) -> bool {
        if text.is_empty() {
            return resource.resource_type() == ResourceType::Host;
        }
        let name = resource.display_name();
        self.is_open() && name == text || self.shows(name_kind(resource), name, text, |shown| shown == text)
    }
}

fn rest_after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(name).filter(|_| !name.is_empty())?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// A pool comes before the dataset at its root, which has the same name.
fn rank(resource: &Resource) -> u8 {
    u8::from(resource.document.topology() == Some(StorageTopology::Dataset))
}
