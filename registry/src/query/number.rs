//! Numbers of a resource that filters, orders and sums share.

use pulse_proto::model::{Capacity, Resource, Zfs};

use super::filter::field::NumberField;

pub(super) fn number(field: NumberField, resource: &Resource) -> Option<u64> {
    let capacity = resource.record.capacity.as_ref();
    let facets = &resource.record.facets;
    let metrics = facets.metrics.as_deref();
    match field {
        NumberField::TotalBytes => capacity.and_then(|capacity| capacity.total_bytes),
        NumberField::UsedBytes => capacity.and_then(|capacity| capacity.used_bytes),
        NumberField::AvailableBytes => capacity.and_then(|capacity| capacity.available_bytes),
        NumberField::Revision => Some(resource.revision.0),
        NumberField::Temperature => {
            facets.physical_disk.as_ref().and_then(|disk| disk.temperature_celsius).and_then(whole)
        }
        NumberField::CpuPercent => metrics.and_then(|metrics| metrics.cpu_percent).and_then(whole),
        NumberField::MemoryUsedPercent => {
            let (used, total) = metrics.and_then(|m| m.memory_used_bytes.zip(m.memory_total_bytes))?;
            used.saturating_mul(100).checked_div(total)
        }
        NumberField::SnapshotCount => match facets.storage.as_ref()?.zfs.as_ref()? {
            Zfs::Dataset(dataset) => dataset.snapshot_count,
            Zfs::Pool(_) => None,
        },
    }
}

/// Rounded; below zero there is nothing to compare with.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn whole(value: f64) -> Option<u64> {
    (0.0..1e9).contains(&value).then(|| value.round() as u64)
}

pub(super) fn used_ratio(resource: &Resource) -> Option<f64> {
    resource.record.capacity.as_ref().and_then(Capacity::used_ratio)
}
