//! From a target's snapshot to the uplink's mailbox: map, digest, put. Keeps
//! the last state of each connection, so that only what changed is encoded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, ConnectionState, ConnectionStatus};
use pulse_shell::trace;
use tracing::field::Empty;
use tracing::{debug, warn};

use super::unnamed;
use crate::api::Section;
use crate::batch::Told;
use crate::connection::{Health, Settings};
use crate::mapping;
use crate::snapshot::Snapshot;
use crate::target::Sink;
use crate::telemetry::Metrics;
use crate::uplink::{Mailbox, Update};

/// Records draw on several sections: after a start they are told together, or after this long what there is.
const FIRST_READ: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Pump {
    mailbox: Arc<Mailbox>,
    metrics: Arc<Metrics>,
    lines: Mutex<BTreeMap<ConnectionId, Line>>,
    /// For the timer that ends the wait for a first reading.
    this: Weak<Self>,
}

#[derive(Debug, Default)]
struct Line {
    told: Option<Arc<Told>>,
    /// What `told` was made of.
    made_of: Option<(Arc<Settings>, Arc<Snapshot>, Session)>,
    /// What came last while the first reading was under way.
    held: Option<Held>,
    /// Told once, or waited long enough.
    open: bool,
    skipped: usize,
    /// How many states came, and which was told last.
    number: u64,
    number_told: u64,
    session: Session,
}

/// Protocol and API version of a session.
type Session = (&'static str, String);

#[derive(Clone, Debug)]
struct Held {
    settings: Arc<Settings>,
    snapshot: Arc<Snapshot>,
    status: ConnectionStatus,
    number: u64,
}

impl Pump {
    pub(super) fn new(mailbox: Arc<Mailbox>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self { mailbox, metrics, lines: Mutex::default(), this: Weak::clone(this) })
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what has come so far, complete or not.
    fn release(&self, id: &ConnectionId) {
        let held = self.lines().get_mut(id).and_then(|line| {
            line.open = true;
            line.held.take()
        });
        if let Some(held) = held {
            self.tell(held);
        }
    }

    /// Whether only the times of reading are new: then nothing is mapped and encoded again.
    fn tell_again(
        &self,
        line: &mut Line,
        settings: &Arc<Settings>,
        snapshot: &Snapshot,
        status: &ConnectionStatus,
    ) -> bool {
        let (Some(told), Some((of, made_of, session))) = (&line.told, &line.made_of) else { return false };
        if !Arc::ptr_eq(of, settings) || *session != line.session || !made_of.is_same(snapshot) {
            return false;
        }
        let told = Arc::new(told.again(unnamed::reports(settings, snapshot), status.clone()));
        line.told = Some(Arc::clone(&told));
        self.mailbox.put(&settings.id, Update::State(told));
        true
    }

    /// Maps and encodes outside of the lock: a large NAS holds up nobody else.
    fn tell(&self, held: Held) {
        let Held { settings, snapshot, status, number } = held;
        let (before, session) = match self.lines().get_mut(&settings.id) {
            Some(line) => {
                if line.number_told <= number && self.tell_again(line, &settings, &snapshot, &status) {
                    line.number_told = number;
                    return;
                }
                (line.told.clone(), line.session.clone())
            }
            None => return,
        };
        let span =
            tracing::info_span!(target: trace::TARGET, "map", connection = %settings.id, trace_id = Empty);
        trace::follow(&span, "");
        let _mapping = span.enter();
        let (transport, api_version) = &session;
        let mapped =
            mapping::records(&settings.id, &settings.name, &snapshot).with_session(transport, api_version);
        let reports = unnamed::reports(&settings, &snapshot);
        let told = Told::new(mapped.records, reports, status, mapped.kept, before.as_deref());
        let told = Arc::new(told.traced(trace::traceparent(&span)));
        let mut lines = self.lines();
        // A newer one may have overtaken this one meanwhile, or the connection is gone.
        let id = settings.id.clone();
        let Some(line) = lines.get_mut(&id).filter(|line| line.number_told <= number) else {
            return;
        };
        if mapped.skipped.len() > line.skipped {
            warn!(connection = %settings.id, skipped = ?mapped.skipped, "what the NAS said cannot be told in part");
        }
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.records_skipped.inc_by(count(mapped.skipped.len()) - count(line.skipped));
        self.metrics.snapshots.inc();
        debug!(connection = %settings.id, records = told.items().len(), "newest state");
        line.skipped = mapped.skipped.len();
        line.number_told = number;
        line.told = Some(Arc::clone(&told));
        line.made_of = Some((settings, snapshot, session));
        // Put under the lock: the newest state is the last one put.
        self.mailbox.put(&id, Update::State(told));
    }
}

impl Sink for Pump {
    fn snapshot(&self, settings: &Arc<Settings>, snapshot: Arc<Snapshot>, health: &Health) {
        let mut held =
            Held { settings: Arc::clone(settings), snapshot, status: status(settings, health), number: 0 };
        // Figures come by themselves, when they come.
        let complete = Section::ALL
            .into_iter()
            .all(|section| section == Section::Metrics || held.snapshot.state(section).is_some());
        {
            let mut lines = self.lines();
            let line = lines.entry(settings.id.clone()).or_default();
            held.status = steady(held.status, line.told.as_deref());
            line.number += 1;
            held.number = line.number;
            if health.transport.connected {
                line.session = (health.transport.mode, health.transport.api_version.clone());
            }
            if !line.open && !complete {
                // Nothing was read yet: there is only the connection's own state to tell, and that can wait.
                let first = line.held.replace(held).is_none();
                if first {
                    let (this, id) = (Weak::clone(&self.this), settings.id.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(FIRST_READ).await;
                        if let Some(this) = this.upgrade() {
                            this.release(&id);
                        }
                    });
                }
                return;
            }
            line.open = true;
            line.held = None;
        }
        self.tell(held);
    }

    fn removed(&self, id: &ConnectionId) {
        let mut lines = self.lines();
        if let Some(line) = lines.remove(id) {
            self.metrics.records_skipped.dec_by(i64::try_from(line.skipped).unwrap_or(i64::MAX));
        }
        self.mailbox.put(id, Update::Removed);
    }
}

