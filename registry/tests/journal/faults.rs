//! Short writes, a full disk and failing syncs: what failed is never there,
//! what succeeded always is.

use std::io::ErrorKind;
use std::sync::Arc;

use pulse_proto::model::Revision;
use pulse_registry::store::journal::{Journal, Options};
use pulse_registry::store::{Store, StoreError};

use crate::faulty::{Faulty, Step};
use crate::rows::{after, batch, commit, copy, files, held, last_segment, reopened};

fn journal() -> (tempfile::TempDir, Arc<Faulty>, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let store = Journal::open_with(folder.path(), "registry", disk.clone(), Options::default()).unwrap();
    (folder, disk, store)
}

fn lost(store: &Journal) -> StoreError {
    store.commit(Revision(2), &batch("nas", "lost", 2)).unwrap_err()
}

#[test]
fn a_short_write_is_cut_off_and_commits_go_on() {
    let (folder, disk, store) = journal();
    commit(&store, 1);
    let length = std::fs::metadata(last_segment(folder.path())).unwrap().len();
    disk.fail_nth(0, ErrorKind::Other);
    let error = lost(&store);
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
    assert!(std::fs::metadata(last_segment(folder.path())).unwrap().len() > length, "half of it is there");
    assert_eq!(held(&store.load().unwrap()), after(1), "and does not count");
    assert_eq!(reopened(copy(folder.path()).path()), after(1));
    commit(&store, 2);
    assert_eq!(files(folder.path(), "segment-").len(), 1, "the segment can be trusted again");
    drop(store);
    assert_eq!(reopened(folder.path()), after(2));
}

#[test]
fn after_a_failed_sync_the_frame_goes_into_a_new_segment() {
    let (folder, disk, store) = journal();
    commit(&store, 1);
    disk.fail_nth(1, ErrorKind::Other);
    lost(&store);
    disk.heal();
    assert_eq!(held(&store.load().unwrap()), after(1));
    let old = last_segment(folder.path());
    let touched = Arc::new(std::sync::Mutex::new(Vec::new()));
    let steps = touched.clone();
    disk.before(move |step| {
        steps.lock().unwrap().push(step.clone());
        None
    });
    commit(&store, 2);
    disk.heal();
    assert_eq!(files(folder.path(), "segment-").len(), 2);
    let used_again = |step: &Step| matches!(step, Step::Write(p) | Step::Sync(p) | Step::Cut(p) if *p == old);
    assert!(!touched.lock().unwrap().iter().any(used_again), "a sync that failed is not asked again");
    // Even when all of the frame that failed reached the disk.
    assert_eq!(held(&store.load().unwrap()), after(2));
    drop(store);
    assert_eq!(reopened(folder.path()), after(2));
}

#[test]
fn a_restart_proves_the_last_frame_before_it_counts() {
    let (folder, disk, store) = journal();
    commit(&store, 1);
    disk.fail_nth(1, ErrorKind::Other);
    lost(&store);
    disk.heal();
    drop(store);
    // The frame can be read, but only the page cache may have it.
    let path = last_segment(folder.path());
    let proven = Arc::new(std::sync::Mutex::new(Vec::new()));
    let steps = proven.clone();
    disk.before(move |step| {
        steps.lock().unwrap().push(step.clone());
        None
    });
    Journal::open_with(folder.path(), "registry", disk, Options::default()).unwrap();
    let proven = proven.lock().unwrap();
    let place = |wanted: &Step| proven.iter().position(|step| step == wanted).unwrap();
    assert!(place(&Step::Write(path.clone())) < place(&Step::Sync(path)), "{proven:?}");
}

#[test]
fn a_full_disk_is_told_as_such_and_reading_goes_on() {
    let (folder, disk, store) = journal();
    commit(&store, 1);
    let full = |step: &Step| matches!(step, Step::Write(_)).then_some(ErrorKind::StorageFull);
    disk.before(full);
    for _ in 0..3 {
        let error = lost(&store);
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert!(error.to_string().contains("no space left"), "{error}");
        let error = store.recover().unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error}");
        assert_eq!(held(&store.load().unwrap()), after(1));
    }
    disk.heal();
    store.recover().unwrap();
    assert_eq!(held(&store.load().unwrap()), after(1));
    commit(&store, 2);
    drop(store);
    assert_eq!(reopened(folder.path()), after(2));
}

#[test]
fn it_recovers_only_when_there_is_room_for_what_had_none() {
    let (_folder, disk, store) = journal();
    commit(&store, 1);
    // A small frame would have room, the one that failed has not.
    disk.before(|step| match step {
        Step::Write(path) if path.ends_with("room.tmp") => Some(ErrorKind::StorageFull),
        _ => None,
    });
    store.recover().unwrap();
    disk.fail_nth(0, ErrorKind::StorageFull);
    lost(&store);
    disk.before(|step| match step {
        Step::Write(path) if path.ends_with("room.tmp") => Some(ErrorKind::StorageFull),
        _ => None,
    });
    let error = store.recover().unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    disk.heal();
    store.recover().unwrap();
    commit(&store, 2);
}

/// Whatever step fails, and however often: what was acknowledged is there, what was not is not.
#[test]
fn any_step_may_fail_once() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for first in 0..6 {
            for second in 0..10 {
                let (folder, disk, store) = journal();
                commit(&store, 1);
                disk.fail_nth(first, kind);
                let mut done = 1;
                done += u64::from(store.commit(Revision(2), &batch("nas", "p2", 2)).is_ok());
                disk.fail_nth(second, kind);
                for _ in 0..3 {
                    let next = done + 1;
                    let writes = batch("nas", &format!("p{next}"), next);
                    done += u64::from(store.commit(Revision(next), &writes).is_ok());
                    assert_eq!(held(&store.load().unwrap()), after(done), "{first}, {second}");
                }
                disk.heal();
                commit(&store, done + 1);
                assert_eq!(held(&store.load().unwrap()), after(done + 1), "{first}, {second}");
                drop(store);
                assert_eq!(reopened(folder.path()), after(done + 1), "{first}, {second}");
            }
        }
    }
}
