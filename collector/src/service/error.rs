//! Errors as clients get them: a code, a stable reason, and what it is about. Never a secret.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::connection::order::Undone;
use crate::connection::{RosterError, StoreError, Violation, Violations};

const DOMAIN: &str = "pulse.collector";
const RESOURCE: &str = "pulse.collector.v1.Connection";
/// What is shown of an id that nobody has.
const SHOWN_CHARS_MAX: usize = 128;
/// When it is worth coming back after a limit on what runs at once.
const RETRY: Duration = Duration::from_secs(5);

fn reason(code: &'static str, metadata: &[(&str, &str)]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ErrorDetails::with_error_info(code, DOMAIN, metadata)
}

fn about(mut details: ErrorDetails, id: &str, what: &str) -> ErrorDetails {
    details.set_resource_info(RESOURCE, id, "", what);
    details
}

pub(super) fn invalid(wrong: &Violations) -> Status {
    let fields = wrong
        .0
        .iter()
        .map(|Violation { field, message }| FieldViolation::new(format!("connection.{field}"), message));
    bad_request(fields.collect())
}

pub(super) fn invalid_field(field: impl Into<String>, message: impl Into<String>) -> Status {
    bad_request(vec![FieldViolation::new(field, message)])
}

fn bad_request(fields: Vec<FieldViolation>) -> Status {
    let text: Vec<String> =
        fields.iter().map(|violation| format!("{}: {}", violation.field, violation.description)).collect();
    let mut details = reason("INVALID_FIELDS", &[]);
    details.set_bad_request(fields);
    Status::with_error_details(Code::InvalidArgument, text.join("; "), details)
}

pub(super) fn not_found(id: &str) -> Status {
    let id: String = id.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
    let details = about(reason("CONNECTION_NOT_FOUND", &[]), &id, "there is no such connection");
    Status::with_error_details(Code::NotFound, format!("there is no connection {id}"), details)
}

pub(super) fn disabled() -> Status {
    let details = reason("TRUENAS_DISABLED", &[("setting", "PULSE_ENABLE_TRUENAS")]);
    let text = "TrueNAS is switched off: set PULSE_ENABLE_TRUENAS to true and restart the collector";
    Status::with_error_details(Code::FailedPrecondition, text, details)
}

pub(super) fn secret_required(id: &str) -> Status {
    let text = "give api_key or password again: the stored one was meant for another address or trust";
    let details = about(reason("SECRET_REQUIRED", &[]), id, text);
    Status::with_error_details(Code::FailedPrecondition, text, details)
}

pub(super) fn connection_disabled(id: &str) -> Status {
    let text = "the connection is disabled: enable it first";
    let details = about(reason("CONNECTION_DISABLED", &[]), id, text);
    Status::with_error_details(Code::FailedPrecondition, text, details)
}

pub(super) fn write_back_disabled() -> Status {
    let remedy =
        "set alerts.write_back (PULSE_COLLECTOR_ALERTS_WRITE_BACK) to true and restart the collector";
    let details = reason("WRITE_BACK_DISABLED", &[("setting", "alerts.write_back"), ("remedy", remedy)]);
    let text = "nothing is written to appliances: write-back is off";
    Status::with_error_details(Code::FailedPrecondition, text, details)
}

pub(super) fn not_connected(id: &str) -> Status {
    let text = "there is no session with the NAS; the status of the connection says why";
    let mut details = about(reason("NOT_CONNECTED", &[]), id, text);
    details.set_retry_info(Some(RETRY));
    Status::with_error_details(Code::Unavailable, text, details)
}

pub(super) fn session_ended() -> Status {
    let mut details = reason("SESSION_ENDED", &[]);
    details.set_retry_info(Some(RETRY));
    let text = "the session with the NAS ended meanwhile: it may have been done; repeat the call";
    Status::with_error_details(Code::Unavailable, text, details)
}

pub(super) fn write_deadline(limit: Duration) -> Status {
    let text = format!("not known to be done within {} s: it may still be; repeat the call", limit.as_secs());
    Status::with_error_details(Code::DeadlineExceeded, text, reason("WRITE_DEADLINE", &[]))
}

pub(super) fn too_many_writes(limit: usize) -> Status {
    let text = format!("{limit} changes of this connection wait already");
    limited("WRITE_LIMIT", "changes that wait", limit, text, RETRY)
}

