//! The server's side: certificate, key and client authority from files, read
//! again when they change. Open connections go on with what they began with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{Files, VERSIONS, provider};

/// How soon a new certificate is served. Contents are compared: links that are swapped under a mount have odd times.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// More than any chain or bundle of authorities has.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the files say now.
#[derive(Debug)]
pub struct Certificates {
    files: Files,
    current: ArcSwap<ServerConfig>,
    /// How often they were taken.
    loads: watch::Sender<u64>,
}

type Contents = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

impl Certificates {
    /// Blocks on files.
    pub fn load(files: Files) -> anyhow::Result<(Arc<Self>, Follower)> {
        let contents = read(&files)?;
        let config = build(&files, &contents)?;
        let this =
            Arc::new(Self { files, current: ArcSwap::from_pointee(config), loads: watch::Sender::new(1) });
        Ok((Arc::clone(&this), Follower { certificates: this, contents }))
    }

    /// For the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Counts how often the files were taken.
    pub fn loads(&self) -> watch::Receiver<u64> {
        self.loads.subscribe()
    }
}

/// Looks whether the files have changed.
#[derive(Debug)]
pub struct Follower {
    certificates: Arc<Certificates>,
    contents: Contents,
}

impl Follower {
    /// What cannot be used is told once, and what was there before goes on.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut told = String::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            let (files, before) = (self.certificates.files.clone(), self.contents.clone());
            let looked = tokio::task::spawn_blocking(move || look(&files, &before)).await;
            match looked.unwrap_or_else(|_panicked| Ok(None)) {
                Ok(None) => told.clear(),
                Ok(Some((contents, config))) => {
                    self.contents = contents;
                    self.certificates.current.store(Arc::new(config));
                    self.certificates.loads.send_modify(|loads| *loads += 1);
                    info!(cert_file = %self.certificates.files.cert.display(), "certificates are reloaded");
                    told.clear();
                }
                Err(problem) => {
                    let problem = format!("{problem:#}");
                    if problem != told {
                        error!(problem, "changed certificates cannot be used; the former ones are served on");
                        told = problem;
                    }
                }
            }
        }
    }
}

fn look(files: &Files, before: &Contents) -> anyhow::Result<Option<(Contents, ServerConfig)>> {
    let contents = read(files)?;
    if contents == *before {
        return Ok(None);
    }
    let config = build(files, &contents)?;
    Ok(Some((contents, config)))
}

fn read(files: &Files) -> anyhow::Result<Contents> {
    let client_ca =
        files.client_ca.as_deref().map(|path| read_file("tls.client_ca_file", path)).transpose()?;
    Ok((read_file("tls.cert_file", &files.cert)?, read_file("tls.key_file", &files.key)?, client_ca))
}

pub(super) fn read_file(what: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let told = || format!("{what} {} cannot be read", path.display());
    let length = std::fs::metadata(path).with_context(told)?.len();
    ensure!(length <= FILE_BYTES_MAX, "{what} {} is longer than {FILE_BYTES_MAX} bytes", path.display());
    std::fs::read(path).with_context(told)
}

fn build(files: &Files, (cert, key, client_ca): &Contents) -> anyhow::Result<ServerConfig> {
    let (chain, key) = identity(&files.cert, cert, &files.key, key)?;
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&VERSIONS)?;
    let builder = match (&files.client_ca, client_ca) {
        (Some(path), Some(pem)) => {
            builder.with_client_cert_verifier(verifier(roots(path, pem)?, files.require_client)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} do not fit", files.cert.display(), files.key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn verifier(roots: RootCertStore, required: bool) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    Ok(builder.build()?)
}

pub(super) fn roots(path: &Path, pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let told = || format!("{} is no PEM file of certificates", path.display());
        roots.add(certificate.with_context(told)?).with_context(told)?;
    }
    ensure!(!roots.is_empty(), "{} holds no certificate", path.display());
    Ok(roots)
}

pub(super) fn identity(
    cert_path: &Path,
    cert: &[u8],
    key_path: &Path,
    key: &[u8],
) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(cert)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} is no PEM file of certificates", cert_path.display()))?;
    ensure!(!chain.is_empty(), "{} holds no certificate", cert_path.display());
    // What is wrong with a key is not told in its own words.
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_secret| {
        anyhow::anyhow!("{} is no PEM file of an unencrypted private key", key_path.display())
    })?;
    Ok((chain, key))
}
