//! The example clients, built with the lines of their guide and run against the demo and a guarded pair: they share no code with
//! us, only the contract.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{ListConnectionsRequest, RefreshConnectionRequest};
use pulse_shell::client::{self, Access};
use pulse_tests::harness::demo::Demo;
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::within;
use pulse_tests::task::root;
use pulse_tests::task::tools::{go, tool};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::guarded::Guarded;

/// What a client is told of a guarded pair, and how the test itself reaches the collector.
struct Way {
    words: Vec<String>,
    collector: String,
    access: Access,
}

impl Way {
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

    /// As the guide has it with the demo, which wants to see nothing.
    fn open(guide: &Guide, demo: &Demo) -> anyhow::Result<Self> {
        let collector = format!("http://{}", demo.addr("collector", "grpc")?);
        Ok(Self { words: guide.words(demo)?, collector, access: Access::default() })
    }

    /// The same with something else behind a flag, or with nothing.
    fn but(&self, flag: &str, value: Option<&str>) -> Vec<String> {
        let pairs = self.words.chunks(2).filter(|pair| pair[0] != flag).flatten().cloned();
        pairs.chain(value.into_iter().flat_map(|value| [flag.to_owned(), value.to_owned()])).collect()
    }

    async fn connections(&self) -> anyhow::Result<ConnectionServiceClient<client::Channel>> {
        Ok(ConnectionServiceClient::new(client::connect("collector", &self.collector, &self.access).await?))
    }

    /// The words, and an appliance.
    fn to(&self, appliance: &Appliance) -> Vec<String> {
        let port = appliance.port().to_string();
        let (host, username) = (appliance.host(), appliance.user());
        let of_it = [("--host", host), ("--port", port), ("--username", username)];
        let fingerprint = ("--fingerprint", appliance.fingerprint_sha256());
        let of_it = of_it.into_iter().chain([fingerprint]);
        let words = of_it.flat_map(|(flag, value)| [flag.to_owned(), value]);
        self.words.iter().cloned().chain(words).collect()
    }
}

/// A client on its journey.
struct Journey {
    running: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    told: Lines<BufReader<ChildStderr>>,
    said: Vec<(String, Value)>,
}

impl Journey {
    fn start(mut client: Command) -> anyhow::Result<Self> {
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut running = client.spawn().context("start the client")?;
        Ok(Self {
            input: running.stdin.take().context("a piped stream")?,
            output: BufReader::new(running.stdout.take().context("a piped stream")?).lines(),
            told: BufReader::new(running.stderr.take().context("a piped stream")?).lines(),
            said: Vec::new(),
            running,
        })
    }

    async fn enter(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.input.write_all(format!("{line}\n").as_bytes()).await?)
    }

    async fn complaint(&mut self) -> anyhow::Result<String> {
        Ok(within("what the client tells", self.told.next_line()).await?.unwrap_or_default())
    }

    /// Until it says that step, or to the end when there is none.
    async fn until(&mut self, wanted: &str) -> anyhow::Result<()> {
        while let Some(line) = within("the next step", self.output.next_line()).await? {
            let line: Value = serde_json::from_str(&line)?;
            let step = line["step"].as_str().context("a step")?.to_owned();
            self.said.push((step, line));
            if self.said.last().is_some_and(|(step, _)| step == wanted) {
                return Ok(());
            }
        }
        let complaint = self.complaint().await?;
        anyhow::bail!("no {wanted} after {:?}: {complaint}", self.said)
    }

    fn step(&self, wanted: &str) -> &Value {
        self.said.iter().find(|(step, _)| step == wanted).map_or(&Value::Null, |(_, line)| line)
    }

    /// Its watch is cut off, and it says what it waits for.
    async fn until_cut(&mut self) -> anyhow::Result<()> {
        self.until("cut").await?;
        let said = self.complaint().await?;
        ensure!(said.contains("press Enter"), "{said}");
        Ok(())
    }

    /// Behind the cut, after which there was something of that name: what it must have said at each step.
    async fn on(&mut self, new: &str) -> anyhow::Result<()> {
        self.enter("").await?;
        self.until("removed").await?;
        let status = within("its end", self.running.wait()).await?;
        ensure!(status.success(), "{status} after {:?}", self.said);
        let steps: Vec<&str> = self.said.iter().map(|(step, _)| step.as_str()).collect();
        assert_eq!(steps, ["tested", "created", "watched", "cut", "resumed", "listed", "removed"]);
        let tested = self.step("tested");
        assert_eq!((tested["success"].as_bool(), tested["version"].is_string()), (Some(true), true));
        let found = self.step("resumed")["new"].as_array().context("what is new")?;
        assert!(found.iter().any(|name| name == new), "{found:?}");
        assert!(self.step("listed")["resources"].as_u64() >= self.step("watched")["resources"].as_u64());
        assert_eq!(self.step("removed")["resources"], 0);
        Ok(())
    }
}

