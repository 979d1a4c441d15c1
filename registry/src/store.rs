//! Where state survives a kill -9. Owns the trait, the embedded engine and the
//! bytes of a row; refuses to know batches, watchers and health.

pub mod bytes;
pub mod hiding;
pub mod journal;
pub mod memory;
pub mod redb;

use pulse_proto::model::Revision;

use crate::state::{KeptConnection, Link, Remembered, Write};

/// Durable state of one registry. `commit` returns only when the writes would survive a power cut.
pub trait Store: Send + Sync + 'static {
    /// Everything, as the last commit left it.
    fn load(&self) -> Result<Loaded, StoreError>;

    /// All of the writes, or none.
    fn commit(&self, revision: Revision, writes: &[Write]) -> Result<(), StoreError>;

    /// After a failed commit: makes sure that the next one can succeed, and changes nothing. Cheap enough to be asked
    /// again and again.
    fn recover(&self) -> Result<(), StoreError>;

    /// Whether [`Self::begin_checkpoint`] would begin one. Cheap.
    fn wants_checkpoint(&self) -> bool {
        false
    }

    /// Whether everything should be written anew, as the last commit left it. Nothing may be committed between the
    /// answer and the moment at which those rows are taken.
    fn begin_checkpoint(&self) -> Result<Option<Ticket>, StoreError> {
        Ok(None)
    }

    /// Writes all rows, `common` being what is kept besides connections, while commits go on. When it fails the store is as if it had not begun.
    fn finish_checkpoint(
        &self,
        ticket: Ticket,
        common: &mut dyn Iterator<Item = Write>,
        connections: &mut dyn Iterator<Item = KeptConnection>,
    ) -> Result<(), StoreError> {
        let (_, _, _) = (ticket, common, connections);
        Ok(())
    }
}

/// What a checkpoint stands for.
#[derive(Debug)]
pub struct Ticket {
    segment: u64,
    commit: u64,
    revision: Revision,
    written: u64,
}

impl Ticket {
    pub fn revision(&self) -> Revision {
        self.revision
    }
}

#[derive(Debug, Default)]
pub struct Loaded {
    /// Made once, with the store.
    pub registry_id: String,
    pub revision: Revision,
    pub connections: Vec<KeptConnection>,
    /// What operators said about pairs of records.
    pub links: Vec<Link>,
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
    #[error(
        "{path} is damaged at byte {offset}: {reason}; restore a backup with `pulse-registry restore --force`"
    )]
    Damaged { path: String, offset: u64, reason: String },
    #[error(
        "{path} does not belong here: {reason}; put the right file back, or restore a backup with `pulse-registry restore --force`"
    )]
    Foreign { path: String, reason: String },
    #[error("the backup {path} is damaged at byte {offset}: {reason}; nothing was changed, take another one")]
    Backup { path: String, offset: u64, reason: String },
    #[error(
        "{path} is no backup of a registry: {reason}; nothing was changed, name a file that `pulse-registry backup` wrote"
    )]
    NoBackup { path: String, reason: String },
    #[error(
        "the backup {path} has format {found}, this release knows {known}; nothing was changed, restore it with the release that wrote it"
    )]
    BackupFormat { path: String, found: u64, known: u64 },
    #[error(
        "the backup {path} cannot be read: {reason}; nothing was changed, check that it is there and who may read it"
    )]
    BackupUnread { path: String, reason: String },
    #[error("no space left for {path}; free some: nothing is taken in until then")]
    Full { path: String },
    #[error("{path} holds data already; --force puts it aside, or choose another data_dir")]
    Occupied { path: String },
    #[error("the store failed: {0}; check disk space and permissions of data_dir")]
    Engine(String),
}
