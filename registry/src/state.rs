//! What the registry holds, and how an input changes it. Owns ids, revisions,
//! leases and the one-writer step `State::apply`; refuses to know sockets,
//! files, clocks and what a FAULTED pool means.

pub mod ahead;
pub mod apply;
pub mod change;
pub mod derive;
pub mod document;
mod entries;
pub mod feed;
mod fresh;
pub mod holding;
pub mod id;
pub mod input;
pub mod judge;
pub mod kept;
pub mod lease;
pub mod log;
pub mod merge;
pub mod origin;
pub mod past;
pub mod resource;
pub mod row;
mod table;
pub mod timeline;
pub mod view;

pub use apply::{Applied, Snapshot, State};
pub use change::{Change, Changes};
pub(crate) use document::difference;
pub use document::{Difference, Document, Print, Upsert};
pub use feed::{Feed, NotKept, Publisher};
pub use input::{Answer, Batch, Heartbeat, Input, RejectReason, Rejected, Removal};
pub use merge::Key;
pub use merge::boundary::Boundary;
pub use merge::link::{Link, LinkError, Links, Pair, Stand};
pub use past::{Horizon, Past, Position, Remembered, Retention, Tombstone};
pub use resource::Resource;
pub use row::{ConnectionRow, KeptConnection, Note, Notes, RecordRow, Stamp, Write};
pub use timeline::Entry;
pub use view::{Found, Shard, View};
