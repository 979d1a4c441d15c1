//! Numbers of a resource that filters, orders and sums share.

use pulse_proto::model::Capacity;

use super::filter::field::NumberField;
use crate::state::resource::Resource;

pub(super) fn number(field: NumberField, resource: &Resource) -> Option<u64> {
    let document = &resource.document;
    match field {
        NumberField::TotalBytes => document.capacity()?.total_bytes,
        NumberField::UsedBytes => document.capacity()?.used_bytes,
        NumberField::AvailableBytes => document.capacity()?.available_bytes,
        NumberField::Revision => Some(resource.revision.0),
        NumberField::Temperature => document.temperature_celsius().and_then(whole),
        NumberField::CpuPercent => document.cpu_percent().and_then(whole),
        NumberField::MemoryUsedPercent => {
            let (used, total) = document.memory()?;
            used.saturating_mul(100).checked_div(total)
        }
        NumberField::SnapshotCount => document.snapshot_count(),
    }
}

/// Rounded; below zero there is nothing to compare with.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn whole(value: f64) -> Option<u64> {
    (0.0..1e9).contains(&value).then(|| value.round() as u64)
}

pub(super) fn used_ratio(resource: &Resource) -> Option<f64> {
    resource.document.capacity().as_ref().and_then(Capacity::used_ratio)
}
