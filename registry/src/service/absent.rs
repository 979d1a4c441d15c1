//! The answer of a method that the contract names and this release does not
//! serve. Knows no service in particular.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::error::DOMAIN;

/// Stable for programs that want to tell this from a server without the method.
pub(super) const REASON: &str = "NOT_IN_THIS_RELEASE";

pub(super) fn absent(method: &str, instead: &str) -> Status {
    let details = ErrorDetails::with_error_info(REASON, DOMAIN, HashMap::new());
    let message = format!("{method} is not in this release: use {instead} instead");
    Status::with_error_details(Code::Unimplemented, message, details)
}
