//! The registry's own engines with the registry's own rows: records of 1 KB in
//! batches of 100, committed alone and as full groups of the writer, with the
//! checkpoints an engine asks for beside them. The reference is a plain file
//! that takes the same bytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use prost::Message as _;
use pulse_proto::model::{
    CollectorId, ConnectionId, DataSource, Dataset, Epoch, Facets, Identity, IngestRecord, ResourceType,
    Revision, SectionName, Sequence, SourceId, Storage, StorageTopology, UnixMillis, Zfs,
};
use pulse_proto::pb::resource::v1 as wire;
use pulse_registry::state::lease::Cursor;
use pulse_registry::state::{ConnectionRow, Document, KeptConnection, RecordRow, Stamp, Write};
use pulse_registry::store::journal::Journal;
use pulse_registry::store::redb::Redb;
use pulse_registry::store::{Store, StoreError};
use pulse_tests::task::bench::Figure;
use tokio::time::Instant;

/// Records of one batch; a connection has as many.
const BATCH: usize = 100;
const RECORD_BYTES: usize = 1_024;
/// Batches that the writer puts into one commit when many wait.
const GROUP: usize = 82;
const ALONE_COMMITS: usize = 200;

/// How much is measured.
pub(crate) struct Size {
    pub(crate) connections: usize,
    pub(crate) groups: usize,
}

struct Measured {
    alone: Vec<Duration>,
    groups: Duration,
    /// The committing thread on a core, as the kernel counts it.
    groups_cpu: Duration,
    start: Duration,
    disk: u64,
}

pub(crate) fn run(folder: &Path, size: &Size, with_redb: bool) -> anyhow::Result<Vec<Figure>> {
    let plain = plain(folder, size)?;
    let journal = engine(folder, size, |folder| Ok(Arc::new(Journal::open(folder, "bench")?)))?;
    let mut figures = journal.beside(&plain, size, "journal");
    if with_redb {
        let redb = engine(folder, size, |folder| Ok(Arc::new(Redb::open(folder, "bench")?)))?;
        figures.extend(redb.beside(&plain, size, "registry_redb"));
    }
    Ok(figures)
}

fn record(connection: usize, at: usize, revision: u64) -> anyhow::Result<Document> {
    let name = format!("tank/projects/d{at:03}");
    let dataset = Dataset {
        name: name.clone(),
        pool: "tank".to_owned(),
        kind: "FILESYSTEM".to_owned(),
        mountpoint: format!("/mnt/{name}"),
        mounted: Some(true),
        used_bytes: Some(revision << 20),
        available_bytes: Some(1 << 40),
        compression: "lz4".to_owned(),
        sync: "standard".to_owned(),
        snapshot_count: Some(revision),
        ..Dataset::default()
    };
    let mut record = IngestRecord {
        source_id: SourceId::parse(&format!("system:nas-{connection:05}/dataset:{name}"))?,
        parent_source_id: Some(SourceId::parse(&format!("system:nas-{connection:05}/pool:tank"))?),
        resource_type: ResourceType::Storage,
        name: name.clone(),
        section: SectionName::parse("datasets")?,
        state: "ONLINE".to_owned(),
        identity: Identity::default(),
        capacity: None,
        tags: Vec::new(),
        incidents: Vec::new(),
        facets: Facets::default(),
    };
    let storage = |comments: String| Storage {
        topology: StorageTopology::Dataset,
        kind: "zfs".to_owned(),
        pool: "tank".to_owned(),
        path: format!("/mnt/{name}"),
        zfs: Some(Zfs::Dataset(Dataset { comments, ..dataset.clone() })),
    };
    record.facets.storage = Some(Box::new(storage(String::new())));
    // Tag and length of the comment and of what it stands in.
    let missing = RECORD_BYTES.saturating_sub(wire::IngestRecord::from(&record).encoded_len() + 5);
    record.facets.storage = Some(Box::new(storage("c".repeat(missing))));
    Ok(Document::of(&record))
}

fn row(connection: usize, revision: u64) -> anyhow::Result<KeptConnection> {
    let cursor = Cursor {
        collector: CollectorId::parse("bench")?,
        epoch: Epoch(1),
        sequence: Sequence(revision),
        digest: None,
    };
    let row = ConnectionRow {
        cursor,
        source: DataSource::Truenas,
        removed: false,
        status: None,
        sections: BTreeMap::new(),
        freshness: BTreeMap::new(),
    };
    let now = UnixMillis::new(revision);
    let revision_of = Revision(revision);
    let stamp = Stamp { created_at: now, updated_at: now, revision: revision_of, created: revision_of };
    let records = (0..BATCH).map(|at| Ok(RecordRow { document: record(connection, at, revision)?, stamp }));
    let id = ConnectionId::parse(&format!("nas-{connection:05}"))?;
    Ok((id, row, records.collect::<anyhow::Result<_>>()?))
}

/// What a batch that changes everything of a connection writes.
fn writes((id, row, records): &KeptConnection) -> Vec<Write> {
    let changed = records.iter().map(|row| Write::Record(id.clone(), row.document.clone()));
    let stamps =
        records.iter().map(|row| Write::Stamp(id.clone(), row.document.source_id.clone(), row.stamp));
    changed.chain(stamps).chain([Write::Connection(id.clone(), Box::new(row.clone()))]).collect()
}

