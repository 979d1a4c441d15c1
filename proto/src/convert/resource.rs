//! Unified resources on their way out. Nothing decodes them here: clients use
//! the wire type as it is.

use super::record::identity_to_wire;
use super::value::timestamp_to_wire;
use crate::model::{Facets, HealthReason, Resource, SourceBadge, SourceStatus, UnixMillis};
use crate::pb::resource::v1 as wire;

/// `observed_at` is when the resource's section was last read; it changes
/// without the resource changing, so it is not part of it.
pub fn resource_to_wire(resource: &Resource, observed_at: Option<UnixMillis>) -> wire::Resource {
    let Resource {
        id,
        record,
        technology,
        display_name,
        severity,
        reasons,
        freshness,
        status,
        parent,
        child_count,
        sources,
        connection,
        connection_name,
        labels,
        created_at,
        updated_at,
        revision,
    } = resource;
    let Facets { agent, truenas, storage, physical_disk, app, vm, network_share, protection_task, metrics } =
        &record.facets;
    let observed = observed_at.map(timestamp_to_wire);
    let mut kinds: Vec<i32> = sources.iter().map(|s| s.source.to_wire()).collect();
    kinds.dedup();
    wire::Resource {
        id: id.as_str().to_owned(),
        r#type: record.resource_type.to_wire(),
        technology: technology.clone(),
        name: record.name.clone(),
        display_name: display_name.clone(),
        state: record.state.clone(),
        severity: severity.to_wire(),
        reasons: reasons.iter().map(Into::into).collect(),
        freshness: freshness.to_wire(),
        observed_at: observed,
        status: status.to_wire(),
        parent_id: parent.as_ref().map(|p| p.id.as_str().to_owned()).unwrap_or_default(),
        parent_name: parent.as_ref().map(|p| p.name.clone()).unwrap_or_default(),
        child_count: *child_count,
        sources: kinds,
        source_status: sources.iter().map(|s| source_status_to_wire(s, observed)).collect(),
        connection: connection.as_str().to_owned(),
        connection_name: (**connection_name).to_owned(),
        identity: identity_to_wire(&record.identity),
        capacity: record.capacity.map(Into::into),
        tags: record.tags.clone(),
        labels: (**labels).clone(),
        incidents: record.incidents.iter().map(Into::into).collect(),
        agent: agent.as_deref().map(Into::into),
        truenas: truenas.as_deref().map(Into::into),
        storage: storage.as_deref().map(Into::into),
        physical_disk: physical_disk.as_deref().map(Into::into),
        app: app.as_deref().map(Into::into),
        vm: vm.as_deref().map(Into::into),
        network_share: network_share.as_deref().map(Into::into),
        protection_task: protection_task.as_deref().map(Into::into),
        metrics: metrics.as_deref().map(Into::into),
        created_at: Some(timestamp_to_wire(*created_at)),
        updated_at: Some(timestamp_to_wire(*updated_at)),
        revision: revision.0,
    }
}

fn source_status_to_wire(
    status: &SourceStatus,
    last_seen: Option<prost_types::Timestamp>,
) -> wire::SourceStatus {
    let SourceStatus { source, source_id, connection, freshness, error } = status;
    wire::SourceStatus {
        source: source.to_wire(),
        source_id: source_id.as_str().to_owned(),
        connection: connection.as_str().to_owned(),
        freshness: freshness.to_wire(),
        last_seen,
        error: error.clone(),
        badge: Some(SourceBadge::of(*source).into()),
    }
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
