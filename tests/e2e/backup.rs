//! A backup of a registry that runs, and what becomes of it: put back where the
//! registry was, and beside it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::{ListResourcesRequest, WatchResourcesRequest};
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::command::{Ran, run};
use pulse_tests::harness::fleet::{Pair, Service};
use pulse_tests::harness::process::binary;
use pulse_tests::harness::view::{Mirror, client};
use pulse_tests::harness::within;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

async fn registry(arguments: &[&str]) -> anyhow::Result<Ran> {
    run("pulse-registry", arguments, &[], "").await
}

async fn held(registry: &Service) -> anyhow::Result<(Vec<String>, u64)> {
    let request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let list = client(registry.grpc()).await?.list_resources(request).await?.into_inner();
    Ok((list.resources.into_iter().map(|resource| resource.id).collect(), list.revision))
}

/// A registry that holds what an appliance has, while no collector brings any more.
async fn filled() -> anyhow::Result<(Appliance, Pair, Mirror)> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let mut pair = Pair::start().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let created = pair.add("nas", &appliance).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    mirror.until("the disks", |m| m.resources.values().any(|r| r.physical_disk.is_some())).await?;
    pair.collector.kill9().await?;
    Ok((appliance, pair, mirror))
}

#[tokio::test]
async fn a_running_registry_is_saved_and_comes_back_as_another_one() -> anyhow::Result<()> {
    let (appliance, mut pair, mirror) = filled().await?;
    let data = pair.registry.data().display().to_string();
    let file = pair.folder.path().join("backup").display().to_string();
    let saved = registry(&["backup", "--data-dir", &data, "--to", &file]).await?;
    assert_eq!(saved.code, 0, "{saved:?}");
    assert!(saved.stdout.starts_with("saved registry "), "{saved:?}");

    let refused = registry(&["restore", "--data-dir", &data, "--from", &file, "--force"]).await?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("in use by another process"), "{refused:?}");

    let token = mirror.resume_token.clone();
    let (ids, revision) = held(&pair.registry).await?;
    pair.registry.terminate().await?;
    let refused = registry(&["restore", "--data-dir", &data, "--from", &file]).await?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    let restored = registry(&["restore", "--data-dir", &data, "--from", &file, "--force"]).await?;
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(restored.stdout.contains("what was there before is now"), "{restored:?}");

    pair.registry.up().await?;
    let (again, came_back_at) = held(&pair.registry).await?;
    assert_eq!(again, ids);
    assert!(came_back_at <= revision);
    // Its revisions are not those of the registry that gave the token.
    let request = WatchResourcesRequest { resume_token: token, ..WatchResourcesRequest::default() };
    let status = client(pair.registry.grpc()).await?.watch_resources(request).await;
    let status = status.expect_err("a token of another registry");
    assert!(status.message().starts_with("resume_token: "), "{status}");
    // The collector brings what came after the backup.
    appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, "tank/after-restore", now));
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    pair.collector.up().await?;
    mirror.until("the dataset", |m| m.named("zfs-dataset", "tank/after-restore").is_some()).await?;
    Ok(())
}

