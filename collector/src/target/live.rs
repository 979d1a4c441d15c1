//! While there is a session: subscribe, then read what is due, each section in a task of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cost::Meter;
use super::figures::{self, Figures};
use super::machine::Input;
use super::reader::{Lost, Reader};
use super::renew::{self, Renewal};
use super::schedule::{Ended, Schedule, Urgency};
use super::task::{End, Task, now};
use crate::api::json::rows;
use crate::api::pool::{Pool, state_differs};
use crate::api::section::Data;
use crate::api::{Section, SectionFailure, SectionRead, event, plan};
use crate::rpc::{CallError, Notice};
use crate::session::{ConnectError, Session};

/// From an alert to a look at the pools; alerts come in bursts.
const PROBE_AFTER_ALERT: Duration = Duration::from_millis(200);
/// Subscriptions that are not there by then do not keep the first reading waiting.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(5);
/// A subscription that the server ended is asked for again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_mins(1);
/// Probes take at most a twentieth of the time.
const PROBE_DUTY_DIVISOR: u32 = 20;
/// Notes of one reading that are logged.
const NOTES_MAX: usize = 10;

/// Something that ran beside the loop has ended.
enum Done {
    Section(Section, Result<Result<SectionRead, SectionFailure>, Lost>),
    Probe { took: Duration, pools: Result<Option<Vec<Pool>>, Lost> },
    Subscribed,
    Renewed(Box<Result<Session, ConnectError>>),
}

/// What the loop keeps for the length of a session.
struct Round {
    reader: Arc<Reader>,
    schedule: Schedule,
    running: JoinSet<Done>,
    probe_at: Option<Instant>,
    /// As last read in full; what a probe is compared with.
    pools: Option<Vec<Pool>>,
    figures: Figures,
    /// Sections that the wish still waits for, and those of them that were begun after it was made.
    awaited: BTreeSet<Section>,
    begun: BTreeSet<Section>,
    renewal: Renewal,
}

impl Task {
    pub(super) async fn live(
        &mut self,
        session: &Arc<Session>,
        notices: Option<mpsc::Receiver<Notice>>,
    ) -> End {
        let cancel = self.cancel.clone();
        let refresh = Arc::clone(&self.refresh);
        let credential = self.settings.credential.clone();
        let reader = Arc::new(Reader::new(
            Arc::clone(session),
            credential,
            self.shared.options.limits,
            Arc::clone(&self.ledger.meter),
        ));
        let dialect = reader.dialect();
        let mut figures = Figures::default();
        if dialect.transport.is_rpc() {
            let realtime = figures::source(self.settings.poll_interval);
            let is_on = |section: Section| !self.disabled.contains(&section);
            let told =
                event::collections(dialect.line).filter(|name| event::section_of(name).is_none_or(is_on));
            let both = join(subscribe(session, told), async {
                if is_on(Section::Metrics) {
                    figures::subscribe(session, &realtime).await
                } else {
                    Figures::default()
                }
            });
            match cancel.run_until_cancelled(both).await {
                Some(((), answer)) => figures = answer,
                None => return End::Cancelled,
            }
        }
        // Whoever asked until now is served by the first round.
        self.wish = self.wish.take().or_else(|| refresh.asked().now_or_never());
        let started = Instant::now();
        let schedule = Schedule::new(self.settings.poll_interval, &self.disabled, started);
        let probed = !self.disabled.contains(&Section::Pools);
        let first_wish = awaitable(schedule.sections());
        let mut round = Round {
            reader,
            schedule,
            running: JoinSet::new(),
            probe_at: plan::pool_probe(dialect)
                .filter(|_| probed)
                .map(|_| started + self.shared.options.probe_every),
            pools: None,
            figures,
            awaited: first_wish.into_iter().filter(|_| self.wish.is_some()).collect(),
            begun: BTreeSet::new(),
            renewal: if dialect.transport.is_rpc() {
                Renewal::of(started, self.shared.options.session_age_max, rand::random())
            } else {
                Renewal::NEVER
            },
        };
        let mut notices = Notices(notices);
        loop {
            self.begin_due(&mut round);
            let due = round.schedule.next_due();
            tokio::select! {
                () = cancel.cancelled() => return End::Cancelled,
                Some(done) = round.running.join_next() => {
                    let done = done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    match self.take(done, &mut round) {
                        Ok(None) => {}
                        Ok(Some(next)) => return End::Renewed(next),
                        Err(Lost(why)) => return End::Lost(why),
                    }
                }
                reason = session.closed() => {
                    return End::Lost(self.settings.credential.redact(&reason.to_string()));
                }
                notice = notices.next() => {
                    if let Some(farewell) = farewell(&notice) {
                        self.tell(Input::Leaving { farewell: &farewell });
                    }
                    hear(session, &mut round, notice, &self.ledger.meter);
                    if round.figures.are_first() {
                        self.take_figures(&mut round);
                    }
                }
                ticket = refresh.asked(), if self.wish.is_none() => {
                    self.wish = Some(ticket);
                    round.begun.clear();
                    round.reader.forget_unavailable();
                    round.awaited = awaitable(round.schedule.refresh(Instant::now()));
                }
                () = sleep_until(round.probe_at) => round.probe(),
                () = sleep_until(due) => {}
                () = sleep_until(round.renewal.next()) => self.renew(&mut round),
                () = sleep_until(round.renewal.last()) => return End::Aged,
            }
        }
    }

