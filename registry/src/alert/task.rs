//! Runs the core of alerts beside the one writer: takes what changed, commands
//! and the time, has the outcome kept, then publishes and answers, in that order.

use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{Revision, UnixMillis};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::case::Step;
use super::dry_run::Remembered;
use super::engine::{Command, Done, Engine, Outcome, PASS_STEP, Refusal};
use super::feed::AlertPublisher;
use crate::clock::Clock;
use crate::ingest;
use crate::state::Feed;

/// Commands that may wait.
pub const QUEUE_MAX: usize = 64;
/// Revisions of resources taken in one step.
const REVISIONS_MAX: usize = 256;
/// Subjects that became due and are looked at in one step.
const DUE_MAX: usize = 2_000;
/// Rows in one commit of a whole pass.
const NOTES_MAX: usize = 5_000;
/// After a failed commit the store is asked again this often.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What had rules asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The resource changed.
    Change,
    /// A time was due: an age, a confirmation, the end of a wait.
    Due,
    /// Everything is looked at.
    Pass,
}

impl Why {
    pub const ALL: [Self; 3] = [Self::Change, Self::Due, Self::Pass];

    pub const fn token(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Due => "due",
            Self::Pass => "pass",
        }
    }
}

/// Hears how evaluation does; for metrics.
pub trait Observer: Send + Sync + 'static {
    /// One step: so many resources, and the time it took.
    fn evaluated(&self, why: Why, resources: usize, took: Duration);
    /// A pass over everything, with what it waited for.
    fn passed(&self, took: Duration);
    /// A case went a step, and that is durable.
    fn stepped(&self, step: Step);
    /// Further cases were not begun since too many are open.
    fn left_out(&self, cases: u64);
}

/// How operators reach the core.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Run { command: Box<Command>, reply: oneshot::Sender<Result<Done, Failure>> },
    Remember(oneshot::Sender<Remembered>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the store does not take writes at the moment: {0}; the change may still come about")]
    Store(String),
    #[error("the registry is stopping")]
    Stopped,
}

impl Handle {
    /// Durable and published when it returns.
    pub async fn run(&self, command: Command) -> Result<Done, Failure> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(command);
        self.requests.send(Request::Run { command, reply }).await.map_err(|_gone| Failure::Stopped)?;
        answer.await.map_err(|_gone| Failure::Stopped)?
    }

    /// What conditions that look back know of now.
    pub async fn remembered(&self) -> Result<Remembered, Failure> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::Remember(reply)).await.map_err(|_gone| Failure::Stopped)?;
        answer.await.map_err(|_gone| Failure::Stopped)
    }
}

/// Everything the core runs with.
pub struct Task {
    engine: Engine,
    publisher: AlertPublisher,
    feed: Feed,
    store: ingest::Handle,
    clock: Clock,
    observer: Arc<dyn Observer>,
    /// Whoever waits for the store stops waiting.
    stop: CancellationToken,
    requests: mpsc::Receiver<Request>,
    /// Resources are evaluated up to here.
    evaluated: Revision,
    /// Everything must be looked at.
    all: bool,
    left_out: u64,
}

/// The writer is gone: so is this.
struct Ended;

/// A step of evaluation.
#[derive(Clone, Copy)]
struct Work {
    why: Why,
    resources: usize,
    took: Duration,
}

impl Task {
    pub fn new(
        engine: Engine,
        publisher: AlertPublisher,
        feed: Feed,
        store: ingest::Handle,
        clock: Clock,
        observer: Arc<dyn Observer>,
        stop: CancellationToken,
    ) -> (Self, Handle) {
        let (sender, requests) = mpsc::channel(QUEUE_MAX);
        let task = Self {
            engine,
            publisher,
            feed,
            store,
            clock,
            observer,
            stop,
            requests,
            evaluated: Revision(0),
            all: true,
            left_out: 0,
        };
        (task, Handle { requests: sender })
    }

    /// Runs until every handle is gone, or the writer is.
    pub async fn run(mut self) {
        while self.round().await.is_ok() {}
    }

    async fn round(&mut self) -> Result<(), Ended> {
        if self.all {
            return self.whole().await;
        }
        let due = self.engine.next_due();
        tokio::select! {
            biased;
            request = self.requests.recv() => {
                match request.ok_or(Ended)? {
                    Request::Run { command, reply } => self.command(*command, reply).await,
                    Request::Remember(reply) => {
                        drop(reply.send(self.engine.remembered()));
                        Ok(())
                    }
                }
            }
            alive = self.feed.beyond(self.evaluated) => {
                if !alive {
                    return Err(Ended);
                }
                self.follow().await
            }
            () = self.clock.reaches(due) => {
                let now = self.clock.now();
                let work = self.look_at_due(now);
                self.keep([work], now).await
            }
        }
    }

    fn look_at_due(&mut self, now: UnixMillis) -> Work {
        let (view, began) = (self.feed.view(), Instant::now());
        let resources = self.engine.tick(&view, now, DUE_MAX);
        Work { why: Why::Due, resources, took: began.elapsed() }
    }

