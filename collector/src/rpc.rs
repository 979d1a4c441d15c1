//! JSON-RPC 2.0 as TrueNAS speaks it: frames, the session's bookkeeping, and the task that drives a socket.
//!
//! Knows no method, no login and no shape of a reply.

pub mod core;
pub mod error;
pub mod frame;
pub mod link;

pub use error::{CallError, CloseReason};
pub use frame::{Event, EventKind};
pub use link::{Link, Notice, Reply};