/// Runs a client that gives up: its exit code, its steps, and what it told.
async fn given_up(mut client: Command) -> anyhow::Result<(Option<i32>, String, String)> {
    client.env_remove(KEY);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut running = client.spawn().context("start the client")?;
    let mut input = running.stdin.take().context("a piped stream")?;
    // Whoever knows before that it cannot go on does not read it.
    drop(input.write_all(format!("{WRONG_KEY}\n").as_bytes()).await);
    let output = within("the client to give up", running.wait_with_output()).await?;
    Ok((output.status.code(), String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
}

/// A run that nobody lets in: it says what helps, and leaves nothing behind.
async fn turned_away(mut client: Command, words: &[String], remedy: &str) -> anyhow::Result<()> {
    client.args(words).args(["--host", "nas.example"]);
    let (code, steps, said) = given_up(client).await?;
    assert_eq!((code, steps), (Some(1), String::new()), "{said}");
    assert!(said.contains(remedy) && said.lines().count() <= 2, "{remedy:?} is not in {said}");
    Ok(())
}

/// A run with a key that the appliance refuses: it ends with the test of the connection, says what helps, and adds nothing.
async fn not_added(mut client: Command, way: &Way, demo: &Demo) -> anyhow::Result<()> {
    client.args(&way.words);
    let (code, steps, said) = given_up(client).await?;
    let told = || format!("one step is wanted, and not {steps}{said}");
    let tested: Value = serde_json::from_str(&steps).with_context(told)?;
    let (step, success) = (tested["step"].as_str(), tested["success"].as_bool());
    assert_eq!((code, step, success), (Some(1), Some("tested"), Some(false)), "{said}");
    for part in ["is not added", "login: the NAS refused", "login: check the key"] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert!(!said.contains(WRONG_KEY), "{said}");
    let listed = way.connections().await?.list_connections(ListConnectionsRequest::default()).await?;
    let port = demo.spare("port");
    let connections = listed.into_inner().connections;
    assert!(connections.iter().all(|connection| connection.port.to_string() != port), "{connections:#?}");
    Ok(())
}

/// A client as the guide has it with the demo, then guarded, and at every door that stays closed.
async fn everywhere(guide: &Guide) -> anyhow::Result<()> {
    let client = || guide.client();
    let demo = Demo::start().await?;
    let way = Way::open(guide, &demo)?;
    not_added(client(), &way, &demo).await?;
    let mut with_demo = client();
    with_demo.args(&way.words).env(KEY, demo.spare("api_key"));
    let mut journey = Journey::start(with_demo)?;
    journey.until_cut().await?;
    demo.swap_disk().await?;
    journey.on("sdc").await?;

    let mut pair = Guarded::start(true).await?;
    let way = Way::guarded(&pair)?;
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let start = async || {
        let mut client = client();
        client.args(way.to(&appliance)).env_remove(KEY);
        let mut journey = Journey::start(client)?;
        journey.enter(&appliance.api_key()).await?;
        journey.until_cut().await?;
        Ok::<_, anyhow::Error>(journey)
    };
    let mut journey = start().await?;
    appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, "tank/meanwhile", now));
    let id = journey.step("created")["id"].as_str().context("an id")?.to_owned();
    way.connections().await?.refresh_connection(RefreshConnectionRequest { id }).await?;
    journey.on("tank/meanwhile").await?;

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
    turned_away(by_variables, &way.words[..4], "Give a token that may, with --registry-token-file").await?;

    // What goes wrong on the way leaves no connection behind.
    let mut journey = start().await?;
    let list = || async {
        let listed = way.connections().await?.list_connections(ListConnectionsRequest::default()).await?;
        Ok::<_, anyhow::Error>(listed.into_inner().connections.len())
    };
    assert_eq!(list().await?, 1);
    pair.registry.kill9().await?;
    journey.enter("").await?;
    let said = journey.complaint().await?;
    let status = within("its end", journey.running.wait()).await?;
    assert_eq!((status.code(), list().await?), (Some(1), 0), "{said}");
    ensure!(said.contains("the registry at"), "{said}");
    Ok(())
}

/// Variable of our own commands for the key of an appliance.
const KEY: &str = "PULSE_TRUENAS_API_KEY";

/// Looks like one, and no appliance has it.
const WRONG_KEY: &str = "1-which-no-appliance-has";