    /// Takes in what changed since.
    async fn follow(&mut self) -> Result<(), Ended> {
        let Ok(changes) = self.feed.after(self.evaluated, REVISIONS_MAX) else {
            // More happened than is remembered.
            self.all = true;
            return Ok(());
        };
        let (view, now, began) = (self.feed.view(), self.clock.now(), Instant::now());
        let mut resources = 0;
        for changes in &changes {
            self.engine.changes(changes, &view, now);
            self.evaluated = changes.revision;
            resources += changes.items.len();
        }
        if changes.is_empty() {
            self.evaluated = self.evaluated.max(view.revision);
            self.engine.reached(self.evaluated);
        }
        let work = Work { why: Why::Change, resources, took: began.elapsed() };
        // What is due must not wait until nothing changes.
        let due = self.engine.next_due().is_some_and(|due| due <= now).then(|| self.look_at_due(now));
        self.keep([work].into_iter().chain(due), now).await
    }

    /// Looks at everything, in steps that let others have their turn.
    async fn whole(&mut self) -> Result<(), Ended> {
        let view = self.feed.view();
        let started = Instant::now();
        if let Ok(skipped) = self.feed.after(self.evaluated, usize::MAX) {
            let until = skipped.partition_point(|changes| changes.revision <= view.revision);
            self.engine.pass_over(skipped.get(..until).unwrap_or_default());
        }
        for shard in view.shards() {
            let mut from = Some(0);
            while let Some(row) = from {
                if self.stop.is_cancelled() {
                    return Err(Ended);
                }
                let (now, began) = (self.clock.now(), Instant::now());
                from = self.engine.pass(&view, shard, row, PASS_STEP, now);
                let resources = from.unwrap_or(shard.resources.len()).saturating_sub(row);
                self.observe(Work { why: Why::Pass, resources, took: began.elapsed() });
                if self.engine.unkept() >= NOTES_MAX {
                    self.keep([], now).await?;
                }
                tokio::task::yield_now().await;
            }
        }
        let now = self.clock.now();
        self.engine.sweep(&view, now);
        self.evaluated = view.revision;
        self.all = false;
        self.keep([], now).await?;
        let took = started.elapsed();
        self.observer.passed(took);
        info!(
            revision = %view.revision, resources = view.len(), open = self.engine.open(), ?took,
            "alerts are evaluated anew",
        );
        Ok(())
    }

    async fn command(
        &mut self,
        command: Command,
        reply: oneshot::Sender<Result<Done, Failure>>,
    ) -> Result<(), Ended> {
        let now = self.clock.now();
        let rules = matches!(
            command,
            Command::CreateRule(_) | Command::UpdateRule { .. } | Command::DeleteRule { .. }
        );
        let said = match self.engine.command(command, now) {
            Ok(said) => said,
            Err(refusal) => {
                drop(reply.send(Err(refusal.into())));
                return Ok(());
            }
        };
        self.all |= rules;
        let outcome = self.engine.flush(now);
        let done = self.engine.done(&said);
        let Some(outcome) = outcome else {
            drop(reply.send(done.ok_or(Failure::Stopped)));
            return Ok(());
        };
        match self.store.keep(outcome.notes.clone()).await {
            Err(_stopped) => Err(Ended),
            Ok(Ok(())) => {
                self.publish(&outcome);
                drop(reply.send(done.ok_or(Failure::Stopped)));
                Ok(())
            }
            Ok(Err(error)) => {
                drop(reply.send(Err(Failure::Store(error))));
                self.insist(outcome).await
            }
        }
    }

    /// Has what changed by `now` kept, then shows it. The first of what was done is charged with finding that out.
    async fn keep(&mut self, done: impl IntoIterator<Item = Work>, now: UnixMillis) -> Result<(), Ended> {
        let began = Instant::now();
        let outcome = self.engine.flush(now);
        let mut flushing = began.elapsed();
        for mut work in done {
            work.took += std::mem::take(&mut flushing);
            self.observe(work);
        }
        let Some(outcome) = outcome else {
            self.show_progress();
            return Ok(());
        };
        self.insist(outcome).await
    }

    /// Until the store takes it: nothing is shown that a restart would forget.
    async fn insist(&mut self, outcome: Outcome) -> Result<(), Ended> {
        let mut told = false;
        loop {
            match self.store.keep(outcome.notes.clone()).await {
                Err(_stopped) => return Err(Ended),
                Ok(Ok(())) => break,
                Ok(Err(error)) if told => drop(error),
                Ok(Err(error)) => {
                    warn!(error, "alerts wait for the store: none is told until it takes writes again");
                    told = true;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                () = self.stop.cancelled() => return Err(Ended),
            }
        }
        self.publish(&outcome);
        Ok(())
    }

    fn publish(&mut self, outcome: &Outcome) {
        let before = self.publisher.current();
        let book = outcome.onto(&before, self.evaluated);
        for case in &outcome.cases {
            for step in case.steps_since(before.get(case.id).map(|before| &**before)) {
                self.observer.stepped(step.step);
            }
        }
        self.publisher.publish(book, &outcome.cases);
        let left_out = self.engine.left_out();
        if left_out > self.left_out {
            error!(
                left_out,
                open = self.engine.open(),
                "too many alerts are open: further ones are left out"
            );
            self.observer.left_out(left_out - self.left_out);
            self.left_out = left_out;
        }
    }

    fn observe(&self, work: Work) {
        let Work { why, resources, took } = work;
        self.observer.evaluated(why, resources, took);
    }

    /// Says how far evaluation has come, where nothing else is to be said.
    fn show_progress(&self) {
        let current = self.publisher.current();
        if current.evaluated < self.evaluated {
            let mut book = (*current).clone();
            book.evaluated = self.evaluated;
            self.publisher.publish(book, &[]);
        }
    }
}

#[cfg(test)]
mod tests;
