//! From the file of the engine before: once, whole, and harmless when it is
//! interrupted.

use std::io::ErrorKind;
use std::sync::Arc;

use pulse_proto::model::Revision;
use pulse_registry::store::journal::disk::OsDisk;
use pulse_registry::store::journal::{Journal, Options};
use pulse_registry::store::redb::{FILE_NAME, Redb};
use pulse_registry::store::{Store, StoreError};

use crate::faulty::Faulty;
use crate::rows::{after, commit, files};

/// A folder as a release with the old engine left it.
fn old() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = Redb::open(folder.path(), "made-long-ago").unwrap();
    for revision in 1..=7 {
        commit(&store, revision);
    }
    let held = format!("{:?}", store.load().unwrap());
    (folder, held)
}

#[test]
fn everything_moves_once_and_the_old_file_is_kept() {
    let (folder, before) = old();
    let store = Journal::open(folder.path(), "new").unwrap();
    assert_eq!(format!("{:?}", store.load().unwrap()), before, "identity, revision and rows");
    assert!(!folder.path().join(FILE_NAME).exists());
    assert!(folder.path().join(format!("{FILE_NAME}.migrated")).exists());
    commit(&store, 8);
    drop(store);
    let store = Journal::open(folder.path(), "new").unwrap();
    assert_eq!(crate::rows::held(&store.load().unwrap()), after(8));
}

#[test]
fn a_failure_at_any_step_leaves_the_old_file_or_the_whole_journal() {
    for failing in 0.. {
        let (folder, before) = old();
        let disk = Arc::new(Faulty::default());
        disk.fail_nth(failing, ErrorKind::Other);
        let opened = Journal::open_with(folder.path(), "new", disk.clone(), Options::default());
        let is_complete = !files(folder.path(), "checkpoint").iter().any(|path| path.extension().is_some())
            && !files(folder.path(), "checkpoint").is_empty();
        assert!(is_complete || folder.path().join(FILE_NAME).exists(), "step {failing}");
        let has_failed = disk.heal();
        drop(opened);
        let store = Journal::open_with(folder.path(), "new", Arc::new(OsDisk), Options::default()).unwrap();
        assert_eq!(format!("{:?}", store.load().unwrap()), before, "step {failing}");
        assert!(!folder.path().join(FILE_NAME).exists(), "step {failing}");
        if !has_failed {
            assert!(failing > 8, "a migration has more than {failing} steps");
            return;
        }
    }
}

#[test]
fn it_waits_until_nobody_uses_the_old_file() {
    let (folder, before) = old();
    let running = Redb::open(folder.path(), "x").unwrap();
    let error = Journal::open(folder.path(), "new").unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(running);
    let loaded = Journal::open(folder.path(), "new").unwrap().load().unwrap();
    assert_eq!((format!("{loaded:?}"), loaded.revision), (before, Revision(7)));
}
