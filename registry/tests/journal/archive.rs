//! Backups, taken while commits and checkpoints go on, and put back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use pulse_proto::model::Revision;
use pulse_registry::store::journal::{FOLDER, Journal, restore, restore_stream, save, save_stream};
use pulse_registry::store::redb::{FILE_NAME, Redb};
use pulse_registry::store::{Store, StoreError};

use crate::checkpoint::{eager, run};
use crate::rows::{after, commit, held, open, reopened};

fn restored(from: &Path) -> (tempfile::TempDir, (u64, Vec<String>)) {
    let folder = tempfile::tempdir().unwrap();
    let restored = restore(folder.path(), from, "restored", false).unwrap();
    let loaded = Journal::open(folder.path(), "x").unwrap().load().unwrap();
    assert_eq!((loaded.registry_id.as_str(), restored.registry_id.as_str()), ("restored", "restored"));
    assert_eq!((restored.revision, restored.records), (loaded.revision, held(&loaded).1.len()));
    (folder, held(&loaded))
}

#[test]
fn a_backup_of_a_running_registry_is_what_it_was_at_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = eager(folder.path());
    commit(&store, 1);
    let backups = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut revision = 1;
            while !stop.load(Ordering::Relaxed) {
                revision += 1;
                commit(&store, revision);
                let rows = store.load().unwrap().connections;
                if let Some(ticket) = store.begin_checkpoint().unwrap() {
                    store.finish_checkpoint(ticket, &mut std::iter::empty(), &mut rows.into_iter()).unwrap();
                }
            }
        });
        let mut last = 0;
        for n in 0..30 {
            let to = backups.path().join(format!("{n}"));
            let saved = save(folder.path(), &to);
            if saved.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            let saved = saved.unwrap();
            let (_folder, found) = restored(&to);
            if found != after(saved.revision.0) || saved.revision.0 < last {
                stop.store(true, Ordering::Relaxed);
            }
            assert_eq!(found, after(saved.revision.0));
            assert!(saved.revision.0 >= last);
            last = saved.revision.0;
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_restored_registry_goes_on_and_can_be_saved_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = eager(folder.path());
    commit(&store, 1);
    run(&store);
    commit(&store, 2);
    store.begin_checkpoint().unwrap();
    commit(&store, 3);
    let file = folder.path().join("backup");
    let saved = save(folder.path(), &file).unwrap();
    assert_eq!((saved.registry_id.as_str(), saved.revision), ("registry", Revision(3)));
    let (other, found) = restored(&file);
    assert_eq!(found, after(3));
    commit(&open(other.path()), 4);
    let again = other.path().join("backup");
    save(other.path(), &again).unwrap();
    let (_folder, found) = restored(&again);
    assert_eq!(found, after(4));
}

#[test]
fn a_restore_replaces_nothing_unless_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let store = open(folder.path());
    commit(&store, 1);
    save(folder.path(), &file).unwrap();
    commit(&store, 2);
    for force in [false, true] {
        let error = restore(folder.path(), &file, "new", force).unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    }
    drop(store);
    let error = restore(folder.path(), &file, "new", false).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(reopened(folder.path()), after(2));

    let done = restore(folder.path(), &file, "new", true).unwrap();
    assert_eq!((done.saved_id.as_str(), done.registry_id.as_str()), ("registry", "new"));
    assert_eq!(reopened(folder.path()), after(1));
    let [aside] = &done.aside[..] else { panic!("{done:?}") };
    std::fs::remove_dir_all(folder.path().join(FOLDER)).unwrap();
    std::fs::rename(aside, folder.path().join(FOLDER)).unwrap();
    assert_eq!(reopened(folder.path()), after(2), "what was there is whole");
}

#[test]
fn the_file_of_the_old_engine_is_data_too() {
    let source = tempfile::tempdir().unwrap();
    commit(&open(source.path()), 1);
    let file = source.path().join("backup");
    save(source.path(), &file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let old = Redb::open(folder.path(), "old").unwrap();
    let error = restore(folder.path(), &file, "new", true).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(old);
    let error = restore(folder.path(), &file, "new", false).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    restore(folder.path(), &file, "new", true).unwrap();
    assert!(!folder.path().join(FILE_NAME).exists());
    assert_eq!(reopened(folder.path()), after(1));
}

#[test]
fn a_damaged_backup_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    commit(&open(folder.path()), 1);
    save(folder.path(), &file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        restore(folder.path(), &file, "new", true).unwrap_err();
        let stream = std::io::Cursor::new(whole[..at].to_vec());
        restore_stream(folder.path(), stream, "new", true).unwrap_err();
    }
    assert_eq!(reopened(folder.path()), after(1));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_restore_that_was_interrupted_is_not_followed_by_an_empty_registry() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("journal.restoring")).unwrap();
    let refused = || {
        let error = Journal::open(folder.path(), "x").unwrap_err();
        assert!(error.to_string().contains("restore` again"), "{error}");
    };
    refused();
    // One that fails after it does not take its place.
    let source = tempfile::tempdir().unwrap();
    commit(&open(source.path()), 1);
    let file = source.path().join("backup");
    save(source.path(), &file).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.pop();
    restore_stream(folder.path(), std::io::Cursor::new(bytes.clone()), "new", false).unwrap_err();
    refused();
    bytes.extend(end);
    restore_stream(folder.path(), std::io::Cursor::new(bytes), "new", false).unwrap();
    assert_eq!(reopened(folder.path()), after(1));
}

/// Takes so many bytes, then nothing.
#[derive(Debug)]
struct Full(usize);

impl std::io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        if taken == 0 { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_backup_whose_reader_went_away_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    commit(&open(folder.path()), 1);
    let bytes = save_stream(folder.path(), Full(usize::MAX)).unwrap().bytes;
    for room in [0, 200, usize::try_from(bytes).unwrap() - 1] {
        save_stream(folder.path(), Full(room)).unwrap_err();
    }
}

#[test]
fn there_is_nothing_to_save_where_no_registry_has_run() {
    let folder = tempfile::tempdir().unwrap();
    let error = save(folder.path(), &folder.path().join("backup")).unwrap_err();
    assert!(error.to_string().contains("data_dir of a registry"), "{error}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}
