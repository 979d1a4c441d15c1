//! What the collector counts, under `/metrics` with the prefix
//! `pulse_collector_`. Knows nothing of what it counts.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StateLabel {
    pub state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SectionLabel {
    pub section: String,
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueueLabel {
    pub queue: &'static str,
}

/// Every figure of the collector.
#[derive(Debug, Default)]
pub struct Metrics {
    pub connections: Family<StateLabel, Gauge>,
    pub sections: Family<SectionLabel, Gauge>,
    pub reconnects: Counter,
    pub snapshots: Counter,
    pub records_skipped: Gauge,
    pub uplink_connected: Gauge,
    pub uplink_reconnects: Counter,
    pub batches_acked: Counter,
    pub batches_refused: Counter,
    pub resyncs: Counter,
    pub tasks: Gauge,
    pub queues: Family<QueueLabel, Gauge>,
}

impl Metrics {
    /// The figures, and the registry that prints them.
    pub fn new() -> (Arc<Self>, Registry) {
        let metrics = Arc::new(Self::default());
        let mut registry = Registry::with_prefix("pulse_collector");
        registry.register("connections", "Connections by state", metrics.connections.clone());
        registry.register("sections", "Sections by how their last reading ended", metrics.sections.clone());
        registry.register(
            "reconnects",
            "Sessions with appliances that were made anew",
            metrics.reconnects.clone(),
        );
        registry.register("snapshots", "Snapshots taken over for the registry", metrics.snapshots.clone());
        registry.register(
            "records_skipped",
            "Things that could not be told, now",
            metrics.records_skipped.clone(),
        );
        registry.register(
            "uplink_connected",
            "1 while a stream to the registry is open",
            metrics.uplink_connected.clone(),
        );
        registry.register(
            "uplink_reconnects",
            "Streams to the registry that broke",
            metrics.uplink_reconnects.clone(),
        );
        registry.register(
            "batches_acked",
            "Batches the registry made durable",
            metrics.batches_acked.clone(),
        );
        registry.register(
            "batches_refused",
            "Batches and records the registry refused",
            metrics.batches_refused.clone(),
        );
        registry.register("resyncs", "Full snapshots the registry asked for", metrics.resyncs.clone());
        registry.register(
            "queue_depth",
            "What waits, by queue: connections whose newest state was not taken up (mailbox), batches without an answer (unanswered)",
            metrics.queues.clone(),
        );
        registry.register("tasks", "Tasks alive in this process", metrics.tasks.clone());
        (metrics, registry)
    }
}
