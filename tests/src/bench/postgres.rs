//! PostgreSQL as a reference: Debian's server with `synchronous_commit = on`,
//! an upsert of a batch and its row in a log of changes in one transaction.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use super::BATCH;
use super::bed::folder;
use super::load::Run;
use crate::harness::within;
use crate::task::tools;

/// Sessions that write at the same time, each its own rows.
const CLIENTS: u32 = 8;
const VALUE_BYTES: usize = 1_024;
const SCHEMA: &str = "CREATE TABLE resources (id text PRIMARY KEY, record bytea NOT NULL, revision bigint NOT NULL);
    CREATE TABLE changes (revision bigserial PRIMARY KEY, ids text[] NOT NULL, at timestamptz NOT NULL DEFAULT now());";
/// One statement is one transaction and one round trip: the best that it can do.
const UPSERT: &str = "WITH change AS (INSERT INTO changes (ids) VALUES ($1) RETURNING revision)
    INSERT INTO resources (id, record, revision)
    SELECT id, record, change.revision FROM change, unnest($1::text[], $2::bytea[]) AS rows (id, record)
    ON CONFLICT (id) DO UPDATE SET record = excluded.record, revision = excluded.revision";
/// Who it runs as when the bench is root, whom it refuses.
const USER: &str = "postgres";

#[derive(Debug)]
pub struct Postgres {
    _server: Child,
    socket: PathBuf,
    /// Kept last: it goes when the process is down.
    _folder: TempDir,
}

impl Postgres {
    pub async fn start() -> anyhow::Result<Self> {
        let programs = tools::postgres()?;
        let folder = folder()?;
        let user = unprivileged(folder.path())?;
        let data = folder.path().join("postgres");
        let mut init = command(&programs.join("initdb"), user);
        init.args(["--auth=trust", "--username=bench", "--encoding=UTF8", "--no-locale", "--pgdata"])
            .arg(&data);
        let made = within("initdb", init.output()).await.context("start initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
        let mut server = command(&programs.join("postgres"), user);
        server.arg("-D").arg(&data).arg("-k").arg(folder.path());
        // Socket alone; room as an operator would give it, durability as it comes.
        server.args(["-c", "listen_addresses=", "-c", "synchronous_commit=on", "-c", "fsync=on"]);
        server.args(["-c", "shared_buffers=512MB", "-c", "max_wal_size=8GB", "-c", "lc_messages=C"]);
        let mut server = server.stderr(Stdio::piped()).spawn().context("start postgres")?;
        let mut lines = BufReader::new(server.stderr.take().context("a piped stream")?).lines();
        let ready = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await? {
                if line.contains("ready to accept connections") {
                    return Ok(());
                }
                said.push_str(&line);
            }
            anyhow::bail!("postgres ended before it served: {said}")
        };
        within("postgres to serve", ready).await?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let postgres = Self { _server: server, socket: folder.path().to_owned(), _folder: folder };
        postgres.client().await?.batch_execute(SCHEMA).await?;
        Ok(postgres)
    }

    async fn client(&self) -> anyhow::Result<tokio_postgres::Client> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(&self.socket).user("bench").dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// What the server calls itself.
    pub async fn version(&self) -> anyhow::Result<String> {
        Ok(self.client().await?.query_one("SHOW server_version", &[]).await?.try_get(0)?)
    }

    /// Batches over `rows` rows, every client its own, for so long; all rows are there before.
    pub async fn upsert_for(&self, rows: u32, time: Duration) -> anyhow::Result<Run> {
        let share = rows / BATCH / CLIENTS;
        ensure!(share > 0, "{rows} rows are too few for {CLIENTS} clients");
        self.round(share, move |sent, _| sent < share).await?;
        let run = self.round(share, move |_, began| began.elapsed() < time).await?;
        let found: i64 =
            self.client().await?.query_one("SELECT count(*) FROM resources", &[]).await?.try_get(0)?;
        ensure!(found == i64::from(share * BATCH * CLIENTS), "PostgreSQL has {found} rows");
        Ok(run)
    }

    async fn round(
        &self,
        share: u32,
        goes_on: impl Fn(u32, Instant) -> bool + Clone + Send + 'static,
    ) -> anyhow::Result<Run> {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = self.client().await?;
            let goes_on = goes_on.clone();
            clients.spawn(async move {
                let upsert = client.prepare(UPSERT).await?;
                let values: [Vec<Vec<u8>>; 2] = [values(), values()];
                let mut sent = 0;
                while goes_on(sent, began) {
                    let batch = number * share + sent % share;
                    let ids: Vec<String> = (0..BATCH).map(|at| id(batch * BATCH + at)).collect();
                    client.execute(&upsert, &[&ids, &values[(sent / share % 2) as usize]]).await?;
                    sent += 1;
                }
                anyhow::Ok(sent)
            });
        }
        let mut run = Run::default();
        while let Some(sent) = clients.join_next().await {
            run.records += u64::from(sent?? * BATCH);
        }
        run.took = began.elapsed();
        Ok(run)
    }
}

/// Bytes without a pattern: TOAST would compress them otherwise.
fn values() -> Vec<Vec<u8>> {
    (0..BATCH).map(|_| (0..VALUE_BYTES).map(|_| rand::random()).collect()).collect()
}

fn id(row: u32) -> String {
    format!("system:nas-{:04}/dataset:tank/data-{:03}", row / 1_000, row % 1_000)
}

fn command(program: &Path, user: Option<u32>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).current_dir("/");
    if let Some(user) = user {
        command.uid(user);
    }
    command
}

/// The user that PostgreSQL runs as, to whom the folder is given; `None` when the bench is not root.
fn unprivileged(folder: &Path) -> anyhow::Result<Option<u32>> {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let user = users.lines().find_map(|line| {
        let mut words = line.split(':');
        (words.next() == Some(USER)).then(|| words.nth(1)?.parse().ok()).flatten()
    });
    let user: u32 = user.with_context(|| format!("no user {USER}, which Debian's package makes"))?;
    std::os::unix::fs::chown(folder, Some(user), None)?;
    Ok(Some(user))
}
