//! The roster: what it refuses, what it tells, and that disk comes first.

use std::fs;

use super::*;
use crate::connection::testing;

fn id(word: &str) -> ConnectionId {
    ConnectionId::parse(word).expect("an id")
}

fn roster(max_connections: usize) -> Arc<Roster> {
    Roster::in_memory(RosterOptions { max_connections })
}

#[allow(clippy::unnecessary_wraps, reason = "what an update takes")]
fn renamed(settings: &Settings, name: &str) -> Result<Settings, RosterError> {
    Ok(Settings { name: name.to_owned(), ..settings.clone() })
}

#[tokio::test]
async fn what_is_taken_is_refused_by_name() {
    let roster = roster(3);
    roster.create(testing::settings("nas1")).await.expect("created");
    let again = roster.create(testing::settings("nas1")).await;
    assert!(matches!(again, Err(RosterError::IdTaken(_))), "{again:?}");
    let same_name = Settings { name: "nas1".into(), ..testing::settings("nas2") };
    assert!(matches!(roster.create(same_name).await, Err(RosterError::NameTaken { .. })));
    let same_address = Settings { host: "nas1".into(), ..testing::settings("nas2") };
    assert!(matches!(roster.create(same_address.clone()).await, Err(RosterError::AddressTaken { .. })));
    roster.create(Settings { port: 444, ..same_address }).await.expect("another port is another server");
    roster.create(testing::settings("nas3")).await.expect("created");
    assert!(matches!(roster.check(&testing::settings("nas4")).await, Err(RosterError::Full { limit: 3 })));
    assert!(matches!(roster.create(testing::settings("nas4")).await, Err(RosterError::Full { limit: 3 })));
    let taken = roster.update(&id("nas3"), "", |old| renamed(old, "nas1")).await;
    assert!(matches!(taken, Err(RosterError::NameTaken { .. })));
    roster.delete(&id("nas3"), "").await.expect("deleted");
    roster.create(testing::settings("nas4")).await.expect("there is room again");
}

#[tokio::test]
async fn lost_updates_are_refused() {
    let roster = roster(3);
    let first = roster.create(testing::settings("nas1")).await.expect("created");
    let second = roster.update(&id("nas1"), &first.etag(), |old| renamed(old, "a")).await.expect("updated");
    assert_ne!(first.etag(), second.etag());
    let lost = roster.update(&id("nas1"), &first.etag(), |old| renamed(old, "b")).await;
    assert!(matches!(lost, Err(RosterError::EtagMismatch(_))));
    assert!(matches!(roster.delete(&id("nas1"), &first.etag()).await, Err(RosterError::EtagMismatch(_))));
    assert_eq!(roster.get(&id("nas1")).expect("there").name, "a");
    roster.delete(&id("nas1"), &second.etag()).await.expect("deleted");
    assert!(matches!(roster.delete(&id("nas1"), "").await, Err(RosterError::NotFound(_))));
    let again = roster.create(testing::settings("nas1")).await.expect("created again");
    assert_ne!(again.etag(), first.etag(), "an etag is never used twice");
}

#[tokio::test]
async fn each_change_is_told_and_waiters_learn_of_a_removal() {
    let roster = roster(3);
    let mut told = roster.subscribe();
    roster.create(testing::settings("nas1")).await.expect("created");
    assert!(told.has_changed().expect("open"));
    assert!(told.borrow_and_update().contains_key(&id("nas1")));
    let refresh = roster.refresh_signal(&id("nas1")).expect("a signal");
    roster.update(&id("nas1"), "", |old| renamed(old, "a")).await.expect("updated");
    assert!(
        Arc::ptr_eq(&refresh, &roster.refresh_signal(&id("nas1")).expect("a signal")),
        "survives updates"
    );
    let ticket = refresh.ask();
    roster.delete(&id("nas1"), "").await.expect("deleted");
    assert!(refresh.served(ticket).await.is_err());
    assert!(told.borrow_and_update().is_empty());
    assert!(roster.refresh_signal(&id("nas1")).is_none());
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Roster::open(folder.path(), &KeySource::Beside, RosterOptions::default());
    let roster = open().expect("a new store");
    roster.create(testing::settings("nas1")).await.expect("created");
    roster.create(testing::settings("nas2")).await.expect("created");
    let kept = roster.update(&id("nas1"), "", |old| renamed(old, "a")).await.expect("updated");
    roster.delete(&id("nas2"), "").await.expect("deleted");
    roster.rotate_key().await.expect("rotated");
    drop(roster);
    let roster = open().expect("the same store");
    assert_eq!(roster.all().keys().cloned().collect::<Vec<_>>(), [id("nas1")]);
    let read = roster.get(&id("nas1")).expect("there");
    assert_eq!((read.name.as_str(), read.etag()), ("a", kept.etag()));
    let again = roster.create(testing::settings("nas2")).await.expect("created");
    assert!(again.revision > kept.revision + 1, "revisions go on after those of deleted ones");
}

