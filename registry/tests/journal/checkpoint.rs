//! Checkpoints: commits go on beside them, a crash at any step of one leaves
//! the old state or the new one, and what is hidden stays.

use std::path::Path;
use std::sync::Arc;

use pulse_proto::model::{DataSource, Revision};
use pulse_registry::state::Write;
use pulse_registry::store::Store;
use pulse_registry::store::hiding::Hiding;
use pulse_registry::store::journal::disk::Disk;
use pulse_registry::store::journal::{Journal, Options};

use crate::faulty::{Faulty, Step};
use crate::rows::{after, batch, commit, copy, files, held, id, reopened, row};

/// A journal that wants a checkpoint after every commit.
pub(crate) fn eager(data_dir: &Path) -> Journal {
    eager_on(data_dir, Arc::new(Faulty::default()))
}

pub(crate) fn eager_on(data_dir: &Path, disk: Arc<dyn Disk>) -> Journal {
    Journal::open_with(data_dir, "registry", disk, Options { checkpoint_bytes_min: 0 }).unwrap()
}

/// A checkpoint of what is there.
pub(crate) fn run(store: &dyn Store) {
    let rows = store.load().unwrap().connections;
    let ticket = store.begin_checkpoint().unwrap().expect("it is time");
    store.finish_checkpoint(ticket, &mut std::iter::empty(), &mut rows.into_iter()).unwrap();
}

#[test]
fn commits_go_on_while_a_checkpoint_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = eager(folder.path());
    commit(&store, 1);
    commit(&store, 2);
    let rows = store.load().unwrap().connections;
    let ticket = store.begin_checkpoint().unwrap().expect("it is time");
    assert_eq!(ticket.revision(), Revision(2));
    let mut revision = 2;
    let mut slowly = rows.into_iter().inspect(|_| {
        revision += 1;
        commit(&store, revision);
    });
    store.finish_checkpoint(ticket, &mut std::iter::empty(), &mut slowly).unwrap();
    assert_eq!(files(folder.path(), "segment-").len(), 1, "what the checkpoint holds is gone");
    assert_eq!(held(&store.load().unwrap()), after(3));
    drop(store);
    assert_eq!(reopened(folder.path()), after(3));
}

#[test]
fn it_is_asked_for_when_as_much_has_come_as_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = eager(folder.path());
    for revision in 1..=50 {
        commit(&store, revision);
    }
    run(&store);
    let bytes = std::fs::metadata(&files(folder.path(), "checkpoint")[0]).unwrap().len();
    let mut revision = 50;
    let came = loop {
        revision += 1;
        commit(&store, revision);
        let came = std::fs::metadata(files(folder.path(), "segment-").pop().unwrap()).unwrap().len();
        if store.begin_checkpoint().unwrap().is_some() {
            break came;
        }
    };
    assert!(came > bytes && came < bytes + 1_000, "{came} bytes came, {bytes} are there");

    let folder = tempfile::tempdir().unwrap();
    let store = crate::rows::open(folder.path());
    commit(&store, 1);
    assert!(store.begin_checkpoint().unwrap().is_none(), "not for a few bytes");
}

/// Every state of the folder that a crash during a checkpoint can leave.
#[test]
fn a_crash_at_any_step_of_a_checkpoint_leaves_a_complete_state() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let store = eager_on(folder.path(), disk.clone());
    for revision in 1..=4 {
        commit(&store, revision);
    }
    let rows = store.load().unwrap().connections;
    let (from, seen) = (folder.path().to_owned(), Arc::new(std::sync::Mutex::new(0)));
    let count = seen.clone();
    disk.before(move |_: &Step| {
        let copy = copy(&from);
        assert_eq!(reopened(copy.path()), after(4));
        // ... and what comes then is kept as well.
        commit(&crate::rows::open(copy.path()), 5);
        assert_eq!(reopened(copy.path()), after(5));
        *count.lock().unwrap() += 1;
        None
    });
    let ticket = store.begin_checkpoint().unwrap().unwrap();
    store.finish_checkpoint(ticket, &mut std::iter::empty(), &mut rows.into_iter()).unwrap();
    assert!(*seen.lock().unwrap() >= 12, "{seen:?} steps were looked at");
}

#[test]
fn a_checkpoint_that_fails_at_any_step_costs_nothing_and_the_next_one_succeeds() {
    for failing in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Faulty::default());
        let store = eager_on(folder.path(), disk.clone());
        for revision in 1..=4 {
            commit(&store, revision);
        }
        disk.fail_nth(failing, std::io::ErrorKind::StorageFull);
        let rows = store.load().unwrap().connections;
        let begun = store.begin_checkpoint();
        let failed = match begun {
            Err(_) => true,
            Ok(ticket) => store
                .finish_checkpoint(ticket.unwrap(), &mut std::iter::empty(), &mut rows.into_iter())
                .is_err(),
        };
        let was_reached = disk.heal();
        commit(&store, 5);
        assert_eq!(held(&store.load().unwrap()), after(5), "step {failing}");
        if store.begin_checkpoint().unwrap().is_none() {
            // Big enough: it had succeeded but for what can be tidied up later.
            assert!(!failed, "step {failing}");
        }
        commit(&store, 6);
        let rows = store.load().unwrap().connections;
        if let Some(ticket) = store.begin_checkpoint().unwrap() {
            store.finish_checkpoint(ticket, &mut std::iter::empty(), &mut rows.into_iter()).unwrap();
        }
        drop(store);
        assert_eq!(reopened(folder.path()), after(6), "step {failing}");
        if !was_reached {
            assert!(failing >= 8, "a checkpoint has more than {failing} steps");
            return;
        }
    }
}

#[test]
fn what_is_hidden_is_still_there_after_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let store = eager(folder.path());
    commit(&store, 1);
    let mut agents = batch("agent", "disk", 2);
    agents[2] = Write::Connection(id("agent"), Box::new(row(DataSource::Agent, 2)));
    store.commit(Revision(2), &agents).unwrap();

    let hiding = Hiding::new(Arc::new(store), DataSource::Truenas);
    for _ in 0..2 {
        let shown = hiding.load().unwrap();
        assert_eq!(held(&shown), (2, vec!["disk".to_owned()]));
    }
    run(&hiding);
    drop(hiding);
    assert_eq!(reopened(folder.path()), (2, vec!["disk".to_owned(), "p1".to_owned()]));
}

#[test]
fn a_large_connection_takes_many_frames() {
    let folder = tempfile::tempdir().unwrap();
    let store = eager(folder.path());
    let names: Vec<String> = (0..2_000).map(|n| format!("{n:04}{}", "x".repeat(900))).collect();
    let writes: Vec<Write> = names.iter().flat_map(|name| batch("nas", name, 1)).collect();
    store.commit(Revision(1), &writes).unwrap();
    run(&store);
    assert!(std::fs::metadata(&files(folder.path(), "checkpoint")[0]).unwrap().len() > 2_000_000);
    drop(store);
    assert_eq!(reopened(folder.path()), (1, names));
}
