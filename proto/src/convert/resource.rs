//! The fields of a resource that its record alone decides, as clients get
//! them, and the way back. What else a resource has is the registry's to add.

use std::collections::BTreeSet;

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, int32, message};

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

/// The same of a record as it was told, encoded: what `record_to_fields` of the record that it is encodes to, with its times as exact
/// as they were told. Copies nothing on the way, for every changed record passes here.
pub fn told_to_fields(record: &wire::IngestRecord, technology: &str) -> Vec<u8> {
    let wire::IngestRecord {
        source_id: _,
        parent_source_id: _,
        section: _,
        r#type,
        name,
        state,
        identity,
        capacity,
        tags,
        incidents,
        agent,
        truenas,
        storage,
        physical_disk,
        app,
        vm,
        network_share,
        protection_task,
        metrics,
    } = record;
    let mut out = Vec::with_capacity(record.encoded_len() + technology.len());
    if *r#type != 0 {
        int32::encode(2, r#type, &mut out);
    }
    text(3, technology, &mut out);
    text(4, name, &mut out);
    text(6, state, &mut out);
    one(19, identity.as_ref().filter(|identity| **identity != wire::Identity::default()), &mut out);
    one(20, capacity.as_ref(), &mut out);
    for tag in tags.iter().collect::<BTreeSet<_>>() {
        bytes(21, tag, &mut out);
    }
    message::encode_repeated(23, incidents, &mut out);
    one(24, agent.as_ref(), &mut out);
    one(25, truenas.as_ref(), &mut out);
    one(26, storage.as_ref(), &mut out);
    one(27, physical_disk.as_ref(), &mut out);
    one(31, app.as_ref(), &mut out);
    one(32, vm.as_ref(), &mut out);
    one(33, network_share.as_ref(), &mut out);
    one(34, protection_task.as_ref(), &mut out);
    one(35, metrics.as_ref(), &mut out);
    out
}

fn one(field: u32, value: Option<&impl Message>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        message::encode(field, value, out);
    }
}

fn text(field: u32, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        bytes(field, value, out);
    }
}

fn bytes(field: u32, value: &str, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value.as_bytes());
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
            evidence: evidence.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }
}