    fn begin_due(&mut self, round: &mut Round) {
        let at = Instant::now();
        let due = round.schedule.due(at);
        if !due.is_empty() {
            self.ledger.attempt(now());
        }
        for section in due {
            round.schedule.started(section, at);
            round.begun.insert(section);
            if section == Section::Metrics {
                self.take_figures(round);
                continue;
            }
            let reader = Arc::clone(&round.reader);
            round.running.spawn(async move { Done::Section(section, reader.read(section).await) });
        }
    }

    fn renew(&self, round: &mut Round) {
        round.renewal.begun();
        let made =
            renew::make(Arc::clone(&self.shared), Arc::clone(&self.settings), self.session_options.clone());
        round.running.spawn(async move { Done::Renewed(Box::new(made.await)) });
    }

    /// Answers the session that replaces this one, when that is what has ended.
    fn take(&mut self, done: Done, round: &mut Round) -> Result<Option<Box<Session>>, Lost> {
        match done {
            Done::Subscribed => {}
            Done::Renewed(made) => match *made {
                Ok(session) => return Ok(Some(Box::new(session))),
                Err(error) => {
                    round.renewal.failed(Instant::now());
                    self.tell(Input::NotRenewed { error: &error.to_string() });
                    tracing::warn!(
                        connection = %self.settings.id, name = %self.settings.name, %error,
                        remedy = %error.remedy(), "the session grows old and cannot be replaced yet",
                    );
                }
            },
            Done::Probe { took, pools } => {
                let wait = self.shared.options.probe_every.max(took.saturating_mul(PROBE_DUTY_DIVISOR));
                let at = Instant::now();
                round.probe_at = Some(at + wait);
                if let (Some(cheap), Some(held)) = (pools?, &round.pools)
                    && state_differs(&cheap, held)
                {
                    round.schedule.hint(Section::Pools, Urgency::Change, at);
                }
            }
            Done::Section(section, result) => {
                let result = result?;
                self.take_section(section, result, round);
            }
        }
        Ok(None)
    }

    fn take_section(
        &mut self,
        section: Section,
        result: Result<SectionRead, SectionFailure>,
        round: &mut Round,
    ) {
        let ended = match &result {
            Ok(_) => Ended::Complete,
            Err(SectionFailure::Failed(_)) => Ended::Failed,
            Err(SectionFailure::Forbidden | SectionFailure::Unsupported) => Ended::NotForUs,
        };
        round.schedule.finished(section, ended, Instant::now());
        self.log(section, &result);
        if let (Ok(SectionRead { data: Data::Pools(pools), .. }), true) = (&result, round.probe_at.is_some())
        {
            round.pools = Some(pools.clone());
        }
        let at = now();
        self.ledger.read(section, &result, at);
        let interval = round.schedule.interval(section);
        Arc::make_mut(&mut self.snapshot).apply(section, result, at, interval);
        self.tell_sections();
        if round.begun.remove(&section) {
            round.awaited.remove(&section);
        }
        if round.awaited.is_empty()
            && let Some(wish) = self.wish.take()
        {
            self.refresh.finish(wish);
        }
    }

    /// Figures are pushed: what came last is what is read.
    fn take_figures(&mut self, round: &mut Round) {
        match round.figures.take(now()) {
            Some(result) => self.take_section(Section::Metrics, result, round),
            None => round.schedule.finished(Section::Metrics, Ended::Complete, Instant::now()),
        }
    }

