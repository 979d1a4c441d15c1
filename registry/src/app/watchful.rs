//! Turns what the writer and the state tell into metrics, readiness and log lines.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pulse_proto::model::{Epoch, ResourceType, Revision, Severity};
use pulse_shell::probes::{Readiness, Ready, Refresh};
use tokio::runtime::Handle;
use tracing::{error, info, warn};

use crate::alert::case::Step;
use crate::alert::{AlertFeed, Case, CaseState, task};
use crate::health::{UnknownKind, UnknownValues};
use crate::ingest::Observer;
use crate::ingest::writer::Backlog;
use crate::state::{Answer, Feed, RejectReason};
use crate::telemetry::{
    AlertLabel, KindLabel, Metrics, QueueLabel, ReasonLabel, SeverityLabel, StepLabel, TypeLabel, WhyLabel,
};

/// What refuses a batch as a whole.
const OF_BATCHES: [RejectReason; 6] = [
    RejectReason::Fenced(Epoch(0)),
    RejectReason::OutOfSequence,
    RejectReason::TooLarge,
    RejectReason::Invalid,
    RejectReason::Exhausted,
    RejectReason::Disabled,
];

/// Stored rows that cannot be read are named up to here, and counted beyond.
const UNREADABLE_TOLD_MAX: usize = 20;

/// Why a firing alert tells nobody.
const QUIET: [&str; 4] = ["acknowledged", "silenced", "suppressed", "dismissed"];

fn quiet(case: &Case) -> [bool; 4] {
    [
        case.acknowledged.is_some(),
        !case.silenced_by.is_empty(),
        case.suppressed_by.is_some(),
        case.is_dismissed(),
    ]
}

pub(super) struct Watchful {
    metrics: Arc<Metrics>,
    unknown: UnknownValues,
    readiness: Readiness,
    feed: OnceLock<Feed>,
    alerts: OnceLock<Alerts>,
    backlog: OnceLock<Backlog>,
    runtime: Handle,
}

struct Alerts {
    feed: AlertFeed,
    /// Somebody asks the rules.
    evaluated: bool,
}

impl Watchful {
    pub(super) fn new(metrics: Arc<Metrics>, unknown: UnknownValues, readiness: Readiness) -> Self {
        // Told before it happens: of a series that begins with its first refusal nobody sees the rise.
        for reason in OF_BATCHES {
            drop(metrics.batches_refused.get_or_create(&ReasonLabel { reason: word(reason) }));
        }
        Self {
            metrics,
            unknown,
            readiness,
            feed: OnceLock::new(),
            alerts: OnceLock::new(),
            backlog: OnceLock::new(),
            runtime: Handle::current(),
        }
    }

    /// From now on the gauges show this feed's view.
    pub(super) fn follow(&self, feed: Feed) {
        drop(self.feed.set(feed));
    }

    /// And the queue before the writer.
    pub(super) fn follow_backlog(&self, backlog: Backlog) {
        drop(self.backlog.set(backlog));
    }

    /// And those of alerts.
    pub(super) fn follow_alerts(&self, feed: AlertFeed, evaluated: bool) {
        drop(self.alerts.set(Alerts { feed, evaluated }));
    }

    /// Brings up to date what is counted elsewhere; run at each scrape.
    pub(super) fn refresh(self: &Arc<Self>) -> Refresh {
        let this = Arc::clone(self);
        Arc::new(move || this.gauges())
    }

