//! The one place where the registry's errors become gRPC statuses, with
//! details a program can read. Knows no request and no service.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::query::filter::FilterError;
use crate::query::mask::MaskError;
use crate::query::order::OrderError;
use crate::query::page::PageError;
use crate::query::token::TokenError;
use crate::state::feed::NotKept;
use crate::watch::task::End;

/// Whose reasons these are.
pub const DOMAIN: &str = "pulse.registry";

/// A field of the request is wrong; `problem` says how, and what to do.
pub fn invalid(field: &str, reason: &str, problem: &str) -> Status {
    let mut details = ErrorDetails::with_bad_request_violation(field, problem);
    details.set_error_info(reason, DOMAIN, HashMap::from([("field".to_owned(), field.to_owned())]));
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {problem}"), details)
}

/// An error that is known by its reason.
pub fn reasoned(
    code: Code,
    reason: &str,
    message: &str,
    facts: impl IntoIterator<Item = (&'static str, String)>,
) -> Status {
    let facts: HashMap<String, String> =
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, facts))
}

/// Nothing has this name.
pub fn not_found(kind: &str, name: &str, remedy: &str) -> Status {
    let message = format!("{name} does not exist; {remedy}");
    let mut details = ErrorDetails::with_resource_info(kind, name, "", message.clone());
    details.set_error_info("NOT_FOUND", DOMAIN, HashMap::new());
    Status::with_error_details(Code::NotFound, message, details)
}

/// With the place of the mistake, for programs that underline it.
fn at_position(field: &str, reason: &str, position: usize, message: &str) -> Status {
    let mut details = ErrorDetails::with_bad_request_violation(field, message);
    let facts = [("field", field.to_owned()), ("position", position.to_string())];
    let facts: HashMap<String, String> =
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    details.set_error_info(reason, DOMAIN, facts);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {message}"), details)
}

impl From<FilterError> for Status {
    fn from(error: FilterError) -> Self {
        at_position("filter", "INVALID_FILTER", error.position, &error.to_string())
    }
}

impl From<OrderError> for Status {
    fn from(error: OrderError) -> Self {
        at_position("order_by", "INVALID_ORDER_BY", error.position, &error.to_string())
    }
}

impl From<MaskError> for Status {
    fn from(error: MaskError) -> Self {
        invalid("read_mask", "INVALID_READ_MASK", &error.to_string())
    }
}

impl From<PageError> for Status {
    fn from(error: PageError) -> Self {
        let message = error.to_string();
        match error {
            PageError::Token(_) | PageError::OtherQuery => {
                invalid("page_token", "INVALID_PAGE_TOKEN", &message)
            }
            PageError::NegativeSize => invalid("page_size", "INVALID_PAGE_SIZE", &message),
            PageError::Expired(revision) => {
                reasoned(Code::OutOfRange, "REVISION_EXPIRED", &message, [("revision", revision.to_string())])
            }
        }
    }
}

/// A resume token that cannot be read.
pub fn resume_token(error: TokenError) -> Status {
    invalid("resume_token", "INVALID_RESUME_TOKEN", &error.to_string())
}

impl From<NotKept> for Status {
    fn from(error: NotKept) -> Self {
        let message = format!("{error}; list again and watch from there");
        let facts = [
            ("asked", error.asked.to_string()),
            ("oldest", error.floor.to_string()),
            ("newest", error.head.to_string()),
        ];
        reasoned(Code::OutOfRange, "HISTORY_EXPIRED", &message, facts)
    }
}

impl From<End> for Status {
    fn from(end: End) -> Self {
        let message = end.to_string();
        match end {
            End::Gone => Self::cancelled(message),
            End::Draining => reasoned(Code::Unavailable, "DRAINING", &message, []),
            End::Slow { through } => reasoned(
                Code::ResourceExhausted,
                "SLOW_WATCHER",
                &message,
                [("revision", through.to_string())],
            ),
            End::Regrouped { through } => {
                reasoned(Code::OutOfRange, "HISTORY_EXPIRED", &message, [("revision", through.to_string())])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::Revision;

    use super::*;
    use crate::query::filter::Filter;

    #[test]
    fn a_mistake_in_a_filter_carries_its_place() {
        let status = Status::from(Filter::parse("type = stroage").expect_err("no such type"));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with("filter: at character 8: "), "{}", status.message());
        let details = status.get_error_details();
        let violation = &details.bad_request().expect("a violation").field_violations[0];
        assert_eq!(violation.field, "filter");
        assert!(violation.description.contains("character 8"), "{}", violation.description);
        let info = details.error_info().expect("an info");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_FILTER", DOMAIN));
        assert_eq!(info.metadata["position"], "8");
    }

    #[test]
    fn reasons_and_codes_are_those_of_the_contract() {
        let table = [
            (PageError::Expired(Revision(3)).into(), Code::OutOfRange, "REVISION_EXPIRED"),
            (PageError::OtherQuery.into(), Code::InvalidArgument, "INVALID_PAGE_TOKEN"),
            (
                NotKept { asked: Revision(1), floor: Revision(5), head: Revision(9) }.into(),
                Code::OutOfRange,
                "HISTORY_EXPIRED",
            ),
            (End::Slow { through: Revision(4) }.into(), Code::ResourceExhausted, "SLOW_WATCHER"),
            (End::Draining.into(), Code::Unavailable, "DRAINING"),
            (End::Regrouped { through: Revision(4) }.into(), Code::OutOfRange, "HISTORY_EXPIRED"),
            (resume_token(TokenError::OtherRegistry), Code::InvalidArgument, "INVALID_RESUME_TOKEN"),
        ];
        for (status, code, reason) in table {
            let status: Status = status;
            assert_eq!(status.code(), code, "{reason}");
            let info = status.get_details_error_info().expect(reason);
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, DOMAIN));
        }
    }
}
