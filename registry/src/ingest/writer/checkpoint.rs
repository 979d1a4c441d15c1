//! The checkpoint that runs beside the writer: one at a time, on a thread of
//! its own. A failed one is tried again later; nothing depends on it but disk
//! space and the time of the next start.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Observer;
use crate::state::Snapshot;
use crate::store::{Store, StoreError, Ticket};

/// After a failed checkpoint the next one begins no sooner.
const RETRY_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    running: Option<Running>,
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    outcome: oneshot::Receiver<Result<(), StoreError>>,
}

impl Checkpoints {
    pub(super) fn may_begin(&self) -> bool {
        self.running.is_none() && self.not_before.is_none_or(|at| Instant::now() >= at)
    }

    pub(super) fn begin(
        &mut self,
        store: Arc<dyn Store>,
        ticket: Ticket,
        snapshot: Snapshot,
        observer: &dyn Observer,
    ) {
        let (tell, outcome) = oneshot::channel();
        let write = move || {
            let (mut common, mut connections) = snapshot.rows();
            let done = store.finish_checkpoint(ticket, &mut common, &mut connections);
            drop((common, connections));
            // Let go of first: who hears of the end may open the store anew.
            drop(store);
            drop(tell.send(done));
        };
        match thread::Builder::new().name("checkpoint".to_owned()).spawn(write) {
            Ok(_detached) => self.running = Some(Running { since: Instant::now(), outcome }),
            Err(error) => self.failed(&error.to_string(), observer),
        }
    }

    pub(super) fn failed(&mut self, error: &str, observer: &dyn Observer) {
        self.not_before = Some(Instant::now() + RETRY_INTERVAL);
        observer.checkpoint_failed(error);
    }

    /// Resolves when the one that runs has ended; for ever when there is none.
    pub(super) async fn ended(&mut self, observer: &dyn Observer) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let outcome = (&mut running.outcome).await;
        let took = running.since.elapsed();
        self.running = None;
        match outcome {
            Ok(Ok(())) => observer.checkpointed(took),
            Ok(Err(error)) => self.failed(&error.to_string(), observer),
            Err(_panicked) => self.failed("its thread ended early", observer),
        }
    }

    /// Nothing of the store is in use any more once this returns.
    pub(super) async fn finish(&mut self, observer: &dyn Observer) {
        if self.running.is_some() {
            self.ended(observer).await;
        }
    }
}