    fn log(&self, section: Section, result: &Result<SectionRead, SectionFailure>) {
        let id = &self.settings.id;
        let before = self.ledger.ended.get(&section);
        match result {
            Ok(read) => {
                if matches!(before, Some(Some(_))) {
                    tracing::info!(connection = %id, section = section.token(), "read again after failures");
                }
                for row in read.skipped.iter().take(NOTES_MAX) {
                    tracing::warn!(
                        connection = %id, section = section.token(), row = row.index,
                        name = row.name.as_deref().unwrap_or_default(), why = %row.why, "a row cannot be read",
                    );
                }
                for note in read.notes.iter().take(NOTES_MAX) {
                    tracing::debug!(connection = %id, section = section.token(), note = %note, "read in part");
                }
            }
            Err(failure) => {
                // Once per change, not once per attempt. That a release lacks something is no trouble.
                if before != Some(&Some(failure.clone())) {
                    let section = section.token();
                    if *failure == SectionFailure::Unsupported {
                        tracing::debug!(connection = %id, section, "not on this release");
                    } else {
                        tracing::warn!(connection = %id, section, ?failure, "cannot read a section");
                    }
                }
            }
        }
    }
}

impl Round {
    fn probe(&mut self) {
        self.probe_at = None;
        let reader = Arc::clone(&self.reader);
        self.running.spawn(async move {
            let started = Instant::now();
            let pools = reader.probe().await;
            Done::Probe { took: started.elapsed(), pools }
        });
    }
}

fn hear(session: &Arc<Session>, round: &mut Round, notice: Notice, meter: &Mutex<Meter>) {
    let at = Instant::now();
    if let Notice::Event(event) = &notice {
        let bytes = event.fields.as_ref().map_or(0, |fields| fields.get().len());
        meter.lock().unwrap_or_else(PoisonError::into_inner).event(bytes, at);
    }
    match notice {
        Notice::Event(event) if figures::is_source(&event.collection) => {
            if let Some(fields) = &event.fields {
                round.figures.hear(fields, now());
            }
        }
        Notice::Event(event) => {
            if let Some(section) = event::section_of(&event.collection) {
                round.schedule.hint(section, urgency(&event.collection), at);
                if section == Section::Alerts
                    && let Some(probe_at) = &mut round.probe_at
                {
                    // Where a pool's state changes in silence, an alert of it may be the only sound.
                    *probe_at = (*probe_at).min(at + PROBE_AFTER_ALERT);
                }
            }
        }
        Notice::Lagged => {
            for section in Section::ALL {
                round.schedule.hint(section, Urgency::Change, at);
            }
        }
        Notice::Unsubscribed { collection, reason } => {
            tracing::debug!(%collection, reason = reason.as_deref().unwrap_or_default(), "a subscription ended");
            if let Some(section) = event::section_of(&collection) {
                round.schedule.hint(section, Urgency::Change, at);
            }
            let session = Arc::clone(session);
            round.running.spawn(async move {
                tokio::time::sleep(SUBSCRIBE_AGAIN).await;
                subscribe(&session, std::iter::once(collection.as_str())).await;
                Done::Subscribed
            });
        }
    }
}

fn farewell(notice: &Notice) -> Option<String> {
    let Notice::Event(told) = notice else { return None };
    let fields = told.fields.as_ref().and_then(|fields| rows::object(fields.get().as_bytes()).ok());
    event::farewell(&told.collection, fields.as_ref())
}

/// Figures come by themselves: nobody waits for them.
fn awaitable(mut sections: BTreeSet<Section>) -> BTreeSet<Section> {
    sections.remove(&Section::Metrics);
    sections
}

/// Scans report progress every second; nothing else does.
fn urgency(collection: &str) -> Urgency {
    if collection.starts_with("zfs.pool.scan") || collection.starts_with("pool.scan") {
        Urgency::Progress
    } else {
        Urgency::Change
    }
}

/// What cannot be subscribed to is found by reading.
async fn subscribe(session: &Session, collections: impl Iterator<Item = &str>) {
    let each = collections.map(|collection| async move {
        let params = json!([collection]);
        match session.call_within("core.subscribe", &params, SUBSCRIBE_LIMIT).await {
            Ok(_) | Err(CallError::Closed(_)) => {}
            Err(error) => tracing::debug!(collection, %error, "no subscription"),
        }
    });
    join_all(each).await;
}

/// The stream of notices, or silence.
struct Notices(Option<mpsc::Receiver<Notice>>);

impl Notices {
    async fn next(&mut self) -> Notice {
        if let Some(queue) = &mut self.0 {
            if let Some(notice) = queue.recv().await {
                return notice;
            }
            self.0 = None;
        }
        std::future::pending().await
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
