//! The command lines, as an operator at a terminal and a script meet them.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::command::{Ran, run};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::process::binary;
use pulse_tests::harness::view::Mirror;
use pulse_tests::harness::within;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

struct Desk {
    pair: Pair,
    collector: String,
    registry: String,
}

impl Desk {
    async fn open() -> anyhow::Result<Self> {
        let pair = Pair::start().await?;
        let (collector, registry) =
            (format!("http://{}", pair.collector.grpc()), format!("http://{}", pair.registry.grpc()));
        Ok(Self { pair, collector, registry })
    }

    async fn collector(&self, args: &[&str], env: &[(&str, &str)], stdin: &str) -> anyhow::Result<Ran> {
        let mut all = vec!["connections"];
        all.extend(args);
        all.extend(["--address", &self.collector]);
        run("pulse-collector", &all, env, stdin).await
    }

    async fn registry(&self, args: &[&str]) -> anyhow::Result<Ran> {
        let mut all = vec!["resources"];
        all.extend(args);
        all.extend(["--address", &self.registry]);
        run("pulse-registry", &all, &[], "").await
    }
}

fn described<'a>(
    name: &'a str,
    host: &'a str,
    port: &'a str,
    user: &'a str,
    fingerprint: &'a str,
) -> Vec<&'a str> {
    vec!["--name", name, "--host", host, "--port", port, "--username", user, "--fingerprint", fingerprint]
}

pub(crate) fn says(ran: &Ran, code: i32, needles: &[&str]) {
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.code, code, "{all}");
    for needle in needles {
        assert!(all.contains(needle), "{needle:?} in {all}");
    }
}

