//! Some changes of one revision, judged and encoded. Pure.

use bytes::Bytes;
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};

use super::Audience;
use crate::query::show;
use crate::state::change::{Change, Changes};
use crate::state::view::View;
use crate::watch::encode::{Batch, Event};

#[derive(Debug)]
pub(in crate::watch) struct Part {
    pub(in crate::watch) chunks: Vec<Chunk>,
}

/// Events that travel together.
#[derive(Clone, Debug)]
pub(in crate::watch) struct Chunk {
    pub(in crate::watch) bytes: Bytes,
    pub(in crate::watch) events: usize,
}

impl Part {
    pub(super) fn tell(audience: &Audience, step: &Changes, number: usize, view: &View) -> Self {
        let len = audience.part_len();
        let from = number.saturating_mul(len).min(step.items.len());
        let items = &step.items[from..step.items.len().min(from + len)];
        audience.judges(items.len());
        let matches = |resource| audience.filter.matches(resource, None);
        // Both are in the order of ids.
        let before =
            items.first().map_or(0, |first| step.entries.partition_point(|entry| entry.id < *first.id()));
        let mut entries = step.entries[before..].iter().peekable();
        let (mut chunks, mut batch) = (Vec::new(), Batch::default());
        for item in items {
            let mut own = Vec::new();
            while let Some(entry) = entries.next_if(|entry| entry.id == *item.id()) {
                own.push(entry);
            }
            let (resource, kind, removal) = match item {
                Change::Added(after) if matches(after) => (after, Kind::Added, Removal::Unspecified),
                Change::Removed(before) if matches(before) => (before, Kind::Removed, Removal::Deleted),
                Change::Changed { before, after } => match (matches(before), matches(after)) {
                    (false, false) => continue,
                    (false, true) => (after, Kind::Added, Removal::Unspecified),
                    (true, true) => (after, Kind::Changed, Removal::Unspecified),
                    (true, false) => (after, Kind::Removed, Removal::Filtered),
                },
                Change::Added(_) | Change::Removed(_) => continue,
            };
            let observed_at = view.shard(&resource.connection).and_then(|shard| shard.observed_at(resource));
            let changes = own.into_iter().map(|entry| show::change(entry)).collect();
            let event = Event { kind, removal, revision: step.revision, changes };
            batch.add(&event, |out| show::resource(resource, observed_at, view, &audience.mask, out));
            if batch.is_full(audience.limits()) {
                chunks.push(std::mem::take(&mut batch).into());
            }
        }
        if !batch.is_empty() {
            chunks.push(batch.into());
        }
        Self { chunks }
    }

    pub(super) fn bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    #[cfg(test)]
    pub(super) fn events(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.events).sum()
    }
}

impl From<Batch> for Chunk {
    fn from(batch: Batch) -> Self {
        let events = batch.len();
        Self { bytes: batch.into_bytes(), events }
    }
}
