//! The manifests as kustomize builds them: held to the API schemas of several
//! Kubernetes releases, scanned, and compared with what the services understand.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use pulse_tests::harness::process::binary;
use pulse_tests::task::tools::kubernetes::{kubectl, scanners};
use serde_json::Value;

use crate::operators::OF_OPERATORS;
use crate::{deployed, python, text, tool};

const BUILDS: [&str; 4] = ["base", "overlays/small", "overlays/provider", "overlays/example"];
/// Pods that are there for a while, beside one of the builds.
const RESTORES: [(&str, &str); 2] =
    [("pulse-registry", "restore/registry"), ("pulse-collector", "restore/collector")];
/// The oldest release that is still looked after somewhere, and the newest that the schemas know.
const RELEASES: [&str; 4] = ["1.30.0", "1.33.0", "1.35.0", "1.37.0"];

/// All documents of a YAML text, read by the scanner's own library.
pub(crate) fn yaml(text: &str) -> anyhow::Result<Vec<Value>> {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))";
    python(&scanners()?, script, text)
}

pub(crate) fn built(overlay: &str) -> anyhow::Result<(String, Vec<Value>)> {
    let mut build = Command::new(kubectl()?);
    build.arg("kustomize").arg(deployed("kubernetes").join(overlay));
    let output = build.output()?;
    ensure!(output.status.success(), "{overlay}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let documents = yaml(&text)?;
    Ok((text, documents))
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents.iter().filter(|document| document["kind"] == kind).collect()
}

fn name(document: &Value) -> &str {
    document["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn every_build_is_what_these_kubernetes_releases_accept() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (overlay, documents_min) in
        BUILDS.map(|build| (build, 12)).into_iter().chain(RESTORES.map(|(_, build)| (build, 1)))
    {
        let (_, documents) = built(overlay)?;
        let known = |document: &&Value| !OF_OPERATORS.iter().any(|of| document["apiVersion"] == *of);
        let mut files = Vec::new();
        for document in documents.iter().filter(known) {
            let file =
                folder.path().join(format!("{}-{}.json", document["kind"], name(document)).replace('"', ""));
            std::fs::write(&file, document.to_string())?;
            files.push(file);
        }
        assert!(files.len() >= documents_min, "{overlay}: {files:?}");
        for release in RELEASES {
            let mut validate = Command::new(scanners()?.join("kubernetes-validate"));
            validate.args(["--strict", "--kubernetes-version", release]).args(&files);
            let (output, said) = tool(&mut validate)?;
            assert!(output.status.success() && !said.contains("ERROR"), "{overlay} on {release}: {said}");
        }
        // The judge can say no.
        let mut wrong = documents.last().context("a document")?.clone();
        wrong["spec"]["replicaz"] = 1.into();
        let file = folder.path().join("wrong.json");
        std::fs::write(&file, wrong.to_string())?;
        let mut validate = Command::new(scanners()?.join("kubernetes-validate"));
        let (output, said) =
            tool(validate.args(["--strict", "--kubernetes-version", RELEASES[0]]).arg(&file))?;
        assert!(!output.status.success(), "{said}");
    }
    Ok(())
}

#[test]
fn the_scanner_finds_nothing_that_is_not_explained() -> anyhow::Result<()> {
    // The scanner passes over folders whose names begin with a dot.
    let folder = tempfile::Builder::new().prefix("deploy-").tempdir()?;
    for overlay in BUILDS.into_iter().chain(RESTORES.map(|(_, build)| build)) {
        let (text, _) = built(overlay)?;
        let file = folder.path().join(format!("{}.yaml", overlay.replace('/', "-")));
        std::fs::write(file, text)?;
    }
    std::fs::copy(deployed("Containerfile"), folder.path().join("Dockerfile"))?;
    let mut scan = Command::new(scanners()?.join("checkov"));
    scan.arg("--directory").arg(folder.path()).args(["--framework", "kubernetes", "dockerfile"]);
    scan.args(["--compact", "--quiet", "--output", "json", "--skip-download", "--config-file"]);
    let output = scan.arg(deployed("kubernetes/checkov.yaml")).stderr(Stdio::null()).output()?;
    let reports: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("what the scanner says: {}", String::from_utf8_lossy(&output.stdout)))?;
    let reports = reports.as_array().cloned().unwrap_or_else(|| vec![reports]);
    let mut passed = 0;
    for report in &reports {
        passed += report["summary"]["passed"].as_u64().unwrap_or_default();
        let failed = list(&report["results"], "failed_checks").iter();
        let failed: Vec<String> =
            failed.map(|f| format!("{} {} {}", f["check_id"], f["resource"], f["check_name"])).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }
    assert!(passed > 300, "{passed} checks passed: the scanner has looked at little");
    Ok(())
}

#[test]
fn every_build_spreads_and_guards_its_pods() -> anyhow::Result<()> {
    for overlay in BUILDS {
        let (_, documents) = built(overlay)?;
        let labels_of = |document: &Value| document["spec"]["template"]["metadata"]["labels"].clone();
        let chooses = |selector: &Value, labels: &Value| {
            let wanted = selector["matchLabels"].as_object();
            wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| labels[key] == *value))
        };
        let sets = of_kind(&documents, "StatefulSet");
        assert_eq!(sets.len(), 2, "{overlay}");
        for set in sets {
            let (what, labels) = (format!("{overlay}: {}", name(set)), labels_of(set));
            let budgets = of_kind(&documents, "PodDisruptionBudget");
            let own = budgets.iter().filter(|budget| chooses(&budget["spec"]["selector"], &labels)).count();
            assert_eq!(own, 1, "{what} has a budget for disruptions");
            let spread = list(&set["spec"]["template"]["spec"], "topologySpreadConstraints");
            assert!(spread.iter().any(|one| chooses(&one["labelSelector"], &labels)), "{what} is spread");
        }
        let spaces = of_kind(&documents, "Namespace");
        let guards = spaces.first().map(|space| &space["metadata"]["labels"]).context("a namespace")?;
        for mode in ["enforce", "audit", "warn"] {
            let label = format!("pod-security.kubernetes.io/{mode}");
            assert_eq!(guards[&label], "restricted", "{overlay}");
        }
    }
    Ok(())
}

