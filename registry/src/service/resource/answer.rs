//! What was found, as messages.

use bytes::Bytes;
use prost::Message as _;
use pulse_proto::encoded::EncodedParts;
use pulse_proto::model::SourceBadge;
use pulse_proto::pb::registry::v1 as pb;

use crate::query::list::Listing;
use crate::query::mask::Mask;
use crate::query::put::{self, Expected};
use crate::query::show;
use crate::query::summary::{Summary, Tally};
use crate::state::view::{Found, View};

/// Encoded resources beyond which a page ends early: clients by default refuse messages above 4 MiB.
const PAGE_BYTES_MAX: usize = 3 << 20;
/// Number of the resources in `ListResourcesResponse`.
const RESOURCES: u32 = 1;
/// Number of the resource in `GetResourceResponse`.
const RESOURCE: u32 = 1;
/// About what a resource takes, for the first buffer.
const RESOURCE_BYTES: usize = 1_536;
/// The same of one that is masked.
const MASKED_BYTES: usize = 128;

/// Resources of a list, encoded as its answer has them.
pub(super) struct Page {
    pub(super) len: usize,
    resources: Bytes,
}

impl Page {
    /// At most `size` resources from `offset` on; fewer when they are large, but
    /// at least one if there is one.
    pub(super) fn of(listing: &Listing, offset: usize, size: usize, mask: &Mask) -> Self {
        let each = if mask.is_whole() { RESOURCE_BYTES } else { MASKED_BYTES };
        let rows = size.min(listing.len().saturating_sub(offset));
        let mut out = Vec::with_capacity((rows * each).min(PAGE_BYTES_MAX));
        let mut len = 0;
        for (resource, observed_at) in listing.rows(offset).take(size) {
            let before = out.len();
            put::message(RESOURCES, Expected::Long, &mut out, |out| {
                show::resource(resource, observed_at, &listing.view, mask, out);
            });
            if out.len() > PAGE_BYTES_MAX && len > 0 {
                out.truncate(before);
                break;
            }
            len += 1;
        }
        Self { len, resources: out.into() }
    }

    /// The answer, of which `rest` has everything else.
    pub(super) fn with(self, rest: &pb::ListResourcesResponse) -> EncodedParts {
        let mut parts = vec![self.resources, rest.encode_to_vec().into()];
        parts.retain(|part| !part.is_empty());
        EncodedParts(parts)
    }
}

/// One resource.
pub(super) fn single(found: &Found, view: &View, mask: &Mask) -> EncodedParts {
    let mut out = Vec::with_capacity(RESOURCE_BYTES);
    put::message(RESOURCE, Expected::Long, &mut out, |out| {
        show::resource(&found.resource, found.observed_at, view, mask, out);
    });
    let rest = pb::GetResourceResponse { resource: None, revision: view.revision.0 };
    EncodedParts(vec![out.into(), rest.encode_to_vec().into()])
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
