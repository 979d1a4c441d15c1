//! Texts and times of a resource that filters and orders share.

use pulse_proto::model::UnixMillis;

use super::filter::field::{TextField, TimeField};
use crate::state::resource::Resource;

pub(crate) fn text(field: TextField, resource: &Resource) -> &str {
    let document = &resource.document;
    match field {
        TextField::Id => resource.id.as_str(),
        TextField::Technology => document.technology(),
        TextField::Name => document.name(),
        TextField::DisplayName => resource.display_name(),
        TextField::State => document.state(),
        TextField::Connection => resource.connection.as_str(),
        TextField::ConnectionName => &resource.connection_name,
        TextField::ParentId => resource.parent.as_ref().map_or("", |parent| parent.id.as_str()),
        TextField::Pool => document.pool(),
        TextField::Dataset => document.dataset(),
        TextField::Serial => document.serial(),
        TextField::Model => document.model(),
        TextField::Bus => document.bus(),
        TextField::Version => document.version(),
    }
}

pub(super) fn time(
    field: TimeField,
    resource: &Resource,
    observed_at: Option<UnixMillis>,
) -> Option<UnixMillis> {
    match field {
        TimeField::Observed => observed_at,
        TimeField::Created => Some(resource.created_at),
        TimeField::Updated => Some(resource.updated_at),
    }
}
