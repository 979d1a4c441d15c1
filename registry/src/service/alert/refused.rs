//! What the core refused, as statuses.

use tonic::{Code, Status};

use crate::alert::engine::Refusal;
use crate::alert::feed::Ahead;
use crate::alert::rule::RuleId;
use crate::alert::task::Failure;
use crate::error;

pub(super) fn failure(failure: Failure) -> Status {
    match failure {
        Failure::Refused(refusal) => self::refusal(refusal),
        Failure::Store(_) => error::reasoned(Code::Unavailable, "STORE", &failure.to_string(), []),
        Failure::Stopped => error::reasoned(Code::Unavailable, "DRAINING", &failure.to_string(), []),
    }
}

pub(super) fn refusal(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::NotFound(what) => error::not_found(what, what, "the list shows what exists"),
        Refusal::Etag => error::reasoned(Code::Aborted, "ETAG_MISMATCH", &message, []),
        Refusal::Invalid(invalid) => error::invalid(&invalid.field, "INVALID", &invalid.problem),
        Refusal::Exists(_) => error::reasoned(Code::AlreadyExists, "RULE_EXISTS", &message, []),
        Refusal::Full(_) => error::reasoned(Code::ResourceExhausted, "TOO_MANY", &message, []),
        Refusal::BuiltIn => error::reasoned(Code::FailedPrecondition, "BUILT_IN", &message, []),
        Refusal::Resolved => error::reasoned(Code::FailedPrecondition, "RESOLVED", &message, []),
        Refusal::NotAcknowledged => {
            error::reasoned(Code::FailedPrecondition, "NOT_ACKNOWLEDGED", &message, [])
        }
    }
}

pub(super) fn exists(id: &RuleId) -> Status {
    refusal(Refusal::Exists(id.clone()))
}

pub(super) fn ahead(ahead: Ahead) -> Status {
    let facts = [("asked", ahead.asked.to_string()), ("newest", ahead.head.to_string())];
    error::reasoned(Code::OutOfRange, "HISTORY_EXPIRED", &ahead.to_string(), facts)
}
