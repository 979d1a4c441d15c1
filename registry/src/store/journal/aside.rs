//! What stays in data_dir although the journal no longer uses it, and what it is called.

use std::path::{Path, PathBuf};

use super::FOLDER;
use crate::store::redb::FILE_NAME;

/// Behind the name of what a restore found, with a number.
const REPLACED: &str = "replaced-";
/// Behind the name of the old file once the journal holds what it held.
const MIGRATED: &str = "migrated";

/// A name that is free, for what a restore finds.
pub(super) fn replaced(path: &Path) -> PathBuf {
    let mut number = 1_u32;
    loop {
        let to = path.with_added_extension(format!("{REPLACED}{number}"));
        if !to.exists() {
            return to;
        }
        number += 1;
    }
}

pub(super) fn migrated(old_file: &Path) -> PathBuf {
    old_file.with_added_extension(MIGRATED)
}

/// Whether a restore or an upgrade calls so what it puts aside.
pub fn is_put_aside(name: &str) -> bool {
    let Some((of, behind)) = name.rsplit_once('.') else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    let is_replaced =
        [FOLDER, FILE_NAME].contains(&of) && behind.strip_prefix(REPLACED).is_some_and(is_number);
    is_replaced || (of == FILE_NAME && behind == MIGRATED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let named = |path: PathBuf| path.file_name().expect("a name").display().to_string();
        let mut given = vec![named(migrated(&folder.path().join(FILE_NAME)))];
        for of in [FOLDER, FILE_NAME] {
            for _ in 0..11 {
                let path = replaced(&folder.path().join(of));
                std::fs::write(&path, "").expect("written");
                given.push(named(path));
            }
        }
        assert!(given.contains(&"journal.replaced-11".to_owned()), "{given:?}");
        assert!(given.iter().all(|name| is_put_aside(name)), "{given:?}");
        let others = [
            "journal",
            "journal.restoring",
            "journal.migrated",
            "journal.replaced-",
            "journal.replaced-+1",
            "journal.replaced-1.x",
            "registry.redb",
            "access.json.replaced-1",
            "audit.jsonl.1",
            "",
        ];
        assert!(!others.iter().any(|name| is_put_aside(name)));
    }
}
