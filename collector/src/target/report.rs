//! What a connection's task knows of itself, put together as the health that others see. Pure.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, ConnectionState, DataSource, ResourceId, ResourceType, UnixMillis};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::cost::Meter;
use super::machine::Machine;
use crate::api::section::Data;
use crate::api::{Section, SectionFailure, SectionRead};
use crate::connection::status::{Health, Observed, PollHealth, TransportHealth};
use crate::connection::{Fingerprint, Settings, Tls};
use crate::session::SessionInfo;
use crate::snapshot::Snapshot;

/// What is counted and remembered beside the state.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    observed: Observed,
    /// Of the last session, or the last that was tried.
    info: Option<SessionInfo>,
    fingerprint: Option<Fingerprint>,
    last_attempt_at: Option<UnixMillis>,
    last_success_at: Option<UnixMillis>,
    failed_connects: u32,
    failed_reads: BTreeMap<Section, u32>,
    /// Shared with what makes the calls.
    pub(super) meter: Arc<Mutex<Meter>>,
    /// How the last read of each section ended.
    pub(super) ended: BTreeMap<Section, Option<SectionFailure>>,
}

impl Ledger {
    pub(super) fn new(id: &ConnectionId) -> Self {
        let observed = Observed { resource_id: system_id(id), ..Observed::default() };
        Self { observed, ..Self::default() }
    }

    pub(super) fn attempt(&mut self, now: UnixMillis) {
        self.last_attempt_at = Some(now);
    }

    pub(super) fn connect_failed(&mut self, seen: Option<Fingerprint>) {
        self.failed_connects = self.failed_connects.saturating_add(1);
        self.fingerprint = seen.or(self.fingerprint);
    }

    pub(super) fn connected(&mut self, info: &SessionInfo) {
        self.failed_connects = 0;
        self.fingerprint = info.peer_fingerprint;
        self.info = Some(info.clone());
        // What failed over the session before may go well over this one; what is not for us stays so.
        self.ended.retain(|_, failure| !matches!(failure, Some(SectionFailure::Failed(_))));
    }

    /// What was read over the session before stays as it is.
    pub(super) fn renewed(&mut self, info: &SessionInfo) {
        self.fingerprint = info.peer_fingerprint;
        self.info = Some(info.clone());
    }

    pub(super) fn read(
        &mut self,
        section: Section,
        result: &Result<SectionRead, SectionFailure>,
        now: UnixMillis,
    ) {
        match result {
            Ok(read) => {
                self.last_success_at = Some(now);
                self.failed_reads.remove(&section);
                observe(&mut self.observed, &read.data);
            }
            Err(SectionFailure::Failed(_)) => {
                let count = self.failed_reads.entry(section).or_default();
                *count = count.saturating_add(1);
            }
            Err(SectionFailure::Forbidden | SectionFailure::Unsupported) => {
                self.failed_reads.remove(&section);
            }
        }
        self.ended.insert(section, result.as_ref().err().cloned());
    }

    pub(super) fn health(&self, settings: &Settings, machine: &Machine, snapshot: &Snapshot) -> Health {
        Health {
            state: machine.state(),
            reason: machine.reason().to_owned(),
            remedy: machine.remedy().to_owned(),
            since: machine.since(),
            next_attempt_at: machine.next_attempt_at(),
            transport: self.transport(settings, machine),
            poll: PollHealth {
                interval: settings.poll_interval,
                last_attempt_at: self.last_attempt_at,
                last_success_at: self.last_success_at,
                consecutive_failures: self
                    .failed_reads
                    .values()
                    .copied()
                    .fold(self.failed_connects, Ord::max),
            },
            observed: self.observed.clone(),
            sections: snapshot.reports(),
            cost: self.meter.lock().unwrap_or_else(PoisonError::into_inner).per_minute(Instant::now()),
        }
    }

    fn transport(&self, settings: &Settings, machine: &Machine) -> TransportHealth {
        let negotiating = matches!(
            machine.state(),
            ConnectionState::Disabled | ConnectionState::Connecting | ConnectionState::Authenticating
        );
        let known = TransportHealth {
            endpoint: super::endpoint(settings).to_string(),
            tls: settings.tls.is_on(),
            connected: machine.is_connected(),
            reconnects: machine.reconnects(),
            last_error: machine.last_error().to_owned(),
            last_connected_at: machine.last_connected_at(),
            observed_fingerprint: self.fingerprint,
            insecure: settings.tls == Tls::Insecure,
            ..TransportHealth::default()
        };
        match &self.info {
            Some(info) => TransportHealth {
                mode: if negotiating { known.mode } else { info.mode.label() },
                endpoint: info.endpoint.to_string(),
                auth_mechanism: info.auth_mechanism.label(),
                appliance_version: info.appliance_version.clone(),
                api_version: info.api_version.clone(),
                ..known
            },
            None => known,
        }
    }
}

fn observe(observed: &mut Observed, data: &Data) {
    let count = data.count().map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX));
    match data {
        Data::System { info, .. } => observed.hostname.clone_from(&info.hostname),
        Data::Pools(_) => observed.pools = count,
        Data::Datasets(_) => observed.datasets = count,
        Data::Disks(_) => observed.disks = count,
        Data::Alerts(_) => observed.alerts = count,
        _ => {}
    }
}

/// The registry derives the same one from the connection alone.
fn system_id(id: &ConnectionId) -> Option<ResourceId> {
    let hash = Sha256::digest(format!("{}:system:{id}", DataSource::Truenas.token()));
    let number = u64::from_be_bytes(*hash.first_chunk()?);
    Some(ResourceId::new(ResourceType::Host, number))
}

/// For logs: how long something took, in words of one unit.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_has_the_id_that_the_registry_gives_it() {
        for (connection, want) in [("conn-1", "agent-d2d79e79064338d7"), ("conn-2", "agent-a926543a45ea30b7")]
        {
            let id = ConnectionId::parse(connection).expect("a good id");
            assert_eq!(system_id(&id).map(|id| id.to_string()).as_deref(), Some(want));
        }
    }

    #[test]
    fn failures_in_a_row_are_those_of_the_worst_section() {
        let id = ConnectionId::parse("conn-1").expect("a good id");
        let mut ledger = Ledger::new(&id);
        let late = || Err(SectionFailure::Failed("late".to_owned()));
        let now = UnixMillis::new(1);
        for (section, result) in [
            (Section::Pools, late()),
            (Section::Pools, late()),
            (Section::Alerts, late()),
            (Section::Disks, Err(SectionFailure::Forbidden)),
        ] {
            ledger.read(section, &result, now);
        }
        assert_eq!(ledger.failed_reads.values().max(), Some(&2));
        assert_eq!(ledger.last_success_at, None);
        let read = SectionRead { data: Data::Pools(Vec::new()), skipped: Vec::new(), notes: Vec::new() };
        ledger.read(Section::Pools, &Ok(read), now);
        assert_eq!(ledger.failed_reads.values().max(), Some(&1));
        assert_eq!(ledger.last_success_at, Some(now));
        assert_eq!(ledger.ended.get(&Section::Pools), Some(&None));
    }
}