#[test]
fn a_pod_has_the_ports_settings_and_secrets_that_its_service_understands() -> anyhow::Result<()> {
    let documented = text("kubernetes/README.md")?;
    for overlay in BUILDS {
        let (_, documents) = built(overlay)?;
        for set in of_kind(&documents, "StatefulSet") {
            let service = name(set);
            let pod = &set["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            // Who scrapes by them has no token, and is told nothing.
            let annotations = set["spec"]["template"]["metadata"]["annotations"].to_string();
            assert!(!annotations.contains("prometheus.io/"), "{service}: {annotations}");
            assert_eq!(pod["automountServiceAccountToken"], false);
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            let volume = |wanted: &str| list(pod, "volumes").iter().find(|volume| volume["name"] == wanted);
            let map = volume("config").context("a volume of settings")?["configMap"]["name"].clone();
            let maps = of_kind(&documents, "ConfigMap");
            let settings =
                maps.iter().find(|found| found["metadata"]["name"] == map).context("its ConfigMap")?;
            let (file, settings) =
                settings["data"].as_object().and_then(|data| data.iter().next()).context("a file")?;
            let settings = settings.as_str().context("a text")?;
            let args: Vec<&str> = list(container, "args").iter().filter_map(Value::as_str).collect();
            assert_eq!(args, ["--config", &format!("/etc/pulse/config/{file}")]);
            let probe = list(&container["readinessProbe"]["exec"], "command").iter();
            let probe: Vec<&str> = probe.filter_map(Value::as_str).collect();
            assert_eq!(probe, [&format!("/usr/bin/{service}"), args[0], args[1], "health"]);

            let folder = tempfile::tempdir()?;
            let path = folder.path().join(file);
            std::fs::write(&path, settings)?;
            let mut check = Command::new(binary(service)?);
            // What stands in the environment is a setting as well. Receivers are those of the instructions.
            let receivers = receivers(&documented, folder.path())?;
            let env = list(container, "env").iter().filter_map(|env| {
                let value = env["value"].as_str()?.replace(RECEIVERS, &receivers);
                Some((env["name"].as_str()?.to_owned(), value))
            });
            let (output, said) =
                tool(check.env_clear().envs(env).args(["config", "check", "--config"]).arg(&path))?;
            assert!(output.status.success(), "{overlay} {service}: {said}");

            let table: toml::Table = settings.parse()?;
            let named = |port: &str| list(container, "ports").iter().find(|p| p["name"] == port).cloned();
            for port in ["grpc", "http"] {
                let listens = table[port]["listen"].as_str().context("an address")?.to_owned();
                let number = named(port).context("a named port")?["containerPort"].to_string();
                assert_eq!(listens, format!("0.0.0.0:{number}"));
                let services = of_kind(&documents, "Service");
                let own = services.iter().find(|s| name(s) == service).context("its Service")?;
                let front =
                    list(&own["spec"], "ports").iter().find(|p| p["name"] == port).context("its port")?;
                assert_eq!((front["port"].to_string(), &front["targetPort"]), (number, &Value::from(port)));
            }
            // Each file that the settings name lies in a mount, and each Secret is in the instructions.
            let mounts: BTreeSet<&str> = list(container, "volumeMounts")
                .iter()
                .filter_map(|mount| mount["mountPath"].as_str())
                .collect();
            let files = list(container, "env").iter().filter_map(|env| env["value"].as_str());
            let files = files.filter(|value| value.starts_with('/'));
            let lines =
                settings.lines().filter(|line| line.contains("_file = ") || line.starts_with("data_dir"));
            for path in lines.filter_map(|line| line.split('"').nth(1)).chain(files) {
                assert!(
                    mounts.iter().any(|mount| path.starts_with(mount)),
                    "{service}: {path} is in no mount"
                );
            }
            for volume in list(pod, "volumes") {
                if let Some(secret) = volume["secret"]["secretName"].as_str() {
                    assert!(documented.contains(secret), "{secret} is not in README.md");
                }
            }
        }
    }
    Ok(())
}

/// Where the Secret of receivers is mounted.
const RECEIVERS: &str = "/etc/pulse/receivers";

/// Lays out what the instructions put into that Secret; where.
fn receivers(instructions: &str, folder: &Path) -> anyhow::Result<String> {
    let (_, text) = instructions.split_once("```toml\n# receivers.toml\n").context("receivers")?;
    let (text, _) = text.split_once("```").context("their end")?;
    let here = folder.display().to_string();
    std::fs::write(folder.join("receivers.toml"), text.replace(RECEIVERS, &here))?;
    std::fs::write(folder.join("hook"), "0123456789abcdef")?;
    Ok(here)
}

/// Where a policy lets a service go: names of namespaces or networks, and ports.
fn ways_out(documents: &[Value], policy: &str) -> Vec<(Vec<String>, Vec<u64>)> {
    let policies = of_kind(documents, "NetworkPolicy");
    let found = policies.into_iter().find(|found| name(found) == policy);
    let rules = found.map(|policy| list(&policy["spec"], "egress")).unwrap_or_default();
    let place = |to: &Value| {
        let namespace = &to["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
        namespace.as_str().or_else(|| to["ipBlock"]["cidr"].as_str()).unwrap_or("here").to_owned()
    };
    let rule = |rule: &Value| {
        let ports = list(rule, "ports").iter().filter_map(|port| port["port"].as_u64()).collect();
        (list(rule, "to").iter().map(place).collect(), ports)
    };
    rules.iter().map(rule).collect()
}

#[test]
fn an_overlay_opens_the_ways_that_it_needs() -> anyhow::Result<()> {
    let (_, base) = built("base")?;
    let (_, example) = built("overlays/example")?;
    let anywhere = || vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let here = || vec!["here".to_owned()];
    let appliances = |ports: &[u64]| vec![(here(), vec![7660]), (anywhere(), ports.to_vec())];
    assert_eq!(ways_out(&base, "pulse-collector"), appliances(&[443, 80]));
    assert_eq!(ways_out(&example, "pulse-collector"), appliances(&[443, 80, 8443]));
    let told = vec![(vec!["alerting".to_owned()], vec![9093]), (anywhere(), vec![443])];
    assert_eq!(ways_out(&example, "pulse-alerting"), told);
    assert_eq!(ways_out(&example, "pulse-service-accounts"), [(anywhere(), vec![443, 6443])]);
    let dns = |places: &[&str]| {
        let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
        vec![(places, vec![53, 53])]
    };
    assert_eq!(ways_out(&base, "pulse-dns"), dns(&["kube-system"]));
    assert_eq!(ways_out(&example, "pulse-dns"), dns(&["kube-system", "169.254.20.10/32"]));
    for component in ["pulse-alerting", "pulse-service-accounts"] {
        assert!(ways_out(&base, component).is_empty(), "{component}");
    }
    // The instructions have the patches as they were tried, and both issuers are those of the patch.
    for file in ["kubernetes/overlays/example/kustomization.yaml", "kubernetes/README.md"] {
        let text = text(file)?;
        for patch in [
            "{op: add, path: /spec/egress/1/ports/-, value: {port: 8443}}",
            "{op: add, path: /spec/egress/0/to/-, value: {ipBlock: {cidr: 169.254.20.10/32}}}",
        ] {
            assert!(text.contains(patch), "{file}: {patch}");
        }
    }
    for set in of_kind(&example, "StatefulSet") {
        let env = list(&set["spec"]["template"]["spec"]["containers"][0], "env");
        let issuer = env.iter().find(|env| env["name"].as_str().is_some_and(|n| n.ends_with("_JWT_ISSUER")));
        assert_eq!(issuer.context("an issuer")?["value"], "https://issuer.example", "{}", name(set));
    }
    Ok(())
}

#[test]
fn a_restoring_pod_has_the_volume_of_its_service_and_no_more_rights() -> anyhow::Result<()> {
    let (_, base) = built("base")?;
    for (service, build) in RESTORES {
        let (_, documents) = built(build)?;
        let [pod] = of_kind(&documents, "Pod")[..] else { anyhow::bail!("{build}: one pod") };
        let sets = of_kind(&base, "StatefulSet");
        let set = sets.iter().find(|set| name(set) == service).context("its StatefulSet")?;
        let (serving, restoring) = (&set["spec"]["template"]["spec"], &pod["spec"]);
        let (served, restored) = (&list(serving, "containers")[0], &list(restoring, "containers")[0]);
        assert_eq!(serving["securityContext"], restoring["securityContext"]);
        assert_eq!(served["securityContext"], restored["securityContext"]);
        assert_eq!((&served["image"], &served["command"]), (&restored["image"], &restored["command"]));
        assert_eq!((&restored["stdin"], &restored["stdinOnce"]), (&true.into(), &true.into()));
        for mount in list(restored, "volumeMounts") {
            assert!(list(served, "volumeMounts").contains(mount), "{service}: {mount}");
        }
        let claim = format!("{}-{service}-0", name(&list(&set["spec"], "volumeClaimTemplates")[0]));
        let claimed = |volume: &&Value| volume["persistentVolumeClaim"]["claimName"] == claim.as_str();
        assert_eq!(list(restoring, "volumes").iter().filter(claimed).count(), 1, "{claim}");
        // The key where the service has it.
        for secret in list(restoring, "volumes").iter().filter(|volume| volume.get("secret").is_some()) {
            assert!(list(serving, "volumes").contains(secret), "{secret}");
        }
        let selected = &base.iter().find(|d| d["kind"] == "Service" && name(d) == service);
        let selector = &selected.context("its Service")?["spec"]["selector"]["app.kubernetes.io/name"];
        assert_ne!(&pod["metadata"]["labels"]["app.kubernetes.io/name"], selector);
    }
    Ok(())
}

#[test]
fn secrets_of_monitors_are_in_the_instructions() -> anyhow::Result<()> {
    let (_, documents) = built("overlays/provider")?;
    let documented = text("kubernetes/README.md")?;
    let monitors = of_kind(&documents, "ServiceMonitor");
    assert_eq!(monitors.len(), 2);
    for monitor in monitors {
        let credentials = &list(&monitor["spec"], "endpoints")[0]["authorization"]["credentials"];
        let word = |field: &str| credentials[field].as_str().unwrap_or("?");
        let made = |line: &&str| line.contains(&format!("create secret generic {} ", word("name")));
        let line = documented.lines().find(made).with_context(|| format!("{} is not made", word("name")))?;
        assert!(line.contains(&format!("--from-file {}=", word("key"))), "{line}");
    }
    // It would stand in the shell's history, and in the list of processes.
    assert!(!documented.contains("--from-literal"), "a secret in a command line");
    Ok(())
}

#[test]
fn nothing_passes_the_network_that_is_not_named() -> anyhow::Result<()> {
    for build in BUILDS {
        closed(build)?;
    }
    Ok(())
}

fn closed(build: &str) -> anyhow::Result<()> {
    let (_, documents) = built(build)?;
    let policies = of_kind(&documents, "NetworkPolicy");
    let everything = |policy: &&&Value| {
        policy["spec"]["podSelector"].as_object().is_some_and(serde_json::Map::is_empty)
            && policy["spec"]["policyTypes"] == serde_json::json!(["Ingress", "Egress"])
            && policy["spec"].get("ingress").is_none()
            && policy["spec"].get("egress").is_none()
    };
    assert_eq!(policies.iter().filter(everything).count(), 1);
    for policy in policies {
        for rule in list(&policy["spec"], "ingress").iter().chain(list(&policy["spec"], "egress")) {
            assert!(!list(rule, "ports").is_empty(), "{}: any port", name(policy));
            assert!(
                !list(rule, "from").is_empty() || !list(rule, "to").is_empty(),
                "{}: anybody",
                name(policy)
            );
        }
    }
    Ok(())
}
