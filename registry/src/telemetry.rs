//! What the registry counts, under `/metrics` with the prefix
//! `pulse_registry_`. Knows nothing of what it counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TypeLabel {
    pub r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SeverityLabel {
    pub severity: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    pub kind: &'static str,
}

/// An address of a receiver of alerts, as far as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReceiverLabel {
    pub receiver: String,
    pub address: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NotificationLabel {
    pub receiver: String,
    pub address: String,
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct AlertLabel {
    pub state: &'static str,
    pub severity: &'static str,
}

/// What made a look due.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WhyLabel {
    pub why: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabel {
    pub step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct QueueLabel {
    pub queue: &'static str,
}

/// Every figure of the registry.
#[derive(Debug)]
pub struct Metrics {
    pub revision: Gauge<u64, AtomicU64>,
    pub connections: Gauge,
    pub resources: Family<TypeLabel, Gauge>,
    pub severities: Family<SeverityLabel, Gauge>,
    pub batches_acked: Counter,
    pub batches_refused: Family<ReasonLabel, Counter>,
    pub records_refused: Counter,
    pub commits: Counter,
    pub commit_seconds: Histogram,
    pub store_failures: Counter,
    pub stored_rows_unreadable: Gauge,
    pub checkpoints: Counter,
    pub checkpoint_failures: Counter,
    pub changes: Counter,
    pub watch_changes_judged: Counter,
    pub streams: Gauge,
    pub queues: Family<QueueLabel, Gauge>,
    pub queue_bytes: Family<QueueLabel, Gauge>,
    pub tasks: Gauge,
    pub unknown_values: Family<KindLabel, Counter>,
    pub alerts: Family<AlertLabel, Gauge>,
    pub alerts_quiet: Family<ReasonLabel, Gauge>,
    pub alerts_left_out: Counter,
    pub alert_transitions: Family<StepLabel, Counter>,
    pub alert_evaluations: Family<WhyLabel, Counter>,
    pub alert_evaluation_seconds: Family<WhyLabel, Histogram, fn() -> Histogram>,
    pub alert_pass_seconds: Gauge<f64, AtomicU64>,
    pub alert_lag_revisions: Gauge<u64, AtomicU64>,
    pub notifications: Family<NotificationLabel, Counter>,
    pub notifications_waiting: Family<ReceiverLabel, Gauge>,
    pub receivers_failing: Family<ReceiverLabel, Gauge>,
    pub receivers_failing_since: Family<ReceiverLabel, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// The figures, and the registry that prints them.
    pub fn new() -> (Arc<Self>, Registry) {
        let metrics = Arc::new(Self {
            revision: Gauge::default(),
            connections: Gauge::default(),
            resources: Family::default(),
            severities: Family::default(),
            batches_acked: Counter::default(),
            batches_refused: Family::default(),
            records_refused: Counter::default(),
            commits: Counter::default(),
            commit_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            store_failures: Counter::default(),
            stored_rows_unreadable: Gauge::default(),
            checkpoints: Counter::default(),
            checkpoint_failures: Counter::default(),
            changes: Counter::default(),
            watch_changes_judged: Counter::default(),
            streams: Gauge::default(),
            queues: Family::default(),
            queue_bytes: Family::default(),
            tasks: Gauge::default(),
            unknown_values: Family::default(),
            alerts: Family::default(),
            alerts_quiet: Family::default(),
            alerts_left_out: Counter::default(),
            alert_transitions: Family::default(),
            alert_evaluations: Family::default(),
            alert_evaluation_seconds: Family::new_with_constructor(evaluation_seconds),
            alert_pass_seconds: Gauge::default(),
            alert_lag_revisions: Gauge::default(),
            notifications: Family::default(),
            notifications_waiting: Family::default(),
            receivers_failing: Family::default(),
            receivers_failing_since: Family::default(),
        });
        let mut registry = Registry::with_prefix("pulse_registry");
        registry.register("revision", "Revision that readers see", metrics.revision.clone());
        registry.register("connections", "Connections held", metrics.connections.clone());
        registry.register("resources", "Resources by type", metrics.resources.clone());
        registry.register("severity", "Resources by severity", metrics.severities.clone());
        registry.register("batches_acked", "Batches made durable", metrics.batches_acked.clone());
        registry.register(
            "batches_refused",
            "Batches refused as a whole, by reason",
            metrics.batches_refused.clone(),
        );
        registry.register("records_refused", "Records refused alone", metrics.records_refused.clone());
        registry.register("commits", "Commits of the store", metrics.commits.clone());
        registry.register(
            "commit_seconds",
            "Time of a commit, sync included",
            metrics.commit_seconds.clone(),
        );
        registry.register("store_failures", "Commits that failed", metrics.store_failures.clone());
        registry.register(
            "stored_rows_unreadable",
            "Stored rows that this release could not read at its start; they are kept and not shown",
            metrics.stored_rows_unreadable.clone(),
        );
        registry.register("checkpoints", "Checkpoints of the store", metrics.checkpoints.clone());
        registry.register(
            "checkpoint_failures",
            "Checkpoints that failed",
            metrics.checkpoint_failures.clone(),
        );
        registry.register("changes", "Changes of resources published", metrics.changes.clone());
        registry.register(
            "watch_changes_judged",
            "Changes that filters of watches were asked about, once for all watches with the same filter and mask",
            metrics.watch_changes_judged.clone(),
        );
        registry.register("ingest_streams", "Open streams of collectors", metrics.streams.clone());
        registry.register(
            "queue_depth",
            "What waits, by queue: messages for the writer (ingest)",
            metrics.queues.clone(),
        );
        registry.register(
            "queue_bytes",
            "What waits, by queue: bytes of messages decoded for the writer, or about to be (ingest); 16 MiB when some wait for room",
            metrics.queue_bytes.clone(),
        );
        registry.register("tasks", "Tasks alive in this process", metrics.tasks.clone());
        registry.register(
            "unknown_values",
            "Times a word was met that no health table knows, by kind",
            metrics.unknown_values.clone(),
        );
        metrics.register_alerts(&mut registry);
        registry.register(
            "notifications",
            "Alerts told to receivers, by outcome of the attempt",
            metrics.notifications.clone(),
        );
        registry.register(
            "notifications_waiting",
            "Alerts that a receiver is still to be told of",
            metrics.notifications_waiting.clone(),
        );
        registry.register(
            "receiver_failing",
            "1 while a receiver of alerts fails",
            metrics.receivers_failing.clone(),
        );
        registry.register(
            "receiver_failing_since_timestamp_seconds",
            "Unix time since which a receiver of alerts fails; 0 while it does not",
            metrics.receivers_failing_since.clone(),
        );
        (metrics, registry)
    }

    fn register_alerts(&self, registry: &mut Registry) {
        registry.register("alerts", "Alerts by state and severity", self.alerts.clone());
        registry.register(
            "alerts_quiet",
            "Firing alerts that nobody is told of, by reason; one may have several",
            self.alerts_quiet.clone(),
        );
        registry.register(
            "alerts_left_out",
            "Alerts that were not begun since too many are open",
            self.alerts_left_out.clone(),
        );
        registry.register(
            "alert_transitions",
            "Steps in the life of alerts, acknowledgements included",
            self.alert_transitions.clone(),
        );
        registry.register(
            "alert_evaluations",
            "Resources that the rules were asked about, by why: a change, a time that was due, a pass over everything",
            self.alert_evaluations.clone(),
        );
        registry.register(
            "alert_evaluation_seconds",
            "Time of one step of evaluation, by why; its sum is what evaluation costs",
            self.alert_evaluation_seconds.clone(),
        );
        registry.register(
            "alert_pass_seconds",
            "How long the last pass over everything took, its commits included",
            self.alert_pass_seconds.clone(),
        );
        registry.register(
            "alert_lag_revisions",
            "Revisions of resources that rules were not asked about yet",
            self.alert_lag_revisions.clone(),
        );
    }
}

fn evaluation_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 4.0, 10))
}
