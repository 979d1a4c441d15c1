//! The task that owns a socket and drives the core, and the handle callers hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::core::{CallId, Core, Options, Output, Transmit};
use super::error::{CallError, CloseReason};
use super::frame::Event;
use super::framing::Framing;
use crate::transport::ws::{Incoming, Socket};

/// Calls on their way from callers to the task.
const COMMANDS_MAX: usize = 64;
/// Notices that a slow reader may leave unread before it is told that it lags.
pub const NOTICES_MAX: usize = 1_024;
/// Subscriptions whose end is remembered for a reader that lags; nobody asks for as many.
const ENDED_MAX: usize = 128;

/// What a method returned, unread.
#[derive(Debug)]
pub struct Reply(pub Box<RawValue>);

/// What a server tells on its own.
#[derive(Debug)]
pub enum Notice {
    Event(Event),
    Unsubscribed {
        collection: String,
        reason: Option<String>,
    },
    /// Notices were lost: everything has to be read again.
    Lagged {
        /// Subscriptions of which it was lost that they ended.
        ended: BTreeSet<String>,
    },
}

enum Command {
    Call { method: String, params: Value, limit: Duration, answer: Answer },
    Close,
}

type Answer = oneshot::Sender<Result<Reply, CallError>>;

/// A cheap handle on a connection. The connection closes when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Link {
    commands: mpsc::Sender<Command>,
    closed: watch::Receiver<Option<CloseReason>>,
}

impl Link {
    /// Starts the task.
    pub fn spawn(socket: Socket, options: Options, framing: Framing) -> (Self, mpsc::Receiver<Notice>) {
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (notices, notice_queue) = mpsc::channel(NOTICES_MAX);
        let (closed_by, closed) = watch::channel(None);
        let driver = Driver {
            core: Core::new(Instant::now(), options, framing),
            answers: BTreeMap::new(),
            notices: Notices { queue: notices, lagged: false, ended: BTreeSet::new() },
        };
        tokio::spawn(async move {
            let reason = driver.run(socket, command_queue).await;
            closed_by.send_replace(Some(reason));
        });
        (Self { commands, closed }, notice_queue)
    }

    /// Calls a method. `limit` covers waiting, sending and the answer.
    pub async fn call(&self, method: &str, params: &Value, limit: Duration) -> Result<Reply, CallError> {
        let (answer, result) = oneshot::channel();
        let call = Command::Call { method: method.to_owned(), params: params.clone(), limit, answer };
        let exchange = async {
            if self.commands.send(call).await.is_err() {
                return Err(CallError::Closed(self.closed().await));
            }
            match result.await {
                Ok(outcome) => outcome,
                Err(_) => Err(CallError::Closed(self.closed().await)),
            }
        };
        // The core keeps the deadline; this covers a task that is stuck in a write.
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(CallError::Deadline { limit }))
    }

    /// Resolves when the connection has ended, however late it is asked.
    pub async fn closed(&self) -> CloseReason {
        let mut closed = self.closed.clone();
        let reason = closed.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        reason.unwrap_or(CloseReason::Ours)
    }

    /// Ends the connection and waits until it has.
    pub async fn close(&self) -> CloseReason {
        let _already_gone = self.commands.send(Command::Close).await;
        self.closed().await
    }
}

struct Notices {
    queue: mpsc::Sender<Notice>,
    lagged: bool,
    ended: BTreeSet<String>,
}

impl Notices {
    fn push(&mut self, notice: Notice) {
        let lost = if self.lagged { Some(notice) } else { self.queue.try_send(notice).err().map(lost) };
        let Some(lost) = lost else { return };
        self.lagged = true;
        if let Notice::Unsubscribed { collection, .. } = lost
            && self.ended.len() < ENDED_MAX
        {
            self.ended.insert(collection);
        }
    }

