//! A resource as clients get it: the few fields the registry adds are encoded
//! here, the rest lies encoded in its document.

use std::sync::{Arc, LazyLock};

use bytes::{Buf as _, Bytes};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::encoded::EncodedResource;
use pulse_proto::model::{DataSource, HealthReason, SourceBadge, UnixMillis};
use pulse_proto::pb::registry::v1::{ChangeStep, ResourceChange};
use pulse_proto::pb::resource::v1 as wire;

use super::mask::Mask;
use crate::state::document::Document;
use crate::state::past::Tombstone;
use crate::state::resource::{Anchor, Resource, SourcePart};
use crate::state::timeline::{Entry, Step};
use crate::state::view::View;

/// About what the added fields take.
const ADDED_BYTES: usize = 384;
/// About what a status of a source takes beside its texts.
const STATUS_BYTES: usize = 96;

/// When things were last read changes without the resource changing, so it is not part of it: `observed_at` is of the
/// resource's own section, `view` tells it of the further sources, where it has any.
pub fn resource(
    resource: &Resource,
    observed_at: Option<UnixMillis>,
    view: &View,
    mask: &Mask,
) -> EncodedResource {
    let mut added = Vec::with_capacity(ADDED_BYTES);
    add(resource, observed_at, view, &mut added);
    if mask.is_whole() {
        let body = Bytes::from_owner(Body(Arc::clone(&resource.document)));
        return EncodedResource { added: added.into(), body };
    }
    let mut kept = Vec::new();
    mask.prune(&added, &mut kept);
    mask.prune(resource.document.body(), &mut kept);
    kept.into()
}

/// The bytes of a document, held for as long as somebody writes them.
struct Body(Arc<Document>);

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        self.0.body()
    }
}

/// What is remembered of a resource that is gone.
pub fn tombstone(tombstone: &Tombstone, mask: &Mask) -> EncodedResource {
    let Tombstone { position, at, id, resource_type, name, technology, connection, connection_name, source } =
        tombstone;
    let resource = wire::Resource {
        id: id.to_string(),
        r#type: resource_type.to_wire(),
        technology: technology.to_string(),
        name: name.to_string(),
        display_name: name.to_string(),
        sources: vec![source.to_wire()],
        connection: connection.to_string(),
        connection_name: connection_name.to_string(),
        updated_at: Some(timestamp_to_wire(*at)),
        revision: position.revision.0,
        ..wire::Resource::default()
    };
    let whole = resource.encode_to_vec();
    if mask.is_whole() {
        return whole.into();
    }
    let mut kept = Vec::new();
    mask.prune(&whole, &mut kept);
    kept.into()
}

/// One entry of the timeline.
pub fn change(entry: &Entry) -> ResourceChange {
    let Entry { position, at, kind, id, resource_type, name, technology, connection, source, steps, reason } =
        entry;
    let step = |step: &Step| ChangeStep {
        field: step.field.to_string(),
        from: step.from.to_string(),
        to: step.to.to_string(),
    };
    let (from, to) = steps.first().map(|first| (first.from.to_string(), first.to.to_string())).unzip();
    ResourceChange {
        resource_id: id.to_string(),
        kind: kind.token().to_owned(),
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        observed_at: Some(timestamp_to_wire(*at)),
        source: source.to_wire(),
        reason: reason.to_string(),
        revision: position.revision.0,
        resource_name: name.to_string(),
        resource_type: resource_type.to_wire(),
        technology: technology.to_string(),
        connection: connection.to_string(),
        steps: steps.iter().map(step).collect(),
    }
}

/// A resource, decoded: for readers in this process.
pub fn decoded(resource: &Resource, observed_at: Option<UnixMillis>) -> wire::Resource {
    let shown = self::resource(resource, observed_at, &View::default(), &Mask::default());
    // Both directions are the same generated code, so this cannot fail.
    wire::Resource::decode(shown.added.chain(shown.body)).unwrap_or_default()
}

fn add(resource: &Resource, observed_at: Option<UnixMillis>, view: &View, out: &mut Vec<u8>) {
    let Anchor { id, parent, connection, connection_name, labels } = &*resource.anchor;
    let Resource {
        anchor: _,
        document: _,
        severity,
        freshness,
        status,
        source: _,
        reasons,
        child_count,
        error: _,
        parts,
        created_at,
        updated_at,
        revision,
        created: _,
    } = resource;
    text(1, id.as_str(), out);
    text(5, resource.display_name(), out);
    word(7, severity.to_wire(), out);
    for reason in reasons {
        self::reason(8, reason, out);
    }
    word(9, freshness.to_wire(), out);
    let observed = observed_at.map(timestamp_to_wire);
    if let Some(observed) = &observed {
        message(10, observed, out);
    }
    word(11, status.to_wire(), out);
    if let Some(parent) = parent {
        text(12, parent.id.as_str(), out);
        text(13, &parent.name, out);
    }
    number(14, u64::from(*child_count), out);
    let mut last = None;
    for part in resource.sources() {
        // Ascending by source: repetitions stand together.
        if last.replace(part.source) != Some(part.source) {
            word(15, part.source.to_wire(), out);
        }
    }
    for part in resource.sources() {
        let is_leading = parts.is_none()
            || (part.connection, part.source_id) == (connection, &resource.document.source_id);
        let seen = if is_leading { observed } else { view.seen(&part).map(timestamp_to_wire) };
        source_status(16, part, seen.as_ref(), out);
    }
    text(17, connection.as_str(), out);
    text(18, connection_name, out);
    for (key, value) in labels.iter() {
        pair(22, key, value, out);
    }
    message(28, &timestamp_to_wire(*created_at), out);
    message(29, &timestamp_to_wire(*updated_at), out);
    number(30, revision.0, out);
}