#[tokio::test]
async fn connections_from_first_test_to_removal() -> anyhow::Result<()> {
    let nas = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let desk = Desk::open().await?;
    let (key, port, pin, user) =
        (nas.api_key(), nas.port().to_string(), nas.fingerprint_sha256(), nas.user());
    let host = nas.host();
    let with = |command: &'static str, name: &'static str| {
        let mut args = vec![command];
        args.extend(described(name, &host, &port, &user, &pin));
        args.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let args = |owned: &[String]| owned.iter().map(String::as_str).map(str::to_owned).collect::<Vec<_>>();
    let call = async |owned: Vec<String>, more: &[&str], env: &[(&str, &str)], stdin: &str| {
        let owned = args(&owned);
        let mut all: Vec<&str> = owned.iter().map(String::as_str).collect();
        all.extend(more);
        desk.collector(&all, env, stdin).await
    };

    // Before anything is stored: the steps, from stdin, and what is wrong with another key.
    let tested = call(with("test", "nas"), &["--api-key-stdin"], &[], &format!("{key}\n")).await?;
    says(&tested, 0, &["login", "section:pools", "The connection works."]);
    says(&tested, 0, &["certificate 1: ", "issued by itself, good from ", "for localhost, 127.0.0.1", &pin]);
    let wrong = call(with("test", "nas"), &["--api-key-stdin"], &[], "1-wrong").await?;
    says(&wrong, 1, &["FAILED", "The connection does not work."]);
    says(&call(with("add", "nas"), &[], &[], "").await?, 1, &["--api-key-stdin", "PULSE_TRUENAS_API_KEY"]);
    says(&call(with("add", "nas"), &["--api-key", &key], &[], "").await?, 2, &["unexpected argument"]);

    let added =
        call(with("add", "nas"), &["--label", "site=home"], &[("PULSE_TRUENAS_API_KEY", &key)], "").await?;
    says(&added, 0, &["nas"]);
    let twice = call(with("add", "nas"), &[], &[("PULSE_TRUENAS_API_KEY", &key)], "").await?;
    says(&twice, 1, &["AlreadyExists"]);
    let listed = desk.collector(&["list", "--output", "json"], &[], "").await?;
    let connection: Value = serde_json::from_str(listed.stdout.trim())?;
    assert_eq!(connection["labels"]["site"], "home");
    let id = connection["id"].as_str().unwrap_or_default().to_owned();
    desk.pair.until_state(&id, ConnectionState::Live).await?;
    says(&desk.collector(&["list"], &[], "").await?, 0, &["NAME", "STATE", "live", "25.10", &id]);
    says(&desk.collector(&["get", "nas"], &[], "").await?, 0, &["section pools: fresh"]);
    says(&desk.collector(&["get", &id], &[], "").await?, 0, &["live"]);
    says(&desk.collector(&["test", "nas"], &[], "").await?, 0, &["The connection works."]);
    says(&desk.collector(&["refresh", "nas"], &[], "").await?, 0, &["live"]);
    says(&desk.collector(&["update", "nas"], &[], "").await?, 1, &["nothing to change"]);
    let without =
        async |section: &str| desk.collector(&["update", "nas", "--disable-section", section], &[], "").await;
    says(&without("datasets").await?, 0, &["not read: datasets"]);
    says(&without("nonsense").await?, 1, &["disabled_sections", "nonsense"]);
    let all = without("none").await?;
    assert!(all.code == 0 && !all.stdout.contains("not read"), "{}", all.stdout);
    // A variable that happens to be set replaces nothing.
    let other = [("PULSE_TRUENAS_API_KEY", "9-another")];
    says(&desk.collector(&["update", "nas", "--poll-interval", "90"], &other, "").await?, 0, &[]);
    desk.collector(&["refresh", "nas"], &[], "").await?;
    desk.pair.until_state(&id, ConnectionState::Live).await?;
    // At once, whatever its task said last.
    for (enabled, state) in [("false", "disabled"), ("true", "connecting"), ("false", "disabled")] {
        let told = desk.collector(&["update", "nas", "--enabled", enabled], &[], "").await?;
        says(&told, 0, &[state]);
    }
    desk.pair.until_state(&id, ConnectionState::Disabled).await?;
    let moved = desk.collector(&["update", "nas", "--host", "elsewhere.example"], &[], "").await?;
    says(&moved, 1, &["FailedPrecondition"]);
    says(&desk.collector(&["get", "other"], &[], "").await?, 1, &["no connection has the id or name"]);
    says(&desk.collector(&["remove", "nas"], &[], "").await?, 0, &["nas is removed"]);
    let empty = desk.collector(&["list", "--output", "json"], &[], "").await?;
    assert_eq!(empty.stdout, "");
    for ran in [&tested, &wrong, &added, &twice, &listed, &moved] {
        assert!(!format!("{ran:?}").contains(&key[2..]), "the key is shown");
    }
    Ok(())
}

#[tokio::test]
async fn resources_as_tables_and_as_json() -> anyhow::Result<()> {
    let nas = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let desk = Desk::open().await?;
    let mut mirror = Mirror::open(desk.pair.registry.grpc(), "", "").await?;
    desk.pair.add("Rack 1", &nas).await?;
    mirror.until("the disks", |m| m.resources.values().any(|r| r.physical_disk.is_some())).await?;
    let tank = mirror.named("zfs-pool", "tank").expect("the pool").id.clone();

    let listed = desk.registry(&["list", "--filter", "topology = pool", "--order-by", "name desc"]).await?;
    says(&listed, 0, &["KIND", "tank", "ONLINE", "healthy", "Rack 1", &tank]);
    assert!(listed.stdout.find("tank") < listed.stdout.find("boot-pool"), "{}", listed.stdout);
    assert!(listed.stdout.lines().all(|line| line.trim_end() == line), "no blanks at the end");
    let one = desk.registry(&["list", "--limit", "1", "--output", "json"]).await?;
    assert_eq!(one.stdout.lines().count(), 1);
    let got = desk.registry(&["get", &tank, "--output", "json"]).await?;
    assert_eq!(serde_json::from_str::<Value>(&got.stdout)?["id"], tank.as_str());
    says(&desk.registry(&["get", &tank]).await?, 0, &["tank", "vdev"]);
    says(&desk.registry(&["summary"]).await?, 0, &["total", "storage", "TrueNAS", "healthy"]);
    let summary = desk.registry(&["summary", "--output", "json"]).await?;
    assert!(serde_json::from_str::<Value>(&summary.stdout)?["by_type"].is_array());

    says(
        &desk.registry(&["list", "--filter", "colour = red"]).await?,
        1,
        &["InvalidArgument", "filter", "colour"],
    );
    says(&desk.registry(&["get", "storage-0000000000000000"]).await?, 1, &["NotFound"]);
    says(&desk.registry(&["get"]).await?, 2, &["Usage"]);
    let nobody =
        run("pulse-registry", &["resources", "list", "--address", "http://127.0.0.1:1"], &[], "").await?;
    says(&nobody, 1, &["no registry answers at http://127.0.0.1:1"]);
    Ok(())
}

#[tokio::test]
async fn settings_are_explained() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("registry.toml");
    let path = file.display().to_string();
    std::fs::write(
        &file,
        "enable_truenas = false\n[log]\nlevel = \"debug\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n",
    )?;
    let env = [("PULSE_REGISTRY_LOG_LEVEL", "warn"), ("PULSE_REGISTRY_CONFIG", path.as_str())];
    let checked =
        run("pulse-registry", &["config", "check", "--grpc-listen", "127.0.0.1:2"], &env, "").await?;
    says(&checked, 0, &["environment PULSE_REGISTRY_LOG_LEVEL", "flag --grpc-listen", ":1:1", "default"]);

    std::fs::write(&file, "enabel_truenas = false\n[ingest]\nmax_batch_records = \"many\"\n")?;
    let checked = run("pulse-registry", &["config", "check", "--config", &path], &[], "").await?;
    let places = [format!("{path}:1:1"), format!("{path}:3:1")];
    says(&checked, 1, &[&places[0], "did you mean enable_truenas?", &places[1], "expected a number"]);
    for (name, value) in [("LOG_LEVEL", "inof"), ("GRPC_LISTEN", "nowhere")] {
        let name = format!("PULSE_REGISTRY_{name}");
        let checked = run("pulse-registry", &["config", "check"], &[(&name, value)], "").await?;
        says(&checked, 1, &[&name, "expected"]);
    }
    // Compose files and manifests leave a variable out by setting it to nothing.
    let checked = run("pulse-registry", &["config", "check"], &[("PULSE_ENABLE_TRUENAS", "")], "").await?;
    says(&checked, 0, &["enable_truenas", "default"]);
    let served = run("pulse-registry", &["--config", &path], &[], "").await?;
    says(&served, 1, &["did you mean"]);
    let missing = run("pulse-collector", &["config", "check", "--config", "/nowhere.toml"], &[], "").await?;
    says(&missing, 1, &["/nowhere.toml", "--config"]);
    Ok(())
}

