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
use pulse_tests::task::{image, root};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::manifests::{built, list};

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

#[tokio::test]
async fn a_pod_serves_from_the_image_with_nothing_but_its_mounts() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let tls = pod.config().join("tls");
    std::fs::create_dir_all(&tls)?;
    let authority = Authority::new(&tls, "ca")?;
    std::fs::rename(authority.file(), tls.join("ca.crt"))?;
    authority.issue_server("tls")?;
    std::fs::write(pod.config().join("registry.toml"), on_any_port("registry")?)?;
    let start = ["/usr/bin/pulse-registry", "--config", "/etc/pulse/registry.toml"];
    let registry = Process::start("pulse-registry", pod.command(&start)).await?;
    let address = format!("https://localhost:{}", registry.grpc_addr().port());
    // As the manifest's probe asks, but for the port.
    let health = [&start[..], &["health", "--wait", "30s", "--address", &address]].concat();
    let (code, said) = pod.run(&health).await?;
    assert_eq!((code, said.trim()), (0, "serving"));
    let (code, said) = pod.run(&[&health[..], &["--service", "no.such.Service"]].concat()).await?;
    assert!(code == 1 && said.contains("no service \"no.such.Service\" at"), "{said}");
    // Callers are asked who they are, on both ports; the probe of life is not.
    let plain = http_get(registry.http_addr(), "/healthz").await;
    assert!(plain.is_err() || plain.is_ok_and(|(status, _)| status != 200), "plain text is answered");
    let (code, said) = pod.run(&[&start[..], &["tokens", "list"]].concat()).await?;
    assert_eq!(code, 0, "{said}");
    let save = [&start[..], &["backup", "--to", "-"]].concat();
    let saved = within("a backup", pod.command(&save).output()).await?;
    let (code, said) = restored("restore/registry", &saved.stdout).await?;
    assert!(code == Some(0) && said.starts_with("restored registry "), "{said}{saved:?}");
    registry.terminate().await?;
    let (code, said) = pod.run(&health[..6]).await?;
    assert_eq!(code, 1, "{said}");
    Ok(())
}

/// What the pod of that build does with these bytes on its standard input.
async fn restored(build: &str, backup: &[u8]) -> anyhow::Result<(Option<i32>, String)> {
    let (_, documents) = built(build)?;
    let container = &list(&documents[0]["spec"], "containers")[0];
    let line = list(container, "command").iter().chain(list(container, "args"));
    let line: Vec<&str> = line.filter_map(serde_json::Value::as_str).collect();
    let pod = Pod::new()?;
    let mut child = pod.command(&line).stdin(std::process::Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("a pipe")?;
    input.write_all(backup).await?;
    drop(input);
    let output = within("a restore", child.wait_with_output()).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn the_containerfile_does_what_was_tried_here() -> anyhow::Result<()> {
    let text = crate::text("Containerfile")?.replace("\\\n", " ");
    let lines: Vec<&str> =
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let has = |wanted: &str| lines.iter().any(|line| line.contains(wanted));
    let run: Vec<&&str> = lines.iter().filter(|line| line.starts_with("RUN ")).collect();
    assert_eq!(run.len(), 1, "{run:?}");
    assert!(
        run.iter().all(|line| line.ends_with("cargo xtask image --profile ${PROFILE} --to /image")),
        "{run:?}"
    );
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
    let package = &workspace["workspace"]["package"];
    let word = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    assert!(has(&format!("library/rust:{}-bookworm AS build", word("rust-version"))));
    assert!(has(&format!("image.version=\"{}\"", word("version"))));
    Ok(())
}