#[tokio::test]
async fn what_cannot_be_written_is_not_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let roster =
        Roster::open(folder.path(), &KeySource::Beside, RosterOptions::default()).expect("a new store");
    let told = roster.subscribe();
    fs::create_dir(folder.path().join("connections.json.tmp")).expect("in the way");
    assert!(matches!(roster.create(testing::settings("nas1")).await, Err(RosterError::Store(_))));
    assert!(roster.all().is_empty());
    assert!(!told.has_changed().expect("open"));
}

#[tokio::test]
async fn who_is_written_together_with_others_hears_that_it_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let roster =
        Roster::open(folder.path(), &KeySource::Beside, RosterOptions::default()).expect("a new store");
    for word in ["nas1", "nas2", "nas3"] {
        roster.create(testing::settings(word)).await.expect("created");
    }
    let [one, two, three] = ["nas1", "nas2", "nas3"].map(|word| roster.get(&id(word)).expect("there"));
    let note = async || {
        // The second takes the third along.
        let all = tokio::join!(roster.note_scram(&one), roster.note_scram(&two), roster.note_scram(&three));
        [all.0, all.1, all.2].map(|noted| noted.is_ok())
    };
    let in_the_way = folder.path().join("connections.json.tmp");
    fs::create_dir(&in_the_way).expect("in the way");
    assert_eq!(note().await, [false; 3]);
    fs::remove_dir(&in_the_way).expect("out of the way");
    assert_eq!(note().await, [true; 3]);
    assert!(roster.all().values().all(|settings| settings.scram_seen));
}

#[tokio::test]
async fn a_damaged_connection_holds_its_id_until_it_is_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Roster::open(folder.path(), &KeySource::Beside, RosterOptions { max_connections: 1 });
    let roster = open().expect("a new store");
    roster.create(testing::settings("nas1")).await.expect("created");
    drop(roster);
    let path = folder.path().join("connections.json");
    let text = fs::read_to_string(&path).expect("there");
    fs::write(&path, text.replace("\"sealed\":\"", "\"sealed\":\"AAAA")).expect("written");

    let roster = open().expect("the rest");
    assert!(roster.all().is_empty());
    assert_eq!(roster.damaged().await[0].id, Some(id("nas1")));
    assert!(matches!(roster.create(testing::settings("nas1")).await, Err(RosterError::IdTaken(_))));
    assert!(matches!(roster.create(testing::settings("nas2")).await, Err(RosterError::Full { .. })));
    roster.delete(&id("nas1"), "").await.expect("deleted");
    roster.create(testing::settings("nas1")).await.expect("created again");
    assert!(roster.damaged().await.is_empty());
}

#[tokio::test]
async fn that_scram_was_seen_is_kept_over_a_restart_and_refuses_nobodys_edit() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Roster::open(folder.path(), &KeySource::Beside, RosterOptions::default());
    let roster = open().expect("a new store");
    for word in ["nas1", "nas2", "nas3"] {
        roster.create(testing::settings(word)).await.expect("created");
    }
    let [one, two, three] = ["nas1", "nas2", "nas3"].map(|word| roster.get(&id(word)).expect("there"));
    let path = folder.path().join("connections.json");
    assert!(!fs::read_to_string(&path).expect("there").contains("scram"), "nothing stands in the clear");
    roster.update(&id("nas3"), "", |old| renamed(old, "c")).await.expect("updated");
    let (first, second, late) =
        tokio::join!(roster.note_scram(&one), roster.note_scram(&two), roster.note_scram(&three));
    for noted in [first, second, late] {
        noted.expect("noted");
    }
    assert_eq!(roster.get(&id("nas1")).expect("there").etag(), one.etag());
    roster.update(&id("nas1"), &one.etag(), |old| renamed(old, "a")).await.expect("the edit is not lost");
    drop(roster);

    let roster = open().expect("what was kept");
    let seen = |word: &str| roster.get(&id(word)).expect("there").scram_seen;
    assert!(seen("nas1") && seen("nas2"));
    assert!(!seen("nas3"), "its settings were others by then");
}
