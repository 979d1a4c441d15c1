//! Numbers of a resource that filters, orders and sums share.

use pulse_proto::model::{Capacity, Resource};

use super::filter::field::NumberField;

pub(super) fn number(field: NumberField, resource: &Resource) -> Option<u64> {
    let capacity = resource.record.capacity.as_ref();
    match field {
        NumberField::TotalBytes => capacity.and_then(|capacity| capacity.total_bytes),
        NumberField::UsedBytes => capacity.and_then(|capacity| capacity.used_bytes),
        NumberField::AvailableBytes => capacity.and_then(|capacity| capacity.available_bytes),
        NumberField::Revision => Some(resource.revision.0),
    }
}

pub(super) fn used_ratio(resource: &Resource) -> Option<f64> {
    resource.record.capacity.as_ref().and_then(Capacity::used_ratio)
}
