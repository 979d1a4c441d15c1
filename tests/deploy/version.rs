//! One version: what names it in `deploy` and the guides is what the workspace says, and a build tells its commit.

use std::path::{Path, PathBuf};
use std::process::Command;

use pulse_tests::task::root;

use crate::tool;

/// What stands before a version of ours.
const BEFORE: [&str; 3] = ["pulse-truenas:", "newTag: ", "image.version=\""];
/// Where one must stand.
const NAMED: [&str; 8] = [
    "deploy/Containerfile",
    "deploy/compose/compose.yaml",
    "deploy/kubernetes/README.md",
    "deploy/kubernetes/base/kustomization.yaml",
    "deploy/kubernetes/overlays/example/kustomization.yaml",
    "deploy/kubernetes/restore/collector/kustomization.yaml",
    "deploy/kubernetes/restore/registry/kustomization.yaml",
    "CHANGELOG.md",
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let read = ["md", "yaml", "yml", "toml", "service", "json"].map(Some);
        if path.is_dir() {
            files(&path, found)?;
        } else if path.ends_with("Containerfile") || read.contains(&path.extension().and_then(|e| e.to_str()))
        {
            found.push(path);
        }
    }
    Ok(())
}

/// Versions that a text names. Of the changelog: that of its first entry.
fn versions(path: &Path, text: &str) -> Vec<String> {
    let number =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>();
    if path.ends_with("CHANGELOG.md") {
        return text.lines().filter_map(|line| line.strip_prefix("## ")).take(1).map(number).collect();
    }
    let behind = |before: &str| {
        text.match_indices(before).map(|(at, found)| number(&text[at + found.len()..])).collect::<Vec<_>>()
    };
    BEFORE.into_iter().flat_map(behind).filter(|found| !found.is_empty()).collect()
}

#[test]
fn every_file_that_names_the_version_names_that_of_the_workspace() -> anyhow::Result<()> {
    let mut all = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    files(&root().join("deploy"), &mut all)?;
    files(&root().join("docs"), &mut all)?;
    let mut naming = Vec::new();
    for path in all {
        let found = versions(&path, &std::fs::read_to_string(&path)?);
        for version in &found {
            assert_eq!(version, env!("CARGO_PKG_VERSION"), "{}", path.display());
        }
        if !found.is_empty() {
            naming.push(path.strip_prefix(root())?.display().to_string());
        }
    }
    for wanted in NAMED {
        assert!(naming.iter().any(|path| path == wanted), "{wanted} names no version");
    }
    Ok(())
}

/// What the build script of both services has cargo compile in.
fn compiled_in(variables: &[(&str, &str)]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("build");
    let mut compile = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let (output, said) =
        tool(compile.args(["--edition", "2024", "-o"]).arg(&script).arg(root().join("shell/build.rs")))?;
    anyhow::ensure!(output.status.success(), "{said}");
    let mut build = Command::new(script);
    build.current_dir(folder.path()).env_remove("PULSE_COMMIT").env("CARGO_PKG_VERSION", "1.2.3");
    Ok(tool(build.envs(variables.iter().copied()))?.1)
}

#[test]
fn a_build_tells_the_commit_that_it_was_given() -> anyhow::Result<()> {
    let given = compiled_in(&[("PROFILE", "release"), ("PULSE_COMMIT", "0123456789ab")])?;
    assert!(given.contains("cargo::rustc-env=PULSE_VERSION=1.2.3 (0123456789ab)\n"), "{given}");
    // Another commit is another build.
    assert!(given.contains("cargo::rerun-if-env-changed=PULSE_COMMIT\n"), "{given}");
    // An image without the argument is built with an empty one, and without a repository.
    let none = compiled_in(&[("PROFILE", "release"), ("PULSE_COMMIT", "")])?;
    assert!(none.contains("cargo::rustc-env=PULSE_VERSION=1.2.3 (dev)\n"), "{none}");
    let containerfile = crate::text("Containerfile")?;
    let (build, _) = containerfile.rsplit_once("\nFROM ").expect("two stages");
    assert!(build.contains("\nARG COMMIT=\nENV PULSE_COMMIT=${COMMIT}\n"), "{build}");
    Ok(())
}
