//! The example clients, run against both services: they share no code with us,
//! only the contract.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::within;
use pulse_tests::task::root;
use pulse_tests::task::tools::{go, tool};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::deployed;

/// The journey of `docs/clients.md`; what it must say at each step.
async fn journey(mut client: Command) -> anyhow::Result<()> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let pair = Pair::start().await?;
    let (registry, collector) = (pair.registry.grpc().to_string(), pair.collector.grpc().to_string());
    client.args(["--registry", &registry, "--collector", &collector, "--host", &appliance.host()]);
    client.args(["--port", &appliance.port().to_string(), "--username", &appliance.user()]);
    client.args(["--fingerprint", &appliance.fingerprint_sha256()]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut running = client.spawn().context("start the client")?;
    let mut input = running.stdin.take().context("a piped stream")?;
    let mut output = BufReader::new(running.stdout.take().context("a piped stream")?).lines();
    input.write_all(format!("{}\n", appliance.api_key()).as_bytes()).await?;
    let mut said: Vec<(String, Value)> = Vec::new();
    while let Some(line) = within("the next step", output.next_line()).await? {
        let line: Value = serde_json::from_str(&line)?;
        let step = line["step"].as_str().context("a step")?.to_owned();
        if step == "cut" {
            appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, "tank/meanwhile", now));
            let id = said.iter().find(|(step, _)| step == "created").context("a connection")?.1["id"].clone();
            let refresh = RefreshConnectionRequest { id: id.as_str().context("an id")?.to_owned() };
            pair.connections().await?.refresh_connection(refresh).await?;
            input.write_all(b"\n").await?;
        }
        said.push((step, line));
    }
    let status = within("its end", running.wait()).await?;
    anyhow::ensure!(status.success(), "{status} after {said:?}");
    let steps: Vec<&str> = said.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!(steps, ["tested", "created", "watched", "cut", "resumed", "listed", "removed"]);
    let of =
        |wanted: &str| said.iter().find(|(step, _)| step == wanted).map_or(&Value::Null, |(_, line)| line);
    assert_eq!((of("tested")["success"].as_bool(), of("tested")["version"].is_string()), (Some(true), true));
    let new = of("resumed")["new"].as_array().context("what is new")?;
    assert!(new.iter().any(|name| name == "tank/meanwhile"), "{new:?}");
    assert!(of("listed")["resources"].as_u64() >= of("watched")["resources"].as_u64());
    assert_eq!(of("removed")["resources"], 0);
    Ok(())
}

fn protos(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            protos(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
}

#[tokio::test]
async fn a_client_in_python_makes_the_journey() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let proto = root().join("proto");
    let mut files = Vec::new();
    protos(&proto, &mut files);
    let python = tool("python");
    anyhow::ensure!(python.is_file(), "{} is missing; run `cargo xtask test`", python.display());
    let mut generate = Command::new(&python);
    generate.args(["-m", "grpc_tools.protoc", "--proto_path"]).arg(&proto);
    for out in ["--python_out", "--grpc_python_out"] {
        generate.arg(out).arg(folder.path());
    }
    let generated = within("the Python stubs", generate.args(files).output()).await?;
    anyhow::ensure!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let mut client = Command::new(python);
    client.arg(deployed("clients/python/journey.py")).env("PYTHONPATH", folder.path());
    journey(client).await
}

#[tokio::test]
async fn a_client_in_go_makes_the_journey() -> anyhow::Result<()> {
    let go = tokio::task::spawn_blocking(go::go).await??;
    let folder = tempfile::tempdir()?;
    let own = folder.path().join("src/github.com/rcourtman/pulse");
    let path = format!("{}:{}", go.generators.display(), std::env::var("PATH").unwrap_or_default());
    let buf = tool("buf");
    anyhow::ensure!(buf.is_file(), "{} is missing; run `cargo xtask test`", buf.display());
    let mut generate = Command::new(buf);
    generate.current_dir(root()).arg("generate").arg("--output").arg(&own).env("PATH", path);
    let generated = within("the Go packages", generate.output()).await?;
    anyhow::ensure!(generated.status.success(), "{}", String::from_utf8_lossy(&generated.stderr));
    let binary = folder.path().join("journey");
    let mut build = Command::new(&go.go);
    build.arg("build").arg("-o").arg(&binary).arg(deployed("clients/go/main.go"));
    build
        .env("GO111MODULE", "off")
        .env("GOPATH", format!("{}:{}", folder.path().display(), go.path.display()));
    build.env("GOCACHE", root().join("target/peers/go/cache")).env("GOFLAGS", "").env("CGO_ENABLED", "0");
    let built = within("the build", build.output()).await?;
    anyhow::ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    journey(Command::new(binary)).await
}
