//! What every store must do, run against each engine; and what only the one
//! on disk can show.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionId, ConnectionState, ConnectionStatus, DataSource, Epoch, Facets, Freshness,
    Identity, IngestRecord, ResourceId, ResourceType, Revision, SectionName, SectionOutcome, SectionReport,
    Sequence, SourceId, UnixMillis,
};
use pulse_registry::state::lease::Cursor;
use pulse_registry::state::timeline::{EntryKind, Step, Texts};
use pulse_registry::state::{
    ConnectionRow, Document, Entry, Horizon, Link, Note, Notes, Pair, Position, RecordRow, Remembered, Stamp,
    Stand, Tombstone, Write,
};
use pulse_registry::store::journal::Journal;
use pulse_registry::store::memory::Memory;
use pulse_registry::store::redb::{FILE_NAME, Redb};
use pulse_registry::store::{Loaded, Store, StoreError};
use redb::ReadableTable as _;

fn connection(id: &str) -> ConnectionId {
    ConnectionId::parse(id).unwrap()
}

fn document(connection: &str, name: &str) -> Document {
    Document::of(&IngestRecord {
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
    })
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
    Stamp {
        created_at: UnixMillis::new(1),
        updated_at: UnixMillis::new(2),
        revision: Revision(revision),
        created: Revision(3),
    }
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

    let (one, other) = (link("tank", Stand::Same), link("backup", Stand::Different));
    let writes = [&one, &other].map(|link| Write::Link(Box::new(link.clone())));
    store.commit(Revision(3), &writes).unwrap();
    let anew = Link { stand: Stand::Different, ..one.clone() };
    store.commit(Revision(4), &[Write::Link(Box::new(anew.clone()))]).unwrap();
    assert_eq!(store.load().unwrap().links, [other.clone(), anew], "the last word about a pair");
    store.commit(Revision(5), &[Write::RemoveLink(Box::new(one.pair))]).unwrap();
    assert_eq!(store.load().unwrap().links, [other]);
    remembers(store);
}

fn link(name: &str, stand: Stand) -> Link {
    let key = |id: &str| (connection(id), document(id, name).source_id.clone());
    Link {
        pair: Pair::of(key("nas-1"), key("nas-10")),
        stand,
        reason: "käse".to_owned(),
        who: "ops".to_owned(),
        at: UnixMillis::new(7),
    }
}

fn tombstone(revision: u64, index: u32) -> Arc<Tombstone> {
    Arc::new(Tombstone {
        position: Position { revision: Revision(revision), index },
        at: UnixMillis::new(77),
        id: ResourceId::parse("storage-0123456789abcdef").unwrap(),
        resource_type: ResourceType::Storage,
        name: "tank".into(),
        technology: "zfs-pool".into(),
        connection: connection("nas"),
        connection_name: "Rack 1".into(),
        source: DataSource::Truenas,
    })
}

fn entry(revision: u64, index: u32) -> Arc<Entry> {
    let step = |field| Step { field, from: "käse", to: "" };
    Arc::new(Entry {
        position: Position { revision: Revision(revision), index },
        at: UnixMillis::new(78),
        kind: EntryKind::RelationshipChange,
        id: ResourceId::parse("storage-0123456789abcdef").unwrap(),
        resource_type: ResourceType::Storage,
        connection: connection("nas"),
        source: DataSource::Truenas,
        texts: Texts::of("tank", "zfs-pool", "the pool is not well", [step("status"), step("state")]),
    })
}

/// What went is kept in order, until a horizon passes it.
fn remembers(store: &dyn Store) {
    assert_eq!(store.load().unwrap().remembered, Remembered::default());
    let horizon = |floor| Horizon { floor: Revision(floor), shown_by: "release".to_owned() };
    let gone = [tombstone(255, 0), tombstone(256, 0), tombstone(256, 1), tombstone(257, 300)];
    let mut writes: Vec<Write> = gone.iter().rev().cloned().map(Write::Tombstone).collect();
    writes.push(Write::Horizon(horizon(9)));
    let told = [entry(255, 0), entry(256, 0), entry(256, 1), entry(257, 300)];
    writes.extend(told.iter().rev().cloned().map(Write::Entry));
    store.commit(Revision(257), &writes).unwrap();
    let loaded = store.load().unwrap();
    assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
    let all = Remembered {
        horizon: Some(horizon(9)),
        tombstones: gone.to_vec(),
        entries: told.to_vec(),
        notes: Notes::new(),
    };
    assert_eq!(loaded.remembered, all);
    let forget = Write::ForgetEntries(told[1].position);
    store.commit(Revision(258), &[Write::Horizon(horizon(256)), forget]).unwrap();
    let left = Remembered {
        horizon: Some(horizon(256)),
        tombstones: vec![tombstone(257, 300)],
        entries: told[2..].to_vec(),
        notes: Notes::new(),
    };
    assert_eq!(store.load().unwrap().remembered, left);
    notes(store);
}

/// What others keep is theirs: any bytes under any key, replaced and removed by key alone.
fn notes(store: &dyn Store) {
    let note =
        |key: &str, value: Option<&[u8]>| Write::Note(Note { key: key.into(), value: value.map(Arc::from) });
    let writes =
        [note("a/1", Some(b"one")), note("a/2", Some(&[0, 255])), note("a/1", Some(b"")), note("b", None)];
    store.commit(Revision(259), &writes).unwrap();
    let held = |store: &dyn Store| store.load().unwrap().remembered.notes;
    assert_eq!(
        held(store),
        Notes::from([("a/1".into(), Arc::from(*b"")), ("a/2".into(), Arc::from([0, 255]))])
    );
    store.commit(Revision(259), &[note("a/1", None)]).unwrap();
    assert_eq!(held(store).keys().map(|key| &**key).collect::<Vec<_>>(), ["a/2"]);
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
fn a_file_of_the_release_before_opens_with_everything_in_it() {
    const STAMPS: redb::TableDefinition<'_, (&str, &str), &[u8]> = redb::TableDefinition::new("stamps");
    let folder = tempfile::tempdir().unwrap();
    let store = Redb::open(folder.path(), "id").unwrap();
    let mut writes = vec![Write::Connection(connection("nas"), Box::new(row(1)))];
    writes.extend(put("nas", "tank", 1));
    store.commit(Revision(1), &writes).unwrap();
    drop(store);
    // As it was: stamps of three numbers, and nothing of what went.
    let file = redb::Database::create(folder.path().join(FILE_NAME)).unwrap();
    let change = file.begin_write().unwrap();
    for added in ["tombstones", "timeline"] {
        change.delete_table(redb::TableDefinition::<&[u8], &[u8]>::new(added)).unwrap();
    }
    {
        let mut stamps = change.open_table(STAMPS).unwrap();
        let key = ("nas", "system:nas/pool:tank");
        let old = stamps.get(key).unwrap().unwrap().value()[..24].to_vec();
        stamps.insert(key, old.as_slice()).unwrap();
    }
    change.commit().unwrap();
    drop(file);
    let loaded = Redb::open(folder.path(), "id").unwrap().load().unwrap();
    assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
    assert_eq!(loaded.remembered, Remembered::default());
    let stamp = Stamp { created: Revision(0), ..stamp(1) };
    assert_eq!(loaded.connections[0].2, [RecordRow { document: document("nas", "tank"), stamp }]);
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
