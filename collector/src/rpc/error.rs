//! How a call ends when it does not end well, and why a connection closes.

use std::time::Duration;

use serde_json::value::RawValue;

use super::frame::{self, RemoteError};
use crate::transport::ws::Closed;

/// Linux errno values and TrueNAS's own that decide what a failure means.
mod errno {
    pub(super) const EACCES: i64 = 13;
    pub(super) const EBUSY: i64 = 16;
    pub(super) const ENOMETHOD: i64 = 201;
    pub(super) const ENOTAUTHENTICATED: i64 = 207;
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum CallError {
    #[error("the server has too many calls of this connection at once")]
    TooManyConcurrent,
    #[error("not logged in: {reason}")]
    NotAuthenticated { reason: String },
    #[error("not permitted: {reason}")]
    NotAuthorized { reason: String },
    #[error("the server has no such method: {reason}")]
    NoMethod { reason: String },
    #[error("the server found the parameters invalid: {reason}")]
    Invalid { reason: String, extra: Option<Box<RawValue>> },
    #[error("the server is busy: {reason}")]
    Busy { reason: String },
    /// Said by what stands before the middleware, or by one that starts: nothing of the caller is the cause.
    #[error("the server is not available: {reason}")]
    Unavailable { reason: String },
    #[error("the call failed: {reason}")]
    Call { errno: Option<i64>, errname: String, reason: String },
    #[error("no answer within {} s", limit.as_secs_f32())]
    Deadline { limit: Duration },
    #[error("the connection is closed: {0}")]
    Closed(CloseReason),
    #[error("the answer cannot be read: {reason}")]
    Malformed { reason: String },
    #[error("the request is longer than the {limit_chars} characters that the server takes")]
    TooLong { limit_chars: usize },
    #[error("too many calls wait on this connection (limit {limit})")]
    QueueFull { limit: usize },
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    #[error("closed by us")]
    Ours,
    #[error(transparent)]
    Socket(#[from] Closed),
    #[error("the server has not answered {missed} pings")]
    HeartbeatLost { missed: u32 },
    #[error("{count} calls got no answer in time")]
    Stalled { count: usize },
    #[error("the server sent what cannot be read: {0}")]
    Garbage(String),
    #[error("the server refused the greeting of the legacy websocket")]
    Unwelcome,
}

impl CallError {
    /// Sorts an error reply by its code and errno; the text never decides.
    pub fn from_remote(error: RemoteError) -> Self {
        let RemoteError { code, message, data } = error;
        let (number, errname, reason, extra) = match data {
            Some(data) => (data.error, data.errname.unwrap_or_default(), data.reason, data.extra),
            None => (None, String::new(), None, None),
        };
        let reason = reason.unwrap_or(message);
        match (code, number) {
            (frame::TOO_MANY_CALLS, _) => Self::TooManyConcurrent,
            (frame::NO_METHOD, _) | (frame::CALL_ERROR, Some(errno::ENOMETHOD)) => Self::NoMethod { reason },
            (frame::INVALID_PARAMS, _) => Self::Invalid { reason, extra },
            (_, Some(errno::ENOTAUTHENTICATED)) => Self::NotAuthenticated { reason },
            (_, Some(errno::EACCES)) => Self::NotAuthorized { reason },
            (_, Some(errno::EBUSY)) => Self::Busy { reason },
            _ => Self::Call { errno: number, errname, reason },
        }
    }

    /// The connection is of no further use.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::NotAuthenticated { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::ErrorData;
    use super::*;

    #[test]
    fn sorted_by_code_and_errno() {
        for (code, number, want) in [
            (-32000, None, "TooManyConcurrent"),
            (-32601, None, "NoMethod"),
            (-32001, Some(201), "NoMethod"),
            (-32602, Some(22), "Invalid"),
            (-32001, Some(207), "NotAuthenticated"),
            (-32001, Some(13), "NotAuthorized"),
            (-32001, Some(16), "Busy"),
            (-32001, Some(22), "Call"),
            (-32001, Some(2), "Call"),
            (-32700, None, "Call"),
            (7, None, "Call"),
        ] {
            let data = number.map(|error| ErrorData { error: Some(error), ..ErrorData::default() });
            let got = CallError::from_remote(RemoteError { code, message: "Dataset not found".into(), data });
            assert!(format!("{got:?}").starts_with(want), "{code} {number:?}: {got:?}");
        }
    }
}
