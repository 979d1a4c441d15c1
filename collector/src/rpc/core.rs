//! The bookkeeping of one connection: calls by id, the window, deadlines, the heartbeat.
//!
//! No IO, no clock, no spawn: `handle_*` takes what happened, `poll_*` tells what to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::error::{CallError, CloseReason};
use super::frame::{Event, Message};
use super::framing::Framing;

/// A longer request makes the server close the connection.
pub const REQUEST_CHARS_MAX: usize = 65_536;
/// The server refuses the 21st call of a connection; calls that we gave up still count there.
const UNANSWERED_MAX: usize = 12;
/// So many messages in a row that cannot be read end the connection.
const GARBAGE_MAX: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Calls in flight.
    pub window: usize,
    /// Calls that wait for a place in the window.
    pub queue_max: usize,
    /// The server's front end drops a connection after 60 s without traffic.
    pub heartbeat: Duration,
    pub missed_pongs_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { window: 5, queue_max: 256, heartbeat: Duration::from_secs(25), missed_pongs_max: 2 }
    }
}

pub type CallId = u64;

#[derive(Debug)]
pub enum Transmit {
    Text(String),
    Ping,
}

#[derive(Debug)]
pub enum Output {
    Completed {
        id: CallId,
        outcome: Result<Box<RawValue>, CallError>,
    },
    Event(Event),
    Unsubscribed {
        collection: String,
        reason: Option<String>,
    },
    /// Last of all; everything open has been completed before it.
    Dead(CloseReason),
}

#[derive(Debug)]
struct Waiting {
    id: CallId,
    text: String,
    until: Instant,
    limit: Duration,
}

#[derive(Debug)]
struct Running {
    until: Instant,
    limit: Duration,
}

#[derive(Debug)]
pub struct Core {
    options: Options,
    framing: Framing,
    /// Calls wait until the server has answered the greeting, where there is one.
    greeted: bool,
    next_id: CallId,
    waiting: VecDeque<Waiting>,
    running: BTreeMap<CallId, Running>,
    /// Given up by us, still busy at the server.
    abandoned: BTreeSet<CallId>,
    transmit: VecDeque<Transmit>,
    output: VecDeque<Output>,
    ping_at: Instant,
    pings_open: u32,
    garbage: u32,
    dead: bool,
}

impl Core {
    pub fn new(now: Instant, options: Options, framing: Framing) -> Self {
        let transmit: VecDeque<Transmit> = framing.greeting().map(Transmit::Text).into_iter().collect();
        Self {
            options,
            framing,
            greeted: transmit.is_empty(),
            next_id: 1,
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            abandoned: BTreeSet::new(),
            transmit,
            output: VecDeque::new(),
            ping_at: now + options.heartbeat,
            pings_open: 0,
            garbage: 0,
            dead: false,
        }
    }

    /// Takes a call. The time in the queue counts against its limit.
    pub fn handle_call(
        &mut self,
        now: Instant,
        method: &str,
        params: &Value,
        limit: Duration,
    ) -> Result<CallId, CallError> {
        if self.dead {
            return Err(CallError::Closed(CloseReason::Ours));
        }
        if self.waiting.len() >= self.options.queue_max {
            return Err(CallError::QueueFull { limit: self.options.queue_max });
        }
        let id = self.next_id;
        let text = self.framing.encode_call(id, method, params);
        if text.chars().count() > REQUEST_CHARS_MAX {
            return Err(CallError::TooLong { limit_chars: REQUEST_CHARS_MAX });
        }
        self.next_id += 1;
        self.waiting.push_back(Waiting { id, text, until: now + limit, limit });
        self.fill_window();
        Ok(id)
    }

    pub fn handle_text(&mut self, now: Instant, text: &str) {
        self.handle_alive(now);
        if self.dead {
            return;
        }
        match self.framing.parse(text) {
            Ok(message) => {
                self.garbage = 0;
                self.handle_message(message);
            }
            Err(error) => {
                self.garbage += 1;
                if self.garbage >= GARBAGE_MAX || text.trim().is_empty() {
                    self.handle_closed(CloseReason::Garbage(error.to_string()));
                } else {
                    self.blame_garbage(&error.to_string());
                }
            }
        }
    }

