//! Senders that may bring only connections with certain labels: neither what they tell now nor what is held may say
//! otherwise, or one could take over what is another's.

use std::collections::BTreeMap;

use pulse_proto::model::{ConnectionId, ConnectionStatus, Sequence};

use super::{Applied, State};
use crate::state::input::{Answer, Input, RejectReason};

type Labels = BTreeMap<String, String>;

impl State {
    /// Why the input as a whole is not applied.
    pub(super) fn out_of_bounds(&self, input: &Input, bound: &Labels) -> Option<Applied> {
        if bound.is_empty() {
            return None;
        }
        let (connection, epoch, sequence, told) = match input {
            Input::Batch(batch) => (&batch.connection, batch.epoch, batch.sequence, batch.status.as_ref()),
            Input::Removal(removal) => (&removal.connection, removal.epoch, removal.sequence, None),
            // Tells nothing, and takes the lease all the same.
            Input::Heartbeat(heartbeat) => (&heartbeat.connection, heartbeat.epoch, Sequence(0), None),
        };
        let held = self.holdings.get(connection).filter(|holding| !holding.removed);
        let none = Labels::new();
        let told = told.map(|status: &ConnectionStatus| &status.labels);
        let missing = match (held, told) {
            (None, None) if !matches!(input, Input::Batch(_)) => None,
            (None, told) => lacks(told.unwrap_or(&none), bound).map(|label| ("is told with", label)),
            (Some(held), told) => {
                let held = lacks(&held.origin.labels, bound).map(|label| ("is held with", label));
                held.or_else(|| lacks(told?, bound).map(|label| ("is told with", label)))
            }
        };
        let (how, (key, value)) = missing?;
        let message = format!(
            "the credential of this stream is for connections with the label {key}={value} alone, and this one {how} \
             another or none: label the connection at its collector, or let a credential without that limit bring it"
        );
        let reject = Answer::Reject {
            connection: connection.to_string(),
            epoch,
            sequence,
            reason: RejectReason::Invalid,
            message,
            records: Vec::new(),
        };
        Some(Applied { answers: vec![reject], ..Applied::default() })
    }
}

impl State {
    /// Whether somebody who is bound may know of what is held under this id.
    pub fn is_within(&self, connection: &ConnectionId, bound: &Labels) -> bool {
        let held = self.holdings.get(connection).filter(|holding| !holding.removed);
        held.is_none_or(|holding| lacks(&holding.origin.labels, bound).is_none())
    }
}

/// The first label that is missing.
fn lacks<'a>(labels: &Labels, bound: &'a Labels) -> Option<(&'a String, &'a String)> {
    bound.iter().find(|(key, value)| labels.get(*key) != Some(value))
}
