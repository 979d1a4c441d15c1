//! The life of one connection: connect, stay, wait, again, until it is cancelled.
//!
//! Thin: what to do next is the machine's, when to read the schedule's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use pulse_proto::model::UnixMillis;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::machine::{Input, Machine};
use super::pacing::Pacing;
use super::report::{Ledger, seconds};
use super::{Options, Sink, endpoint};
use crate::api::Section;
use crate::clock;
use crate::connection::order::Orders;
use crate::connection::refresh::{Refresh, Ticket};
use crate::connection::{Board, Roster, Settings, Signals};
use crate::session::{ConnectError, Mechanism, Session, SessionOptions, connect_telling};
use crate::snapshot::Snapshot;

/// A farewell that takes longer is none.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// What all tasks share.
pub(super) struct Shared {
    pub(super) roster: Arc<Roster>,
    pub(super) board: Arc<Board>,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) options: Options,
    pub(super) connects: Semaphore,
}

pub(super) struct Task {
    pub(super) settings: Arc<Settings>,
    pub(super) shared: Arc<Shared>,
    pub(super) cancel: CancellationToken,
    pub(super) refresh: Arc<Refresh>,
    pub(super) orders: Arc<Orders>,
    pub(super) machine: Machine,
    pub(super) ledger: Ledger,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) pacing: Pacing,
    /// A wish for a reading that is being served.
    pub(super) wish: Option<Ticket>,
    pub(super) session_options: SessionOptions,
    /// Sections that are not read.
    pub(super) disabled: BTreeSet<Section>,
}

/// What a task leaves to the one that follows it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    settings: Arc<Settings>,
    snapshot: Arc<Snapshot>,
    ledger: Ledger,
}

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    Cancelled,
    Lost(String),
    /// Replaced by this one, which is as good.
    Renewed(Box<Session>),
    /// As old as it may get.
    Aged,
}

impl Task {
    pub(super) fn new(
        settings: Arc<Settings>,
        shared: Arc<Shared>,
        Signals { refresh, orders }: Signals,
        cancel: CancellationToken,
        kept: Option<Kept>,
    ) -> Self {
        // What another NAS said is not what this one says.
        let kept = kept.filter(|kept| kept.settings.same_destination(&settings));
        let (snapshot, ledger) = kept.map_or_else(
            || (Arc::default(), Ledger::new(&settings.id)),
            |Kept { snapshot, ledger, .. }| (snapshot, ledger),
        );
        let disabled = disabled(&settings);
        let mut snapshot = snapshot;
        Arc::make_mut(&mut snapshot).disable(&disabled, now());
        let pacing = Pacing::new(settings.poll_interval, disabled.clone(), Instant::now());
        let session_options =
            SessionOptions { require_scram: settings.scram_seen, ..shared.options.session.clone() };
        Self {
            settings,
            shared,
            cancel,
            refresh,
            orders,
            machine: Machine::new(now()).without(disabled.len()),
            ledger,
            snapshot,
            pacing,
            wish: None,
            session_options,
            disabled,
        }
    }

    pub(super) async fn run(mut self) -> Kept {
        if self.settings.enabled {
            self.keep_connected().await;
        } else {
            self.tell(Input::Disabled);
            self.cancel.cancelled().await;
        }
        Kept { settings: self.settings, snapshot: self.snapshot, ledger: self.ledger }
    }

    async fn keep_connected(&mut self) {
        let cancel = self.cancel.clone();
        loop {
            if self.wish.is_none() {
                self.accept_asked();
            }
            let Some(attempt) = cancel.run_until_cancelled(self.connect()).await else { return };
            let wait = match attempt {
                Ok(session) => {
                    let end = self.stay(session).await;
                    match self.ended(&end) {
                        Some(wait) => wait,
                        None => return,
                    }
                }
                Err(error) => self.failed(&error),
            };
            self.wish_served();
            let refresh = Arc::clone(&self.refresh);
            let free_at = self.free_at(Instant::now());
            let pause = async {
                tokio::select! {
                    () = tokio::time::sleep(wait) => None,
                    wish = asked_after(&refresh, free_at) => Some(wish),
                }
            };
            match cancel.run_until_cancelled(pause).await {
                Some(Some(wish)) => self.accept(wish),
                Some(None) => {}
                None => return,
            }
        }
    }

    /// A wish is served from now on.
    pub(super) fn accept(&mut self, wish: Ticket) {
        self.pacing.pace.begun(Instant::now());
        self.wish = Some(wish);
    }

    /// Takes a wish that waits, when its turn has come.
    pub(super) fn accept_asked(&mut self) {
        if self.pacing.pace.free_at(Instant::now()).is_none()
            && let Some(wish) = self.refresh.asked().now_or_never()
        {
            self.accept(wish);
        }
    }

    pub(super) fn wish_served(&mut self) {
        if let Some(wish) = self.wish.take() {
            self.pacing.pace.ended(Instant::now());
            self.refresh.finish(wish);
        }
    }

    /// When somebody's wish may have a connect made: neither rounds nor logins come closer to each other than they may.
    fn free_at(&self, at: Instant) -> Option<Instant> {
        let login = self.machine.until_login(now());
        let login = (!login.is_zero()).then(|| at + login);
        login.max(self.pacing.pace.free_at(at))
    }

