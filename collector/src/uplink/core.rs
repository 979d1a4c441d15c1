//! Decides what to send next. Pure: states, answers and `now` in, messages out.
//! Holds two states per connection at most, the newest and the one on its way,
//! so a registry that is slow or away costs no memory.

mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use pb::ingest_request::Message;
use pb::ingest_response::Message as Said;
use pb::reject::Reason;
use pulse_proto::digest::Digest;
use pulse_proto::model::{ConnectionId, Epoch};
use pulse_proto::pb::registry::v1 as pb;
use tokio::time::Instant;

use self::line::Line;
use super::mailbox::Update;
use crate::batch::Limits;

/// Until Welcome says otherwise.
const LIMITS: Limits = Limits { records: 500, bytes: 1024 * 1024 };
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30);
const HEARTBEAT_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// What happened that somebody should know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    Acked {
        connection: ConnectionId,
        sequence: u64,
        revision: u64,
    },
    /// Confirmed: the registry holds nothing of it any more.
    Removed(ConnectionId),
    /// Deleted here while another collector holds it: nothing is told of it any more.
    Left(ConnectionId),
    /// The registry refuses records or a batch.
    Refused {
        connection: ConnectionId,
        message: String,
        records: Vec<String>,
    },
    /// Another collector holds the connection.
    Fenced {
        connection: ConnectionId,
        current: u64,
    },
    Resync {
        connection: ConnectionId,
        reason: String,
    },
    /// What the registry sent makes no sense here.
    Odd(String),
}

/// What the registry grants, from its Welcome.
#[derive(Clone, Copy, Debug)]
struct Grant {
    limits: Limits,
    unacked_max: usize,
    heartbeat_interval: Duration,
}

/// The sending side's whole state.
#[derive(Debug)]
pub struct Core {
    epoch: Epoch,
    /// Of earlier starts: another id may have stood beside them.
    former: BTreeSet<u64>,
    lines: BTreeMap<ConnectionId, Line>,
    /// How far connections came that were removed: one that comes back goes on from there.
    retired: BTreeMap<ConnectionId, u64>,
    grant: Option<Grant>,
    /// Where the last message came from, so that everyone gets a turn.
    turn: Option<ConnectionId>,
}

impl Core {
    pub fn new(epoch: Epoch, former: BTreeSet<u64>) -> Self {
        Self { epoch, former, lines: BTreeMap::new(), retired: BTreeMap::new(), grant: None, turn: None }
    }

    /// Takes the newest states.
    pub fn update(&mut self, updates: BTreeMap<ConnectionId, Update>) -> Vec<Notice> {
        for (connection, update) in updates {
            let retired = &self.retired;
            let begun = || Line::from_sequence(retired.get(&connection).copied().unwrap_or(0));
            self.lines.entry(connection.clone()).or_insert_with(begun).update(update);
        }
        self.leave()
    }

    /// What is deleted here and held by another collector is that one's: the registry is not told, or a later epoch of
    /// this collector would remove what the other one brings.
    fn leave(&mut self) -> Vec<Notice> {
        let left = self.lines.extract_if(.., |_, line| line.is_left());
        let left: Vec<(ConnectionId, u64)> = left.map(|(id, line)| (id, line.sequence)).collect();
        self.retired.extend(left.iter().cloned());
        left.into_iter().map(|(id, _)| Notice::Left(id)).collect()
    }

    pub fn connections(&self) -> impl Iterator<Item = &ConnectionId> {
        self.lines.keys()
    }

    /// A new stream: what was on its way may or may not have arrived.
    pub fn welcomed(&mut self, welcome: &pb::Welcome, now: Instant) -> Vec<Notice> {
        let size = |number: u32, default: usize| if number == 0 { default } else { number as usize };
        let interval = welcome.heartbeat_interval.and_then(|interval| Duration::try_from(interval).ok());
        self.grant = Some(Grant {
            limits: Limits {
                records: size(welcome.max_batch_records, LIMITS.records),
                bytes: size(welcome.max_batch_bytes, LIMITS.bytes),
            },
            unacked_max: size(welcome.max_unacked_batches, 1),
            heartbeat_interval: interval.unwrap_or(HEARTBEAT_INTERVAL).max(HEARTBEAT_INTERVAL_MIN),
        });
        let cursors: BTreeMap<&str, &pb::ConnectionCursor> =
            welcome.cursors.iter().map(|cursor| (cursor.connection.as_str(), cursor)).collect();
        let mut notices = Vec::new();
        for (connection, line) in &mut self.lines {
            let cursor = cursors.get(connection.as_str());
            line.reconnected(cursor.and_then(|cursor| Digest::from_slice(&cursor.digest)));
            if let Some(cursor) = cursor {
                if cursor.epoch > self.epoch.0 {
                    line.fenced = true;
                    if !line.is_left() {
                        notices
                            .push(Notice::Fenced { connection: connection.clone(), current: cursor.epoch });
                    }
                }
                if self.former.contains(&cursor.epoch) {
                    line.is_ours(cursor.epoch);
                }
                // What was on its way and did not arrive has no number.
                line.sequence = if cursor.epoch == self.epoch.0 { cursor.sequence } else { 0 };
            }
            line.heartbeat_due = Some(now);
        }
        notices.extend(self.leave());
        notices
    }

