//! Texts and times of a resource that filters and orders share.

use std::ops::Deref;

use pulse_proto::model::{ResourceIdText, UnixMillis};

use super::filter::field::{TextField, TimeField};
use crate::state::resource::Resource;

/// A text that is told, or an id written out.
pub enum Text<'a> {
    Told(&'a str),
    Id(ResourceIdText),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Told(text) => text,
            Self::Id(id) => id,
        }
    }
}

pub(crate) fn text(field: TextField, resource: &Resource) -> Text<'_> {
    let document = &resource.document;
    Text::Told(match field {
        TextField::Id => return Text::Id(resource.id.text()),
        TextField::ParentId => match &resource.parent {
            Some(parent) => return Text::Id(parent.id.text()),
            None => "",
        },
        TextField::Technology => document.technology(),
        TextField::Name => document.name(),
        TextField::DisplayName => resource.display_name(),
        TextField::State => document.state(),
        TextField::Connection => resource.connection.as_str(),
        TextField::ConnectionName => &resource.connection_name,
        TextField::Pool => document.pool(),
        TextField::Dataset => document.dataset(),
        TextField::Serial => document.serial(),
        TextField::Model => document.model(),
        TextField::Bus => document.bus(),
        TextField::Version => document.version(),
    })
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
