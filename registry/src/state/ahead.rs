//! Looking ahead. What shows a resource, or makes one of a record, lies in many
//! places of memory, each found by reading another. One after the other, a
//! processor waits for each of them; for many side by side it waits once. What
//! that gains stands in docs/adr/0012.

use std::hint::black_box;
use std::sync::Arc;

use super::document::Document;
use super::resource::Resource;

/// Things at once: more than a processor fetches side by side, and few enough to be still near when they are needed.
pub const MANY: usize = 32;

/// Touches everything that showing them reads, from the outside in. Has no other effect.
pub fn resources<'a>(resources: &(impl Iterator<Item = &'a Arc<Resource>> + Clone)) {
    let touch = |read: fn(&Resource) -> usize| {
        black_box(resources.clone().fold(0_usize, |sum, resource| sum.wrapping_add(read(resource))));
    };
    touch(|resource| resource.reasons().len());
    touch(|resource| resource.anchor.labels.len().wrapping_add(resource.document.body().len()));
    touch(|resource| {
        bytes_of(&resource.document)
            .wrapping_add(resource.parent.as_ref().map_or(0, |parent| first(parent.name.as_bytes())))
            .wrapping_add(resource.reasons().first().map_or(0, |reason| reason.summary.len()))
    });
    // Few have any; who asks for those in trouble finds no others.
    touch(|resource| {
        let reason = resource.reasons().first();
        reason
            .map_or(0, |reason| first(reason.summary.as_bytes()).wrapping_add(reason.evidence.first().len()))
    });
    touch(|resource| {
        resource.reasons().first().map_or(0, |reason| first(reason.evidence.first().as_bytes()))
    });
}

/// The same of what is read to judge them.
pub(super) fn documents<'a>(documents: &(impl Iterator<Item = &'a Document> + Clone)) {
    let touch = |read: fn(&Document) -> usize| {
        black_box(documents.clone().fold(0_usize, |sum, document| sum.wrapping_add(read(document))));
    };
    touch(|document| document.body().len());
    touch(bytes_of);
}

fn bytes_of(document: &Document) -> usize {
    first(document.body())
        .wrapping_add(first(document.source_id.as_str().as_bytes()))
        .wrapping_add(document.section.as_str().len())
}

fn first(bytes: &[u8]) -> usize {
    bytes.first().copied().map_or(0, usize::from)
}
