//! Stores of earlier releases (`tests/stores`), opened by the binaries as an upgrade does: everything is there as the release said that wrote
//! it, and goes on. And the way back: a store of a later format is refused with a remedy, and left as it is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use pulse_tests::harness::command::{Ran, run};
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::stores::{ask, differences, said, unpack};
use pulse_tests::task::root;
use serde_json::{Value, json};

/// What is kept in the stores grows older than a registry keeps such things by itself.
const LASTING: &str = "[timeline]\nmax_age = \"3650d\"\n[alerts]\nmax_age = \"3650d\"";
/// Nobody listens there: collectors are asked for what they hold, and send nothing.
const NO_REGISTRY: &str = "[registry]\naddress = \"http://127.0.0.1:9\"";
const JOURNAL: &str = "registry-journal-1";
const CONNECTIONS: &str = "collector-1";

fn same(then: &Value, now: &Value) -> anyhow::Result<()> {
    let found = differences(then, now);
    ensure!(found.is_empty(), "not as the release said that wrote it:\n{}", found.join("\n"));
    Ok(())
}

/// Opens it twice: as that release left it, and as this one has taken it over. Then a collector goes on where it was.
async fn is_taken_over(name: &str, then: Value) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    unpack(name, &folder.path().join("data"))?;
    let mut registry = Service::prepared("pulse-registry", folder.path(), LASTING);
    for _ in 0..2 {
        registry.up().await?;
        same(&then, &ask::registry(registry.grpc()).await?)?;
        registry.terminate().await?;
    }
    registry.up().await?;
    let connection = ask::CONNECTIONS[0];
    let mut feeder = Feeder::open(registry.grpc(), ask::COLLECTOR, &[connection]).await?;
    let at = feeder.welcome.cursors.first().cloned().context("a cursor")?;
    let ack = feeder
        .put(batch(connection, at.epoch, at.sequence + 1, vec![pool(connection, "new", "ONLINE")]))
        .await?;
    let before: u64 = then["resources"]["revision"].as_str().unwrap_or_default().parse()?;
    ensure!(ack.revision > before, "revision {} after {before}", ack.revision);
    Ok(())
}

#[tokio::test]
async fn a_registry_takes_over_the_store_of_the_engine_before() -> anyhow::Result<()> {
    let name = "registry-redb-1";
    let mut then = said(name)?;
    // It knew no horizon: a revision begins that no token of that release leads to.
    let revision: u64 = then["resources"]["revision"].as_str().unwrap_or_default().parse()?;
    then["resources"]["revision"] = json!((revision + 1).to_string());
    is_taken_over(name, then).await
}

#[tokio::test]
async fn a_registry_takes_over_a_journal() -> anyhow::Result<()> {
    is_taken_over(JOURNAL, said(JOURNAL)?).await
}

#[tokio::test]
async fn a_collector_takes_over_its_connections() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    unpack(CONNECTIONS, &folder.path().join("data"))?;
    let mut collector = Service::prepared("pulse-collector", folder.path(), NO_REGISTRY);
    for _ in 0..2 {
        collector.up().await?;
        same(&said(CONNECTIONS)?, &ask::collector(collector.grpc()).await?)?;
        let damaged = collector.process().log().lines().any(|line| line.contains("cannot be read"));
        ensure!(!damaged, "{}", collector.process().log());
        collector.terminate().await?;
    }
    Ok(())
}

/// All files below a folder, by path; without the audit log, which every start opens.
fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("audit.")) {
            found.insert(path.display().to_string(), std::fs::read(&path)?);
        }
    }
    Ok(found)
}

/// Starts a service that cannot start.
async fn fails(name: &str, data: &Path) -> anyhow::Result<Ran> {
    let data = data.display().to_string();
    let address = ["--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", "--data-dir", &data];
    let ran = run(name, &[&["serve"][..], &address].concat(), &[], "").await?;
    ensure!(ran.code == 1, "{ran:?}");
    Ok(ran)
}

/// The runbook has the message, with PATH for the file.
fn is_in_the_runbook(message: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join("docs/rollback.md"))?;
    ensure!(text.contains(message), "docs/rollback.md does not say: {message}");
    Ok(())
}

/// Number of a journal's format in the header of each of its files.
const FORMAT_AT: std::ops::Range<usize> = 8..12;
/// The newest one that this release knows.
const FORMAT: u32 = 2;

#[tokio::test]
async fn a_journal_of_a_later_format_is_refused_and_left_as_it_is() -> anyhow::Result<()> {
    let kept = tempfile::tempdir()?;
    unpack(JOURNAL, kept.path())?;
    let names: Vec<String> = files(kept.path())?
        .into_iter()
        .filter(|(_, bytes)| bytes.starts_with(b"PULSEREG"))
        .filter_map(|(path, _)| {
            Some(path.strip_prefix(kept.path().to_str()?)?.trim_start_matches('/').to_owned())
        })
        .collect();
    ensure!(names.len() >= 2, "a checkpoint and a segment: {names:?}");
    // A later release writes one of them first.
    for name in &names {
        let folder = tempfile::tempdir()?;
        unpack(JOURNAL, folder.path())?;
        let path = folder.path().join(name);
        let mut bytes = std::fs::read(&path)?;
        bytes[FORMAT_AT].copy_from_slice(&(FORMAT + 1).to_be_bytes());
        std::fs::write(&path, bytes)?;
        // What it was about to write.
        std::fs::write(folder.path().join("journal/checkpoint.tmp"), "of a later release")?;
        let before = files(folder.path())?;
        let ran = fails("pulse-registry", folder.path()).await?;
        let message = format!(
            "PATH has format {}, this release knows {FORMAT}; start the release that wrote it, or restore a backup",
            FORMAT + 1
        );
        let wanted = message.replace("PATH", &path.display().to_string());
        ensure!(ran.stderr.contains(&wanted), "{wanted}\n{}", ran.stderr);
        ensure!(files(folder.path())? == before, "{name}: the folder was changed");
        is_in_the_runbook(&message)?;
    }
    Ok(())
}

#[tokio::test]
async fn connections_of_a_later_format_are_refused_and_left_as_they_are() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    unpack(CONNECTIONS, folder.path())?;
    let path = folder.path().join("connections.json");
    let mut store: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let known = store["format"].as_u64().context("a format")?;
    store["format"] = json!(known + 1);
    store["something"] = json!("this release does not know");
    std::fs::write(&path, store.to_string())?;
    let before = files(folder.path())?;
    let ran = fails("pulse-collector", folder.path()).await?;
    let message = format!("PATH has format {}; this program knows {known}", known + 1);
    let remedy = "run the version of this program that wrote it, or a newer one";
    let wanted = message.replace("PATH", &path.display().to_string());
    ensure!(
        ran.stderr.contains(&wanted) && ran.stderr.contains(remedy),
        "{wanted}, {remedy}\n{}",
        ran.stderr
    );
    ensure!(files(folder.path())? == before, "the folder was changed");
    is_in_the_runbook(&message)?;
    is_in_the_runbook(remedy)
}
