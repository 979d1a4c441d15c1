//! Where state survives a kill -9. Owns the trait, the embedded engine and the
//! bytes of a row; refuses to know batches, watchers and health.

pub mod bytes;
pub mod memory;
pub mod redb;

use pulse_proto::model::{ConnectionId, Revision};

use crate::state::{ConnectionRow, RecordRow, Remembered, Write};

/// Durable state of one registry. `commit` returns only when the writes would survive a power cut.
pub trait Store: Send + Sync + 'static {
    /// Everything, as the last commit left it.
    fn load(&self) -> Result<Loaded, StoreError>;

    /// All of the writes, or none.
    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError>;
}

#[derive(Debug)]
pub struct Loaded {
    /// Made once, with the store.
    pub registry_id: String,
    pub revision: Revision,
    pub connections: Vec<(ConnectionId, ConnectionRow, Vec<RecordRow>)>,
    pub remembered: Remembered,
    /// Rows that cannot be read, and why. They cost themselves only.
    pub damaged: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{path} is in use by another process; stop it, or give this registry its own data_dir")]
    InUse { path: String },
    #[error(
        "{path} has format {found}, this release knows {known}; start the release that wrote it, or restore a backup"
    )]
    Format { path: String, found: u64, known: u64 },
    #[error("the store cannot be opened at {path}: {reason}")]
    Open { path: String, reason: String },
    #[error("the store failed: {0}; check disk space and permissions of data_dir")]
    Engine(String),
}
