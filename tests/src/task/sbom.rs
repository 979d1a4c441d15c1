//! `cargo xtask sbom`: what the two services are made of, in CycloneDX, from the locked dependencies alone. That of an image
//! names the Debian packages of its other files, too.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::debian::Package;
use super::{cargo, root};

const SERVICES: [&str; 2] = ["pulse-collector", "pulse-registry"];

#[derive(Args, Debug)]
pub struct Options {
    /// Where to write it; stdout when left out
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&bill()?)?;
    if let Some(path) = &options.to {
        return std::fs::write(path, text).with_context(|| format!("write {}", path.display()));
    }
    println!("{text}");
    Ok(())
}

/// Only what is linked into the services: no build or test dependency of ours.
pub fn bill() -> anyhow::Result<Value> {
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = cargo().args(arguments).current_dir(root()).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let packages: BTreeMap<String, Value> =
        list(&metadata, "packages").into_iter().map(|package| (text(&package, "id"), package)).collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"], "nodes").into_iter().map(|node| (text(&node, "id"), node)).collect();
    let is_service = |package: &&Value| SERVICES.contains(&text(package, "name").as_str());
    let mut ahead: Vec<String> =
        packages.values().filter(is_service).map(|package| text(package, "id")).collect();
    let mut linked = BTreeSet::new();
    let mut edges = Vec::new();
    while let Some(id) = ahead.pop() {
        if !linked.insert(id.clone()) {
            continue;
        }
        let node = nodes.get(&id).context("a package that was resolved")?;
        let is_linked =
            |dependency: &Value| list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
        let needs: Vec<String> = list(node, "deps")
            .iter()
            .filter(|dependency| is_linked(dependency))
            .map(|dependency| text(dependency, "pkg"))
            .collect();
        let named: Vec<String> = needs.iter().filter_map(|id| packages.get(id)).map(purl).collect();
        edges.push(json!({ "ref": packages.get(&id).map(purl), "dependsOn": named }));
        ahead.extend(needs);
    }
    let component = |id: &String| {
        let package = packages.get(id)?;
        let licence = text(package, "license");
        Some(json!({
            "type": "library", "bom-ref": purl(package), "purl": purl(package),
            "name": package["name"], "version": package["version"],
            "licenses": if licence.is_empty() { json!([]) } else { json!([{ "expression": licence }]) },
        }))
    };
    let components: Vec<Value> = linked.iter().filter_map(component).collect();
    Ok(json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": { "component": { "type": "application", "name": "pulse-truenas", "version": env!("CARGO_PKG_VERSION") } },
        "components": components, "dependencies": edges,
    }))
}

/// With the packages that files beside the services are from.
pub(super) fn with_debian(mut bill: Value, packages: &BTreeSet<Package>) -> anyhow::Result<Value> {
    let components = bill["components"].as_array_mut().context("components")?;
    components.extend(packages.iter().map(|package| {
        let Package { name, version, architecture } = package;
        let purl = format!(
            "pkg:deb/debian/{name}@{}?arch={architecture}",
            version.replace(':', "%3A").replace('+', "%2B")
        );
        json!({ "type": "library", "bom-ref": purl, "purl": purl, "name": name, "version": version })
    }));
    Ok(bill)
}

fn purl(package: &Value) -> String {
    let field = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
    format!("pkg:cargo/{}@{}", field("name"), field("version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_what_is_linked_and_nothing_else() {
        let bill = bill().expect("a bill");
        let components = bill["components"].as_array().expect("components");
        let has = |name: &str| components.iter().any(|component| component["name"] == name);
        for linked in ["rustls", "ring", "tonic", "jsonwebtoken", "pulse-shell"] {
            assert!(has(linked), "{linked}");
        }
        for other in ["proptest", "insta", "pulse-tests", "protox", "openssl-sys", "aws-lc-sys"] {
            assert!(!has(other), "{other}");
        }
        let unlicensed = components.iter().filter(|component| component["licenses"] == json!([])).count();
        assert_eq!(unlicensed, 0);
    }
}
