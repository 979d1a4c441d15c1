//! The fields of a resource that its record alone decides, as clients get
//! them, and the way back. What else a resource has is the registry's to add.

use super::ProtocolError;
use super::record::identity_to_wire;
use crate::model::{Facets, HealthReason, IngestRecord, SectionName, SourceBadge, SourceId};
use crate::pb::resource::v1 as wire;

/// `technology` is the sub-kind, e.g. `zfs-pool`.
pub fn record_to_fields(record: &IngestRecord, technology: String) -> wire::Resource {
    let IngestRecord {
        source_id: _,
        parent_source_id: _,
        section: _,
        resource_type,
        name,
        state,
        identity,
        capacity,
        tags,
        incidents,
        facets,
    } = record;
    let Facets { agent, truenas, storage, physical_disk, app, vm, network_share, protection_task, metrics } =
        facets;
    wire::Resource {
        r#type: resource_type.to_wire(),
        technology,
        name: name.clone(),
        state: state.clone(),
        identity: identity_to_wire(identity),
        capacity: capacity.map(Into::into),
        tags: tags.clone(),
        incidents: incidents.iter().map(Into::into).collect(),
        agent: agent.as_deref().map(Into::into),
        truenas: truenas.as_deref().map(Into::into),
        storage: storage.as_deref().map(Into::into),
        physical_disk: physical_disk.as_deref().map(Into::into),
        app: app.as_deref().map(Into::into),
        vm: vm.as_deref().map(Into::into),
        network_share: network_share.as_deref().map(Into::into),
        protection_task: protection_task.as_deref().map(Into::into),
        metrics: metrics.as_deref().map(Into::into),
        ..wire::Resource::default()
    }
}

/// The record that has these fields; the ids and the section are what a resource does not show of it.
pub fn record_from_fields(
    source_id: &SourceId,
    parent: Option<&SourceId>,
    section: &SectionName,
    fields: wire::Resource,
) -> Result<IngestRecord, ProtocolError> {
    wire::IngestRecord {
        source_id: source_id.as_str().to_owned(),
        parent_source_id: parent.map(|id| id.as_str().to_owned()).unwrap_or_default(),
        section: section.as_str().to_owned(),
        r#type: fields.r#type,
        name: fields.name,
        state: fields.state,
        identity: fields.identity,
        capacity: fields.capacity,
        tags: fields.tags,
        incidents: fields.incidents,
        agent: fields.agent,
        truenas: fields.truenas,
        storage: fields.storage,
        physical_disk: fields.physical_disk,
        app: fields.app,
        vm: fields.vm,
        network_share: fields.network_share,
        protection_task: fields.protection_task,
        metrics: fields.metrics,
    }
    .try_into()
}

impl From<SourceBadge> for wire::SourceBadge {
    fn from(badge: SourceBadge) -> Self {
        let SourceBadge { source, label, tone } = badge;
        Self { source: source.to_wire(), label: label.to_owned(), tone: tone.to_owned() }
    }
}

impl From<&HealthReason> for wire::HealthReason {
    fn from(reason: &HealthReason) -> Self {
        let HealthReason { code, severity, summary, evidence } = reason;
        Self {
            code: (*code).to_owned(),
            severity: severity.to_wire(),
            summary: summary.clone(),
            evidence: evidence.clone(),
        }
    }
}
