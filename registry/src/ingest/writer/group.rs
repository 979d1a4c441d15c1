//! What is committed together, and what is said of it then. Refuses to know the
//! state and the store.

use std::sync::Arc;

use pulse_proto::model::{ConnectionId, Epoch, Revision, Sequence};
use pulse_shell::trace;
use tracing::Span;

use super::{Cursors, Kept, Linked, Observer, Outcome, Reply, StreamId};
use crate::state::lease::Cursor;
use crate::state::{Answer, Changes, Input, LinkError, RejectReason, Write};

/// Inputs in one commit.
const GROUP_INPUTS_MAX: usize = 128;
/// Rows in one commit, beyond which no further input joins it: enough that a sync costs each of them little. With
/// twice as many the writer was slower, and what is encoded took twice as much (docs/adr/0012).
pub(super) const GROUP_WRITES_MAX: usize = 8_192;

/// What is committed together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) writes: Vec<Write>,
    pub(super) changes: Vec<Arc<Changes>>,
    pub(super) answers: Vec<(Origin, Vec<Answer>, Reply)>,
    pub(super) questions: Vec<Question>,
    pub(super) links: Vec<(Result<Revision, LinkError>, Linked)>,
    pub(super) keeps: Vec<(Result<(), String>, Kept)>,
    pub(super) inputs: usize,
}

/// A stream that opens asks how far its connections have come.
pub(super) struct Question {
    pub(super) stream: StreamId,
    pub(super) ids: Vec<ConnectionId>,
    pub(super) known: Option<Vec<(ConnectionId, Cursor)>>,
    pub(super) reply: Cursors,
}

/// What must be known of an input to refuse it after all.
pub(super) struct Origin {
    connection: ConnectionId,
    epoch: Epoch,
    sequence: Option<Sequence>,
    pub(super) span: Span,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        let Self { writes, changes, answers, questions, links, keeps, inputs } = self;
        *inputs == 0
            && writes.is_empty()
            && changes.is_empty()
            && answers.is_empty()
            && questions.is_empty()
            && links.is_empty()
            && keeps.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.inputs < GROUP_INPUTS_MAX && self.writes.len() < GROUP_WRITES_MAX
    }

    /// Whether readers may see anything new after it.
    pub(super) fn shows(&self) -> bool {
        self.inputs > 0 || !self.changes.is_empty()
    }

    /// Nothing of it is durable.
    pub(super) fn refuse(&mut self, error: &str) {
        self.writes.clear();
        self.changes.clear();
        for (origin, answers, _) in &mut self.answers {
            *answers = origin.exhausted(error);
        }
        for (outcome, _) in &mut self.keeps {
            *outcome = Err(error.to_owned());
        }
        for (outcome, _) in &mut self.links {
            *outcome = Err(LinkError::Store(error.to_owned()));
        }
        for question in &mut self.questions {
            question.known = None;
        }
    }

    pub(super) fn answer(self, observer: &dyn Observer) {
        for (_, answers, reply) in self.answers {
            observer.answered(&answers);
            // A stream that has ended needs no answer.
            drop(reply.try_send(Outcome::Answered(answers)));
        }
        for (outcome, reply) in self.links {
            drop(reply.send(outcome));
        }
        for (outcome, reply) in self.keeps {
            drop(reply.send(outcome));
        }
        for Question { known, reply, .. } in self.questions {
            drop(reply.send(known));
        }
    }
}

impl Origin {
    pub(super) fn of(input: &Input) -> Self {
        let (connection, epoch, sequence) = match input {
            Input::Batch(batch) => (&batch.connection, batch.epoch, Some(batch.sequence)),
            Input::Heartbeat(heartbeat) => (&heartbeat.connection, heartbeat.epoch, None),
            Input::Removal(removal) => (&removal.connection, removal.epoch, Some(removal.sequence)),
        };
        Self { connection: connection.clone(), epoch, sequence, span: Span::none() }
    }

    /// A step of the trace, where there is one: what has none, such as a heartbeat, begins none here.
    pub(super) fn traced(&self, step: impl FnOnce(&Span) -> Span) -> Span {
        if self.span.is_disabled() { Span::none() } else { step(&self.span) }
    }

    /// What the disk takes is part of every trace in the group.
    pub(super) fn committing(&self, rows: usize) -> Span {
        self.traced(|parent| tracing::info_span!(target: trace::TARGET, parent: parent, "commit", rows))
    }

    /// A heartbeat needs no refusal: the next one says the same.
    pub(super) fn exhausted(&self, why: &str) -> Vec<Answer> {
        let refusal = self.sequence.map(|sequence| Answer::Reject {
            connection: self.connection.to_string(),
            epoch: self.epoch,
            sequence,
            reason: RejectReason::Exhausted,
            message: why.to_owned(),
            records: Vec::new(),
        });
        refusal.into_iter().collect()
    }
}
