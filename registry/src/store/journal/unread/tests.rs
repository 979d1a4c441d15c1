//! What a release cannot read outlives it: restarts, checkpoints and commits.

use std::sync::Arc;

use prost::Message as _;
use pulse_proto::digest::Digest;
use pulse_proto::model::{
    Capacity, CollectorId, ConnectionId, DataSource, Epoch, Facets, Identity, IngestRecord, ResourceType,
    Revision, SectionName, Sequence, SourceId, UnixMillis,
};
use pulse_proto::pb::resource::v1 as wire;

use super::super::disk::OsDisk;
use super::super::{Journal, Options, rows};
use crate::state::document::Alike;
use crate::state::lease::Cursor;
use crate::state::{ConnectionRow, Document, Print, RecordRow, Stamp, Write};
use crate::store::bytes::{encode_document, encode_stamp};
use crate::store::{Loaded, Store as _};

const STAMP: Stamp = Stamp {
    created_at: UnixMillis::new(1),
    updated_at: UnixMillis::new(2),
    revision: Revision(1),
    created: Revision(1),
};

fn open(folder: &tempfile::TempDir) -> (Journal, Loaded) {
    let options = Options { checkpoint_bytes_min: 0 };
    let journal = Journal::open_with(folder.path(), "registry", Arc::new(OsDisk), options).unwrap();
    let loaded = journal.load().unwrap();
    (journal, loaded)
}

fn nas() -> ConnectionId {
    ConnectionId::parse("nas").unwrap()
}

fn id(name: &str) -> String {
    format!("system:nas/pool:{name}")
}

fn document(name: &str) -> Document {
    Document::of(&ingested(name, 1))
}

fn ingested(name: &str, used: u64) -> IngestRecord {
    IngestRecord {
        source_id: SourceId::parse(&id(name)).unwrap(),
        parent_source_id: None,
        resource_type: ResourceType::Storage,
        name: name.to_owned(),
        section: SectionName::parse("pools").unwrap(),
        state: "ONLINE".to_owned(),
        identity: Identity::default(),
        capacity: Some(Capacity { used_bytes: Some(used), ..Capacity::default() }),
        tags: vec!["for a difference to be less than half of it".to_owned()],
        incidents: Vec::new(),
        facets: Facets::default(),
    }
}

/// From one number to another, by what differs.
fn change(name: &str, from: u64, to: u64) -> Write {
    let told = wire::IngestRecord::from(&ingested(name, to)).encode_to_vec();
    let alike = Document::of(&ingested(name, from)).alike(&told, Print::of(&told)).unwrap();
    let Alike::Numbers(document, Some(difference)) = alike else { panic!("a difference") };
    Write::Change(nas(), RecordRow { document, stamp: STAMP }, difference)
}

fn used(loaded: &Loaded) -> Vec<u64> {
    let rows = loaded.connections.iter().flat_map(|(_, _, rows)| rows);
    rows.filter_map(|row| row.document.capacity()?.used_bytes).collect()
}

fn record(name: &str) -> Vec<Write> {
    let document = document(name);
    let stamp = Write::Stamp(nas(), document.source_id.clone(), STAMP);
    vec![Write::Record(nas(), document), stamp]
}

fn connection() -> Write {
    let cursor = Cursor {
        collector: CollectorId::parse("c").unwrap(),
        epoch: Epoch(1),
        sequence: Sequence(1),
        digest: Some(Digest([7; 32])),
    };
    Write::Connection(
        nas(),
        Box::new(ConnectionRow {
            cursor,
            source: DataSource::Truenas,
            removed: false,
            status: None,
            sections: std::collections::BTreeMap::new(),
            freshness: std::collections::BTreeMap::new(),
        }),
    )
}

