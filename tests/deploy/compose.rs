//! The steps of the compose file's guide, each block of them by a shell: with openssl, with the real services in the
//! image's files as compose.yaml sets them up, and with a stand-in for docker.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use pulse_tests::harness::process::binary;
use pulse_tests::task::image;
use serde_json::Value;

use crate::manifests::{list, yaml};
use crate::{text, tool};

const DOCKER: &str = include_str!("compose/docker.sh");
const SUDO: &str = include_str!("compose/sudo.sh");
/// The network of a machine of its own, and the names that compose gives.
const BEGIN: &str = r#"
set -eu
python3 -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh14x", b"lo", 1))'
"#;
const HOSTS: &str = "127.0.0.1 localhost registry collector\n";

/// Between the blocks of the guide: what is there before a backup, what is changed after it, and what a restore brings.
const FILL: &str = r#"
registry() { "$BIN/pulse-registry" "$@" --address https://localhost:7660 --tls-ca secrets/ca.crt --token-file ops.registry; }
collector() { "$BIN/pulse-collector" "$@" --address https://localhost:7670 --tls-ca secrets/ca.crt --token-file ops.collector; }
for service in registry collector; do
    docker compose exec -T "$service" "/usr/bin/pulse-$service" tokens create --name ops --role admin > "ops.$service"
done
# A token is believed within a second, and then the collector comes.
in_time() { for _ in $(seq 100); do "$@" > "$SCENE/answer" 2>&1 && return; sleep 0.1; done; cat "$SCENE/answer" >&2; return 1; }
in_time registry rules list
in_time collector connections list
in_time grep 'ingest stream opened.*compose' "$SCENE/registry/log"
registry rules disable pool-state
echo 1-key | collector connections add --name kept --host 192.0.2.1 --username pulse --api-key-stdin
"#;
const CHANGE: &str = r"
registry rules enable pool-state
echo 1-key | collector connections add --name later --host 192.0.2.2 --username pulse --api-key-stdin
";
const LOOK: &str = r#"
registry rules list --output json > "$SCENE/rules"
collector connections list --output json > "$SCENE/connections"
"#;
/// Before a renewal: the former token holds no longer, and the shell is another one than that of the set-up.
const AGE: &str = r#"
former=$(docker compose exec -T registry /usr/bin/pulse-registry tokens list | awk '$2 == "collector" { print $1 }')
docker compose exec -T registry /usr/bin/pulse-registry tokens revoke "$former"
: > "$SCENE/registry/log"
openssl x509 -in secrets/tls.crt -noout -serial > "$SCENE/serial"
umask 022
"#;
/// After it: the collector comes with the new token, the new certificate is shown, and the secrets are as they were.
const RENEWED: &str = r#"
in_time grep 'ingest stream opened.*compose' "$SCENE/registry/log"
openssl s_client -connect 127.0.0.1:7661 -servername localhost < /dev/null 2> /dev/null |
    openssl x509 -noout -serial > "$SCENE/served"
openssl x509 -in secrets/tls.crt -noout -serial | cmp - "$SCENE/served"
if cmp "$SCENE/serial" "$SCENE/served"; then echo "that is the former certificate" >&2; exit 1; fi
[ "$(stat --format %a secrets/ingest.token secrets/tls.key | sort --unique)" = 600 ]
"#;

/// Blocks of shell below a heading of that name.
fn block(guide: &str, heading: &str) -> anyhow::Result<String> {
    let (_, below) = guide.split_once(&format!("\n## {heading}\n")).with_context(|| heading.to_owned())?;
    let below = below.split("\n## ").next().unwrap_or_default();
    let blocks = below.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks: String = blocks.collect();
    ensure!(!blocks.is_empty(), "{heading} has no commands");
    Ok(blocks)
}

/// A line for each word, or pair.
fn lines(words: &[Value]) -> String {
    words.iter().filter_map(Value::as_str).fold(String::new(), |all, word| all + word + "\n")
}

/// What the stand-in needs to know of each service.
fn lay_out(scene: &Path) -> anyhow::Result<()> {
    let compose = yaml(&text("compose/compose.yaml")?)?.remove(0);
    for (name, service) in compose["services"].as_object().context("services")? {
        let folder = scene.join(name);
        std::fs::create_dir_all(folder.join("volume"))?;
        let mut environment = String::new();
        for (variable, value) in service["environment"].as_object().context("variables")? {
            writeln!(environment, "{variable}={}", value.as_str().context("a text")?)?;
        }
        ensure!(!environment.contains(' '), "{environment}");
        let [word, health @ ..] = list(&service["healthcheck"], "test") else {
            anyhow::bail!("{name}: a check")
        };
        ensure!(word == "CMD", "{name}: {word}");
        ensure!(list(service, "volumes") == [format!("{name}:/var/lib/pulse")], "{name}: its volume");
        for (file, text) in [
            ("environment", environment),
            ("command", lines(list(service, "command"))),
            ("health", lines(health)),
            ("secrets", lines(list(service, "secrets"))),
        ] {
            std::fs::write(folder.join(file), text)?;
        }
    }
    std::fs::write(scene.join("hosts"), HOSTS)?;
    let binaries = binary("pulse-registry")?;
    let files = scene.join("image");
    image::lay_out(&files, binaries.parent().context("a folder")?)?;
    Ok(std::fs::create_dir_all(files.join("run/secrets"))?)
}

#[test]
fn the_steps_of_the_guide_are_tried_in_their_order() -> anyhow::Result<()> {
    let scene = tempfile::tempdir()?;
    lay_out(scene.path())?;
    let (bin, here) = (scene.path().join("bin"), scene.path().join("compose"));
    for folder in [&bin, &here] {
        std::fs::create_dir(folder)?;
    }
    for (name, script) in [("docker", DOCKER), ("sudo", SUDO)] {
        std::fs::write(bin.join(name), script)?;
        std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755))?;
    }
    let guide = text("compose/README.md")?;
    let of = |heading: &str| block(&guide, heading);
    let told = "echo next >> \"$SCENE/told\"\n";
    let script = [
        BEGIN,
        &of("Set-up")?,
        FILL,
        &of("Backup")?,
        CHANGE,
        told,
        &of("Restore")?,
        LOOK,
        &of("What was put aside")?,
        told,
        AGE,
        &of("Renewing")?,
        RENEWED,
        told,
        &of("Upgrade")?,
        LOOK,
    ];
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]);
    let path = std::env::var("PATH").unwrap_or_default();
    shell.args(["sh", "-c", &script.concat()]).current_dir(&here);
    shell.env("PATH", format!("{}:{path}", bin.display())).env("SCENE", scene.path());
    let binaries = binary("pulse-registry")?;
    let (output, said) = tool(shell.env("BIN", binaries.parent().context("a folder")?))?;
    let read = |file: &str| std::fs::read_to_string(scene.path().join(file));
    let happened = read("told").unwrap_or_default();
    ensure!(output.status.success(), "{said}\n{happened}");

    // What the backup held is there, what came after it is not.
    let rules = read("rules")?;
    let rule = rules.lines().find(|line| line.contains("\"id\":\"pool-state\"")).context("the rule")?;
    ensure!(rule.contains("\"enabled\":false"), "{rule}");
    let connections = read("connections")?;
    ensure!(connections.contains("\"kept\"") && !connections.contains("\"later\""), "{connections}");
    for service in ["registry", "collector"] {
        let left = std::fs::read_dir(scene.path().join(service).join("volume"))?.flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name().display().to_string()).collect();
        ensure!(!left.is_empty() && !left.iter().any(|name| name.contains("replaced")), "{left:?}");
    }
    // One after the other was replaced, and each was stopped first.
    let steps: Vec<&str> = happened.split("next\n").collect();
    let restore = "stopped registry\nran registry\nstarted registry of build 1\n\
        stopped collector\nran collector\nstarted collector of build 1\n";
    // The collector for its token, both for the certificate.
    let renewal = "stopped collector\nstarted collector of build 1\n\
        stopped registry\nstarted registry of build 1\nstopped collector\nstarted collector of build 1\n";
    let upgrade =
        "stopped registry\nstarted registry of build 2\nstopped collector\nstarted collector of build 2\n";
    ensure!(steps[1..] == [restore, renewal, upgrade], "{happened}");
    Ok(())
}
