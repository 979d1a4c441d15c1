//! Events as bytes, and messages of them.

use bytes::Bytes;
use prost::Message as _;
use pulse_proto::encoded::{EncodedResource, EncodedWatchResponse};
use pulse_proto::model::Revision;
use pulse_proto::pb::registry::v1::WatchResourcesResponse;
use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};
use pulse_proto::served::registry::v1::ResourceEvent;

use super::limits::{Limits, MESSAGE_BYTES_MAX};

/// Number of the events in `WatchResourcesResponse`.
const EVENTS: u32 = 1;

pub(super) fn event(
    kind: Kind,
    removal: Removal,
    shown: EncodedResource,
    revision: Revision,
) -> ResourceEvent {
    ResourceEvent {
        kind: kind.into(),
        resource: Some(shown),
        removal: removal.into(),
        revision: revision.0,
        changes: Vec::new(),
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

    pub(super) fn add(&mut self, event: &ResourceEvent) {
        prost::encoding::message::encode(EVENTS, event, &mut self.bytes);
        self.events += 1;
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }
}

/// Events that are encoded already, and what the message says besides.
pub(super) fn message(mut events: Vec<Bytes>, rest: &WatchResourcesResponse) -> EncodedWatchResponse {
    events.push(rest.encode_to_vec().into());
    events.retain(|part| !part.is_empty());
    EncodedWatchResponse(events)
}
