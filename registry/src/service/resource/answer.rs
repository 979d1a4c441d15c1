//! What was found, as messages.

use prost::Message as _;
use pulse_proto::encoded::EncodedResource;
use pulse_proto::model::SourceBadge;
use pulse_proto::pb::registry::v1 as pb;

use crate::query::list::Listing;
use crate::query::mask::Mask;
use crate::query::show;
use crate::query::summary::{Summary, Tally};

/// Encoded resources beyond which a page ends early: clients by default refuse messages above 4 MiB.
const PAGE_BYTES_MAX: usize = 3 << 20;

/// At most `size` resources from `offset` on; fewer when they are large, but
/// at least one if there is one.
pub(super) fn page(listing: &Listing, offset: usize, size: usize, mask: &Mask) -> Vec<EncodedResource> {
    let mut resources = Vec::with_capacity(size.min(listing.len().saturating_sub(offset)));
    let mut bytes = 0;
    for found in listing.from(offset).take(size) {
        let resource = show::resource(&found.resource, found.observed_at, &listing.view, mask);
        bytes += resource.encoded_len();
        if bytes > PAGE_BYTES_MAX && !resources.is_empty() {
            break;
        }
        resources.push(resource);
    }
    resources
}

pub(super) fn summary(summary: Summary) -> pb::SummarizeResourcesResponse {
    let Summary { revision, total, by_type, by_source, by_status, by_severity, by_freshness, pool_capacity } =
        summary;
    macro_rules! rows {
        ($map:expr, $message:ident, $field:ident, $wire:expr) => {
            $map.into_iter()
                .map(|(key, Tally { count, capacity })| pb::$message {
                    $field: $wire(key),
                    count: signed(count),
                    capacity: Some(capacity.into()),
                })
                .collect()
        };
    }
    pb::SummarizeResourcesResponse {
        total: signed(total),
        by_type: rows!(by_type, TypeSummary, r#type, pulse_proto::model::ResourceType::to_wire),
        by_source: rows!(by_source, SourceSummary, badge, |source| Some(SourceBadge::of(source).into())),
        by_status: rows!(by_status, StatusSummary, status, pulse_proto::model::Status::to_wire),
        by_severity: rows!(by_severity, SeveritySummary, severity, pulse_proto::model::Severity::to_wire),
        by_freshness: by_freshness
            .into_iter()
            .map(|(freshness, count)| pb::FreshnessSummary {
                freshness: freshness.to_wire(),
                count: signed(count),
            })
            .collect(),
        pool_capacity: Some(pool_capacity.into()),
        revision: revision.0,
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
