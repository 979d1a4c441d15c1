//! While there is a session: subscribe, then read what is due, each section in a task of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use pulse_shell::trace;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::figures::{self, Figures};
use super::log;
use super::machine::Input;
use super::orders::Desk;
use super::probe::Comparison;
use super::reader::{Lost, Reader};
use super::renew::{self, Renewal};
use super::schedule::{Ended, Schedule, Urgency};
use super::subscribe::{self, Answer};
use super::task::{End, Task, asked_after, now};
use crate::api::json::rows;
use crate::api::pool::Pool;
use crate::api::section::Data;
use crate::api::{Section, SectionFailure, SectionRead, event, plan};
use crate::connection::order::{Answer as Answered, Order};
use crate::rpc::Notice;
use crate::session::{ConnectError, Session};

/// From an alert to a look at the pools; alerts come in bursts.
const PROBE_AFTER_ALERT: Duration = Duration::from_millis(200);
/// Subscriptions that are not there by then do not keep the first reading waiting.
const SUBSCRIBED_LIMIT: Duration = Duration::from_secs(5);
/// A subscription that the server ended is asked for again.
const SUBSCRIBE_AGAIN: Duration = Duration::from_mins(1);
/// Probes take at most a twentieth of the time.
const PROBE_DUTY_DIVISOR: u32 = 20;

/// Something that ran beside the loop has ended.
pub(super) enum Done {
    /// With the trace of its reading, which goes on in what comes of it.
    Section(Section, Result<Result<SectionRead, SectionFailure>, Lost>, Span),
    Probe {
        took: Duration,
        pools: Result<Option<Vec<Pool>>, Lost>,
    },
    Subscribed {
        collection: String,
        attempts: u32,
        answer: Answer,
    },
    Renewed(Box<Result<Session, ConnectError>>),
    Order(Order, Result<Answered, Lost>),
}

/// What the loop keeps for the length of a session.
pub(super) struct Round {
    pub(super) reader: Arc<Reader>,
    pub(super) running: JoinSet<Done>,
    probe_at: Option<Instant>,
    pools: Comparison,
    figures: Figures,
    subscribing: Subscribing,
    /// Sections that the wish still waits for, and those of them that were begun after it was made.
    awaited: BTreeSet<Section>,
    begun: BTreeSet<Section>,
    renewal: Renewal,
    pub(super) desk: Desk,
}

/// How far it is with the first subscriptions. Nothing is read before them, or events would be missed.
struct Subscribing {
    places: Arc<Semaphore>,
    /// For one of them, from when it is sent.
    limit: Duration,
    open: usize,
    /// But for so long only. `None` when reading has begun.
    until: Option<Instant>,
}

impl Task {
    pub(super) async fn live(
        &mut self,
        session: &Arc<Session>,
        notices: Option<mpsc::Receiver<Notice>>,
    ) -> End {
        let cancel = self.cancel.clone();
        let (refresh, orders) = (Arc::clone(&self.refresh), Arc::clone(&self.orders));
        let mut round = self.round(session);
        let mut notices = Notices(notices);
        loop {
            if round.may_read(Instant::now()) {
                self.begin_due(&mut round);
            }
            let due = round.subscribing.until.or_else(|| self.pacing.schedule.next_due());
            let free_at = self.pacing.pace.free_at(Instant::now());
            tokio::select! {
                () = cancel.cancelled() => return End::Cancelled,
                Some(done) = round.running.join_next() => {
                    let done = done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
                    match self.take(done, session, &mut round) {
                        Ok(None) => {}
                        Ok(Some(next)) => return End::Renewed(next),
                        Err(Lost(why)) => return End::Lost(why),
                    }
                }
                reason = session.closed() => {
                    return End::Lost(self.settings.credential.redact(&reason.to_string()));
                }
                notice = notices.next() => {
                    self.hear(session, &mut round, notice);
                    if round.figures.are_first() {
                        self.take_figures(&mut round);
                    }
                }
                ticket = asked_after(&refresh, free_at), if self.wish.is_none() => {
                    self.accept(ticket);
                    round.reader.forget_unavailable();
                    round.serve_wish(&mut self.pacing.schedule);
                }
                order = orders.next(), if !round.desk.busy => Self::carry_out(&mut round, order),
                () = sleep_until(round.probe_at) => round.probe(),
                () = sleep_until(due) => {}
                () = sleep_until(round.renewal.next()) => self.renew(&mut round),
                () = sleep_until(round.renewal.last()) => return End::Aged,
            }
        }
    }

