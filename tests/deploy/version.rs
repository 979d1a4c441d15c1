//! One version: what names it in `deploy` and the guides is what the workspace says, and a build tells its commit.

use std::path::{Path, PathBuf};
use std::process::Command;

use pulse_tests::task::root;

use crate::manifests::yaml;
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
fn compiled_in(beside: &Path, variables: &[(&str, &str)]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("build");
    let mut compile = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let (output, said) =
        tool(compile.args(["--edition", "2024", "-o"]).arg(&script).arg(root().join("shell/build.rs")))?;
    anyhow::ensure!(output.status.success(), "{said}");
    let mut build = Command::new(script);
    build.current_dir(beside).env_remove("PULSE_COMMIT").env("CARGO_PKG_VERSION", "1.2.3");
    Ok(tool(build.envs(variables.iter().copied()))?.1)
}

#[test]
fn a_build_tells_the_commit_that_it_was_given() -> anyhow::Result<()> {
    let bare = tempfile::tempdir()?;
    let given = compiled_in(bare.path(), &[("PROFILE", "release"), ("PULSE_COMMIT", "0123456789ab")])?;
    assert!(given.contains("cargo::rustc-env=PULSE_VERSION=1.2.3 (0123456789ab)\n"), "{given}");
    // Another commit is another build.
    assert!(given.contains("cargo::rerun-if-env-changed=PULSE_COMMIT\n"), "{given}");
    // An image without the argument is built with an empty one, and without a repository.
    let none = compiled_in(bare.path(), &[("PROFILE", "release"), ("PULSE_COMMIT", "")])?;
    assert!(none.contains("cargo::rustc-env=PULSE_VERSION=1.2.3 (dev)\n"), "{none}");
    let containerfile = crate::text("Containerfile")?;
    let (build, _) = containerfile.rsplit_once("\nFROM ").expect("two stages");
    assert!(build.contains("\nARG COMMIT=\nENV PULSE_COMMIT=${COMMIT}\n"), "{build}");
    let compose = yaml(&crate::text("compose/compose.yaml")?)?.remove(0);
    for (name, service) in compose["services"].as_object().expect("services") {
        assert_eq!(service["build"]["args"]["COMMIT"], "${PULSE_COMMIT:-}", "{name}");
    }
    let guide = crate::text("compose/README.md")?;
    let builds: Vec<&str> =
        guide.lines().filter(|line| line.contains("compose") && line.contains("build")).collect();
    let tells =
        |line: &&str| line.starts_with("PULSE_COMMIT=$(git rev-parse --short=12 HEAD) docker compose ");
    assert!(builds.len() == 2 && builds.iter().all(tells), "{builds:?}");
    Ok(())
}

#[test]
fn a_release_tells_the_commit_of_its_repository_and_whether_files_differ() -> anyhow::Result<()> {
    let repository = tempfile::tempdir()?;
    let git = |line: &[&str]| -> anyhow::Result<String> {
        let mut git = Command::new("git");
        git.current_dir(repository.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        let (output, said) =
            tool(git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(line))?;
        anyhow::ensure!(output.status.success(), "git {line:?}: {said}");
        Ok(said.trim().to_owned())
    };
    git(&["init", "--quiet"])?;
    std::fs::write(repository.path().join("file"), "one")?;
    git(&["add", "file"])?;
    git(&["commit", "--quiet", "--message", "one"])?;
    let commit = git(&["rev-parse", "HEAD"])?[..12].to_owned();
    let told = |profile| compiled_in(repository.path(), &[("PROFILE", profile)]);
    let clean = told("release")?;
    assert!(clean.contains(&format!("PULSE_VERSION=1.2.3 ({commit})\n")), "{clean}");
    // The next commit is another build; a debug build would be made anew with each.
    assert!(clean.contains("cargo::rerun-if-changed=.git/logs/HEAD\n"), "{clean}");
    let debug = told("debug")?;
    assert!(debug.contains("PULSE_VERSION=1.2.3 (dev)\n") && !debug.contains("logs/HEAD"), "{debug}");
    std::fs::write(repository.path().join("other"), "is not of the repository")?;
    assert_eq!(told("release")?, clean);
    std::fs::write(repository.path().join("file"), "two")?;
    let changed = told("release")?;
    assert!(changed.contains(&format!("PULSE_VERSION=1.2.3 ({commit}, changed)\n")), "{changed}");
    Ok(())
}
