//! Replication tasks, as far as they explain why a dataset is read-only.

use super::json::{Fields, rows, word};
use super::{DecodeError, Decoded};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    pub id: String,
    pub name: String,
    /// PUSH or PULL.
    pub direction: String,
    /// LOCAL, SSH ...
    pub transport: String,
    pub target_dataset: String,
    /// SET, REQUIRE or IGNORE; empty when not told.
    pub readonly: String,
    pub enabled: bool,
    /// FINISHED, ERROR, RUNNING ...
    pub state: String,
}

impl Replication {
    /// The task writes to this very appliance.
    pub fn targets_here(&self) -> bool {
        self.direction == "PULL" || self.transport == "LOCAL"
    }

    /// The task keeps its target read-only; that is also the default.
    pub fn keeps_readonly(&self) -> bool {
        self.readonly != "IGNORE"
    }
}

pub fn decode_replications(reply: &[u8]) -> Result<Decoded<Replication>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let state = fields.get("state");
        Ok(Replication {
            id: fields.line("id"),
            name: fields.line("name"),
            direction: fields.line("direction").to_ascii_uppercase(),
            transport: fields.line("transport").to_ascii_uppercase(),
            target_dataset: fields.name("target_dataset").ok_or("has no target_dataset")?,
            readonly: fields.line("readonly").to_ascii_uppercase(),
            enabled: fields.bool("enabled").unwrap_or(true),
            state: state
                .map(|state| match Fields::of(state).get("state") {
                    Some(inner) => word(inner).unwrap_or_default(),
                    None => word(state).unwrap_or_default(),
                })
                .map(|state| super::json::text::line(&state))
                .unwrap_or_default(),
        })
    })
}
