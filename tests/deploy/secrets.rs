//! Secrets of the guide for Kubernetes, made by its own lines: with openssl and kubectl, and with a stand-in for what needs a
//! cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, ensure};
use pulse_tests::task::tools::kubernetes::kubectl;
use serde_json::Value;

use crate::manifests::{built, list, yaml};
use crate::{text, tool};

/// Whoever is asked for a token tells one, and a Secret is printed in the place of being sent.
const BEGIN: &str = r#"
set -eu
kubectl() {
    case "$*" in
        *" exec "*) echo pulse_token ;;
        *" create secret "*)
            echo ---
            command "$KUBECTL" "$@" --dry-run=client --output yaml
            ;;
        "apply --filename -") cat ;;
    esac
}
"#;
/// Certificates are for the names that are called, and what was written is for its owner alone.
const LOOK: &str = r#"
for service in pulse-registry pulse-collector; do
    for name in "$service.pulse.svc" localhost; do
        openssl verify -CAfile ca.crt -verify_hostname "$name" "$service.crt" >&2
    done
done
others=$(find . -type f -perm /077 ! -name receivers.toml)
[ -z "$others" ] || { echo "others may read $others" >&2; exit 1; }
"#;
/// `pulse_token`, and no end of a line, which Prometheus would send.
const TOKEN: &str = "cHVsc2VfdG9rZW4=";

/// What the lines of the guide make, each block in a shell of its own.
fn made() -> anyhow::Result<Vec<Value>> {
    let guide = text("kubernetes/README.md")?;
    let blocks = guide.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let blocks = blocks.filter(|block| block.contains("openssl ") || block.contains("create secret "));
    let blocks: Vec<String> = blocks.map(|block| format!("(umask 022\n{block}\n)\n")).collect();
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("receivers.toml"), "# nobody\n")?;
    let mut shell = Command::new("sh");
    shell.args(["-c", &[BEGIN, &blocks.concat(), LOOK].concat()]).current_dir(folder.path());
    let (output, said) = tool(shell.env("KUBECTL", kubectl()?))?;
    ensure!(output.status.success(), "{said}");
    yaml(&String::from_utf8(output.stdout)?)
}

#[test]
fn the_guide_makes_every_secret_with_the_files_that_pods_read() -> anyhow::Result<()> {
    let mut secrets: BTreeMap<String, Value> = BTreeMap::new();
    for secret in made()? {
        ensure!(secret["kind"] == "Secret" && secret["metadata"]["namespace"] == "pulse", "{secret}");
        let name = secret["metadata"]["name"].as_str().context("a name")?.to_owned();
        secrets.insert(name, secret["data"].clone());
    }
    let (settings, documents) = built("overlays/example")?;
    let words = settings.split(|c: char| c.is_whitespace() || c == '"');
    let files: BTreeSet<&str> = words.filter(|word| word.starts_with("/etc/pulse/")).collect();
    let mut found = 0;
    for set in documents.iter().filter(|document| document["kind"] == "StatefulSet") {
        let pod = &set["spec"]["template"]["spec"];
        for volume in list(pod, "volumes") {
            let Some(secret) = volume["secret"]["secretName"].as_str() else { continue };
            let data = secrets.get(secret).with_context(|| format!("{secret} is not made"))?;
            let mounts = list(&pod["containers"][0], "volumeMounts");
            let mount = mounts.iter().find(|mount| mount["name"] == volume["name"]).context("its mount")?;
            let place = format!("{}/", mount["mountPath"].as_str().context("a path")?);
            for file in files.iter().filter_map(|file| file.strip_prefix(place.as_str())) {
                ensure!(data[file].as_str().is_some_and(|text| !text.is_empty()), "{secret} has no {file}");
                found += 1;
            }
        }
    }
    ensure!(found >= 9, "{found} files");
    let metrics = secrets.get("pulse-metrics").context("tokens of a scraper")?;
    ensure!(metrics["registry"] == TOKEN && metrics["collector"] == TOKEN, "{metrics}");
    Ok(())
}