    fn gauges(&self) {
        let tasks = self.runtime.metrics().num_alive_tasks();
        self.metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
        for kind in UnknownKind::ALL {
            let label = KindLabel { kind: kind.token() };
            let counter = self.metrics.unknown_values.get_or_create(&label);
            // Scrapes may come at the same time.
            counter.inner().fetch_max(self.unknown.count(kind), Ordering::Relaxed);
        }
        if let Some(backlog) = self.backlog.get() {
            let depth = i64::try_from(backlog.depth()).unwrap_or(i64::MAX);
            self.metrics.queues.get_or_create(&QueueLabel { queue: "ingest" }).set(depth);
            let bytes = i64::try_from(backlog.bytes()).unwrap_or(i64::MAX);
            self.metrics.queue_bytes.get_or_create(&QueueLabel { queue: "ingest" }).set(bytes);
        }
        let Some(feed) = self.feed.get() else { return };
        let view = feed.view();
        let mut types: BTreeMap<ResourceType, i64> = BTreeMap::new();
        let mut severities: BTreeMap<Severity, i64> =
            Severity::ALL.iter().map(|severity| (*severity, 0)).collect();
        for (profile, tally) in view.tallies().iter() {
            let count = i64::try_from(tally.count).unwrap_or(i64::MAX);
            if count > 0 {
                *types.entry(profile.resource_type()).or_default() += count;
            }
            *severities.entry(profile.severity()).or_default() += count;
        }
        self.metrics.revision.set(view.revision.0);
        self.metrics.connections.set(i64::try_from(view.shards().len()).unwrap_or(i64::MAX));
        self.metrics.resources.clear();
        for (kind, count) in types {
            self.metrics.resources.get_or_create(&TypeLabel { r#type: kind.token() }).set(count);
        }
        for (severity, count) in severities {
            self.metrics.severities.get_or_create(&SeverityLabel { severity: severity.token() }).set(count);
        }
        self.alert_gauges(view.revision);
    }

    fn alert_gauges(&self, head: Revision) {
        let Some(Alerts { feed, evaluated }) = self.alerts.get() else { return };
        let book = feed.book();
        let mut counts: BTreeMap<(CaseState, Severity), i64> = CaseState::ALL
            .into_iter()
            .flat_map(|state| Severity::ALL.iter().map(move |severity| ((state, *severity), 0)))
            .filter(|((_, severity), _)| *severity != Severity::Healthy)
            .collect();
        let mut reasons = [0; QUIET.len()];
        for case in book.cases() {
            *counts.entry((case.state, case.severity)).or_default() += 1;
            if case.state == CaseState::Firing {
                for (count, is_so) in reasons.iter_mut().zip(quiet(case)) {
                    *count += i64::from(is_so);
                }
            }
        }
        for ((state, severity), count) in counts {
            let label = AlertLabel { state: state.token(), severity: severity.token() };
            self.metrics.alerts.get_or_create(&label).set(count);
        }
        for (reason, count) in QUIET.into_iter().zip(reasons) {
            self.metrics.alerts_quiet.get_or_create(&ReasonLabel { reason }).set(count);
        }
        let lag = if *evaluated { head.0.saturating_sub(book.evaluated.0) } else { 0 };
        self.metrics.alert_lag_revisions.set(lag);
    }
}

impl task::Observer for Watchful {
    fn evaluated(&self, why: task::Why, resources: usize, took: Duration) {
        let label = WhyLabel { why: why.token() };
        self.metrics.alert_evaluations.get_or_create(&label).inc_by(resources as u64);
        self.metrics.alert_evaluation_seconds.get_or_create(&label).observe(took.as_secs_f64());
    }

    fn passed(&self, took: Duration) {
        self.metrics.alert_pass_seconds.set(took.as_secs_f64());
    }

    fn stepped(&self, step: Step) {
        self.metrics.alert_transitions.get_or_create(&StepLabel { step: step.token() }).inc();
    }

    fn left_out(&self, cases: u64) {
        self.metrics.alerts_left_out.inc_by(cases);
    }
}

impl Observer for Watchful {
    fn committed(&self, took: Duration, _batches: usize, _rows: usize) {
        self.metrics.commits.inc();
        self.metrics.commit_seconds.observe(took.as_secs_f64());
        // Starting and draining are not ended by a commit.
        if matches!(self.readiness.get(), Ready::No(_)) {
            self.readiness.set(Ready::Yes);
        }
    }

    fn failed(&self, reason: &str) {
        error!(reason, "the store failed; nothing is acknowledged until it works again");
        self.metrics.store_failures.inc();
        self.readiness.set(Ready::No(format!("the store failed: {reason}")));
    }

    fn answered(&self, answers: &[Answer]) {
        for answer in answers {
            match answer {
                Answer::Ack { .. } => drop(self.metrics.batches_acked.inc()),
                Answer::Reject { reason: RejectReason::Records, records, .. } => {
                    self.metrics.records_refused.inc_by(records.len() as u64);
                }
                Answer::Reject { reason, .. } => {
                    let label = ReasonLabel { reason: word(*reason) };
                    self.metrics.batches_refused.get_or_create(&label).inc();
                }
                Answer::Resync { .. } => {}
            }
        }
    }

    fn published(&self, _revision: Revision, changes: usize) {
        self.metrics.changes.inc_by(changes as u64);
    }

    fn checkpointed(&self, took: Duration) {
        info!(?took, "checkpoint written");
        self.metrics.checkpoints.inc();
    }

    fn checkpoint_failed(&self, reason: &str) {
        warn!(reason, "no checkpoint could be written; the journal grows until one can");
        self.metrics.checkpoint_failures.inc();
    }

    fn read_back(&self, unreadable: &[String]) {
        self.metrics.stored_rows_unreadable.set(i64::try_from(unreadable.len()).unwrap_or(i64::MAX));
        tell_unreadable(unreadable);
    }
}

/// Rows of the store that cannot be read, and what helps.
pub(super) fn tell_unreadable(rows: &[String]) {
    for row in rows.iter().take(UNREADABLE_TOLD_MAX) {
        error!(row, "a stored row cannot be read and is not shown");
    }
    if !rows.is_empty() {
        error!(
            rows = rows.len(),
            "stored rows cannot be read; they are kept: start the release that wrote them, or let their collectors tell \
             everything anew, which they are asked to; what nobody tells any more goes with its connection",
        );
    }
}

fn word(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Records => "records",
        RejectReason::Fenced(_) => "fenced",
        RejectReason::OutOfSequence => "out_of_sequence",
        RejectReason::TooLarge => "too_large",
        RejectReason::Invalid => "invalid",
        RejectReason::Exhausted => "exhausted",
        RejectReason::Disabled => "disabled",
    }
}