/// `backup` or `restore` at the end of a pipe.
fn piped(service: &str, arguments: &[&str], data: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(binary(service)?);
    command.args(arguments).arg("--data-dir").arg(data).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

const BACKUP: [&str; 3] = ["backup", "--to", "-"];
const RESTORE: [&str; 3] = ["restore", "--from", "-"];

#[tokio::test]
async fn a_backup_goes_through_a_pipe_into_an_empty_folder() -> anyhow::Result<()> {
    let (_appliance, pair, _mirror) = filled().await?;
    let (ids, _) = held(&pair.registry).await?;

    let home = pair.folder.path().join("other");
    let mut backup = piped("pulse-registry", &BACKUP, &pair.registry.data())?.spawn()?;
    let between: Stdio = backup.stdout.take().expect("a pipe").try_into()?;
    let restored = piped("pulse-registry", &RESTORE, &home.join("data"))?.stdin(between).output();
    let restored = within("the restore", restored).await?;
    let told = String::from_utf8_lossy(&restored.stdout);
    assert!(restored.status.success() && told.starts_with("restored registry "), "{restored:?}");
    let saved = within("the backup", backup.wait_with_output()).await?;
    let told = String::from_utf8_lossy(&saved.stderr);
    assert!(saved.status.success() && told.contains(" to standard output ("), "{saved:?}");

    let other = Service::start("pulse-registry", &home, "").await?;
    assert_eq!(held(&other).await?.0, ids);
    Ok(())
}

#[tokio::test]
async fn a_stream_that_is_not_whole_leaves_nothing_behind() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut registry = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    let whole =
        within("the backup", piped("pulse-registry", &BACKUP, &registry.data())?.output()).await?.stdout;
    registry.terminate().await?;
    let data = folder.path().join("data");
    let last = whole.len() - 1;
    let more = [&whole[..], b"x"].concat();
    for bytes in [&whole[..0], &whole[..100], &whole[..last / 2], &whole[..last], &more] {
        let (code, told) = fed(piped("pulse-registry", &RESTORE, &data)?, bytes).await?;
        assert!(code == Some(1) && told.contains("standard input"), "{told}");
        // To restore a backup is no remedy for a backup.
        assert!(told.contains("; nothing was changed, ") && !told.contains("--force"), "{told}");
        assert_eq!(std::fs::read_dir(&data)?.count(), 0, "{} bytes left something", bytes.len());
    }
    let (code, told) = fed(piped("pulse-registry", &RESTORE, &data)?, &whole).await?;
    assert_eq!(code, Some(0), "{told}");
    Ok(())
}

/// Runs a command with bytes on its standard input: its code and what it said.
async fn fed(mut command: Command, bytes: &[u8]) -> anyhow::Result<(Option<i32>, String)> {
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().expect("a pipe");
    // It may have seen enough before it has it all.
    drop(input.write_all(bytes).await);
    drop(input);
    let output = within("the command", child.wait_with_output()).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[tokio::test]
async fn the_connections_of_a_running_collector_go_through_a_pipe_and_open_with_their_key()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // Nobody is there: what is looked at here is what is stored.
    let settings = "[registry]\naddress = \"http://127.0.0.1:9\"\n";
    let env = |key: &'static str| [("PULSE_COLLECTOR_KEY", key)];
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let home = folder.path().join("collector");
    let running = Service::start_with_env("pulse-collector", &home, settings, &env(key)).await?;
    let at = running.grpc().to_string();
    for (name, host) in [("one", "192.0.2.1"), ("two", "192.0.2.2")] {
        let add = ["connections", "add", "--name", name, "--host", host, "--username", "pulse"];
        let add = [&add[..], &["--api-key-stdin", "--address", &at]].concat();
        let ran = run("pulse-collector", &add, &[], "1-key").await?;
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let collector = |arguments: &[&str], data: &Path, key: &'static str| {
        let mut command = piped("pulse-collector", arguments, data)?;
        command.envs(env(key));
        anyhow::Ok(command)
    };
    let saved = within("the backup", collector(&BACKUP, &running.data(), key)?.output()).await?;
    assert!(saved.status.success(), "{saved:?}");
    let whole = saved.stdout;
    let (code, told) = fed(collector(&RESTORE, &running.data(), key)?, &whole).await?;
    assert!(code == Some(1) && told.contains("in use by another collector"), "{told}");

    let home = folder.path().join("other");
    let data = home.join("data");
    for bytes in [&whole[..0], &whole[..whole.len() / 2], &whole[..whole.len() - 1]] {
        let (code, told) = fed(collector(&RESTORE, &data, key)?, bytes).await?;
        assert!(code == Some(1) && told.contains("the backup cannot be read as a whole"), "{told}");
        assert!(told.contains("; nothing was changed, name a whole file"), "{told}");
        assert!(!data.exists(), "{} bytes left something", bytes.len());
    }
    let other_key = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let (code, told) = fed(collector(&RESTORE, &data, other_key)?, &whole).await?;
    assert!(code == Some(1) && told.contains("was written with key"), "{told}");
    assert!(told.contains("; nothing was changed, give the key of the collector"), "{told}");
    let (code, told) = fed(collector(&RESTORE, &data, key)?, &whole).await?;
    assert!(code == Some(0) && told.contains("restored 2 connections"), "{told}");
    let (code, told) = fed(collector(&RESTORE, &data, key)?, &whole).await?;
    assert!(code == Some(1) && told.contains("--force"), "{told}");
    let forced = [&RESTORE[..], &["--force"]].concat();
    let (code, told) = fed(collector(&forced, &data, key)?, &whole).await?;
    assert!(code == Some(0) && told.contains("connections.json.replaced-1"), "{told}");

    let other = Service::start_with_env("pulse-collector", &home, settings, &env(key)).await?;
    let at = other.grpc().to_string();
    let listed = run("pulse-collector", &["connections", "list", "--address", &at], &[], "").await?;
    assert!(listed.stdout.contains("one") && listed.stdout.contains("two"), "{listed:?}");
    goes_by_name("pulse-collector", &data, "connections.json", &["connections.json.replaced-1"]).await
}

