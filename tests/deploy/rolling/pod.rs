//! A pod of the manifests on this machine: program, arguments, variables, settings and probes are those that kustomize
//! builds; the places of its mounts are others, and so are its ports and the registry's name.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use pulse_shell::client::{self, Access, Channel};
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::process::{Process, binary};
use pulse_tests::harness::within;
use serde_json::Value;
use tokio::process::Command;

use crate::manifests::{built, list};
use crate::text;

/// The kubelet's patience is counted in seconds; here it asks again sooner.
const PERIOD: Duration = Duration::from_millis(100);

pub(super) struct Pod {
    name: &'static str,
    home: PathBuf,
    container: Value,
    /// The text of its ConfigMap, with a port of the kernel's choice until there is one.
    settings: String,
    ports: [u16; 2],
    process: Option<Process>,
}

impl Pod {
    /// Not started yet. `others` is what stands elsewhere on this machine than in a cluster.
    pub(super) fn new(
        name: &'static str,
        below: &Path,
        authority: &Authority,
        others: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let (_, documents) = built("base")?;
        let set = documents.iter().find(|d| d["kind"] == "StatefulSet" && d["metadata"]["name"] == name);
        let pod = &set.context("its StatefulSet")?["spec"]["template"]["spec"];
        let container = list(pod, "containers")[0].clone();
        let mut settings =
            text(&format!("kubernetes/base/{}.toml", name.strip_prefix("pulse-").unwrap_or(name)))?;
        for (there, here) in others {
            ensure!(settings.contains(there), "{there} is not in the settings");
            settings = settings.replace(there, here);
        }
        let pod = Self { name, home: below.join(name), container, settings, ports: [0; 2], process: None };
        for mount in list(&pod.container, "volumeMounts") {
            std::fs::create_dir_all(pod.here(mount["mountPath"].as_str().context("a path")?))?;
        }
        let (certificate, key) = authority.issue_server(name)?;
        for (from, to) in [(authority.file(), "ca.crt"), (certificate, "tls.crt"), (key, "tls.key")] {
            pod.put(&format!("/etc/pulse/tls/{to}"), &std::fs::read_to_string(from)?)?;
        }
        pod.configure()?;
        Ok(pod)
    }

    /// A word, with what lies in a mount or is the program where it is on this machine.
    fn here(&self, word: &str) -> String {
        let mounts = list(&self.container, "volumeMounts").iter();
        let mut mounts = mounts.filter_map(|mount| mount["mountPath"].as_str());
        match mounts.find(|mount| word.starts_with(mount)) {
            Some(_) => format!("{}{word}", self.home.display()),
            None => word.to_owned(),
        }
    }

