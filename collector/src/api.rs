//! What TrueNAS says, typed as the appliance words it, and which calls to make
//! to hear it. Knows every API line; refuses to know sockets, sessions, time
//! and what the words mean for health.

pub mod alert;
pub mod app;
pub mod boot;
pub mod certificate;
pub mod copy_task;
pub mod dataset;
pub mod dialect;
pub mod disk;
pub mod event;
pub mod instance;
pub mod interface;
pub mod item;
pub mod json;
pub mod metrics;
pub mod plan;
pub mod pool;
pub mod replication;
pub mod scrub;
pub mod section;
pub mod service;
pub mod share;
pub mod snapshot_task;
pub mod snapshots;
pub mod system;
pub mod temperature;
pub mod update;
pub mod ups;
pub mod vm;

pub use alert::Alert;
pub use dataset::Dataset;
pub use dialect::{Dialect, Line, Transport};
pub use disk::Disk;
pub use instance::Instance;
pub use item::Item;
pub use plan::{Call, Request, Tag};
pub use pool::Pool;
pub use replication::Replication;
pub use section::{CallFailure, Section, SectionFailure, SectionRead};
pub use snapshots::Snapshots;
pub use system::System;
pub use temperature::Temperature;

/// A list reply: what could be read, and what could not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded<T> {
    pub rows: Vec<T>,
    pub skipped: Vec<SkippedRow>,
}

/// One row that could not be read. It costs itself and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// Position in the reply.
    pub index: usize,
    /// Its name, when that much could be read.
    pub name: Option<String>,
    pub why: String,
}

/// A reply as a whole is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the reply is not JSON: {0}")]
    Json(String),
    #[error("the reply is {found}, expected {expected}")]
    Shape { expected: &'static str, found: &'static str },
    #[error("the reply has {count} rows, at most {max} are read")]
    TooMany { count: usize, max: usize },
    #[error("the reply lacks {0}")]
    Lacks(&'static str),
}
