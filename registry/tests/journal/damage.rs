//! A crash at every byte, damage at every byte, and files that do not belong.

use std::sync::Arc;

use pulse_registry::store::journal::{FOLDER, Journal, Options};
use pulse_registry::store::{Store, StoreError};

use crate::faulty::Faulty;
use crate::rows::{after, commit, copy, files, held, last_segment, open, reopened};

fn refused(data_dir: &std::path::Path) -> StoreError {
    Journal::open_with(data_dir, "registry", Arc::new(Faulty::default()), Options::default()).unwrap_err()
}

#[test]
fn a_crash_at_any_byte_leaves_what_was_acknowledged_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = last_segment(folder.path());
    let length = || std::fs::metadata(&path).unwrap().len();
    let mut ends = vec![length()];
    for revision in 1..=3 {
        commit(&store, revision);
        ends.push(length());
    }
    drop(store);
    for cut in ends[0]..=ends[3] {
        let copy = copy(folder.path());
        let torn = last_segment(copy.path());
        std::fs::File::options().write(true).open(&torn).unwrap().set_len(cut).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() as u64 - 1;
        let store = open(copy.path());
        assert_eq!(held(&store.load().unwrap()), after(whole), "cut at {cut}");
        assert_eq!(std::fs::metadata(&torn).unwrap().len(), ends[usize::try_from(whole).unwrap()]);
        for revision in whole + 1..=whole + 2 {
            commit(&store, revision);
        }
        drop(store);
        assert_eq!(reopened(copy.path()), after(whole + 2), "cut at {cut}");
    }
}

#[test]
fn a_torn_end_with_anything_in_it_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    commit(&store, 1);
    drop(store);
    for tail in [vec![0; 4_096], vec![0xff; 100], b"half a frame".to_vec()] {
        let copy = copy(folder.path());
        let path = last_segment(copy.path());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [whole.clone(), tail].concat()).unwrap();
        assert_eq!(reopened(copy.path()), after(1));
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
}

#[test]
fn damage_before_the_last_frame_is_told_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    commit(&store, 1);
    let path = last_segment(folder.path());
    let last_frame = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    commit(&store, 2);
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..last_frame {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let error = refused(folder.path());
        match &error {
            StoreError::Damaged { offset, path: named, .. } => {
                assert!(*offset <= at as u64 && *named == path.display().to_string(), "{error}");
                assert!(error.to_string().contains("restore"), "{error}");
            }
            // The magic and the format say so in their own words.
            StoreError::Foreign { .. } | StoreError::Format { .. } if at < 12 => {}
            other => panic!("byte {at}: {other}"),
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "left as it is");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(reopened(folder.path()), after(2));
}

#[test]
fn every_damaged_byte_of_a_checkpoint_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::checkpoint::eager(folder.path());
    commit(&store, 1);
    crate::checkpoint::run(&store);
    commit(&store, 2);
    drop(store);
    let path = files(folder.path(), "checkpoint").remove(0);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        refused(folder.path());
        std::fs::write(&path, &whole[..at]).unwrap();
        refused(folder.path());
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(reopened(folder.path()), after(2));
}

#[test]
fn a_missing_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = crate::checkpoint::eager(folder.path());
    for revision in 1..=3 {
        commit(&store, revision);
        // Rolls without a checkpoint: three segments count.
        store.begin_checkpoint().unwrap().unwrap();
    }
    drop(store);
    let all = files(folder.path(), "");
    assert_eq!(files(folder.path(), "segment-").len(), 4);
    for name in all.iter().map(|path| path.file_name().unwrap()) {
        let copy = copy(folder.path());
        let path = copy.path().join(FOLDER).join(name);
        // The last segment is empty, and the lock is made anew.
        if path == last_segment(copy.path()) || name == "LOCK" {
            continue;
        }
        std::fs::remove_file(&path).unwrap();
        let error = refused(copy.path());
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("missing"), "{error}");
        assert!(error.to_string().contains(name.to_str().unwrap()), "{error}");
    }
    assert_eq!(reopened(folder.path()), after(3));
}

#[test]
fn files_of_others_are_refused_and_left_as_they_are() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    commit(&open(ours.path()), 1);
    commit(&Journal::open(theirs.path(), "other").unwrap(), 1);
    let own = last_segment(ours.path());
    let kept = std::fs::read(&own).unwrap();
    std::fs::copy(last_segment(theirs.path()), &own).unwrap();
    let error = refused(ours.path());
    assert!(matches!(&error, StoreError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("of registry other, and this is registry"), "{error}");

    std::fs::write(&own, "something else entirely").unwrap();
    let error = refused(ours.path());
    assert!(matches!(&error, StoreError::Foreign { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "something else entirely");

    let mut newer = kept.clone();
    newer[11] = 3;
    std::fs::write(&own, newer).unwrap();
    let error = refused(ours.path());
    assert!(matches!(&error, StoreError::Format { found: 3, known: 2, .. }), "{error}");

    std::fs::write(&own, kept).unwrap();
    assert_eq!(reopened(ours.path()), after(1));
}