/// A `HealthReason`, as every resource in trouble has one.
fn reason(field: u32, reason: &HealthReason, out: &mut Vec<u8>) {
    let HealthReason { code, severity, summary, evidence } = reason;
    let mut told = Vec::with_capacity(STATUS_BYTES + summary.len());
    text(1, code, &mut told);
    word(2, severity.to_wire(), &mut told);
    text(3, summary, &mut told);
    for (key, value) in evidence {
        pair(4, key, value, &mut told);
    }
    bytes(field, &told, out);
}

/// An entry of a map.
fn pair(field: u32, key: &str, value: &str, out: &mut Vec<u8>) {
    let mut entry = Vec::with_capacity(key.len() + value.len() + 8);
    text(1, key, &mut entry);
    text(2, value, &mut entry);
    bytes(field, &entry, out);
}

/// A `SourceStatus`, as every resource has one.
fn source_status(
    field: u32,
    part: SourcePart<'_>,
    last_seen: Option<&prost_types::Timestamp>,
    out: &mut Vec<u8>,
) {
    let SourcePart { source, source_id, connection, section: _, freshness, error } = part;
    let mut status = Vec::with_capacity(STATUS_BYTES + source_id.as_str().len() + error.len());
    word(1, source.to_wire(), &mut status);
    text(2, source_id.as_str(), &mut status);
    text(3, connection.as_str(), &mut status);
    word(4, freshness.to_wire(), &mut status);
    if let Some(last_seen) = last_seen {
        message(5, last_seen, &mut status);
    }
    text(6, error, &mut status);
    bytes(7, badge(source), &mut status);
    bytes(field, &status, out);
}

/// A `SourceBadge`: there are few, and every resource shows one.
fn badge(source: DataSource) -> &'static [u8] {
    static ENCODED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let encoded = |source: &DataSource| wire::SourceBadge::from(SourceBadge::of(*source)).encode_to_vec();
        DataSource::ALL.iter().map(encoded).collect()
    });
    &ENCODED[source as usize]
}

fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        encode_key(field, WireType::Varint, out);
        encode_varint(value, out);
    }
}

/// An enum.
fn word(field: u32, value: i32, out: &mut Vec<u8>) {
    number(field, u64::try_from(value).unwrap_or_default(), out);
}

fn text(field: u32, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        bytes(field, value.as_bytes(), out);
    }
}

fn message(field: u32, value: &impl prost::Message, out: &mut Vec<u8>) {
    prost::encoding::message::encode(field, value, out);
}

fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ConnectionId, Freshness, SectionName, Severity, SourceId};

    use super::*;

    #[test]
    fn a_reason_is_what_the_contract_decodes() {
        let evidence = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        for evidence in [evidence(&[]), evidence(&[("pool", "tank"), ("state", "")])] {
            let summary = "Pool tank is degraded.".to_owned();
            let told =
                HealthReason { code: "zfs_pool_state", severity: Severity::Critical, summary, evidence };
            let mut out = Vec::new();
            reason(8, &told, &mut out);
            let shown = wire::Resource::decode(out.as_slice()).unwrap();
            assert_eq!(shown.reasons, [wire::HealthReason::from(&told)]);
        }
    }

    #[test]
    fn a_status_of_every_source_is_what_the_contract_decodes() {
        let source_id = SourceId::parse("system:a/pool:tank").unwrap();
        let connection = ConnectionId::parse("a").unwrap();
        let section = SectionName::parse("pools").unwrap();
        let seen = prost_types::Timestamp { seconds: 7, nanos: 5_000_000 };
        for source in DataSource::ALL {
            for (freshness, last_seen, error) in
                [(Freshness::Fresh, Some(seen), ""), (Freshness::Stale, None, "timed out")]
            {
                let part = SourcePart {
                    source: *source,
                    source_id: &source_id,
                    connection: &connection,
                    section: &section,
                    freshness,
                    error,
                };
                let mut out = Vec::new();
                source_status(16, part, last_seen.as_ref(), &mut out);
                let expected = wire::SourceStatus {
                    source: source.to_wire(),
                    source_id: "system:a/pool:tank".to_owned(),
                    connection: "a".to_owned(),
                    freshness: freshness.to_wire(),
                    last_seen,
                    error: error.to_owned(),
                    badge: Some(SourceBadge::of(*source).into()),
                };
                let shown = wire::Resource::decode(out.as_slice()).unwrap();
                assert_eq!(shown.source_status, [expected]);
            }
        }
    }
}