/// Trying again is no recovery: what was wrong stays told until a session is there.
fn steady(status: ConnectionStatus, told: Option<&Told>) -> ConnectionStatus {
    let trying = matches!(status.state, ConnectionState::Connecting | ConnectionState::Authenticating);
    let wrong =
        |old: &ConnectionStatus| matches!(old.state, ConnectionState::BackingOff | ConnectionState::Refused);
    match told.map(|told| &told.status).filter(|old| trying && wrong(old)) {
        Some(old) => {
            let ConnectionStatus { state, reason, since, name: _, labels: _ } = old.clone();
            ConnectionStatus { state, reason, since, ..status }
        }
        None => status,
    }
}

/// What the registry is told of a connection as a whole.
fn status(settings: &Settings, health: &Health) -> ConnectionStatus {
    ConnectionStatus {
        name: settings.name.clone(),
        state: health.state,
        reason: unnamed::unnamed(&health.reason, &settings.host),
        since: Some(health.since),
        labels: settings.labels.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn told(state: ConnectionState) -> Told {
        Told::new(Vec::new(), Vec::new(), as_status(state, "why"), BTreeSet::new(), None)
    }

    fn as_status(state: ConnectionState, reason: &str) -> ConnectionStatus {
        let (name, reason) = ("nas".to_owned(), reason.to_owned());
        ConnectionStatus { name, state, reason, since: None, labels: BTreeMap::new() }
    }

    #[test]
    fn trying_again_is_no_recovery() {
        use ConnectionState::{Authenticating, BackingOff, Connecting, Degraded, Live, Refused};
        for (old, new, expected) in [
            (BackingOff, Connecting, BackingOff),
            (BackingOff, Authenticating, BackingOff),
            (Refused, Connecting, Refused),
            (BackingOff, Refused, Refused),
            (BackingOff, Live, Live),
            (BackingOff, Degraded, Degraded),
            (Live, Connecting, Connecting),
        ] {
            let steady = steady(as_status(new, "new"), Some(&told(old)));
            assert_eq!(steady.state, expected, "{old} {new}");
            assert_eq!(steady.reason == "why", expected == old && old != new, "{old} {new}");
        }
        assert_eq!(steady(as_status(Connecting, ""), None).state, Connecting);
    }
}