/// `clean` takes out what is secret: part of the text may be the NAS's own.
pub(super) fn undone(why: &Undone, uuid: &str, clean: impl Fn(&str) -> String) -> Status {
    let text = clean(&why.to_string());
    match why {
        Undone::NoSuchAlert => {
            let mut details = reason("ALERT_NOT_FOUND", &[]);
            details.set_resource_info("truenas.Alert", uuid, "", &text);
            Status::with_error_details(Code::NotFound, text, details)
        }
        Undone::Forbidden { role } => {
            let remedy = format!(
                "give the user a privilege with the role {role}; a key of TrueNAS 24.10 or older must allow \
                 alert.dismiss and alert.restore"
            );
            let details = reason("NAS_ROLE_MISSING", &[("role", role), ("remedy", &remedy)]);
            Status::with_error_details(Code::PermissionDenied, text, details)
        }
        Undone::Unsupported => {
            Status::with_error_details(Code::FailedPrecondition, text, reason("NAS_UNSUPPORTED", &[]))
        }
        Undone::Failed(_) => {
            let mut details = reason("NAS_FAILED", &[]);
            details.set_retry_info(Some(RETRY));
            Status::with_error_details(Code::Unavailable, text, details)
        }
    }
}

pub(super) fn draining() -> Status {
    let mut details = reason("DRAINING", &[]);
    details.set_retry_info(Some(RETRY));
    Status::with_error_details(Code::Unavailable, "the collector is shutting down", details)
}

pub(super) fn refresh_deadline(limit: Duration) -> Status {
    let text = format!("the round has not ended within {} s; it goes on", limit.as_secs());
    Status::with_error_details(Code::DeadlineExceeded, text, reason("REFRESH_DEADLINE", &[]))
}

pub(super) fn too_many_tests(limit: usize) -> Status {
    limited("TEST_LIMIT", "tests", limit, format!("{limit} connections are being tested already"), RETRY)
}

pub(super) fn too_many_logins(limit: usize, wait: Duration) -> Status {
    let text = format!(
        "this address was tested {limit} times within a minute; a NAS locks everybody out after too many logins"
    );
    limited("LOGIN_LIMIT", "tests of one address per minute", limit, text, wait)
}

pub(super) fn too_many_watchers(limit: usize) -> Status {
    limited("WATCH_LIMIT", "watchers", limit, format!("{limit} clients watch connections already"), RETRY)
}

fn limited(code: &'static str, subject: &str, limit: usize, text: String, wait: Duration) -> Status {
    let mut details = reason(code, &[("limit", &limit.to_string())]);
    details.add_quota_failure_violation(subject, &text).set_retry_info(Some(wait));
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

impl From<RosterError> for Status {
    fn from(error: RosterError) -> Self {
        let text = error.to_string();
        match error {
            RosterError::NotFound(id) => not_found(id.as_str()),
            RosterError::IdTaken(id) => {
                let details = about(reason("CONNECTION_ID_TAKEN", &[]), id.as_str(), &text);
                Self::with_error_details(Code::AlreadyExists, text, details)
            }
            RosterError::NameTaken { holder, .. } => {
                let details = about(reason("CONNECTION_NAME_TAKEN", &[]), holder.as_str(), &text);
                Self::with_error_details(Code::AlreadyExists, text, details)
            }
            RosterError::AddressTaken { holder, .. } => {
                let details = about(reason("CONNECTION_ADDRESS_TAKEN", &[]), holder.as_str(), &text);
                Self::with_error_details(Code::AlreadyExists, text, details)
            }
            RosterError::Full { limit } => {
                let mut details = reason("CONNECTION_LIMIT", &[("limit", &limit.to_string())]);
                details.add_quota_failure_violation("connections", &text);
                Self::with_error_details(Code::ResourceExhausted, text, details)
            }
            RosterError::EtagMismatch(id) => {
                let details = about(reason("ETAG_MISMATCH", &[]), id.as_str(), &text);
                let text = format!("{text}: read it again and repeat the change");
                Self::with_error_details(Code::Aborted, text, details)
            }
            RosterError::Store(error) => stored(&error),
        }
    }
}

/// Paths and causes are for the operator's log.
pub(super) fn stored(error: &StoreError) -> Status {
    if matches!(error, StoreError::KeyNotOurs) {
        let text = format!("{error}; {}", error.remedy());
        return Status::with_error_details(Code::FailedPrecondition, text, reason("KEY_NOT_OURS", &[]));
    }
    tracing::error!(%error, remedy = error.remedy(), "connections cannot be stored");
    if let StoreError::TooLarge { limit, .. } = error {
        let limit = limit.to_string();
        let text = format!("the stored connections would have more than {limit} bytes");
        let mut details = reason("STORE_LIMIT", &[("limit", &limit)]);
        details.add_quota_failure_violation("bytes of the connection store", &text);
        return Status::with_error_details(Code::ResourceExhausted, text, details);
    }
    let text = "the change could not be stored and was not made; the collector's log says why";
    Status::with_error_details(Code::Internal, text, reason("STORE_FAILED", &[]))
}
