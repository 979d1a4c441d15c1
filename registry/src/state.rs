//! What the registry holds, and how an input changes it. Owns ids, revisions,
//! leases and the one-writer step `State::apply`; refuses to know sockets,
//! files, clocks and what a FAULTED pool means.

pub mod apply;
pub mod change;
pub mod derive;
pub mod document;
pub mod feed;
pub mod holding;
pub mod id;
pub mod input;
pub mod judge;
pub mod kept;
pub mod lease;
pub mod resource;
pub mod row;
pub mod view;

pub use apply::{Applied, State};
pub use change::{Change, Changes};
pub use document::{Document, Upsert};
pub use feed::{Feed, NotKept, Publisher};
pub use input::{Answer, Batch, Heartbeat, Input, RejectReason, Rejected, Removal};
pub use resource::Resource;
pub use row::{ConnectionRow, KeptConnection, RecordRow, Stamp, Write};
pub use view::{Found, Shard, View};
