//! Brings the figures up to date when they are read.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use pulse_proto::model::{ConnectionId, ConnectionState};
use pulse_shell::probes::Refresh;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::connection::{Board, Roster};
use crate::telemetry::{Metrics, QueueLabel, SectionLabel, StateLabel};
use crate::uplink::{Link, Mailbox};

pub(super) struct Figures {
    pub(super) metrics: Arc<Metrics>,
    pub(super) roster: Arc<Roster>,
    pub(super) board: Arc<Board>,
    pub(super) link: watch::Receiver<Link>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) runtime: Handle,
    pub(super) reconnects: Mutex<Growth>,
}

impl Figures {
    pub(super) fn refresh(self) -> Refresh {
        Arc::new(move || self.update())
    }

    fn update(&self) {
        let mut states: BTreeMap<ConnectionState, i64> =
            ConnectionState::ALL.iter().map(|state| (*state, 0)).collect();
        let mut sections: BTreeMap<(String, &'static str), i64> = BTreeMap::new();
        let mut reconnects = BTreeMap::new();
        for (id, health) in self.roster.all().keys().filter_map(|id| Some((id, self.board.get(id)?))) {
            *states.entry(health.state).or_default() += 1;
            reconnects.insert(id.clone(), health.transport.reconnects);
            for report in &health.sections {
                *sections.entry((report.section.to_string(), report.outcome.token())).or_default() += 1;
            }
        }
        let metrics = &self.metrics;
        for (state, count) in states {
            metrics.connections.get_or_create(&StateLabel { state: state.token() }).set(count);
        }
        metrics.sections.clear();
        for ((section, outcome), count) in sections {
            metrics.sections.get_or_create(&SectionLabel { section, outcome }).set(count);
        }
        let grown = self.reconnects.lock().unwrap_or_else(PoisonError::into_inner).since(reconnects);
        metrics.reconnects.inc_by(grown);
        let link = self.link.borrow();
        metrics.uplink_connected.set(i64::from(link.connected));
        counted(&metrics.uplink_reconnects, link.reconnects);
        counted(&metrics.batches_acked, link.acked);
        counted(&metrics.batches_refused, link.refused);
        counted(&metrics.resyncs, link.resyncs);
        for (queue, depth) in [("mailbox", self.mailbox.waiting()), ("unanswered", link.unanswered)] {
            metrics.queues.get_or_create(&QueueLabel { queue }).set(i64::try_from(depth).unwrap_or(i64::MAX));
        }
        metrics.tasks.set(i64::try_from(self.runtime.metrics().num_alive_tasks()).unwrap_or(i64::MAX));
    }
}

/// A counter of what is counted since the start elsewhere.
fn counted(counter: &Counter, total: u64) {
    counter.inner().store(total, Ordering::Relaxed);
}

/// Counts of connections, which come and go and may begin anew, while their sum must only rise.
#[derive(Debug, Default)]
pub(super) struct Growth {
    seen: BTreeMap<ConnectionId, u64>,
}

impl Growth {
    fn since(&mut self, now: BTreeMap<ConnectionId, u64>) -> u64 {
        let before = |id: &ConnectionId, count: u64| self.seen.get(id).filter(|seen| **seen <= count);
        let grown = now.iter().map(|(id, count)| count - before(id, *count).copied().unwrap_or(0)).sum();
        self.seen = now;
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_never_falls_when_connections_go_or_begin_anew() {
        let counts = |counts: &[(&str, u64)]| {
            counts.iter().map(|(id, n)| (ConnectionId::parse(id).expect("an id"), *n)).collect()
        };
        let mut growth = Growth::default();
        for (now, grown) in [
            (counts(&[("a", 2), ("b", 1)]), 3),
            (counts(&[("a", 2), ("b", 1)]), 0),
            (counts(&[("a", 5)]), 3),
            (counts(&[("a", 1), ("b", 4)]), 5),
        ] {
            assert_eq!(growth.since(now), grown);
        }
    }
}
