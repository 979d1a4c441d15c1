//! Source ids of one connection, and the frame that every record shares.

use pulse_proto::model::{ConnectionId, Facets, Identity, IngestRecord, ResourceType, SourceId};

use crate::api::Section;

/// Names the things of one connection, as Pulse does.
#[derive(Clone, Debug)]
pub(super) struct Places {
    system: SourceId,
}

impl Places {
    pub(super) fn new(connection: &ConnectionId) -> Self {
        let system = SourceId::parse(&format!("system:{connection}"));
        Self { system: system.expect("a connection id is shorter than a source id and as clean") }
    }

    pub(super) fn system(&self) -> SourceId {
        self.system.clone()
    }

    pub(super) fn pool(&self, name: &str) -> Result<SourceId, String> {
        self.below("pool", name)
    }

    pub(super) fn dataset(&self, name: &str) -> Result<SourceId, String> {
        self.below("dataset", name)
    }

    pub(super) fn disk(&self, name: &str) -> Result<SourceId, String> {
        self.below("disk", name)
    }

    fn below(&self, kind: &str, name: &str) -> Result<SourceId, String> {
        if name.is_empty() {
            return Err(format!("a {kind} without a name"));
        }
        let text = format!("{}/{kind}:{name}", self.system);
        SourceId::parse(&text).map_err(|error| format!("{kind} {name:?}: {}", error.reason()))
    }
}

/// A record with nothing but its place.
pub(super) fn bare(
    source_id: SourceId,
    parent: Option<SourceId>,
    resource_type: ResourceType,
    name: &str,
    section: Section,
) -> IngestRecord {
    IngestRecord {
        source_id,
        parent_source_id: parent,
        resource_type,
        name: name.to_owned(),
        section: section.name(),
        state: String::new(),
        identity: Identity::default(),
        capacity: None,
        tags: Vec::new(),
        incidents: Vec::new(),
        facets: Facets::default(),
    }
}

/// Sorted and without repetition, as records want them.
pub(super) fn tags(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut tags: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_ids_are_those_of_pulse() {
        let places = Places::new(&ConnectionId::parse("conn-1").expect("an id"));
        assert_eq!(places.system().as_str(), "system:conn-1");
        let text = |id: Result<SourceId, String>| id.expect("an id").to_string();
        assert_eq!(text(places.pool("tank")), "system:conn-1/pool:tank");
        assert_eq!(text(places.dataset("tank/apps/db")), "system:conn-1/dataset:tank/apps/db");
        assert_eq!(text(places.disk("sda")), "system:conn-1/disk:sda");
        assert!(places.pool("").is_err());
        assert!(places.dataset(&"x".repeat(2_000)).is_err());
    }
}
