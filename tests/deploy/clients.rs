//! The example clients, run against both services: they share no code with us,
//! only the contract.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_shell::client::{self, Access};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::within;
use pulse_tests::task::root;
use pulse_tests::task::tools::{go, tool};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::deployed;
use crate::guarded::Guarded;

/// What a client is told of a pair, and how the test itself reaches the collector.
struct Way {
    words: Vec<String>,
    collector: String,
    access: Access,
}

impl Way {
    fn plain(pair: &Pair) -> Self {
        let (registry, collector) = (pair.registry.grpc().to_string(), pair.collector.grpc().to_string());
        Self {
            words: ["--registry", &registry, "--collector", &collector].map(str::to_owned).to_vec(),
            collector,
            access: Access::default(),
        }
    }

    /// With everything that the pair wants to see.
    fn guarded(pair: &Guarded) -> anyhow::Result<Self> {
        let (tls_cert, tls_key) = pair.authority.issue_client("core", "spiffe://pulse/core")?;
        let (registry, collector) = (pair.registry.grpc().to_string(), pair.collector.grpc().to_string());
        let viewer = pair.token("pulse-registry", "viewer");
        let admin = pair.token("pulse-collector", "admin");
        let shown = [
            ("--tls-ca", &pair.authority.file()),
            ("--tls-cert", &tls_cert),
            ("--tls-key", &tls_key),
            ("--registry-token-file", &viewer),
            ("--collector-token-file", &admin),
        ];
        let mut words = ["--registry", &registry, "--collector", &collector].map(str::to_owned).to_vec();
        words.extend(shown.iter().flat_map(|(flag, file)| [(*flag).to_owned(), file.display().to_string()]));
        let access = Access {
            tls_ca: Some(pair.authority.file()),
            tls_cert: Some(tls_cert),
            tls_key: Some(tls_key),
            token_file: Some(admin),
        };
        Ok(Self { words, collector: format!("https://{collector}"), access })
    }

    /// The same with something else behind a flag, or with nothing.
    fn but(&self, flag: &str, value: Option<&str>) -> Vec<String> {
        let pairs = self.words.chunks(2).filter(|pair| pair[0] != flag).flatten().cloned();
        pairs.chain(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()])).collect()
    }

    async fn refresh(&self, id: &str) -> anyhow::Result<()> {
        let channel = client::connect("collector", &self.collector, &self.access).await?;
        let request = RefreshConnectionRequest { id: id.to_owned() };
        ConnectionServiceClient::new(channel).refresh_connection(request).await?;
        Ok(())
    }
}

/// The journey of `docs/clients.md`; what it must say at each step.
async fn journey(mut client: Command, way: &Way) -> anyhow::Result<()> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    client.args(&way.words).args(["--host", &appliance.host()]);
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
            way.refresh(id.as_str().context("an id")?).await?;
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

/// A run that nobody lets in: it says what helps, and leaves nothing behind.
async fn turned_away(mut client: Command, words: &[String], remedy: &str) -> anyhow::Result<()> {
    client.args(words).args(["--host", "nas.example"]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut running = client.spawn().context("start the client")?;
    let mut input = running.stdin.take().context("a piped stream")?;
    // Whoever knows before that it cannot go on does not read it.
    drop(input.write_all(b"1-key\n").await);
    let output = within("the client to give up", running.wait_with_output()).await?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!((output.status.code(), String::from_utf8(output.stdout)?), (Some(1), String::new()), "{said}");
    assert!(said.contains(remedy) && said.lines().count() <= 2, "{remedy:?} is not in {said}");
    Ok(())
}

/// A client in both ways, and at every door that stays closed.
async fn everywhere(client: impl Fn() -> Command) -> anyhow::Result<()> {
    let pair = Pair::start().await?;
    journey(client(), &Way::plain(&pair)).await?;

    let pair = Guarded::start(true).await?;
    let way = Way::guarded(&pair)?;
    journey(client(), &way).await?;

    let theirs = Authority::new(pair.folder.path(), "theirs")?.file().display().to_string();
    let viewer = pair.token("pulse-collector", "viewer").display().to_string();
    let ingest = pair.token("pulse-registry", "ingest").display().to_string();
    let nowhere = pair.folder.path().join("nowhere").display().to_string();
    for (flag, value, remedy) in [
        ("--tls-ca", Some(&theirs), "the authority that issued its certificate with --tls-ca"),
        ("--tls-ca", Some(&nowhere), "cannot be read"),
        ("--registry-token-file", None, "Give a token with --registry-token-file or --token-file"),
        ("--registry-token-file", Some(&viewer), "no token that counts at the registry"),
        ("--registry-token-file", Some(&ingest), "Give a token that may, with --registry-token-file"),
        ("--registry-token-file", Some(&nowhere), "cannot be read"),
        ("--collector-token-file", None, "Give a token with --collector-token-file or --token-file"),
        ("--collector-token-file", Some(&ingest), "no token that counts at the collector"),
        ("--collector-token-file", Some(&viewer), "Give a token that may, with --collector-token-file"),
    ] {
        turned_away(client(), &way.but(flag, value.map(String::as_str)), remedy).await.context(remedy)?;
    }
    let without = |flags: &[&str]| -> Vec<String> {
        way.words.chunks(2).filter(|pair| !flags.contains(&pair[0].as_str())).flatten().cloned().collect()
    };
    turned_away(client(), &without(&["--tls-cert", "--tls-key"]), "(--tls-cert, --tls-key)").await?;
    let bare = without(&["--tls-ca", "--tls-cert", "--tls-key"]);
    turned_away(client(), &bare, "a token is sent over TLS only: give --tls-ca").await?;

    // The variables of our own commands, and one token for both, which only one of them knows.
    let mut by_variables = client();
    by_variables.env("PULSE_TLS_CA", pair.authority.file()).env("PULSE_TOKEN_FILE", &ingest);
    for (variable, file) in [("PULSE_TLS_CERT", &way.access.tls_cert), ("PULSE_TLS_KEY", &way.access.tls_key)]
    {
        by_variables.env(variable, file.as_ref().context("a file")?);
    }
    turned_away(by_variables, &way.words[..4], "Give a token that may, with --registry-token-file").await
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
async fn a_client_in_python_makes_the_journey_and_says_what_stands_in_its_way() -> anyhow::Result<()> {
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
    everywhere(|| {
        let mut client = Command::new(&python);
        client.arg(deployed("clients/python/journey.py")).env("PYTHONPATH", folder.path());
        client
    })
    .await
}

#[tokio::test]
async fn a_client_in_go_makes_the_journey_and_says_what_stands_in_its_way() -> anyhow::Result<()> {
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
    everywhere(|| Command::new(&binary)).await
}
