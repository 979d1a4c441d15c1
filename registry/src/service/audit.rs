//! Who was told what: the one place where an answer that leaves for a model is
//! recorded, or refused. It is an event of the target `audit`; names and texts of the
//! answer are never part of it.

use std::net::SocketAddr;

use pulse_shell::access;
use pulse_shell::audit::{TARGET, one_line};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use tracing::info;

/// A request carries its id under this name, and so does the answer.
pub const REQUEST_ID: &str = "x-request-id";
const REQUEST_ID_CHARS_MAX: usize = 128;

/// Put into a request's extensions by whoever passes on a request of somebody else. Cannot come from outside.
#[derive(Clone, Copy, Debug)]
pub struct PassedOn {
    /// The protocol it came in by, e.g. "mcp".
    pub via: &'static str,
    pub address: Option<SocketAddr>,
}

/// Whose request it is, as far as known.
#[derive(Clone, Debug)]
pub struct Caller {
    /// As the guard knows him.
    pub name: String,
    pub via: &'static str,
    pub address: Option<SocketAddr>,
    pub request_id: String,
}

impl Caller {
    pub fn of<T>(request: &Request<T>) -> Self {
        let passed_on = request.extensions().get::<PassedOn>().copied();
        let PassedOn { via, address } =
            passed_on.unwrap_or(PassedOn { via: "grpc", address: request.remote_addr() });
        let told = request.metadata().get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let usable = |id: &&str| {
            (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let request_id = told.filter(usable).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
        let name = access::Caller::of(request.extensions()).name;
        Self { name, via, address, request_id }
    }
}

/// What was answered.
#[derive(Debug)]
pub struct Answered<'a> {
    pub method: &'static str,
    pub caller: &'a Caller,
    /// Its id, when it was asked for one.
    pub resource: &'a str,
    /// The redaction that was applied.
    pub policy: &'static str,
    /// Whether the caller was told what pseudonyms stand for.
    pub revealed: bool,
    pub bytes: usize,
    pub tokens: usize,
    pub facts: usize,
    pub omitted: u64,
    pub revision: u64,
}

pub fn record(answered: &Answered<'_>) {
    let Answered { method, caller, policy, revealed, bytes, tokens, facts, omitted, revision, resource } =
        answered;
    let address = caller.address.map(|address| address.to_string()).unwrap_or_default();
    info!(
        target: TARGET,
        method, requested_by = caller.name, via = caller.via, peer = address, resource, request_id = caller.request_id, policy, revealed, bytes, tokens,
        facts, omitted, revision, "context was given out",
    );
}

/// What somebody may not be told, and asked for.
pub fn refused(method: &'static str, caller: &Caller, resource: &str, status: &Status) {
    if status.code() != Code::PermissionDenied {
        return;
    }
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    let address = caller.address.map(|address| address.to_string()).unwrap_or_default();
    info!(
        target: TARGET,
        method, requested_by = caller.name, via = caller.via, peer = address, resource = one_line(resource),
        request_id = caller.request_id, result = reason, "context was refused",
    );
}

/// The answer with the id of its request.
pub fn with_id<T>(message: T, caller: &Caller) -> tonic::Response<T> {
    let mut response = tonic::Response::new(message);
    if let Ok(id) = MetadataValue::try_from(caller.request_id.as_str()) {
        response.metadata_mut().insert(REQUEST_ID, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_an_id_of_its_own_or_gets_one() {
        let mut request = Request::new(());
        let made = Caller::of(&request).request_id;
        assert_eq!(made.len(), 36);
        request.metadata_mut().insert(REQUEST_ID, MetadataValue::from_static("abc-1"));
        assert_eq!(Caller::of(&request).request_id, "abc-1");
        assert_eq!(with_id((), &Caller::of(&request)).metadata().get(REQUEST_ID).unwrap(), "abc-1");
        let long = MetadataValue::try_from("x".repeat(129)).unwrap();
        request.metadata_mut().insert(REQUEST_ID, long);
        assert_eq!(Caller::of(&request).request_id.len(), 36);
    }

    #[test]
    fn only_this_process_can_say_for_whom_it_asks() {
        let mut request = Request::new(());
        assert_eq!(Caller::of(&request).via, "grpc");
        request.extensions_mut().insert(PassedOn { via: "mcp", address: Some(([127, 0, 0, 1], 9).into()) });
        let caller = Caller::of(&request);
        assert_eq!((caller.via, caller.address), ("mcp", Some(([127, 0, 0, 1], 9).into())));
    }
}
