//! Events as bytes, and messages of them.

use bytes::Bytes;
use prost::Message as _;
use pulse_proto::encoded::EncodedParts;
use pulse_proto::model::Revision;
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};
use pulse_proto::pb::registry::v1::{ResourceChange, WatchResourcesResponse};

use super::limits::{Limits, MESSAGE_BYTES_MAX};
use crate::query::put::{self, Expected};

/// Number of the events in `WatchResourcesResponse`.
const EVENTS: u32 = 1;

/// A `ResourceEvent`, but for what it is about.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) kind: Kind,
    pub(super) removal: Removal,
    pub(super) revision: Revision,
    pub(super) changes: Vec<ResourceChange>,
}

impl Event {
    pub(super) const fn new(kind: Kind, removal: Removal, revision: Revision) -> Self {
        Self { kind, removal, revision, changes: Vec::new() }
    }
}

/// Events that travel in one message.
#[derive(Debug, Default)]
pub(super) struct Batch {
    events: usize,
    bytes: Vec<u8>,
}

impl Batch {
    pub(super) fn is_full(&self, limits: Limits) -> bool {
        self.events == limits.events || self.bytes.len() >= MESSAGE_BYTES_MAX
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.events == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.events
    }

    /// `show` puts the resource behind what a buffer holds.
    pub(super) fn add(&mut self, event: &Event, show: impl FnOnce(&mut Vec<u8>)) {
        let Event { kind, removal, revision, changes } = event;
        put::message(EVENTS, Expected::Long, &mut self.bytes, |out| {
            put::word(1, (*kind).into(), out);
            put::message(2, Expected::Long, out, show);
            put::word(3, (*removal).into(), out);
            put::number(4, revision.0, out);
            for change in changes {
                prost::encoding::message::encode(5, change, out);
            }
        });
        self.events += 1;
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }
}

/// Events that are encoded already, and what the message says besides.
pub(super) fn message(mut events: Vec<Bytes>, rest: &WatchResourcesResponse) -> EncodedParts {
    events.push(rest.encode_to_vec().into());
    events.retain(|part| !part.is_empty());
    EncodedParts(events)
}
