//! The container's files, laid out as its build lays them out, and the services
//! run from them: nothing else in sight, nothing writable but the mounts, no rights.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use pulse_tests::harness::http_get;
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::process::{Process, binary};
use pulse_tests::harness::within;
use pulse_tests::task::tools::kubernetes::kubectl;
use pulse_tests::task::{image, root};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::manifests::{built, list, yaml};

/// The mounts of a pod, then the service in place of the shell. A pod's runtime makes the places of mounts, too.
const POD: &str = r#"
set -e
image=$0; data=$1; config=$2; shift 2
mount --bind "$image" "$image"
mount --bind "$data" "$image/var/lib/pulse"
mount --bind "$config" "$image/etc/pulse"
mount -o remount,bind,ro "$image/etc/pulse"
mount -o remount,bind,ro "$image"
exec unshare --user --map-user=65532 --map-group=65532 --root="$image" --wd=/ "$@"
"#;

/// A master key, as `openssl rand -base64 32` makes one.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

struct Pod {
    folder: TempDir,
}

impl Pod {
    fn new() -> anyhow::Result<Self> {
        let pod = Self { folder: tempfile::tempdir()? };
        let binaries = binary("pulse-registry")?;
        image::lay_out(&pod.image(), binaries.parent().context("a folder")?)?;
        for folder in [pod.image().join("etc/pulse"), pod.folder.path().join("data"), pod.config()] {
            std::fs::create_dir_all(folder)?;
        }
        Ok(pod)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    /// A command inside the pod, with no variable of this machine.
    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--ipc", "--uts", "sh", "-c", POD]);
        command.args([self.image(), self.folder.path().join("data"), self.config()]).args(line);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("PULSE_TLS_CA", "/etc/pulse/tls/ca.crt");
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn run(&self, line: &[&str]) -> anyhow::Result<(i32, String)> {
        let output = within(&format!("{line:?}"), self.command(line).output()).await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned()))
    }
}

fn files(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, below, found);
        } else {
            found.insert(path.strip_prefix(below).unwrap_or(&path).display().to_string());
        }
    }
}

#[tokio::test]
async fn the_image_is_these_files_and_they_are_enough() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let mut found = BTreeSet::new();
    files(&pod.image(), &pod.image(), &mut found);
    let (libraries, others): (BTreeSet<_>, BTreeSet<_>) =
        found.iter().map(String::as_str).partition(|path| path.starts_with("lib"));
    let expected = [
        "etc/group",
        "etc/hosts",
        "etc/nsswitch.conf",
        "etc/passwd",
        "etc/ssl/certs/ca-certificates.crt",
        "usr/bin/pulse-collector",
        "usr/bin/pulse-registry",
        "usr/share/doc/pulse-truenas/LICENSE",
        "usr/share/doc/pulse-truenas/sbom.cdx.json",
    ];
    assert_eq!(others.into_iter().collect::<Vec<_>>(), expected);
    let names: BTreeSet<&str> = libraries.iter().filter_map(|path| path.rsplit('/').next()).collect();
    let of_the_c_library = |name: &&str| {
        ["ld-linux", "libc.so", "libm.so", "libgcc_s.so"].iter().any(|known| name.starts_with(known))
    };
    assert!(names.len() == 4 && names.iter().all(of_the_c_library), "{names:?}");
    for path in &found {
        let mode = std::fs::metadata(pod.image().join(path))?.permissions().mode();
        assert_eq!(mode & 0o7022, 0, "{path} has mode {mode:o}");
    }
    for service in ["pulse-registry", "pulse-collector"] {
        let (code, said) = pod.run(&[&format!("/usr/bin/{service}"), "--version"]).await?;
        assert_eq!(code, 0, "{said}");
        assert!(said.starts_with(&format!("{service} {} (", env!("CARGO_PKG_VERSION"))), "{said}");
    }
    let (code, said) = pod.run(&["/bin/sh", "-c", "true"]).await?;
    assert!(code != 0, "a shell answered: {said}");
    // Whoever scans it knows the packages of what is not ours.
    let bill = std::fs::read(pod.image().join("usr/share/doc/pulse-truenas/sbom.cdx.json"))?;
    let bill: Value = serde_json::from_slice(&bill)?;
    let of_debian: Vec<&str> = list(&bill, "components")
        .iter()
        .filter_map(|component| component["purl"].as_str()?.strip_prefix("pkg:deb/debian/"))
        .collect();
    assert_eq!(of_debian.len(), 3, "{of_debian:?}");
    for (name, found) in ["ca-certificates", "libc6", "libgcc-s1"].into_iter().zip(of_debian) {
        let query = ["--show", "--showformat=${Version}?arch=${Architecture}", name];
        let installed = std::process::Command::new("dpkg-query").args(query).output()?.stdout;
        let installed = String::from_utf8(installed)?.replace('+', "%2B");
        assert_eq!(found, format!("{name}@{installed}"));
    }
    Ok(())
}