    /// Waits until the lag has been told; for ever when there is none.
    async fn tell_lag(&mut self) {
        if !self.lagged {
            std::future::pending::<()>().await;
        }
        if let Ok(permit) = self.queue.reserve().await {
            permit.send(Notice::Lagged { ended: std::mem::take(&mut self.ended) });
        }
        self.lagged = false;
    }
}

fn lost(error: TrySendError<Notice>) -> Notice {
    match error {
        TrySendError::Full(notice) | TrySendError::Closed(notice) => notice,
    }
}

struct Driver {
    core: Core,
    answers: BTreeMap<CallId, Answer>,
    notices: Notices,
}

impl Driver {
    async fn run(mut self, mut socket: Socket, mut commands: mpsc::Receiver<Command>) -> CloseReason {
        loop {
            while let Some(transmit) = self.core.poll_transmit() {
                let sent = match transmit {
                    Transmit::Text(text) => socket.send_text(text).await,
                    Transmit::Ping => socket.send_ping().await,
                };
                if let Err(closed) = sent {
                    self.core.handle_closed(closed.into());
                }
            }
            if let Some(reason) = self.deliver() {
                if !matches!(reason, CloseReason::Socket(_)) {
                    socket.close().await;
                }
                return reason;
            }
            let (due, _why) = self.core.poll_timeout();
            tokio::select! {
                incoming = socket.recv() => match incoming {
                    Incoming::Text(text) => self.core.handle_text(Instant::now(), &text),
                    Incoming::Pong | Incoming::Noise => self.core.handle_alive(Instant::now()),
                    Incoming::Closed(closed) => self.core.handle_closed(closed.into()),
                },
                command = commands.recv() => match command {
                    Some(Command::Call { method, params, limit, answer }) => {
                        self.accept(&method, &params, limit, answer);
                    }
                    Some(Command::Close) | None => self.core.handle_closed(CloseReason::Ours),
                },
                () = tokio::time::sleep_until(due) => self.core.handle_timeout(Instant::now()),
                () = self.notices.tell_lag() => {}
            }
        }
    }

    fn accept(&mut self, method: &str, params: &Value, limit: Duration, answer: Answer) {
        match self.core.handle_call(Instant::now(), method, params, limit) {
            Ok(id) => {
                self.answers.insert(id, answer);
            }
            Err(error) => {
                let _caller_gone = answer.send(Err(error));
            }
        }
    }

    fn deliver(&mut self) -> Option<CloseReason> {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Completed { id, outcome } => {
                    if let Some(answer) = self.answers.remove(&id) {
                        let _caller_gone = answer.send(outcome.map(Reply));
                    }
                }
                Output::Event(event) => self.notices.push(Notice::Event(event)),
                Output::Unsubscribed { collection, reason } => {
                    self.notices.push(Notice::Unsubscribed { collection, reason });
                }
                Output::Dead(reason) => return Some(reason),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_lags_is_told_which_subscriptions_ended_meanwhile() {
        let (queue, mut told) = mpsc::channel(2);
        let mut notices = Notices { queue, lagged: false, ended: BTreeSet::new() };
        let ended = |number: usize| format!("c{number:03}");
        let end = |number| Notice::Unsubscribed { collection: ended(number), reason: None };
        // Read, then lost since there is no room, then lost since it lags.
        notices.push(end(0));
        notices.push(end(1));
        notices.push(end(2));
        told.try_recv().unwrap();
        notices.push(end(3));
        told.try_recv().unwrap();
        notices.tell_lag().await;
        let Ok(Notice::Lagged { ended: lost }) = told.try_recv() else { panic!("it lagged") };
        assert_eq!(lost, BTreeSet::from([ended(2), ended(3)]));

        // Told once, and bounded.
        (0..ENDED_MAX + 3).for_each(|number| notices.push(end(number)));
        assert!(told.try_recv().is_ok() && told.try_recv().is_ok());
        notices.tell_lag().await;
        let Ok(Notice::Lagged { ended: lost }) = told.try_recv() else { panic!("it lagged") };
        assert_eq!((lost.len(), lost.first()), (ENDED_MAX, Some(&ended(2))));
    }
}
