//! Why the store cannot be read or written, and what to do. Never holds what was in it.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} is in use by another collector", path.display())]
    Locked { path: PathBuf },
    #[error("connections are stored in {}, but their key {} is not there", store.display(), key.display())]
    KeyMissing { store: PathBuf, key: PathBuf },
    #[error("the key file {} is not there", path.display())]
    KeyFileMissing { path: PathBuf },
    #[error("others can read or change the key file {} (mode {mode:03o})", path.display())]
    KeyExposed { path: PathBuf, mode: u32 },
    #[error("{origin} holds no usable key: {why}")]
    KeyMalformed { origin: String, why: &'static str },
    #[error("{} was written with key {wanted}, which is not the one given", path.display())]
    WrongKey { path: PathBuf, wanted: String },
    #[error("the key is kept outside of the data folder and cannot be replaced from here")]
    KeyNotOurs,
    #[error("{} cannot be read as a whole: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("the backup cannot be read as a whole: {why}")]
    Backup { why: String },
    #[error("the backup was written with key {wanted}, which is not the one given")]
    BackupKey { wanted: String },
    #[error("{} has format {found}; this program knows {known}", path.display())]
    Format { path: PathBuf, found: u64, known: u64 },
    #[error("{} is not there: no connection was ever stored here", path.display())]
    Nothing { path: PathBuf },
    #[error("{} is there already", path.display())]
    Occupied { path: PathBuf },
    #[error("{} would have {bytes} bytes, more than {limit}", path.display())]
    TooLarge { path: PathBuf, bytes: u64, limit: u64 },
    #[error("{what} {} failed: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    #[error("a record could not be sealed")]
    Seal,
    #[error("the write was interrupted")]
    Interrupted,
}

impl StoreError {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "stop the other collector, or give each a data folder of its own",
            Self::KeyMissing { .. } | Self::WrongKey { .. } => {
                "put back the key that belongs to this store; when it is lost for good, move the store away and add the connections again"
            }
            Self::KeyFileMissing { .. } => "check the path of the key file, and that it is mounted",
            Self::KeyExposed { .. } => {
                "chmod 600 it, or 640 where its group must read it; a mounted secret has defaultMode 0440. Who could read it before may have it: rotate the key"
            }
            Self::KeyMalformed { .. } => {
                "a key is 32 random bytes in base64, as `openssl rand -base64 32` makes them"
            }
            Self::KeyNotOurs => {
                "put a new key before the old one, start the collector once, then take the old one away"
            }
            Self::Damaged { .. } => {
                "put back a copy of the file, or move it away and add the connections again"
            }
            Self::Backup { .. } => {
                "nothing was changed, name a whole file that `pulse-collector backup` wrote, or take another one"
            }
            Self::BackupKey { .. } => {
                "nothing was changed, give the key of the collector that wrote the backup, which is kept apart from it"
            }
            Self::Format { .. } => "run the version of this program that wrote it, or a newer one",
            Self::Nothing { .. } => "check data_dir: it is the folder of a collector that has run",
            Self::Occupied { .. } => "--force puts it aside; or choose another data_dir",
            Self::TooLarge { .. } => "remove connections, or shorten their certificates and labels",
            Self::Io { .. } => "check the folder's owner, its permissions and the space left",
            Self::Seal | Self::Interrupted => "try again; when it stays, report it with the log",
        }
    }

    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