fn engine(
    folder: &Path,
    size: &Size,
    open: impl Fn(&Path) -> Result<Arc<dyn Store>, StoreError>,
) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = open(folder.path())?;
    let mut rows = (0..size.connections).map(|n| row(n, 1)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut checkpoint: Option<std::thread::JoinHandle<Result<(), StoreError>>> = None;
    let mut revision = 1;
    let mut commit = |store: &Arc<dyn Store>, rows: &[KeptConnection], group: &[Write]| {
        revision += 1;
        store.commit(Revision(revision), group)?;
        if checkpoint.as_ref().is_none_or(std::thread::JoinHandle::is_finished) {
            if let Some(ended) = checkpoint.take() {
                ended.join().map_err(|_| anyhow::anyhow!("the checkpoint panicked"))??;
            }
            if let Some(ticket) = store.begin_checkpoint()? {
                let (store, rows) = (Arc::clone(store), rows.to_vec());
                let write =
                    move || store.finish_checkpoint(ticket, &mut std::iter::empty(), &mut rows.into_iter());
                checkpoint = Some(std::thread::spawn(write));
            }
        }
        anyhow::Ok(())
    };
    for part in rows.chunks(GROUP) {
        let group: Vec<Write> = part.iter().flat_map(writes).collect();
        commit(&store, &rows, &group)?;
    }
    let mut alone = Vec::new();
    for n in 0..ALONE_COMMITS {
        let at = n * 37 % rows.len();
        rows[at] = row(at, n as u64)?;
        let group = writes(&rows[at]);
        let begin = Instant::now();
        commit(&store, &rows, &group)?;
        alone.push(begin.elapsed());
    }
    let (mut groups, mut groups_cpu) = (Duration::ZERO, Duration::ZERO);
    for n in 0..size.groups {
        let begin = n * GROUP % rows.len();
        let end = (begin + GROUP).min(rows.len());
        for (at, slot) in rows[begin..end].iter_mut().enumerate() {
            *slot = row(begin + at, n as u64)?;
        }
        let group: Vec<Write> = rows[begin..end].iter().flat_map(writes).collect();
        let (began, began_cpu) = (Instant::now(), on_core()?);
        commit(&store, &rows, &group)?;
        groups += began.elapsed();
        groups_cpu += on_core()?.saturating_sub(began_cpu);
    }
    if let Some(checkpoint) = checkpoint {
        checkpoint.join().map_err(|_| anyhow::anyhow!("the checkpoint panicked"))??;
    }
    drop((store, rows));
    let began = Instant::now();
    let store = open(folder.path())?;
    let loaded = store.load()?;
    let start = began.elapsed();
    let found: usize = loaded.connections.iter().map(|(_, _, rows)| rows.len()).sum();
    ensure!(found == size.connections * BATCH && loaded.damaged.is_empty(), "{found} records came back");
    Ok(Measured { alone, groups, groups_cpu, start, disk: crate::measure::size(folder.path())? })
}

/// The same bytes behind each other in a file.
fn plain(folder: &Path, size: &Size) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir_in(folder)?;
    let path = folder.path().join("plain");
    let mut file = File::create(&path)?;
    let mut batch = Vec::new();
    for row in row(0, 1)?.2 {
        batch.extend(wire::IngestRecord::from(&row.document.record()?).encode_to_vec());
    }
    ensure!(batch.len() == BATCH * RECORD_BYTES, "a record has {} bytes", batch.len() / BATCH);
    for _ in 0..size.connections {
        file.write_all(&batch)?;
    }
    file.sync_data()?;
    let disk = crate::measure::size(folder.path())?;
    let mut alone = Vec::new();
    for _ in 0..ALONE_COMMITS {
        let began = Instant::now();
        file.write_all(&batch)?;
        file.sync_data()?;
        alone.push(began.elapsed());
    }
    let group = batch.repeat(GROUP);
    let (began, began_cpu) = (Instant::now(), on_core()?);
    for _ in 0..size.groups {
        file.write_all(&group)?;
        file.sync_data()?;
    }
    let (groups, groups_cpu) = (began.elapsed(), on_core()?.saturating_sub(began_cpu));
    let began = Instant::now();
    let mut file = File::open(&path)?;
    let mut bytes = vec![0; size.connections * batch.len()];
    std::io::Read::read_exact(&mut file, &mut bytes)?;
    ensure!(bytes.ends_with(&batch), "read back as written");
    Ok(Measured { alone, groups, groups_cpu, start: began.elapsed(), disk })
}

/// How long this thread has been on a core.
fn on_core() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().context("schedstat has numbers")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "counts below 2^52")]
    fn beside(&self, reference: &Self, size: &Size, name: &str) -> Vec<Figure> {
        let records = (size.groups * GROUP.min(size.connections) * BATCH) as f64;
        let all = (size.connections * BATCH) as f64;
        let figure = |what: String, unit, of: &dyn Fn(&Self) -> f64| {
            Figure::new(format!("{name}.{what}"), unit, of(self), of(reference))
        };
        let held = size.connections * BATCH;
        vec![
            figure(format!("commit_100_at_{held}"), "ms", &|m| crate::measure::rank(&m.alone, 50)),
            figure(format!("commit_100_p99_at_{held}"), "ms", &|m| crate::measure::rank(&m.alone, 99)),
            figure(format!("records_per_s_at_{held}"), "", &|m| records / m.groups.as_secs_f64()),
            figure(format!("records_per_core_s_at_{held}"), "", &|m| records / m.groups_cpu.as_secs_f64()),
            figure(format!("start_{held}"), "ms", &|m| m.start.as_secs_f64() * 1e3),
            figure(format!("start_records_per_s_{held}"), "", &|m| all / m.start.as_secs_f64()),
            figure(format!("disk_{held}"), "MiB", &|m| crate::measure::mebi(m.disk)),
        ]
    }
}
