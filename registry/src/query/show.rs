//! A resource as clients get it: the few fields the registry adds are encoded
//! here, the rest lies encoded in its document.

use std::sync::LazyLock;

use prost::Message as _;
use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::{DataSource, HealthReason, SourceBadge, UnixMillis};
use pulse_proto::pb::registry::v1::{ChangeStep, ResourceChange};
use pulse_proto::pb::resource::v1 as wire;

use super::mask::Mask;
use super::put::{self, Expected, bytes, number, pair, text, time, word};
use crate::state::origin::Origin;
use crate::state::past::Tombstone;
use crate::state::resource::{Anchor, Resource, Site, SourcePart};
use crate::state::timeline::{Entry, Step};
use crate::state::view::View;

/// About what the added fields take.
const ADDED_BYTES: usize = 384;

/// Puts the resource behind what `out` holds. When things were last read changes without the resource changing, so it is
/// not part of it: `observed_at` is of the resource's own section, `view` tells it of the further sources, where it has any.
pub fn resource(
    resource: &Resource,
    observed_at: Option<UnixMillis>,
    view: &View,
    mask: &Mask,
    out: &mut Vec<u8>,
) {
    if mask.is_whole() {
        add(resource, observed_at, view, out);
        out.extend_from_slice(resource.document.body());
        return;
    }
    let mut added = Vec::with_capacity(ADDED_BYTES);
    add(resource, observed_at, view, &mut added);
    mask.prune(&added, out);
    mask.prune(resource.document.body(), out);
}

/// What is remembered of a resource that is gone.
pub fn tombstone(tombstone: &Tombstone, mask: &Mask, out: &mut Vec<u8>) {
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
    mask.prune(&resource.encode_to_vec(), out);
}

/// One entry of the timeline.
pub fn change(entry: &Entry) -> ResourceChange {
    let Entry { position, at, kind, id, resource_type, connection, source, texts } = entry;
    let step = |Step { field, from, to }: Step<'_>| ChangeStep {
        field: field.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let (from, to) = texts.steps().next().map(|first| (first.from.to_owned(), first.to.to_owned())).unzip();
    ResourceChange {
        resource_id: id.to_string(),
        kind: kind.token().to_owned(),
        from: from.unwrap_or_default(),
        to: to.unwrap_or_default(),
        observed_at: Some(timestamp_to_wire(*at)),
        source: source.to_wire(),
        reason: texts.reason().to_owned(),
        revision: position.revision.0,
        resource_name: texts.name().to_owned(),
        resource_type: resource_type.to_wire(),
        technology: texts.technology().to_owned(),
        connection: connection.to_string(),
        steps: texts.steps().map(step).collect(),
    }
}

/// A resource, decoded: for readers in this process.
pub fn decoded(resource: &Resource, observed_at: Option<UnixMillis>) -> wire::Resource {
    let mut shown = Vec::new();
    self::resource(resource, observed_at, &View::default(), &Mask::default(), &mut shown);
    // What was encoded by the contract is decoded by it.
    wire::Resource::decode(shown.as_slice()).unwrap_or_default()
}

fn add(resource: &Resource, observed_at: Option<UnixMillis>, view: &View, out: &mut Vec<u8>) {
    let Anchor { id, site, created_at, created: _ } = &*resource.anchor;
    let Site { parent, origin } = &**site;
    let Resource {
        anchor: _,
        document,
        severity,
        freshness,
        status,
        source: _,
        child_count,
        rare: _,
        updated_at,
        revision,
    } = resource;
    bytes(1, id.text().as_bytes(), out);
    text(5, resource.display_name(), out);
    word(7, severity.to_wire(), out);
    for reason in resource.reasons() {
        self::reason(8, reason, out);
    }
    word(9, freshness.to_wire(), out);
    if let Some(observed) = observed_at {
        time(10, observed, out);
    }
    word(11, status.to_wire(), out);
    if let Some(parent) = parent {
        bytes(12, parent.id.text().as_bytes(), out);
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
        let is_leading = resource.parts().is_none()
            || (part.connection, part.source_id) == (&origin.connection, &document.source_id);
        let seen = if is_leading { observed_at } else { view.seen(&part) };
        source_status(16, part, seen, out);
    }
    out.extend_from_slice(origin.encoded(self::origin));
    time(28, *created_at, out);
    time(29, *updated_at, out);
    number(30, revision.0, out);
}

/// What all resources of a connection show of it.
fn origin(origin: &Origin) -> Vec<u8> {
    let mut out = Vec::new();
    text(17, origin.connection.as_str(), &mut out);
    text(18, &origin.connection_name, &mut out);
    for (key, value) in origin.labels.iter() {
        pair(22, key, value, &mut out);
    }
    out
}

/// A `HealthReason`, as every resource in trouble has one.
fn reason(field: u32, reason: &HealthReason, out: &mut Vec<u8>) {
    let HealthReason { code, severity, summary, evidence } = reason;
    put::message(field, Expected::Long, out, |out| {
        text(1, code, out);
        word(2, severity.to_wire(), out);
        text(3, summary, out);
        for (key, value) in evidence.iter() {
            pair(4, key, value, out);
        }
    });
}

/// A `SourceStatus`, as every resource has one.
fn source_status(field: u32, part: SourcePart<'_>, last_seen: Option<UnixMillis>, out: &mut Vec<u8>) {
    let SourcePart { source, source_id, connection, section: _, freshness, error } = part;
    put::message(field, Expected::Short, out, |out| {
        word(1, source.to_wire(), out);
        text(2, source_id.as_str(), out);
        text(3, connection.as_str(), out);
        word(4, freshness.to_wire(), out);
        if let Some(last_seen) = last_seen {
            time(5, last_seen, out);
        }
        text(6, error, out);
        bytes(7, badge(source), out);
    });
}

/// A `SourceBadge`: there are few, and every resource shows one.
fn badge(source: DataSource) -> &'static [u8] {
    static ENCODED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let encoded = |source: &DataSource| wire::SourceBadge::from(SourceBadge::of(*source)).encode_to_vec();
        DataSource::ALL.iter().map(encoded).collect()
    });
    &ENCODED[source as usize]
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{ConnectionId, Freshness, SectionName, Severity, SourceId};

    use super::*;

    #[test]
    fn a_reason_is_what_the_contract_decodes() {
        let evidence =
            |pairs: &[(&'static str, &str)]| pairs.iter().map(|(key, value)| (*key, *value)).collect();
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
        let seen = UnixMillis::new(7_005);
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
                source_status(16, part, last_seen, &mut out);
                let expected = wire::SourceStatus {
                    source: source.to_wire(),
                    source_id: "system:a/pool:tank".to_owned(),
                    connection: "a".to_owned(),
                    freshness: freshness.to_wire(),
                    last_seen: last_seen.map(timestamp_to_wire),
                    error: error.to_owned(),
                    badge: Some(SourceBadge::of(*source).into()),
                };
                let shown = wire::Resource::decode(out.as_slice()).unwrap();
                assert_eq!(shown.source_status, [expected]);
            }
        }
    }
}
