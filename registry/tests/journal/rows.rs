//! Rows, and what is on disk of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pulse_proto::digest::Digest;
use pulse_proto::model::{
    CollectorId, ConnectionId, DataSource, Epoch, Facets, Identity, IngestRecord, ResourceType, Revision,
    SectionName, Sequence, SourceId, UnixMillis,
};
use pulse_registry::state::lease::Cursor;
use pulse_registry::state::{ConnectionRow, Document, Stamp, Write};
use pulse_registry::store::journal::{FOLDER, Journal, Options};
use pulse_registry::store::{Loaded, Store};

use crate::faulty::Faulty;

pub(crate) fn id(connection: &str) -> ConnectionId {
    ConnectionId::parse(connection).unwrap()
}

pub(crate) fn record(connection: &str, name: &str) -> IngestRecord {
    IngestRecord {
        source_id: SourceId::parse(&format!("system:{connection}/pool:{name}")).unwrap(),
        parent_source_id: None,
        resource_type: ResourceType::Storage,
        name: name.to_owned(),
        section: SectionName::parse("pools").unwrap(),
        state: "ONLINE".to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: Vec::new(),
        incidents: Vec::new(),
        facets: Facets::default(),
    }
}

pub(crate) fn row(source: DataSource, sequence: u64) -> ConnectionRow {
    ConnectionRow {
        cursor: Cursor {
            collector: CollectorId::parse("c").unwrap(),
            epoch: Epoch(1),
            sequence: Sequence(sequence),
            digest: Some(Digest([7; 32])),
        },
        source,
        removed: false,
        status: None,
        sections: BTreeMap::new(),
        freshness: BTreeMap::new(),
    }
}

/// A connection's row and one record, as a batch at `revision` writes them.
pub(crate) fn batch(connection: &str, name: &str, revision: u64) -> Vec<Write> {
    let record = Document::of(&record(connection, name));
    let now = UnixMillis::new(revision * 1_000);
    let stamp =
        Stamp { created_at: now, updated_at: now, revision: Revision(revision), created: Revision(revision) };
    let source_id = record.source_id.clone();
    vec![
        Write::Record(id(connection), record),
        Write::Stamp(id(connection), source_id, stamp),
        Write::Connection(id(connection), Box::new(row(DataSource::Truenas, revision))),
    ]
}

/// Commits `batch` as revision `revision`.
pub(crate) fn commit(store: &dyn Store, revision: u64) {
    store.commit(Revision(revision), &batch("nas", &format!("p{revision}"), revision)).unwrap();
}

/// Revision and names, the part of a store that tests compare most.
pub(crate) fn held(loaded: &Loaded) -> (u64, Vec<String>) {
    let rows = loaded.connections.iter().flat_map(|(_, _, rows)| rows);
    (loaded.revision.0, rows.map(|row| row.document.name().to_owned()).collect())
}

/// What `held` says after revisions 1 to `last`.
pub(crate) fn after(last: u64) -> (u64, Vec<String>) {
    let mut names: Vec<String> = (1..=last).map(|n| format!("p{n}")).collect();
    names.sort();
    (last, names)
}

pub(crate) fn open(data_dir: &Path) -> Journal {
    Journal::open_with(data_dir, "registry", Arc::new(Faulty::default()), Options::default()).unwrap()
}

pub(crate) fn reopened(data_dir: &Path) -> (u64, Vec<String>) {
    held(&open(data_dir).load().unwrap())
}

/// The files of a journal whose names begin so, ascending.
pub(crate) fn files(data_dir: &Path, begin: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data_dir.join(FOLDER)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(begin)).collect();
    paths.sort();
    paths
}

pub(crate) fn last_segment(data_dir: &Path) -> PathBuf {
    files(data_dir, "segment-").pop().unwrap()
}

/// A copy of `from` without its lock.
pub(crate) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join(FOLDER)).unwrap();
    for path in files(from, "") {
        std::fs::copy(&path, to.path().join(FOLDER).join(path.file_name().unwrap())).unwrap();
    }
    to
}