    /// What a session begins with. Everything is asked to tell of changes before anything is read.
    fn round(&mut self, session: &Arc<Session>) -> Round {
        let limits = self.shared.options.limits;
        let reader = Arc::new(Reader::new(
            Arc::clone(session),
            self.settings.credential.clone(),
            limits,
            Arc::clone(&self.ledger.meter),
            Arc::clone(&self.pacing.lacking),
        ));
        let dialect = reader.dialect();
        let (started, pushes) = (Instant::now(), dialect.transport.is_rpc());
        let is_on = |section: Section| !self.disabled.contains(&section);
        let probed = plan::pool_probe(dialect).is_some() && is_on(Section::Pools);
        let mut round = Round {
            reader,
            running: JoinSet::new(),
            probe_at: probed.then(|| started + self.shared.options.probe_every),
            pools: Comparison::default(),
            figures: if pushes { Figures::default() } else { Figures::none() },
            subscribing: Subscribing {
                places: Arc::new(Semaphore::new(subscribe::AT_ONCE_MAX)),
                limit: limits.call,
                open: 0,
                until: pushes.then(|| started + SUBSCRIBED_LIMIT),
            },
            awaited: BTreeSet::new(),
            begun: BTreeSet::new(),
            renewal: if pushes {
                Renewal::of(started, self.shared.options.session_age_max, rand::random())
            } else {
                Renewal::NEVER
            },
            desk: Desk::default(),
        };
        if pushes {
            let told =
                event::collections(dialect.line).filter(|name| event::section_of(name).is_none_or(is_on));
            let realtime = is_on(Section::Metrics).then(|| figures::source(self.settings.poll_interval));
            for collection in told.map(str::to_owned).chain(realtime) {
                round.subscribing.open += 1;
                round.subscribe(session, collection, 0, Duration::ZERO);
            }
        }
        // Whoever asked until now is served by the first readings.
        if self.wish.is_none() {
            self.accept_asked();
        }
        if self.wish.is_some() {
            round.serve_wish(&mut self.pacing.schedule);
        }
        round
    }

    fn begin_due(&mut self, round: &mut Round) {
        let at = Instant::now();
        let due = self.pacing.schedule.due(at);
        if !due.is_empty() {
            self.ledger.attempt(now());
        }
        for section in due {
            self.pacing.schedule.started(section, at);
            round.begun.insert(section);
            if section == Section::Metrics {
                self.take_figures(round);
                continue;
            }
            if section == Section::Pools {
                round.pools.begun(at);
            }
            if section == Section::Alerts {
                round.desk.begun();
            }
            let reader = Arc::clone(&round.reader);
            let span = tracing::info_span!(
                target: trace::TARGET, "read",
                connection = %self.settings.id, section = section.token(), trace_id = Empty,
            );
            trace::follow(&span, "");
            round.running.spawn(async move {
                let result = reader.read(section).instrument(span.clone()).await;
                Done::Section(section, result, span)
            });
        }
    }

    fn renew(&self, round: &mut Round) {
        round.renewal.begun();
        let made =
            renew::make(Arc::clone(&self.shared), Arc::clone(&self.settings), self.session_options.clone());
        round.running.spawn(async move { Done::Renewed(Box::new(made.await)) });
    }