/// The settings of the manifests, on ports of the kernel's choice.
fn on_any_port(service: &str) -> anyhow::Result<String> {
    let text = crate::text(&format!("kubernetes/base/{service}.toml"))?;
    let line = |line: &str| {
        let is_port = line.starts_with("listen = ");
        if is_port { "listen = \"0.0.0.0:0\"".to_owned() } else { line.to_owned() }
    };
    let text: Vec<String> = text.lines().map(line).collect();
    Ok(text.join("\n").replace("/etc/pulse/config/", "/etc/pulse/"))
}

/// A pod of a service with its settings and certificates in place.
fn equipped(service: &str, authority: &Authority, settings: &str) -> anyhow::Result<Pod> {
    let pod = Pod::new()?;
    let tls = pod.config().join("tls");
    std::fs::create_dir_all(&tls)?;
    std::fs::copy(authority.file(), tls.join("ca.crt"))?;
    let (certificate, key) = authority.issue_server(service)?;
    std::fs::copy(certificate, tls.join("tls.crt"))?;
    std::fs::copy(key, tls.join("tls.key"))?;
    std::fs::write(pod.config().join(format!("{service}.toml")), settings)?;
    Ok(pod)
}

/// Starts it and asks as the manifest's probe asks, but for the port: by gRPC health.
async fn serving(pod: &Pod, service: &str) -> anyhow::Result<Process> {
    let (program, settings) = (format!("/usr/bin/pulse-{service}"), format!("/etc/pulse/{service}.toml"));
    let start = [program.as_str(), "--config", settings.as_str()];
    let process = Process::start(&format!("pulse-{service}"), pod.command(&start)).await?;
    let address = format!("https://localhost:{}", process.grpc_addr().port());
    let health = [&start[..], &["health", "--wait", "30s", "--address", &address]].concat();
    let (code, said) = pod.run(&health).await?;
    assert_eq!((code, said.trim()), (0, "serving"));
    let (code, said) = pod.run(&[&health[..], &["--service", "no.such.Service"]].concat()).await?;
    assert!(code == 1 && said.contains("no service \"no.such.Service\" at"), "{said}");
    // Callers are asked who they are, on both ports; the probe of life is not.
    let plain = http_get(process.http_addr(), "/healthz").await;
    assert!(plain.is_err() || plain.is_ok_and(|(status, _)| status != 200), "plain text is answered");
    Ok(process)
}