    async fn connect(&mut self) -> Result<Session, ConnectError> {
        let shared = Arc::clone(&self.shared);
        let settings = Arc::clone(&self.settings);
        // Never closed, so that this cannot fail.
        let _place = shared.connects.acquire().await;
        self.ledger.attempt(now());
        self.tell(Input::Attempt);
        let (endpoint, options) = (endpoint(&settings), self.session_options.clone());
        let reached = Notify::new();
        let on_login = || reached.notify_one();
        let connect = connect_telling(&endpoint, &settings.credential, &options, &on_login);
        tokio::pin!(connect);
        loop {
            tokio::select! {
                result = &mut connect => return result,
                () = reached.notified() => {
                    self.tell(Input::LoggingIn);
                }
            }
        }
    }

    fn failed(&mut self, error: &ConnectError) -> Duration {
        let (text, remedy) = (error.to_string(), error.remedy());
        let news = self.machine.last_error() != text;
        self.ledger.connect_failed(error.observed());
        let input = Input::Failed { class: error.class(), error: &text, remedy: &remedy };
        let wait = self.tell(input).unwrap_or_default();
        let (id, name, retry_in) = (&self.settings.id, &self.settings.name, seconds(wait));
        if news {
            let class = error.class();
            tracing::warn!(connection = %id, %name, error = %text, %remedy, ?class, %retry_in, "no session with the NAS");
        } else {
            tracing::debug!(connection = %id, %name, error = %text, %retry_in, "still no session with the NAS");
        }
        wait
    }

    /// From a session to its end, or to that of the last one that replaced it. Reads until then.
    async fn stay(&mut self, first: Session) -> End {
        self.ledger.connected(first.info());
        self.tell(Input::Up);
        let mut session = first;
        loop {
            if !self.pacing.resume(session.info(), Instant::now()) {
                self.ledger.ended.clear();
            }
            self.tell_sections();
            self.greet(&session).await;
            let end = self.read_over(session).await;
            let End::Renewed(next) = end else { return end };
            session = *next;
            self.ledger.renewed(session.info());
            self.tell(Input::Renewed);
        }
    }

    async fn greet(&mut self, session: &Session) {
        let info = session.info();
        if info.auth_mechanism == Mechanism::Scram && !self.session_options.require_scram {
            self.session_options.require_scram = true;
            if let Err(error) = self.shared.roster.note_scram(&self.settings).await {
                tracing::warn!(connection = %self.settings.id, %error, "that it offers SCRAM is known until the next start only");
            }
        }
        tracing::info!(
            connection = %self.settings.id, name = %self.settings.name, endpoint = %info.endpoint,
            version = %info.appliance_version, api = %info.api_version, mode = info.mode.label(),
            login = info.auth_mechanism.label(), "session with the NAS",
        );
    }

    async fn read_over(&mut self, mut session: Session) -> End {
        let notices = session.take_notices();
        let session = Arc::new(session);
        let end = self.live(&session, notices).await;
        if tokio::time::timeout(CLOSE_LIMIT, session.close()).await.is_err() {
            tracing::debug!(connection = %self.settings.id, "the session did not close in time");
        }
        end
    }

    /// How long to wait before the next session; `None` when there is to be none.
    fn ended(&mut self, end: &End) -> Option<Duration> {
        let wait = match end {
            // A replaced session is followed up in `stay`.
            End::Cancelled | End::Renewed(_) => return None,
            End::Lost(why) => self.tell(Input::Lost { why }),
            End::Aged => self.tell(Input::Renew),
        };
        let wait = wait.unwrap_or_default();
        tracing::info!(
            connection = %self.settings.id, name = %self.settings.name, why = %self.machine.reason(),
            retry_in = %seconds(wait), "the session with the NAS ended",
        );
        Some(wait)
    }

    /// Tells the machine, then everybody else.
    pub(super) fn tell(&mut self, input: Input<'_>) -> Option<Duration> {
        let wait = self.machine.apply(input, now(), rand::random());
        self.publish();
        wait
    }

    /// As it is told elsewhere: the sections' last outcomes decide between live and degraded.
    pub(super) fn tell_sections(&mut self) {
        self.machine.apply(Input::Sections(&self.ledger.ended), now(), rand::random());
        self.publish();
    }

    fn publish(&self) {
        let health = self.ledger.health(&self.settings, &self.machine, &self.snapshot);
        self.shared.sink.snapshot(&self.settings, Arc::clone(&self.snapshot), &health);
        self.shared.board.set(&self.settings.id, health);
    }
}

/// A wish for a reading, once another round may begin. Cancel safe.
pub(super) async fn asked_after(refresh: &Refresh, free_at: Option<Instant>) -> Ticket {
    if let Some(at) = free_at {
        tokio::time::sleep_until(at).await;
    }
    refresh.asked().await
}

/// The sections that the operator switched off. One that a newer program knew is none here.
pub(super) fn disabled(settings: &Settings) -> BTreeSet<Section> {
    settings.disabled_sections.iter().filter_map(|name| Section::from_token(name.as_str())).collect()
}

pub(super) fn now() -> UnixMillis {
    UnixMillis::new(clock::now_unix_ms())
}
