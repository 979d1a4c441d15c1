//! The settings `audit.*`, read.

use std::path::{Path, PathBuf};

use super::file::{FILE_NAME, Rotation, beside};
use crate::settings::Settings;

const MIB: usize = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub file: PathBuf,
    pub rotation: Rotation,
}

impl Config {
    /// Where refusals of strangers are written.
    pub fn strangers(&self) -> (PathBuf, Rotation) {
        (beside(&self.file), Rotation { files_max: 1, ..self.rotation })
    }

    pub fn read(settings: &mut Settings, data_dir: &Path) -> Self {
        let file = settings.optional("audit.file", "a path", |text| Some(PathBuf::from(text)));
        Self {
            file: file.unwrap_or_else(|| data_dir.join(FILE_NAME)),
            rotation: Rotation {
                file_bytes_max: settings.number("audit.max_bytes", 64 * 1024, 1_024 * MIB) as u64,
                files_max: settings.number("audit.max_files", 1, 1_000),
            },
        }
    }
}
