//! One thing in the fleet, as its sources together see it, with health derived.

use std::ops::Deref;
use std::sync::Arc;

use pulse_proto::model::{
    ConnectionId, DataSource, Freshness, HealthReason, ResourceId, ResourceType, Revision, SectionName,
    Severity, SourceId, Status, UnixMillis,
};

use super::document::Document;
use super::document::read::number;
use super::origin::Origin;

/// A unified resource. Immutable once built; a change makes a new one. When it
/// was last observed is a fact of its section and is added on the way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Resource {
    pub anchor: triomphe::Arc<Anchor>,
    /// The newest record of the leading source; what it lacks is filled from the others.
    pub document: Document,
    pub severity: Severity,
    pub freshness: Freshness,
    pub status: Status,
    pub source: DataSource,
    pub child_count: u32,
    /// `None` when there is nothing of it.
    pub rare: Option<Arc<Rare>>,
    pub updated_at: UnixMillis,
    pub revision: Revision,
}

// With its counts each fills a class of allocators: a word more takes sixteen bytes of every resource.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Resource>() == 48 && size_of::<Anchor>() == 40);

/// What few resources have; versions of a resource share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rare {
    pub reasons: Box<[HealthReason]>,
    /// Why it is not fresh, when known.
    pub error: Option<Arc<str>>,
    /// Every source's part, ascending by source; `None` when there is but one.
    pub parts: Option<Box<[Part]>>,
}

/// What stays while facts change; versions of a resource share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub id: ResourceId,
    pub site: Arc<Site>,
    pub created_at: UnixMillis,
    /// The revision it came with.
    pub created: Revision,
}

/// Where it is. Siblings share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    pub parent: Option<Parent>,
    pub origin: Arc<Origin>,
}

/// It is part of the resource; where it is kept is nobody's concern.
impl Deref for Resource {
    type Target = Anchor;

    fn deref(&self) -> &Anchor {
        &self.anchor
    }
}

/// The same.
impl Deref for Anchor {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

/// The same.
impl Deref for Site {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.origin
    }
}

/// What a child shows of its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub id: ResourceId,
    pub name: Arc<str>,
}

/// What one source brings to a resource that has several. Parts are equal when they show the same and name the same
/// thing: what a record says beyond that is in the resource, or nowhere.
#[derive(Clone, Debug)]
pub struct Part {
    pub source: DataSource,
    pub connection: ConnectionId,
    pub freshness: Freshness,
    pub error: Option<Arc<str>>,
    /// Its record as told.
    pub document: Document,
}

/// One source's part in a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePart<'a> {
    pub source: DataSource,
    pub source_id: &'a SourceId,
    pub connection: &'a ConnectionId,
    pub section: &'a SectionName,
    pub freshness: Freshness,
    /// Why it is not fresh, when known.
    pub error: &'a str,
}

impl Rare {
    pub fn kept(self) -> Option<Arc<Self>> {
        (self != Self::default()).then(|| Arc::new(self))
    }
}

impl Resource {
    pub fn anchor_mut(&mut self) -> &mut Anchor {
        triomphe::Arc::make_mut(&mut self.anchor)
    }

    pub fn site_mut(&mut self) -> &mut Site {
        Arc::make_mut(&mut self.anchor_mut().site)
    }

    pub fn reasons(&self) -> &[HealthReason] {
        self.rare.as_ref().map_or(&[], |rare| &*rare.reasons)
    }

    pub fn error(&self) -> Option<&str> {
        self.rare.as_ref()?.error.as_deref()
    }

    pub fn parts(&self) -> Option<&[Part]> {
        self.rare.as_ref()?.parts.as_deref()
    }

    pub fn resource_type(&self) -> ResourceType {
        self.document.resource_type
    }

    pub fn name(&self) -> &str {
        self.document.name()
    }

    /// People call a system by the name they gave its connection.
    pub fn display_name(&self) -> &str {
        if self.resource_type() == ResourceType::Host && !self.connection_name.is_empty() {
            &self.connection_name
        } else {
            self.name()
        }
    }

    /// Ascending by source; never empty.
    pub fn sources(&self) -> impl Iterator<Item = SourcePart<'_>> {
        let parts = self.parts();
        let only = SourcePart {
            source: self.source,
            source_id: &self.document.source_id,
            connection: &self.connection,
            section: &self.document.section,
            freshness: self.freshness,
            error: self.error().unwrap_or_default(),
        };
        let only = parts.is_none().then_some(only);
        only.into_iter().chain(parts.into_iter().flatten().map(Part::shown))
    }

    /// The records it is made of, as told, with where they are held. Ascending by source.
    pub fn records(&self) -> impl Iterator<Item = (&ConnectionId, DataSource, &Document)> {
        let parts = self.parts();
        let only = parts.is_none().then_some((&self.connection, self.source, &self.document));
        let parts = parts.into_iter().flatten().map(|part| (&part.connection, part.source, &part.document));
        only.into_iter().chain(parts)
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        let [own, others] = [self, other].map(|part| part.document.fields().message(number::IDENTITY));
        self.shown() == other.shown() && own == others
    }
}

impl Eq for Part {}

impl Part {
    /// What a resource of one source is when it becomes a part.
    pub(super) fn of(resource: &Resource) -> Self {
        Self {
            source: resource.source,
            connection: resource.connection.clone(),
            freshness: resource.freshness,
            error: resource.rare.as_ref().and_then(|rare| rare.error.clone()),
            document: resource.document.clone(),
        }
    }

    fn shown(&self) -> SourcePart<'_> {
        SourcePart {
            source: self.source,
            source_id: &self.document.source_id,
            connection: &self.connection,
            section: &self.document.section,
            freshness: self.freshness,
            error: self.error.as_deref().unwrap_or_default(),
        }
    }
}