#[tokio::test]
async fn both_services_serve_from_the_image_with_nothing_but_their_mounts() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::new(folder.path(), "ca")?;
    let registry_pod = equipped("registry", &authority, &on_any_port("registry")?)?;
    let registry = serving(&registry_pod, "registry").await?;
    let start = ["/usr/bin/pulse-registry", "--config", "/etc/pulse/registry.toml"];
    let token = ["tokens", "create", "--name", "collector", "--role", "ingest", "--collector", "kubernetes"];
    let (code, token) = registry_pod.run(&[&start[..], &token].concat()).await?;
    assert_eq!(code, 0, "{token}");

    let at = format!("https://localhost:{}", registry.grpc_addr().port());
    let settings = on_any_port("collector")?.replace("https://pulse-registry.pulse.svc:7660", &at);
    assert!(settings.contains(&at), "{settings}");
    let pod = equipped("collector", &authority, &settings)?;
    for (secret, text) in [("key/master.key", KEY), ("ingest/token", token.trim())] {
        let path = pod.config().join(secret);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, text)?;
        // As a mounted Secret has it.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440))?;
    }
    let collector = serving(&pod, "collector").await?;
    let has_come = |line: &str| line.contains("ingest stream opened") && line.contains("kubernetes");
    registry.logs("that the collector has come", has_come).await;
    let save = ["/usr/bin/pulse-collector", "--config", "/etc/pulse/collector.toml", "backup", "--to", "-"];
    let saved = within("a backup", pod.command(&save).output()).await?;
    let (code, said) = restored("restore/collector", &saved.stdout).await?;
    assert!(code == Some(0) && said.contains("restored 0 connections"), "{said}{saved:?}");
    collector.terminate().await?;

    let save = [&start[..], &["backup", "--to", "-"]].concat();
    let saved = within("a backup", registry_pod.command(&save).output()).await?;
    let (code, said) = restored("restore/registry", &saved.stdout).await?;
    assert!(code == Some(0) && said.starts_with("restored registry "), "{said}{saved:?}");
    let address = format!("https://localhost:{}", registry.grpc_addr().port());
    registry.terminate().await?;
    let health = [&start[..], &["health", "--wait", "100ms", "--address", &address]].concat();
    let (code, said) = registry_pod.run(&health).await?;
    assert_eq!(code, 1, "{said}");

    // What was there is put aside by a restore, and goes by its name: it takes no shell.
    let restore = [&start[..], &["restore", "--from", "-", "--force"]].concat();
    let (code, said) = fed(registry_pod.command(&restore), &saved.stdout).await?;
    assert!(code == Some(0) && said.contains("is now /var/lib/pulse/journal.replaced-1"), "{said}");
    let list = [&start[..], &["leftovers", "list"]].concat();
    let (code, said) = registry_pod.run(&list).await?;
    assert!(code == 0 && said.contains("\njournal.replaced-1 "), "{said}");
    let removing = removing_pod()?;
    let line: Vec<&str> = removing.iter().map(String::as_str).collect();
    let (code, said) = registry_pod.run(&line).await?;
    assert!(code == 0 && said.starts_with("removed journal.replaced-1 ("), "{said}");
    let (code, said) = registry_pod.run(&list).await?;
    assert!(code == 0 && !said.contains("journal"), "{said}");
    Ok(())
}

/// The command of the restoring pod as the runbook changes it to remove what was put aside.
fn removing_pod() -> anyhow::Result<Vec<String>> {
    let guide = std::fs::read_to_string(root().join("docs/operations.md"))?;
    let (_, change) = guide.split_once("\nremove=").context("other arguments")?;
    let (change, _) = change.split_once(" | kubectl apply").context("a pod")?;
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-euc",
        &format!("image=tried; kubectl() {{ command \"$KUBECTL\" \"$@\"; }}; remove={change}"),
    ]);
    let (output, said) = crate::tool(shell.env("KUBECTL", kubectl()?).current_dir(root()))?;
    anyhow::ensure!(output.status.success(), "{said}");
    let documents = yaml(&String::from_utf8(output.stdout)?)?;
    let container = &list(&documents[0]["spec"], "containers")[0];
    anyhow::ensure!(container["image"] == "tried", "{container}");
    Ok(command_line(container))
}

/// What a container runs.
fn command_line(container: &Value) -> Vec<String> {
    let words = list(container, "command").iter().chain(list(container, "args"));
    words.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What the pod of that build does with these bytes on its standard input.
async fn restored(build: &str, backup: &[u8]) -> anyhow::Result<(Option<i32>, String)> {
    let (_, documents) = built(build)?;
    let container = &list(&documents[0]["spec"], "containers")[0];
    let line = command_line(container);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let pod = Pod::new()?;
    for env in list(container, "env") {
        // The Secret of the key is the only mount beside the data.
        let path =
            env["value"].as_str().and_then(|value| value.strip_prefix("/etc/pulse/")).context("a path")?;
        let path = pod.config().join(path);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(&path, KEY)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440))?;
    }
    let mut command = pod.command(&line);
    for env in list(container, "env") {
        command.env(env["name"].as_str().unwrap_or_default(), env["value"].as_str().unwrap_or_default());
    }
    fed(command, backup).await
}

/// A command with bytes on its standard input: its code and what it said.
async fn fed(mut command: Command, bytes: &[u8]) -> anyhow::Result<(Option<i32>, String)> {
    let mut child = command.stdin(std::process::Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("a pipe")?;
    input.write_all(bytes).await?;
    drop(input);
    let output = within("a restore", child.wait_with_output()).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

/// Stands for cargo while the line of the build stage runs: what it should build is there already, so it says what it
/// was asked for, and passes on what else is asked.
const CARGO: &str = r#"#!/bin/sh
case "$1" in
    xtask) shift; exec "$XTASK" "$@" ;;
    build) echo "$*" >> "$ASKED" ;;
    *) exec "$REAL_CARGO" "$@" ;;