#[tokio::test]
async fn what_restores_put_aside_goes_by_name_while_the_registry_runs() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut running = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    let data = running.data().display().to_string();
    let file = folder.path().join("backup").display().to_string();
    let saved = registry(&["backup", "--data-dir", &data, "--to", &file]).await?;
    assert_eq!(saved.code, 0, "{saved:?}");
    running.terminate().await?;
    for time in 1..=2 {
        let restored = registry(&["restore", "--data-dir", &data, "--from", &file, "--force"]).await?;
        let named = restored.stdout.contains(&format!("journal.replaced-{time}"));
        assert!(restored.code == 0 && named, "{restored:?}");
    }
    running.up().await?;
    let aside = ["journal.replaced-1", "journal.replaced-2"];
    goes_by_name("pulse-registry", &running.data(), "journal", &aside).await?;
    running.terminate().await?;
    running.up().await
}

/// What was put aside is listed; a wrong name takes nothing away, nor does a right one without the word; each goes by
/// its name, and nothing else does.
async fn goes_by_name(service: &str, data: &Path, kept: &str, aside: &[&str]) -> anyhow::Result<()> {
    let folder = data.display().to_string();
    let leftovers = async |line: &[&str]| {
        run(service, &[&["leftovers"], line, &["--data-dir", &folder]].concat(), &[], "").await
    };
    let listed = async || {
        let listed = leftovers(&["list", "--output", "json"]).await?;
        let names = listed.stdout.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line)?;
            anyhow::ensure!(line["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{line}");
            let written = line["written"].as_str().unwrap_or_default();
            anyhow::ensure!(written.contains('T') && written.parse::<jiff::Timestamp>().is_ok(), "{line}");
            Ok(line["name"].as_str().unwrap_or_default().to_owned())
        });
        let mut names = names.collect::<anyhow::Result<Vec<String>>>()?;
        names.sort();
        anyhow::Ok(names)
    };
    let there = || -> anyhow::Result<BTreeSet<String>> {
        let entries = std::fs::read_dir(data)?.flatten();
        Ok(entries.map(|entry| entry.file_name().display().to_string()).collect())
    };
    let mut before = there()?;
    assert_eq!(listed().await?, aside);
    let table = leftovers(&["list"]).await?;
    assert!(table.code == 0 && aside.iter().all(|name| table.stdout.contains(name)), "{table:?}");
    for wrong in [kept, "access.json", &format!("../data/{}", aside[0])] {
        let refused = leftovers(&["remove", aside[0], wrong, "--yes"]).await?;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(&format!("{wrong:?} was not put aside in ")), "{refused:?}");
    }
    let refused = leftovers(&["remove", aside[0]]).await?;
    assert!(refused.code == 1 && refused.stderr.contains("--yes"), "{refused:?}");
    assert_eq!(there()?, before);
    for (at, name) in aside.iter().enumerate() {
        let removed = leftovers(&["remove", name, "--yes"]).await?;
        assert!(removed.code == 0 && removed.stdout.starts_with(&format!("removed {name} (")), "{removed:?}");
        assert!(before.remove(*name));
        assert_eq!(there()?, before);
        assert_eq!(listed().await?, aside[at + 1..]);
    }
    let nothing = format!("nothing was put aside in {folder}");
    assert_eq!(leftovers(&["list"]).await?.stdout.trim_end(), nothing);
    let refused = leftovers(&["remove", aside[0], "--yes"]).await?;
    assert!(refused.stderr.contains(&(nothing + "; there is nothing to remove")), "{refused:?}");
    Ok(())
}
