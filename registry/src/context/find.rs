//! From what a reader of a context calls a thing back to the thing: an id, or
//! "<system>/<name>" with names or pseudonyms.

use pulse_proto::model::{ResourceId, ResourceType, StorageTopology};

use super::piece::Kind;
use super::redact::Pseudonyms;
use super::say::name_kind;
use crate::query::sight::Sight;
use crate::state::resource::Resource;
use crate::state::view::{Found, Shard, View};

/// Why nothing was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    Nothing,
    /// Several have that name; some of their ids.
    Ambiguous(Vec<ResourceId>),
}

/// Ids that are told when a name is not enough.
const TOLD_MAX: usize = 10;

/// What is out of sight is not there.
pub fn resource(view: &View, text: &str, pseudonyms: &Pseudonyms, sight: &Sight) -> Result<Found, Lost> {
    if let Ok(id) = ResourceId::parse(text)
        && let Some(found) = view.get(&id).filter(|found| sight.sees(&found.resource.connection))
    {
        return Ok(found);
    }
    let mut found: Vec<(u8, &Shard, &Resource)> = Vec::new();
    for shard in view.shards().filter(|shard| sight.sees(&shard.connection)) {
        let Some(rest) = within(shard, text, pseudonyms) else { continue };
        found.extend(
            shard
                .resources
                .iter()
                .filter(|resource| is_called(resource, rest, pseudonyms))
                .map(|resource| (rank(resource), &**shard, &**resource)),
        );
    }
    let Some(best) = found.iter().map(|(rank, ..)| *rank).min() else { return Err(Lost::Nothing) };
    found.retain(|(rank, ..)| *rank == best);
    match found[..] {
        [(_, _, resource)] => view.get(&resource.id).ok_or(Lost::Nothing),
        _ => Err(Lost::Ambiguous(
            found.iter().take(TOLD_MAX).map(|(_, _, resource)| resource.id.clone()).collect(),
        )),
    }
}

/// What is left of the text after the name of the system, when it begins with that; empty for the system itself.
fn within<'a>(shard: &Shard, text: &'a str, pseudonyms: &Pseudonyms) -> Option<&'a str> {
    let name = shard.status.as_ref().map_or("", |status| status.name.as_str());
    let rest_after = |name: &str| {
        let rest = text.strip_prefix(name).filter(|_| !name.is_empty())?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    };
    rest_after(name).or_else(|| rest_after(shard.connection.as_str())).or_else(|| {
        // Only what looks like one is compared with pseudonyms.
        text.starts_with(Kind::System.token())
            .then(|| rest_after(&pseudonyms.of(Kind::System, name)))
            .flatten()
    })
}

fn is_called(resource: &Resource, text: &str, pseudonyms: &Pseudonyms) -> bool {
    if text.is_empty() {
        return resource.resource_type() == ResourceType::Host;
    }
    let kind = name_kind(resource);
    let name = resource.display_name();
    name == text || (text.starts_with(kind.token()) && pseudonyms.of(kind, name) == text)
}

/// A pool comes before the dataset at its root, which has the same name.
fn rank(resource: &Resource) -> u8 {
    u8::from(resource.document.topology() == Some(StorageTopology::Dataset))
}
