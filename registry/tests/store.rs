//! What every store must do, run against each engine; and what only the one
//! on disk can show.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionState, ConnectionStatus, DataSource, Epoch, Facets, Freshness,
    Identity, IngestRecord, ResourceType, Revision, SectionName, SectionOutcome, SectionReport, Sequence,
    SourceId, UnixMillis,
};
use pulse_registry::state::lease::Cursor;
use pulse_registry::state::{ConnectionRow, Document, Stamp, Write};
use pulse_registry::store::journal::Journal;
use pulse_registry::store::memory::Memory;
use pulse_registry::store::redb::{FILE_NAME, Redb};
use pulse_registry::store::{Loaded, Store, StoreError};

fn connection(id: &str) -> ConnectionId {
    ConnectionId::parse(id).unwrap()
}

fn document(connection: &str, name: &str) -> Arc<Document> {
    Arc::new(Document::of(&IngestRecord {
        source_id: SourceId::parse(&format!("system:{connection}/pool:{name}")).unwrap(),
        parent_source_id: None,
        resource_type: ResourceType::Storage,
        name: name.to_owned(),
        section: SectionName::parse("pools").unwrap(),
        state: "ONLINE".to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: vec!["käse".to_owned()],
        incidents: Vec::new(),
        facets: Facets::default(),
    }))
}

fn row(sequence: u64) -> ConnectionRow {
    let section = SectionName::parse("pools").unwrap();
    let report = SectionReport {
        section: section.clone(),
        outcome: SectionOutcome::Failed,
        observed_at: Some(UnixMillis::new(5_001)),
        since: Some(UnixMillis::new(5_002)),
        interval: Duration::from_secs(10),
        error: "timed out".to_owned(),
    };
    ConnectionRow {
        cursor: Cursor {
            collector: CollectorId::parse("c").unwrap(),
            epoch: Epoch(7),
            sequence: Sequence(sequence),
            digest: Some(Digest([9; 32])),
        },
        source: DataSource::Truenas,
        removed: false,
        status: Some(ConnectionStatus {
            name: "Rack 1".to_owned(),
            state: ConnectionState::BackingOff,
            reason: "refused".to_owned(),
            since: None,
            labels: BTreeMap::from([("site".to_owned(), "a".to_owned())]),
        }),
        sections: BTreeMap::from([(section.clone(), report)]),
        freshness: BTreeMap::from([(section, Freshness::Stale)]),
    }
}

fn stamp(revision: u64) -> Stamp {
    Stamp { created_at: UnixMillis::new(1), updated_at: UnixMillis::new(2), revision: Revision(revision) }
}

fn put(connection_id: &str, name: &str, revision: u64) -> [Write; 2] {
    let record = document(connection_id, name);
    let source_id = record.source_id.clone();
    [
        Write::Record(connection(connection_id), record),
        Write::Stamp(connection(connection_id), source_id, stamp(revision)),
    ]
}

fn names(loaded: &Loaded, id: &str) -> Vec<String> {
    let found = loaded.connections.iter().find(|(connection, ..)| connection.as_str() == id);
    found
        .map(|(_, _, rows)| rows.iter().map(|row| row.document.name().to_owned()).collect())
        .unwrap_or_default()
}

/// Everything a store must do. Ids that are prefixes of each other must not mix.
fn conforms(store: &dyn Store) {
    let empty = store.load().unwrap();
    assert_eq!((empty.revision, empty.connections.len()), (Revision(0), 0));

    let mut writes = Vec::new();
    for id in ["nas", "nas-1", "nas-10"] {
        writes.push(Write::Connection(connection(id), Box::new(row(1))));
        writes.extend(put(id, "tank", 1));
        writes.extend(put(id, "backup", 1));
    }
    store.commit(Revision(1), &writes).unwrap();
    let loaded = store.load().unwrap();
    assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
    assert_eq!(loaded.revision, Revision(1));
    assert_eq!(loaded.connections.len(), 3);
    let (_, kept, rows) = &loaded.connections[0];
    assert_eq!(*kept, row(1), "a connection reads back as it was written");
    assert_eq!((&rows[1].document, rows[1].stamp), (&document("nas", "tank"), stamp(1)));

    let source_id = document("nas-1", "tank").source_id.clone();
    let mut writes = vec![
        Write::RemoveRecord(connection("nas-1"), source_id),
        Write::Stamp(connection("nas-10"), document("nas-10", "tank").source_id.clone(), stamp(2)),
        Write::RemoveRecords(connection("nas")),
        Write::Connection(connection("nas"), Box::new(row(2))),
    ];
    writes.extend(put("nas", "new", 2));
    store.commit(Revision(2), &writes).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(names(&loaded, "nas"), ["new"], "removed as a whole, then written again in the same commit");
    assert_eq!(names(&loaded, "nas-1"), ["backup"]);
    assert_eq!(names(&loaded, "nas-10"), ["backup", "tank"]);
    assert_eq!(loaded.connections[0].1.cursor.sequence, Sequence(2));
    let (_, _, rows) = &loaded.connections[2];
    assert_eq!((rows[0].stamp, rows[1].stamp), (stamp(1), stamp(2)));
    store.commit(Revision(2), &[]).unwrap();
    store.recover().unwrap();
    assert_eq!(store.load().unwrap().revision, Revision(2), "asking whether it works changes nothing");
}

#[test]
fn memory_conforms() {
    conforms(&Memory::default());
}

#[test]
fn redb_conforms_and_is_the_same_after_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Redb::open(folder.path(), "first").unwrap();
    conforms(&store);
    let before = format!("{:?}", store.load().unwrap());
    drop(store);
    let again = Redb::open(folder.path(), "second").unwrap().load().unwrap();
    assert_eq!(again.registry_id, "first", "the identity is made once");
    assert_eq!(format!("{again:?}"), before);
}

#[test]
fn the_journal_conforms_and_is_the_same_after_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Journal::open(folder.path(), "first").unwrap();
    conforms(&store);
    let before = format!("{:?}", store.load().unwrap());
    drop(store);
    let again = Journal::open(folder.path(), "second").unwrap().load().unwrap();
    assert_eq!(again.registry_id, "first", "the identity is made once");
    assert_eq!(format!("{again:?}"), before);
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Redb::open(folder.path(), "id").unwrap();
    let second = Redb::open(folder.path(), "id").unwrap_err();
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    assert!(second.to_string().contains("data_dir"), "{second}");

    let folder = tempfile::tempdir().unwrap();
    let first = Journal::open(folder.path(), "id").unwrap();
    let second = Journal::open(folder.path(), "id").unwrap_err();
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");
    drop(first);
    Journal::open(folder.path(), "id").unwrap();
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, "something else entirely").unwrap();
    let refused = Redb::open(folder.path(), "id").unwrap_err();
    assert!(refused.to_string().contains(FILE_NAME), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "something else entirely");
}