    pub fn disconnected(&mut self) {
        self.grant = None;
    }

    /// Takes what the registry says.
    pub fn received(&mut self, message: Said, now: Instant) -> Vec<Notice> {
        match message {
            Said::Welcome(_) => vec![Notice::Odd("a second Welcome".to_owned())],
            Said::Ack(ack) => self.acked(&ack, now),
            Said::Reject(reject) => self.rejected(reject, now),
            Said::Resync(resync) => {
                let Some((connection, line)) = self.find(&resync.connection) else { return Vec::new() };
                line.resync();
                vec![Notice::Resync { connection, reason: resync.reason }]
            }
        }
    }

    fn acked(&mut self, ack: &pb::Ack, now: Instant) -> Vec<Notice> {
        let epoch = self.epoch.0;
        let interval = self.grant.map_or(HEARTBEAT_INTERVAL, |grant| grant.heartbeat_interval);
        let Some((connection, line)) = self.find(&ack.connection).filter(|_| ack.epoch == epoch) else {
            return vec![Notice::Odd(format!("an ack for {:?}, which was not sent", ack.connection))];
        };
        if !line.acked(ack.sequence) {
            return vec![Notice::Odd(format!("an ack for batch {} of {connection}", ack.sequence))];
        }
        line.heartbeat_due = Some(now + interval);
        let acked =
            Notice::Acked { connection: connection.clone(), sequence: ack.sequence, revision: ack.revision };
        if line.is_finished() {
            self.lines.remove(&connection);
            self.retired.insert(connection.clone(), ack.sequence);
            return vec![acked, Notice::Removed(connection)];
        }
        vec![acked]
    }

    fn rejected(&mut self, reject: pb::Reject, now: Instant) -> Vec<Notice> {
        let reason = reject.reason();
        let is_ours = reason == Reason::Fenced && self.former.contains(&reject.current_epoch);
        let Some((connection, line)) = self.find(&reject.connection) else {
            return vec![Notice::Odd(format!("a refusal for {:?}: {}", reject.connection, reject.message))];
        };
        if is_ours && line.removes_ours(reject.current_epoch) {
            return Vec::new();
        }
        line.rejected(reason, reject.sequence, now);
        if line.fenced {
            let left = self.leave();
            let fenced = || vec![Notice::Fenced { connection, current: reject.current_epoch }];
            return if left.is_empty() { fenced() } else { left };
        }
        let word = |record: pb::RecordRejection| {
            format!("{}: {} {}", record.source_id, record.field, record.message)
        };
        let records = reject.records.into_iter().map(word).collect();
        vec![Notice::Refused { connection, message: reject.message, records }]
    }

    /// The next message to send, if there is one and the registry grants it.
    pub fn poll(&mut self, now: Instant) -> Option<Message> {
        let grant = self.grant?;
        let on_the_way = self.lines.values().filter(|line| line.flight.is_some()).count();
        let may_batch = on_the_way < grant.unacked_max;
        let (after, before) = match self.turn.take() {
            Some(turn) => {
                ((Bound::Excluded(turn.clone()), Bound::Unbounded), (Bound::Unbounded, Bound::Included(turn)))
            }
            None => ((Bound::Unbounded, Bound::Unbounded), (Bound::Unbounded, Bound::Unbounded)),
        };
        for range in [after, before] {
            for (connection, line) in self.lines.range_mut::<ConnectionId, _>(range) {
                let message = line.poll(connection, self.epoch, grant.limits, may_batch, now);
                if let Some(message) = message {
                    if matches!(message, Message::Heartbeat(_)) {
                        line.heartbeat_due = Some(now + grant.heartbeat_interval);
                    }
                    self.turn = Some(connection.clone());
                    return Some(message);
                }
            }
        }
        None
    }

    /// When time alone will give something to send.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.grant?;
        self.lines.values().filter_map(Line::due).filter(|due| *due > now).min()
    }

    /// Whether the registry is known to hold the newest state of everything.
    pub fn is_settled(&self) -> bool {
        self.grant.is_some() && self.lines.values().all(Line::is_settled)
    }

    fn find(&mut self, connection: &str) -> Option<(ConnectionId, &mut Line)> {
        let id = ConnectionId::parse(connection).ok()?;
        let line = self.lines.get_mut(&id)?;
        Some((id, line))
    }
}

#[cfg(test)]
mod tests;
