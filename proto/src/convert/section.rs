//! Section reports and connection status, both ways.

use super::value::{at_most, interval, interval_to_wire, line, prose, time, timestamp_to_wire};
use super::{At as _, ProtocolError};
use crate::model::{ConnectionState, ConnectionStatus, SectionName, SectionOutcome, SectionReport};
use crate::pb::resource::v1 as wire;

/// Most labels a connection may carry.
const LABELS_MAX: usize = 32;

impl TryFrom<wire::SectionReport> for SectionReport {
    type Error = ProtocolError;

    fn try_from(report: wire::SectionReport) -> Result<Self, ProtocolError> {
        let wire::SectionReport { section, outcome, observed_at, since, interval: every, error } = report;
        Ok(Self {
            section: SectionName::parse(&section).at("section")?,
            outcome: SectionOutcome::from_wire(outcome).at("outcome")?,
            observed_at: time(observed_at).at("observed_at")?,
            since: time(since).at("since")?,
            interval: interval(every).at("interval")?,
            error: prose(error).at("error")?,
        })
    }
}

impl From<&SectionReport> for wire::SectionReport {
    fn from(report: &SectionReport) -> Self {
        let SectionReport { section, outcome, observed_at, since, interval, error } = report;
        Self {
            section: section.as_str().to_owned(),
            outcome: outcome.to_wire(),
            observed_at: observed_at.map(timestamp_to_wire),
            since: since.map(timestamp_to_wire),
            interval: Some(interval_to_wire(*interval)),
            error: error.clone(),
        }
    }
}

impl TryFrom<wire::ConnectionStatus> for ConnectionStatus {
    type Error = ProtocolError;

    fn try_from(status: wire::ConnectionStatus) -> Result<Self, ProtocolError> {
        let wire::ConnectionStatus { name, state, reason, since, labels } = status;
        at_most(labels.len(), LABELS_MAX).at("labels")?;
        let labels =
            labels.into_iter().map(|(key, value)| Ok((line(key)?, line(value)?))).collect::<Result<_, _>>();
        Ok(Self {
            name: line(name).at("name")?,
            state: ConnectionState::from_wire(state).at("state")?,
            reason: prose(reason).at("reason")?,
            since: time(since).at("since")?,
            labels: labels.at("labels")?,
        })
    }
}

impl From<&ConnectionStatus> for wire::ConnectionStatus {
    fn from(status: &ConnectionStatus) -> Self {
        let ConnectionStatus { name, state, reason, since, labels } = status;
        Self {
            name: name.clone(),
            state: state.to_wire(),
            reason: reason.clone(),
            since: since.map(timestamp_to_wire),
            labels: labels.clone(),
        }
    }
}