/// Names, whether the sender is believed to know them, and how many rows cannot be read.
fn held(loaded: &Loaded) -> (Vec<String>, bool, usize) {
    let rows = loaded.connections.iter().flat_map(|(_, _, rows)| rows);
    let names = rows.map(|row| row.document.name().to_owned()).collect();
    let is_known = loaded.connections.iter().all(|(_, row, _)| row.cursor.digest.is_some());
    (names, is_known, loaded.damaged.len())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn checkpoint(journal: &Journal, loaded: Loaded) {
    let ticket = journal.begin_checkpoint().unwrap().expect("there is something to write");
    journal.finish_checkpoint(ticket, &mut std::iter::empty(), &mut loaded.connections.into_iter()).unwrap();
}

#[test]
fn a_row_that_cannot_be_read_is_kept_until_it_is_told_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[record("good"), vec![connection()]].concat()).unwrap();
    journal.spoil("nas", &id("bad"));
    drop(journal);
    // Found where it stands, then put aside, then in a checkpoint, then behind a commit.
    let expected = (names(&["good"]), false, 1);
    for _ in 0..2 {
        assert_eq!(held(&open(&folder).1), expected);
    }
    let (journal, loaded) = open(&folder);
    checkpoint(&journal, loaded);
    drop(journal);
    let (journal, loaded) = open(&folder);
    assert_eq!(held(&loaded), expected);
    journal.commit(Revision(2), &[record("later"), vec![connection()]].concat()).unwrap();
    drop(journal);
    let (journal, loaded) = open(&folder);
    assert_eq!(held(&loaded), (names(&["good", "later"]), false, 1));
    journal.commit(Revision(3), &[record("bad"), vec![connection()]].concat()).unwrap();
    drop(journal);
    let (journal, loaded) = open(&folder);
    let expected = (names(&["bad", "good", "later"]), true, 0);
    assert_eq!(held(&loaded), expected);
    checkpoint(&journal, loaded);
    drop(journal);
    assert_eq!(held(&open(&folder).1), expected);
}

#[test]
fn a_connection_that_is_removed_takes_its_unread_rows_along() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[connection()]).unwrap();
    journal.spoil("nas", &id("bad"));
    drop(journal);
    let (journal, loaded) = open(&folder);
    assert_eq!(held(&loaded), (vec![], false, 1));
    journal.commit(Revision(2), &[Write::RemoveRecords(nas()), connection()]).unwrap();
    checkpoint(&journal, loaded);
    drop(journal);
    assert_eq!(held(&open(&folder).1).2, 0);
}

#[test]
fn what_was_put_aside_comes_back_when_it_can_be_read_and_its_sender_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[record("good"), vec![connection()]].concat()).unwrap();
    // As an older release put it aside.
    let mut bytes = Vec::new();
    encode_document(&document("new"), &mut bytes);
    let step = rows::record_as_written(&id("new"), Some(&encode_stamp(STAMP)), &bytes);
    journal.write_raw(|out| rows::group("nas", out, |out| rows::unread(&step, out)));
    drop(journal);
    assert_eq!(held(&open(&folder).1), (names(&["good", "new"]), false, 0));
}

#[test]
fn a_connection_whose_row_cannot_be_read_keeps_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[record("one"), vec![connection()]].concat()).unwrap();
    let broken = rows::connection_as_written(b"of another release");
    journal.write_raw(|out| rows::group("nas", out, |out| out.extend_from_slice(&broken)));
    drop(journal);
    for _ in 0..2 {
        assert_eq!(held(&open(&folder).1), (vec![], true, 1));
    }
    let (journal, loaded) = open(&folder);
    checkpoint(&journal, loaded);
    journal.commit(Revision(2), &[record("two"), vec![connection()]].concat()).unwrap();
    drop(journal);
    // A row of its own again: what it had is there, and its sender says what is still so.
    assert_eq!(held(&open(&folder).1), (names(&["one", "two"]), false, 0));
}