    /// Anything at all came from the server.
    pub fn handle_alive(&mut self, now: Instant) {
        self.pings_open = 0;
        self.ping_at = now + self.options.heartbeat;
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.dead {
            return;
        }
        while let Some(position) = self.waiting.iter().position(|call| call.until <= now) {
            if let Some(Waiting { id, limit, .. }) = self.waiting.remove(position) {
                self.complete(id, Err(CallError::Deadline { limit }));
            }
        }
        let late: Vec<CallId> =
            self.running.iter().filter(|(_, call)| call.until <= now).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(Running { limit, .. }) = self.running.remove(&id) {
                self.abandoned.insert(id);
                self.complete(id, Err(CallError::Deadline { limit }));
            }
        }
        if self.abandoned.len() >= UNANSWERED_MAX {
            self.handle_closed(CloseReason::Stalled { count: self.abandoned.len() });
            return;
        }
        if self.ping_at <= now {
            if self.pings_open >= self.options.missed_pongs_max {
                self.handle_closed(CloseReason::HeartbeatLost { missed: self.pings_open });
                return;
            }
            self.pings_open += 1;
            self.ping_at = now + self.options.heartbeat;
            self.transmit.push_back(Transmit::Ping);
        }
        self.fill_window();
    }

    /// The socket ended, or we end it. Completes everything that is open.
    pub fn handle_closed(&mut self, reason: CloseReason) {
        if self.dead {
            return;
        }
        self.dead = true;
        self.transmit.clear();
        let open: Vec<CallId> = std::mem::take(&mut self.running)
            .into_keys()
            .chain(std::mem::take(&mut self.waiting).into_iter().map(|call| call.id))
            .collect();
        for id in open {
            self.complete(id, Err(CallError::Closed(reason.clone())));
        }
        self.output.push_back(Output::Dead(reason));
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmit.pop_front()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.output.pop_front()
    }

    /// When `handle_timeout` is due, and why.
    pub fn poll_timeout(&self) -> (Instant, &'static str) {
        let calls = self.running.values().map(|call| call.until);
        let queued = self.waiting.iter().map(|call| call.until);
        match calls.chain(queued).min() {
            Some(at) if at < self.ping_at => (at, "deadline of a call"),
            _ => (self.ping_at, "heartbeat"),
        }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Reply { id, outcome } => {
                if self.running.remove(&id).is_some() {
                    self.complete(id, outcome.map_err(CallError::from_remote));
                } else {
                    self.abandoned.remove(&id);
                }
                self.fill_window();
            }
            Message::Event(event) => self.output.push_back(Output::Event(event)),
            Message::Unsubscribed { collection, reason } => {
                self.output.push_back(Output::Unsubscribed { collection, reason });
            }
            Message::Unaddressed(error) => self.blame_garbage(&error.message),
            Message::Greeted => {
                self.greeted = true;
                self.fill_window();
            }
            Message::Unwelcome => self.handle_closed(CloseReason::Unwelcome),
            Message::Other { .. } => {}
        }
    }

    /// Something unreadable belongs to one of the open calls; with one open it is clear to which.
    fn blame_garbage(&mut self, reason: &str) {
        if self.running.len() == 1
            && let Some((id, _)) = self.running.pop_first()
        {
            self.complete(id, Err(CallError::Malformed { reason: reason.to_owned() }));
            self.fill_window();
        }
    }

    fn complete(&mut self, id: CallId, outcome: Result<Box<RawValue>, CallError>) {
        self.output.push_back(Output::Completed { id, outcome });
    }

    fn fill_window(&mut self) {
        while self.greeted
            && self.running.len() < self.options.window
            && let Some(Waiting { id, text, until, limit }) = self.waiting.pop_front()
        {
            self.running.insert(id, Running { until, limit });
            self.transmit.push_back(Transmit::Text(text));
        }
    }
}

#[cfg(test)]
mod tests;
