//! A pair that believes nobody: TLS on every port, certificates of an authority of its own, and tokens, which count where they were made and
//! nowhere else.

use std::path::PathBuf;

use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::pki::Authority;
use tempfile::TempDir;

const TOKENS: [(&str, &str); 4] = [
    ("pulse-registry", "ingest"),
    ("pulse-registry", "viewer"),
    ("pulse-collector", "viewer"),
    ("pulse-collector", "admin"),
];

pub(crate) struct Guarded {
    pub(crate) registry: Service,
    pub(crate) collector: Service,
    pub(crate) authority: Authority,
    /// Kept last: the folders go when everything is down.
    pub(crate) folder: TempDir,
}

impl Guarded {
    /// With `certificates`, the collector listens only to who shows one of the authority.
    pub(crate) async fn start(certificates: bool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path(), "ours")?;
        let (cert, key) = authority.issue_server("server")?;
        let prepared = |name| Service::prepared(name, &folder.path().join(name), "");
        let (registry, collector) = (prepared("pulse-registry"), prepared("pulse-collector"));
        let mut pair = Self { registry, collector, authority, folder };
        // Before they run: a token that is made later counts a moment later.
        for (service, role) in TOKENS {
            pair.make_token(service, role).await?;
        }
        let ca = pair.authority.file();
        let [cert, key, ca, ingest] =
            [cert, key, ca, pair.token("pulse-registry", "ingest")].map(|file| file.display().to_string());
        let tls = format!("[tls]\ncert_file = {cert:?}\nkey_file = {key:?}\n");
        pair.registry.set(&tls);
        pair.registry.up().await?;
        let asked = format!("client_ca_file = {ca:?}\nrequire_client_certificate = true\n");
        pair.collector.set(&format!(
            "{tls}{}[registry]\naddress = \"https://{}\"\nca_file = {ca:?}\ntoken_file = {ingest:?}\n",
            if certificates { &asked } else { "" },
            pair.registry.grpc(),
        ));
        pair.collector.up().await?;
        Ok(pair)
    }

    /// The file with a token of a service.
    pub(crate) fn token(&self, service: &str, role: &str) -> PathBuf {
        self.folder.path().join(format!("{service}.{role}.token"))
    }

    async fn make_token(&self, service: &str, role: &str) -> anyhow::Result<()> {
        let data = self.folder.path().join(service).join("data").display().to_string();
        let line = ["--data-dir", &data, "tokens", "create", "--name", role, "--role", role];
        let made = run(service, &line, &[], "").await?;
        anyhow::ensure!(made.code == 0, "{}", made.stderr);
        Ok(std::fs::write(self.token(service, role), made.stdout)?)
    }
}
