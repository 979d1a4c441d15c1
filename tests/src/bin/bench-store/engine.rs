//! The engines behind one small face: a synced commit of a batch, and reading
//! everything. Settings are those the registry would use.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Mutex;

use anyhow::Context as _;
use redb::{ReadableDatabase as _, ReadableTable as _};

use crate::rows::{FLEET_BYTES, Row};

/// Memory for pages, the same for every engine.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

const REVISION: &str = "revision";

pub(crate) trait Engine: Sized {
    fn open(folder: &Path) -> anyhow::Result<Self>;

    /// Returns when the rows and the revision would survive a power cut.
    fn commit(&self, revision: u64, rows: &[Row]) -> anyhow::Result<()>;

    /// Hands every row to `each`; the answer is the last committed revision.
    fn load(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> anyhow::Result<u64>;
}

const ROWS: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("rows");
const META: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("meta");

pub(crate) struct Redb(redb::Database);

impl Engine for Redb {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let database =
            redb::Database::builder().set_cache_size(CACHE_BYTES).create(folder.join("rows.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(ROWS)?;
        transaction.open_table(META)?;
        transaction.commit()?;
        Ok(Self(database))
    }

    fn commit(&self, revision: u64, rows: &[Row]) -> anyhow::Result<()> {
        let mut transaction = self.0.begin_write()?;
        transaction.set_durability(redb::Durability::Immediate)?;
        {
            let mut table = transaction.open_table(ROWS)?;
            for row in rows {
                table.insert(row.key.as_str(), row.value.as_slice())?;
            }
            transaction.open_table(META)?.insert(REVISION, revision)?;
        }
        Ok(transaction.commit()?)
    }

    fn load(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> anyhow::Result<u64> {
        let transaction = self.0.begin_read()?;
        for row in transaction.open_table(ROWS)?.iter()? {
            let (key, value) = row?;
            each(key.value().as_bytes(), value.value());
        }
        Ok(transaction.open_table(META)?.get(REVISION)?.map_or(0, |value| value.value()))
    }
}

pub(crate) struct Fjall {
    database: fjall::Database,
    rows: fjall::Keyspace,
    meta: fjall::Keyspace,
}

impl Engine for Fjall {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let database = fjall::Database::builder(folder).cache_size(CACHE_BYTES as u64).open()?;
        let rows = database.keyspace("rows", fjall::KeyspaceCreateOptions::default)?;
        let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default)?;
        Ok(Self { database, rows, meta })
    }

    fn commit(&self, revision: u64, rows: &[Row]) -> anyhow::Result<()> {
        let mut batch = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for row in rows {
            batch.insert(&self.rows, row.key.as_str(), row.value.as_slice());
        }
        batch.insert(&self.meta, REVISION, revision.to_be_bytes());
        Ok(batch.commit()?)
    }

    fn load(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> anyhow::Result<u64> {
        for row in self.rows.iter() {
            let (key, value) = row.into_inner()?;
            each(&key, &value);
        }
        let revision = self.meta.get(REVISION)?;
        Ok(revision.and_then(|bytes| (*bytes).try_into().ok().map(u64::from_be_bytes)).unwrap_or_default())
    }
}

/// The floor: append the same bytes to a file and sync it. No engine, only the
/// reference of one; it reads back as many bytes as a fleet has.
pub(crate) struct Plain(Mutex<File>);

impl Engine for Plain {
    fn open(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("rows.plain");
        let file = OpenOptions::new().create(true).append(true).read(true).open(&path);
        Ok(Self(Mutex::new(file.with_context(|| path.display().to_string())?)))
    }

    fn commit(&self, _: u64, rows: &[Row]) -> anyhow::Result<()> {
        let bytes: Vec<u8> =
            rows.iter().flat_map(|row| row.key.bytes().chain(row.value.iter().copied())).collect();
        let mut file = self.0.lock().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        file.write_all(&bytes)?;
        Ok(file.sync_data()?)
    }

    fn load(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> anyhow::Result<u64> {
        let mut file = self.0.lock().map_err(|_| anyhow::anyhow!("the writer panicked"))?;
        let mut bytes = vec![0; FLEET_BYTES];
        file.read_exact(&mut bytes)?;
        each(&[], &bytes);
        Ok(0)
    }
}