#[tokio::test]
async fn a_fault_stands_before_its_remedy() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let data = folder.path().join("data").display().to_string();
    let under_a_file = folder.path().join("file/data").display().to_string();
    std::fs::write(folder.path().join("file"), "")?;
    for (service, line, wanted) in [
        (
            "pulse-registry",
            &["--grpc-listen", &address, "--data-dir", &data][..],
            "choose another address with",
        ),
        ("pulse-registry", &["--data-dir", &under_a_file], "set data_dir to a folder"),
        ("pulse-collector", &["backup", "--to", "x", "--data-dir", &data], "check data_dir: it is"),
        (
            "pulse-collector",
            &["connections", "import", "--pulse-data", &data],
            "give the data folder of Pulse",
        ),
    ] {
        let ran = run(service, line, &[], "").await?;
        let said = ran.stderr.lines().last().unwrap_or_default();
        let stands = said.rsplit_once("; ").is_some_and(|(_, last)| last.starts_with(wanted));
        assert!(ran.code == 1 && stands, "{wanted:?} at the end of {ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_master_key_is_rotated_only_while_nobody_uses_it() -> anyhow::Result<()> {
    let nas = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let mut desk = Desk::open().await?;
    let created = desk.pair.add("nas", &nas).await?;
    desk.pair.until_state(&created.id, ConnectionState::Live).await?;
    let data = desk.pair.collector.data().display().to_string();
    let rotate = ["keys", "rotate", "--data-dir", data.as_str()];
    says(&run("pulse-collector", &rotate, &[], "").await?, 1, &["in use by another collector"]);
    desk.pair.collector.terminate().await?;
    let key = Path::new(&data).join("collector.key");
    let before = std::fs::read(&key)?;
    says(&run("pulse-collector", &rotate, &[], "").await?, 0, &["1 connections"]);
    assert_ne!(before, std::fs::read(&key)?);
    desk.pair.collector.up().await?;
    desk.pair.until_state(&created.id, ConnectionState::Live).await?;
    desk.pair.collector.terminate().await?;
    std::fs::write(&key, before)?;
    let wrong = desk.pair.collector.up().await.unwrap_err().to_string();
    assert!(wrong.contains("put back the key"), "{wrong}");
    Ok(())
}

#[tokio::test]
async fn everything_has_a_help_text() -> anyhow::Result<()> {
    for (binary, commands) in [
        (
            "pulse-registry",
            vec![
                "",
                "serve",
                "config check",
                "resources list",
                "resources get",
                "resources watch",
                "resources summary",
                "receivers list",
                "receivers test",
            ],
        ),
        (
            "pulse-collector",
            vec![
                "",
                "serve",
                "config check",
                "keys rotate",
                "connections add",
                "connections list",
                "connections get",
                "connections test",
                "connections update",
                "connections remove",
                "connections refresh",
                "connections import",
                "connections watch",
                "alerts dismiss",
                "alerts restore",
            ],
        ),
    ] {
        for command in commands {
            let mut args: Vec<&str> = command.split_whitespace().collect();
            args.push("--help");
            let help = run(binary, &args, &[], "").await?;
            says(&help, 0, &["Usage"]);
            let lines: Vec<&str> = help.stdout.lines().collect();
            for (number, line) in
                lines.iter().enumerate().filter(|(_, line)| line.trim_start().starts_with("--"))
            {
                let inline = line.trim().split("  ").filter(|part| !part.is_empty()).count() > 1;
                let below = lines
                    .get(number + 1)
                    .is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
                assert!(inline || below, "{binary} {command}: {line} says nothing");
            }
        }
        says(&run(binary, &["--version"], &[], "").await?, 0, &["0.1"]);
        says(&run(binary, &["nonsense"], &[], "").await?, 2, &["Usage"]);
    }
    Ok(())
}

#[tokio::test]
async fn connections_of_pulse_are_taken_over_once() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let folder = pulse_tests::task::root().join("fixtures/pulse").display().to_string();
    let import = ["import", "--pulse-data", folder.as_str()];
    let mut check = import.to_vec();
    check.push("--validate-only");
    // One of the three has no host, which is said and spoils nothing.
    says(&desk.collector(&check, &[], "").await?, 1, &["Tank", "valid", "broken", "refused", "host"]);
    assert_eq!(desk.collector(&["list", "--output", "json"], &[], "").await?.stdout, "");
    says(&desk.collector(&import, &[], "").await?, 1, &["Tank", "imported"]);
    let listed = desk.collector(&["list", "--output", "json"], &[], "").await?;
    assert_eq!(listed.stdout.lines().count(), 2, "{}", listed.stdout);
    assert!(!listed.stdout.contains("abcdefgh"), "the key is shown");
    says(&desk.collector(&import, &[], "").await?, 1, &["there already"]);
    let missing = desk.collector(&["import", "--pulse-data", "/nowhere"], &[], "").await?;
    says(&missing, 1, &["/nowhere", "data folder of Pulse"]);
    Ok(())
}

#[tokio::test]
async fn a_watch_goes_on_after_the_registry_was_killed_and_ends_with_its_reader() -> anyhow::Result<()> {
    let line = ApiLine::V25_10;
    let nas = Appliance::start(ApplianceConfig::of(line)).await?;
    let mut desk = Desk::open().await?;
    let id = desk.pair.add("Rack 1", &nas).await?.id;
    desk.pair.until_state(&id, ConnectionState::Live).await?;
    let mut watch = Command::new(binary("pulse-registry")?)
        .args(["resources", "watch", "--filter", "severity >= warning", "--address", &desk.registry])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
    let first = within("the list's end", lines.next_line()).await?.unwrap_or_default();
    assert_eq!(first, "-- 0 resources; changes follow");
    desk.pair.registry.kill9().await?;
    desk.pair.registry.up().await?;
    nas.mutate(|world, now| world.degrade_pool(line, "tank", now));
    let told = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains("zfs-pool tank") && line.contains("warning") {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended")
    };
    within("the pool's change", told).await?;
    drop(lines);
    nas.mutate(|world, now| world.online_pool(line, "tank", now));
    let ended = within("the watch to notice that nobody reads", watch.wait()).await?;
    assert!(ended.success(), "{ended}");
    Ok(())
}