esac
"#;

/// The build stage's command, and its other lines by their first words.
fn build_stage() -> anyhow::Result<(String, Vec<String>)> {
    let text = crate::text("Containerfile")?.replace("\\\n", " ");
    let (build, _) = text.rsplit_once("\nFROM scratch\n").context("a final stage of nothing")?;
    let lines = build.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (run, others): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("RUN "));
    let [run] = run[..] else { anyhow::bail!("one command: {run:?}") };
    let words = run.split_whitespace().skip(1).skip_while(|word| word.starts_with("--mount="));
    Ok((words.collect::<Vec<_>>().join(" "), others.into_iter().map(str::to_owned).collect()))
}

#[tokio::test]
async fn the_build_stage_lays_out_the_image_that_is_tried_here() -> anyhow::Result<()> {
    let (line, others) = build_stage()?;
    assert!(others.contains(&"ARG PROFILE=release".to_owned()), "{others:?}");
    let folder = tempfile::tempdir()?;
    let (asked, to) = (folder.path().join("asked"), folder.path().join("image"));
    let cargo = folder.path().join("cargo");
    std::fs::write(&cargo, CARGO)?;
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755))?;
    let path = std::env::var("PATH").unwrap_or_default();
    let mut run = Command::new("sh");
    let line = line.replace(" /image", &format!(" {}", to.display()));
    run.args(["-ec", &line]).current_dir(root()).env("PROFILE", "dev");
    run.env("PATH", format!("{}:{path}", folder.path().display())).env("CARGO", &cargo);
    run.env("REAL_CARGO", std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    run.env("XTASK", binary("xtask")?).env("ASKED", &asked);
    let output = within("the build stage", run.output()).await?;
    assert!(output.status.success(), "{line}: {output:?}");
    let built = std::fs::read_to_string(asked)?;
    assert_eq!(built, "build --locked --profile dev --package pulse-collector --package pulse-registry\n");
    let tried = Pod::new()?;
    std::fs::remove_dir(tried.image().join("etc/pulse"))?;
    let (mut of_stage, mut of_test) = (BTreeSet::new(), BTreeSet::new());
    files(&to, &to, &mut of_stage);
    files(&tried.image(), &tried.image(), &mut of_test);
    assert_eq!(of_stage, of_test);
    for file in of_stage {
        let bytes = |folder: &Path| std::fs::read(folder.join(&file));
        assert!(bytes(&to)? == bytes(&tried.image())?, "{file} is another one");
    }
    Ok(())
}

/// What is left out is large or secret; the commit is an argument of the build.
#[test]
fn the_build_is_shown_neither_the_repository_nor_secrets() -> anyhow::Result<()> {
    let ignored = std::fs::read_to_string(root().join(".dockerignore"))?;
    for path in [".git", "/target", "/data", "/deploy/compose/secrets", "/*.key", "/*.token", "/*.backup"] {
        assert!(ignored.lines().any(|line| line == path), "{path} is sent to the build");
    }
    // Secrets that git leaves out, the build does, too.
    let of_git = std::fs::read_to_string(root().join(".gitignore"))?;
    let (_, secrets) = of_git.split_once("\n# Secrets").context("secrets")?;
    for path in secrets.lines().skip(1) {
        assert!(ignored.lines().any(|line| line == path), "{path} is sent to the build");
    }
    Ok(())
}

#[test]
fn the_final_stage_is_what_the_build_stage_laid_out_and_no_more() -> anyhow::Result<()> {
    let text = crate::text("Containerfile")?.replace("\\\n", " ");
    let has = |wanted: &str| text.lines().any(|line| line.contains(wanted));
    let (_, last) = text.rsplit_once("\nFROM ").context("a final stage")?;
    assert!(last.starts_with("scratch\n"), "{last}");
    let copies: Vec<&str> =
        last.lines().filter(|line| line.starts_with("COPY") || line.starts_with("ADD")).collect();
    assert_eq!(copies, ["COPY --from=build /image /"]);
    assert!(
        has(&format!("USER {}:{}", image::USER, image::USER))
            && has(&format!("VOLUME [\"/{}\"]", image::DATA))
    );
    let workspace: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let toolchain = workspace["workspace"]["package"]["rust-version"].as_str().unwrap_or_default();
    assert!(has(&format!("library/rust:{toolchain}-bookworm AS build")));
    Ok(())
}