    /// A file of a Secret, readable as it is mounted.
    pub(super) fn put(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let path = self.here(path);
        std::fs::write(&path, text)?;
        Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o440))?)
    }

    fn configure(&self) -> anyhow::Result<()> {
        let mut ports = self.ports.iter();
        let line = |line: &str| {
            let value = line.split('"').nth(1).unwrap_or_default();
            match (line.starts_with("listen = "), value.starts_with('/')) {
                (true, _) => format!("listen = \"0.0.0.0:{}\"\n", ports.next().unwrap_or(&0)),
                (_, true) => line.replace(value, &self.here(value)) + "\n",
                _ => format!("{line}\n"),
            }
        };
        let settings: String = self.settings.lines().map(line).collect();
        let file = list(&self.container, "args")[1].as_str().context("its settings")?;
        Ok(std::fs::write(self.here(file), settings)?)
    }

    /// What a container of this pod runs, with its variables and no others.
    fn command(&self, line: &[Value]) -> anyhow::Result<Command> {
        let mut words = line.iter().filter_map(Value::as_str);
        let program = words.next().and_then(|path| path.strip_prefix("/usr/bin/")).context("a program")?;
        let mut command = Command::new(binary(program)?);
        command.args(words.map(|word| self.here(word))).env_clear().kill_on_drop(true);
        for env in list(&self.container, "env") {
            let (name, value) = (env["name"].as_str(), env["value"].as_str());
            command.env(name.context("a name")?, self.here(value.context("a value")?));
        }
        Ok(command)
    }

    fn started(&self) -> Vec<Value> {
        [list(&self.container, "command"), list(&self.container, "args")].concat()
    }

    /// A token for this service, in a file.
    pub(super) async fn token(&self, name: &str, more: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(&self.started())?;
        let output = command.args(["tokens", "create", "--name", name, "--role"]).args(more).output().await?;
        ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts it, and waits until its probes say that it is ready.
    pub(super) async fn up(&mut self) -> anyhow::Result<()> {
        self.configure()?;
        let process = Process::start(self.name, self.command(&self.started())?).await?;
        self.ports = [process.grpc_addr().port(), process.http_addr().port()];
        self.process = Some(process);
        // The probes read the settings: the port as well.
        self.configure()?;
        for probe in ["startupProbe", "readinessProbe"] {
            within(&format!("the {probe} of {}", self.name), self.becomes(probe)).await?;
        }
        self.lives().await
    }

    /// As the kubelet asks: it takes any certificate and shows no token.
    async fn lives(&self) -> anyhow::Result<()> {
        let get = &self.container["livenessProbe"]["httpGet"];
        let is_port = |port: &Value| port["name"] == get["port"] && port["name"] == "http";
        ensure!(list(&self.container, "ports").iter().any(is_port), "{get} asks no port of the container");
        let scheme = get["scheme"].as_str().context("a scheme")?.to_lowercase();
        let path = get["path"].as_str().context("a path")?;
        let url = format!("{scheme}://127.0.0.1:{}{path}", self.ports[1]);
        // Whoever was first chose the same one.
        drop(rustls::crypto::ring::default_provider().install_default());
        let kubelet = reqwest::Client::builder().danger_accept_invalid_certs(true).build()?;
        let status = kubelet.get(&url).send().await?.status();
        ensure!(status.is_success(), "the livenessProbe of {} asks {url}: {status}", self.name);
        Ok(())
    }

    /// Asked again until it succeeds, or has failed so often that the kubelet would start it anew.
    async fn becomes(&self, probe: &str) -> anyhow::Result<()> {
        let allowed = self.container[probe]["failureThreshold"].as_u64().unwrap_or(u64::MAX);
        let mut ticks = tokio::time::interval(PERIOD);
        for failed in 1.. {
            ticks.tick().await;
            let output = self.probed(probe).await?;
            if output.status.success() {
                break;
            }
            ensure!(failed < allowed, "the {probe} of {} has failed {failed} times: {output:?}", self.name);
        }
        Ok(())
    }

    async fn probed(&self, probe: &str) -> anyhow::Result<Output> {
        let line = list(&self.container[probe]["exec"], "command");
        ensure!(line.iter().any(|word| word == "health"), "{probe}: {line:?}");
        Ok(self.command(line)?.output().await?)
    }

    /// SIGTERM, the end, and what the probe says then.
    pub(super) async fn down(&mut self) -> anyhow::Result<()> {
        self.process.take().context("it runs")?.terminate().await?;
        let probed = self.probed("readinessProbe").await?;
        ensure!(probed.status.code() == Some(1), "{} is gone, and its probe says {probed:?}", self.name);
        Ok(())
    }

    pub(super) async fn roll(&mut self) -> anyhow::Result<()> {
        self.down().await?;
        self.up().await
    }

    pub(super) fn address(&self) -> String {
        format!("https://localhost:{}", self.ports[0])
    }
}

/// Somebody who trusts the authority and shows a token, again and again.
#[derive(Clone)]
pub(super) struct Caller {
    address: String,
    access: Access,
}

impl Caller {
    pub(super) fn new(pod: &Pod, token: &str) -> anyhow::Result<Self> {
        let file = pod.home.join(format!("{}.token", &token[6..14]));
        std::fs::write(&file, token)?;
        let ca = pod.here("/etc/pulse/tls/ca.crt").into();
        let access = Access { tls_ca: Some(ca), token_file: Some(file), ..Access::default() };
        Ok(Self { address: pod.address(), access })
    }

    pub(super) async fn reach(&self) -> anyhow::Result<Channel> {
        client::connect("service", &self.address, &self.access).await
    }
}