    /// Answers the session that replaces this one, when that is what has ended.
    fn take(
        &mut self,
        done: Done,
        session: &Arc<Session>,
        round: &mut Round,
    ) -> Result<Option<Box<Session>>, Lost> {
        match done {
            Done::Subscribed { collection, attempts, answer } => {
                self.subscribed(session, round, collection, attempts, &answer);
            }
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
                if pools?.is_some_and(|cheap| round.pools.look(&cheap, at)) {
                    self.pacing.schedule.hint(Section::Pools, Urgency::Change, at);
                }
            }
            Done::Section(section, result, span) => {
                let result = result?;
                span.in_scope(|| self.take_section(section, result, round));
            }
            Done::Order(order, outcome) => self.carried_out(round, order, outcome)?,
        }
        Ok(None)
    }

    /// What came late may have missed something: its section is read again. What did not come is asked for again.
    fn subscribed(
        &mut self,
        session: &Arc<Session>,
        round: &mut Round,
        collection: String,
        attempts: u32,
        answer: &Answer,
    ) {
        if figures::is_source(&collection) {
            round.figures.answered(answer);
        }
        if attempts == 1 {
            round.subscribing.open = round.subscribing.open.saturating_sub(1);
        }
        match answer {
            Answer::There if round.subscribing.until.is_none() => {
                if let Some(section) = event::section_of(&collection) {
                    self.pacing.schedule.hint(section, Urgency::Change, Instant::now());
                }
            }
            Answer::There | Answer::Refused(_) => {}
            Answer::Later(_) => {
                round.subscribe(session, collection, attempts, subscribe::again_after(attempts));
            }
        }
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
        self.pacing.schedule.finished(section, ended, Instant::now());
        let before = log::Before {
            ended: self.ledger.ended.get(&section),
            skipped: self.snapshot.state(section).map(|state| state.skipped.as_slice()).unwrap_or_default(),
        };
        log::reading(&self.settings.id, section, &before, &result);
        if let Ok(SectionRead { data: Data::Pools(pools), .. }) = &result {
            round.pools.read(pools);
        }
        let at = now();
        self.ledger.read(section, &result, at);
        let interval = self.pacing.schedule.interval(section);
        Arc::make_mut(&mut self.snapshot).apply(section, result, at, interval);
        self.tell_sections();
        if section == Section::Alerts {
            round.desk.read();
        }
        if round.begun.remove(&section) {
            round.awaited.remove(&section);
        }
        if round.awaited.is_empty() {
            self.wish_served();
        }
    }

    /// Figures are pushed: what came last is what is read.
    fn take_figures(&mut self, round: &mut Round) {
        match round.figures.take(now()) {
            Some(result) => self.take_section(Section::Metrics, result, round),
            None => self.pacing.schedule.finished(Section::Metrics, Ended::Complete, Instant::now()),
        }
    }

    fn hear(&mut self, session: &Arc<Session>, round: &mut Round, notice: Notice) {
        if let Some(farewell) = farewell(&notice) {
            self.tell(Input::Leaving { farewell: &farewell });
        }
        let at = Instant::now();
        let schedule = &mut self.pacing.schedule;
        if let Notice::Event(event) = &notice {
            let bytes = event.fields.as_ref().map_or(0, |fields| fields.get().len());
            self.ledger.meter.lock().unwrap_or_else(PoisonError::into_inner).event(bytes, at);
        }
        match notice {
            Notice::Event(event) if figures::is_source(&event.collection) => {
                if let Some(fields) = &event.fields {
                    round.figures.hear(fields, now());
                }
            }
            Notice::Event(event) => {
                if let Some(section) = event::section_of(&event.collection) {
                    schedule.hint(section, urgency(&event.collection), at);
                    if section == Section::Alerts
                        && let Some(probe_at) = &mut round.probe_at
                    {
                        // Where a pool's state changes in silence, an alert of it may be the only sound.
                        *probe_at = (*probe_at).min(at + PROBE_AFTER_ALERT);
                    }
                }
            }
            Notice::Lagged { ended } => {
                for section in Section::ALL {
                    schedule.hint(section, Urgency::Change, at);
                }
                for collection in ended {
                    round.subscribe(session, collection, 1, SUBSCRIBE_AGAIN);
                }
            }
            Notice::Unsubscribed { collection, reason } => {
                tracing::debug!(%collection, reason = reason.as_deref().unwrap_or_default(), "a subscription ended");
                if let Some(section) = event::section_of(&collection) {
                    schedule.hint(section, Urgency::Change, at);
                }
                round.subscribe(session, collection, 1, SUBSCRIBE_AGAIN);
            }
        }
    }
}

impl Round {
    /// After the first subscriptions, or when they take too long.
    fn may_read(&mut self, now: Instant) -> bool {
        let waits = self.subscribing.open > 0 && self.subscribing.until.is_some_and(|until| now < until);
        if !waits {
            self.subscribing.until = None;
        }
        !waits
    }

    /// `attempts` were made before this one.
    fn subscribe(&mut self, session: &Arc<Session>, collection: String, attempts: u32, wait: Duration) {
        let (session, places) = (Arc::clone(session), Arc::clone(&self.subscribing.places));
        let limit = self.subscribing.limit;
        self.running.spawn(async move {
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            // Never closed, so that this cannot fail.
            let _place = places.acquire().await;
            let answer = subscribe::ask(&session, &collection, limit).await;
            Done::Subscribed { collection, attempts: attempts.saturating_add(1), answer }
        });
    }

    /// Everything that a wish is for is read again, and it is answered when all of that was begun after it and has ended.
    fn serve_wish(&mut self, schedule: &mut Schedule) {
        self.begun.clear();
        self.awaited = awaitable(schedule.refresh(Instant::now()));
    }

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

/// What the NAS said of why it goes away.
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