#[test]
fn a_change_of_another_record_than_it_was_made_for_is_found_and_costs_itself() {
    // Another number of another length, another text, no record at all, and one that was removed.
    let other = IngestRecord { state: "DEGRADED".to_owned(), ..ingested("bad", 300) };
    let others: [&[Write]; 4] = [
        &[change("bad", 1, 9)],
        &[Write::Record(nas(), Document::of(&other))],
        &[Write::RemoveRecord(nas(), SourceId::parse(&id("bad")).unwrap())],
        &[Write::RemoveRecords(nas())],
    ];
    for between in others {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(&folder);
        journal.commit(Revision(1), &[record("bad"), between.to_vec(), record("good")].concat()).unwrap();
        journal.commit(Revision(2), &[change("bad", 300, 400), change("good", 1, 2), connection()]).unwrap();
        journal.commit(Revision(3), &[change("good", 2, 3)]).unwrap();
        drop(journal);
        let expected = (names(&["good"]), false, 1);
        for _ in 0..2 {
            let loaded = open(&folder).1;
            assert_eq!((held(&loaded), used(&loaded)), (expected.clone(), vec![3]));
        }
        let (journal, loaded) = open(&folder);
        checkpoint(&journal, loaded);
        // Nothing is made of what cannot be read, whatever it is told to become.
        journal.commit(Revision(4), &[change("bad", 400, 500)]).unwrap();
        drop(journal);
        let (journal, loaded) = open(&folder);
        assert_eq!(held(&loaded), expected);
        journal
            .commit(Revision(5), &[record("bad"), vec![change("bad", 1, 7), connection()]].concat())
            .unwrap();
        drop(journal);
        let loaded = open(&folder).1;
        assert_eq!((held(&loaded), used(&loaded)), ((names(&["bad", "good"]), true, 0), vec![7, 3]));
    }
}

#[test]
fn a_change_that_is_cut_short_is_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[record("bad"), vec![connection()]].concat()).unwrap();
    let mut frame = Vec::new();
    rows::encode(&[change("bad", 1, 2)], &mut frame);
    let (_, group) = rows::groups(&frame).next().unwrap().unwrap();
    let shorter = rows::as_written(group[0], &group[5..group.len() - 1]);
    journal.write_raw(|out| rows::group("nas", out, |out| out.extend_from_slice(&shorter)));
    drop(journal);
    assert_eq!(held(&open(&folder).1), (vec![], false, 1));
}

#[test]
fn a_change_of_a_row_that_was_put_aside_and_can_be_read_goes_on_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[connection()]).unwrap();
    let mut bytes = Vec::new();
    encode_document(&document("new"), &mut bytes);
    let step = rows::record_as_written(&id("new"), Some(&encode_stamp(STAMP)), &bytes);
    journal.write_raw(|out| rows::group("nas", out, |out| rows::unread(&step, out)));
    drop(journal);
    let (journal, loaded) = open(&folder);
    assert_eq!(used(&loaded), [1]);
    journal.commit(Revision(2), &[change("new", 1, 2), connection()]).unwrap();
    drop(journal);
    let loaded = open(&folder).1;
    assert_eq!((held(&loaded), used(&loaded)), ((names(&["new"]), true, 0), vec![2]));
}

#[test]
fn changes_of_a_connection_that_cannot_be_read_are_kept_with_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    // A number of two bytes where there is one of one.
    let bad = change("bad", 300, 400);
    journal.commit(Revision(1), &[record("bad"), record("good"), vec![bad]].concat()).unwrap();
    journal.commit(Revision(2), &[change("good", 1, 2)]).unwrap();
    drop(journal);
    let (journal, loaded) = open(&folder);
    assert_eq!(held(&loaded), (vec![], true, 1));
    checkpoint(&journal, loaded);
    journal.commit(Revision(3), &[connection()]).unwrap();
    drop(journal);
    let loaded = open(&folder).1;
    assert_eq!((held(&loaded), used(&loaded)), ((names(&["good"]), false, 1), vec![2]));
}

#[test]
fn what_cannot_be_read_back_is_kept_by_the_next_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    journal.commit(Revision(1), &[record("bad"), record("good"), vec![connection()]].concat()).unwrap();
    // A number of two bytes where there is one of one.
    journal.commit(Revision(2), &[change("bad", 300, 400)]).unwrap();
    let loaded = journal.load().unwrap();
    let expected = (names(&["good"]), false, 1);
    assert_eq!(held(&loaded), expected);
    checkpoint(&journal, loaded);
    drop(journal);
    assert_eq!(held(&open(&folder).1), expected);
}
