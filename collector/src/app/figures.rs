//! Brings the gauges up to date when they are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use pulse_proto::model::ConnectionState;
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
}

impl Figures {
    pub(super) fn refresh(self) -> Refresh {
        Arc::new(move || self.update())
    }

    fn update(&self) {
        let mut states: BTreeMap<ConnectionState, i64> =
            ConnectionState::ALL.iter().map(|state| (*state, 0)).collect();
        let mut sections: BTreeMap<(String, &'static str), i64> = BTreeMap::new();
        let mut reconnects = 0;
        for health in self.roster.all().keys().filter_map(|id| self.board.get(id)) {
            *states.entry(health.state).or_default() += 1;
            reconnects += health.transport.reconnects;
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
        metrics.reconnects.set(reconnects);
        let link = self.link.borrow();
        metrics.uplink_connected.set(i64::from(link.connected));
        metrics.uplink_reconnects.set(link.reconnects);
        metrics.batches_acked.set(link.acked);
        metrics.batches_refused.set(link.refused);
        metrics.resyncs.set(link.resyncs);
        for (queue, depth) in [("mailbox", self.mailbox.waiting()), ("unanswered", link.unanswered)] {
            metrics.queues.get_or_create(&QueueLabel { queue }).set(i64::try_from(depth).unwrap_or(i64::MAX));
        }
        metrics.tasks.set(i64::try_from(self.runtime.metrics().num_alive_tasks()).unwrap_or(i64::MAX));
    }
}