/// The block of `docs/clients.md` for a language, carried out in a copy of what it needs of this repository.
struct Guide {
    /// Where its commands have led.
    folder: PathBuf,
    /// Folders of its programs.
    path: String,
    /// How the client is started, and the words behind that.
    run: (String, String),
    /// Kept last: it goes when nobody runs in it.
    _copy: TempDir,
}

/// What a machine does once and a test has done already.
const FETCHES: [&str; 6] =
    ["python3 -m venv ", ". .venv/bin/activate", "pip install ", "go install ", "go get ", "go mod tidy"];

impl Guide {
    /// `prepare` puts beside the example what would have been fetched.
    async fn follow(
        example: &str,
        programs: &[&Path],
        env: &[(&str, String)],
        prepare: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(root().join("docs/clients.md"))?;
        let place = format!("cd deploy/clients/{example}\n");
        let block = text.split("```").find(|block| block.contains(&place)).context("a block of commands")?;
        let (steps, run) = block.trim_end().rsplit_once('\n').context("several lines")?;
        let run = run.split_once(" --").map(|(run, words)| (run.to_owned(), format!("--{words}")));
        let is_fetch = |line: &&str| FETCHES.iter().any(|fetch| line.starts_with(fetch));
        let steps: Vec<&str> = steps.lines().skip(1).filter(|line| !is_fetch(line)).collect();

        let copy = tempfile::tempdir()?;
        let mut copying = Command::new("cp");
        copying.args(["-r", "--parents", "proto", "buf.yaml", "buf.gen.yaml"]);
        copying.arg(format!("deploy/clients/{example}")).arg(copy.path()).current_dir(root());
        ensure!(copying.status().await?.success(), "copy what the guide needs");
        let folder = copy.path().join("deploy/clients").join(example);
        prepare(&folder)?;
        let folders = programs.iter().map(|folder| folder.display().to_string());
        let path = folders.chain(std::env::var("PATH")).collect::<Vec<_>>().join(":");
        let mut shell = Command::new("sh");
        shell.args(["-ec", &steps.join("\n")]).current_dir(copy.path()).env("PATH", &path);
        shell.envs(env.iter().map(|(name, value)| (*name, value)));
        let built = within("the client to be built", shell.output()).await?;
        ensure!(built.status.success(), "{steps:#?}: {}", String::from_utf8_lossy(&built.stderr));
        Ok(Self { folder, path, run: run.context("a line that runs it")?, _copy: copy })
    }

    fn client(&self) -> Command {
        let mut client = Command::new("sh");
        client.arg("-c").arg(format!("exec env {} \"$@\"", self.run.0)).arg("sh");
        client.current_dir(&self.folder).env("PATH", &self.path);
        client
    }

    /// The flags of the guide, with what the demo says in place of what stands there.
    fn words(&self, demo: &Demo) -> anyhow::Result<Vec<String>> {
        let written: Vec<&str> = self.run.1.split(' ').collect();
        let mut words = Vec::new();
        for flag in written.iter().step_by(2) {
            let name = flag.strip_prefix("--").with_context(|| format!("{flag} is no flag"))?;
            let value = match name {
                "registry" | "collector" => demo.addr(name, "grpc")?.to_string(),
                _ => demo.spare(name),
            };
            words.extend([(*flag).to_owned(), value]);
        }
        Ok(words)
    }
}

#[tokio::test]
async fn a_client_in_python_makes_the_journey_and_says_what_stands_in_its_way() -> anyhow::Result<()> {
    let python = tool("python");
    ensure!(python.is_file(), "{} is missing; run `cargo xtask test`", python.display());
    let programs = python.parent().context("a folder")?;
    everywhere(&Guide::follow("python", &[programs], &[], |_| Ok(())).await?).await
}

#[tokio::test]
async fn a_client_in_go_makes_the_journey_and_says_what_stands_in_its_way() -> anyhow::Result<()> {
    let go = tokio::task::spawn_blocking(go::go).await??;
    let buf = tool("buf");
    ensure!(buf.is_file(), "{} is missing; run `cargo xtask test`", buf.display());
    let programs: Vec<&Path> = [&buf, &go.go].into_iter().filter_map(|program| program.parent()).collect();
    let env = [
        ("GOFLAGS", "-mod=vendor".to_owned()),
        ("GOPROXY", "off".to_owned()),
        // The guide puts programs of this folder first on the path, and those here must be the ones above.
        ("GOPATH", root().join("target/peers/go/path").display().to_string()),
        ("GOCACHE", root().join("target/peers/go/cache").display().to_string()),
        ("CGO_ENABLED", "0".to_owned()),
    ];
    let programs = [programs, vec![go.generators.as_path()]].concat();
    let guide =
        Guide::follow("go", &programs, &env, |folder| go::vendor(&go.path.join("src"), folder)).await?;
    everywhere(&guide).await
}
