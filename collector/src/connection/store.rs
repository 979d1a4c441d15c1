//! Connections on disk: one file, each record sealed on its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulse_proto::model::ConnectionId;

use super::settings::Settings;
use crate::secret::Secret;

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `collector.key` beside the store; made together with it.
    Beside,
    /// A file that somebody else keeps; never written by `open`.
    File(PathBuf),
    /// Base64 of 32 bytes; more after commas, for reading what older keys sealed.
    Given(Secret),
}

/// A record that could not be read, kept as it is.
#[derive(Debug, Clone)]
pub struct Damaged {
    /// When that much could be read.
    pub id: Option<ConnectionId>,
    pub why: String,
}

#[derive(Debug)]
pub struct Loaded {
    pub connections: Vec<Settings>,
    pub damaged: Vec<Damaged>,
    pub revision: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the write was interrupted")]
    Interrupted,
}

#[derive(Debug)]
pub struct Store {}

impl Store {
    pub fn open(_folder: &Path, _key: KeySource) -> Result<(Self, Loaded), StoreError> {
        Err(StoreError::Interrupted)
    }

    pub fn save(
        &self,
        _revision: u64,
        _connections: &BTreeMap<ConnectionId, Arc<Settings>>,
        _damaged: &[Damaged],
    ) -> Result<(), StoreError> {
        Err(StoreError::Interrupted)
    }
}
