//! Backups: a journal in one file. Owns saving it while a registry runs, and
//! putting it back where none does.

mod restore;
mod save;

use std::path::Path;

pub use self::restore::{Restored, restore, restore_stream};
pub use self::save::{Saved, save, save_stream};

pub(super) use self::restore::refuse_half_restored;

/// The folder that a file stands in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}
