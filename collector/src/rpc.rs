//! Calls and events over a websocket as TrueNAS frames them: JSON-RPC 2.0, and the older way of 24.x and CORE. Frames,
//! the bookkeeping of a connection, and the task that drives a socket.
//!
//! Knows no method, no login and no shape of a reply.

pub mod core;
pub mod error;
pub mod frame;
pub mod framing;
mod legacy;
pub mod link;

pub use error::{CallError, CloseReason};
pub use frame::{Event, EventKind};
pub use framing::Framing;
pub use link::{Link, Notice, Reply};
