//! Keeps one task per connection of the roster: starts, restarts and stops them, and outlives their panics.
//!
//! Knows settings only by their revision.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::ConnectionId;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::task::{Kept, Shared, Task};
use super::{Options, Sink};
use crate::connection::{Board, Roster, Settings};

/// A task that panicked is not started again at once.
const AFTER_PANIC: Duration = Duration::from_secs(30);

/// A connection that is wanted, or whose task has not ended yet.
#[derive(Default)]
struct Slot {
    wanted: Option<Arc<Settings>>,
    running: Option<Running>,
    not_before: Option<Instant>,
    kept: Option<Kept>,
}

struct Running {
    settings: Arc<Settings>,
    cancel: CancellationToken,
}

struct Supervisor {
    roster: Arc<Roster>,
    shared: Arc<Shared>,
    slots: BTreeMap<ConnectionId, Slot>,
    tasks: JoinSet<Kept>,
    /// Looked up by task only, never walked.
    owners: HashMap<Id, ConnectionId>,
}

/// Runs until `shutdown`, then ends every session politely.
pub async fn run(
    roster: Arc<Roster>,
    board: Arc<Board>,
    options: Options,
    sink: Arc<dyn Sink>,
    shutdown: CancellationToken,
) {
    let mut watched = roster.subscribe();
    let connects = Semaphore::new(options.connects_max.max(1));
    let mut supervisor = Supervisor {
        shared: Arc::new(Shared { roster: Arc::clone(&roster), board, sink, options, connects }),
        roster,
        slots: BTreeMap::new(),
        tasks: JoinSet::new(),
        owners: HashMap::new(),
    };
    let mut open = true;
    loop {
        let connections = Arc::clone(&watched.borrow_and_update());
        supervisor.want(&connections);
        let next = supervisor.start(Instant::now());
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = watched.changed(), if open => open = changed.is_ok(),
            Some(ended) = supervisor.tasks.join_next_with_id() => supervisor.ended(ended),
            () = until(next) => {}
        }
    }
    for slot in supervisor.slots.values() {
        slot.stop();
    }
    while let Some(ended) = supervisor.tasks.join_next_with_id().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a connection's task did not end well");
        }
    }
}

impl Supervisor {
    /// Takes the roster over. Tasks with another revision of their settings than these are told to end.
    fn want(&mut self, connections: &BTreeMap<ConnectionId, Arc<Settings>>) {
        for (id, slot) in &mut self.slots {
            slot.wanted = connections.get(id).cloned();
        }
        for (id, settings) in connections {
            let slot = self.slots.entry(id.clone()).or_default();
            slot.wanted = Some(Arc::clone(settings));
        }
        for slot in self.slots.values_mut() {
            let stays = match (&slot.wanted, &slot.running) {
                (Some(wanted), Some(running)) => wanted.revision == running.settings.revision,
                _ => slot.running.is_none(),
            };
            if !stays {
                slot.stop();
                slot.not_before = None;
            }
        }
    }

    /// Starts what is wanted and not running, and forgets what is neither. Answers when to look again.
    fn start(&mut self, now: Instant) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut gone = Vec::new();
        for (id, slot) in &mut self.slots {
            match (&slot.wanted, &slot.running) {
                (None, None) => gone.push(id.clone()),
                (Some(settings), None) => {
                    if let Some(at) = slot.not_before.filter(|at| *at > now) {
                        next = Some(next.map_or(at, |next| next.min(at)));
                        continue;
                    }
                    let Some(signals) = self.roster.signals(id) else {
                        // Deleted since: the roster's next word says so.
                        continue;
                    };
                    let cancel = CancellationToken::new();
                    let shared = Arc::clone(&self.shared);
                    let kept = slot.kept.take();
                    let task = Task::new(Arc::clone(settings), shared, signals, cancel.clone(), kept);
                    let handle = self.tasks.spawn(task.run());
                    self.owners.insert(handle.id(), id.clone());
                    slot.running = Some(Running { settings: Arc::clone(settings), cancel });
                }
                (_, Some(_)) => {}
            }
        }
        for id in gone {
            self.slots.remove(&id);
            self.shared.board.remove(&id);
            self.shared.sink.removed(&id);
            tracing::info!(connection = %id, "connection removed");
        }
        next
    }

    fn ended(&mut self, ended: Result<(Id, Kept), JoinError>) {
        let (task, outcome) = match ended {
            Ok((task, kept)) => (task, Ok(kept)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(id) = self.owners.remove(&task) else { return };
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.running = None;
        match outcome {
            Ok(kept) => slot.kept = Some(kept),
            Err(error) => {
                tracing::error!(
                    connection = %id, %error, restart_in_seconds = AFTER_PANIC.as_secs(),
                    "the task of a connection failed; the others go on",
                );
                slot.not_before = Some(Instant::now() + AFTER_PANIC);
            }
        }
    }
}

impl Slot {
    fn stop(&self) {
        if let Some(running) = &self.running {
            running.cancel.cancel();
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
