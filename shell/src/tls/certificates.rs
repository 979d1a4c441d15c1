//! The server's side: certificate, key and client authority from files, read
//! again when they change. Open connections go on; what their clients showed
//! counts as long as the authorities of now believe it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

use super::{Files, VERSIONS, provider};
use crate::clock::now_unix_ms;

/// How soon a new certificate is served. Contents are compared: links that are swapped under a mount have odd times.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// More than any chain or bundle of authorities has.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What the files say now.
#[derive(Debug)]
pub struct Certificates {
    files: Files,
    current: ArcSwap<Current>,
    /// How often they were taken.
    loads: watch::Sender<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Made of the files.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    validity: Validity,
}

/// When our own certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Validity {
    from_unix_ms: u64,
    until_unix_ms: u64,
}

impl Validity {
    fn of(leaf: &CertificateDer<'_>) -> anyhow::Result<Self> {
        let (_, leaf) = X509Certificate::from_der(leaf).context("it cannot be read")?;
        let millis = |time: ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0).saturating_mul(1_000);
        let validity = leaf.validity();
        Ok(Self { from_unix_ms: millis(validity.not_before), until_unix_ms: millis(validity.not_after) })
    }

    /// Why clients do not take it now.
    fn problem(self, now_ms: u64) -> Option<String> {
        let told = |unix_ms: u64| {
            let at = jiff::Timestamp::from_millisecond(i64::try_from(unix_ms).unwrap_or(i64::MAX));
            at.map_or_else(|_far| "a time out of range".to_owned(), |at| at.to_string())
        };
        if now_ms < self.from_unix_ms {
            let (from, now) = (told(self.from_unix_ms), told(now_ms));
            return Some(format!("is valid only from {from} on, and the clock here says {now}"));
        }
        (now_ms >= self.until_unix_ms).then(|| format!("has expired at {}", told(self.until_unix_ms)))
    }
}

impl Certificates {
    /// Blocks on files.
    pub fn load(files: Files) -> anyhow::Result<(Arc<Self>, Follower)> {
        let contents = read(&files)?;
        let current = build(&files, &contents)?;
        current.warn(&files);
        let this =
            Arc::new(Self { files, current: ArcSwap::from_pointee(current), loads: watch::Sender::new(1) });
        Ok((Arc::clone(&this), Follower { certificates: this, contents }))
    }

    /// For the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Of what is current, or of what came before.
    pub(crate) fn load_number(&self) -> u64 {
        *self.loads.borrow()
    }

    /// Whether a client that shows this now is let in.
    pub(crate) fn lets_in(&self, chain: &[CertificateDer<'_>], now_ms: u64) -> bool {
        let current = self.current.load();
        let (Some(clients), Some((leaf, others))) = (&current.clients, chain.split_first()) else {
            return false;
        };
        let now = UnixTime::since_unix_epoch(Duration::from_millis(now_ms));
        clients.verify_client_cert(leaf, others, now).is_ok()
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
            let former = self.certificates.current.load().validity;
            let looked =
                tokio::task::spawn_blocking(move || look(&files, &before, former, now_unix_ms())).await;
            let Ok(Looked { taken, problem }) = looked else { continue };
            if let Some((contents, current)) = taken {
                self.contents = contents;
                current.warn(&self.certificates.files);
                self.certificates.current.store(Arc::new(current));
                self.certificates.loads.send_modify(|loads| *loads += 1);
                info!(cert_file = %self.certificates.files.cert.display(), "certificates are reloaded");
            }
            let problem = problem.map(|problem| format!("{problem:#}")).unwrap_or_default();
            if problem != told && !problem.is_empty() {
                error!(problem, "changed certificates cannot be used; the former ones are served on");
            }
            told = problem;
        }
    }
}

/// What came of a look at the files.
struct Looked {
    taken: Option<(Contents, Current)>,
    problem: Option<anyhow::Error>,
}

/// Our own certificate and the authorities of clients are followed each for itself: a broken one of the first keeps
/// nobody in whom the second no longer believe.
fn look(files: &Files, before: &Contents, former: Validity, now_ms: u64) -> Looked {
    let (cert, key, problem) = match read_identity(files) {
        Ok((cert, key)) => (cert, key, None),
        Err(problem) => (before.cert.clone(), before.key.clone(), Some(problem)),
    };
    let (client_ca, problem) = match read_client_ca(files) {
        Ok(client_ca) => (client_ca, problem),
        Err(more) => (before.client_ca.clone(), problem.or(Some(more))),
    };
    let wanted = Contents { cert, key, client_ca };
    let authorities = Contents { client_ca: wanted.client_ca.clone(), ..before.clone() };
    let identity = Contents { client_ca: before.client_ca.clone(), ..wanted.clone() };
    let (mut taken, mut problem) = (None, problem);
    for contents in [wanted, authorities, identity] {
        if contents == *before {
            continue;
        }
        match usable(files, contents, former, now_ms) {
            Ok(current) => {
                taken = Some(current);
                break;
            }
            Err(more) => problem = problem.or(Some(more)),
        }
    }
    Looked { taken, problem }
}

/// One that clients do not take is no better than one that they take.
fn usable(
    files: &Files,
    contents: Contents,
    former: Validity,
    now_ms: u64,
) -> anyhow::Result<(Contents, Current)> {
    let current = build(files, &contents)?;
    let problem = current.validity.problem(now_ms).filter(|_| former != current.validity);
    if let Some(problem) = problem.filter(|_| former.problem(now_ms).is_none()) {
        bail!("{} {problem}: put one there that is valid now", files.cert.display());
    }
    Ok((contents, current))
}

impl Current {
    fn warn(&self, files: &Files) {
        if let Some(problem) = self.validity.problem(now_unix_ms()) {
            warn!(
                cert_file = %files.cert.display(), problem,
                "THE CERTIFICATE IS NOT VALID: clients will not connect; put one there that is valid now"
            );
        }
    }
}

fn read(files: &Files) -> anyhow::Result<Contents> {
    let (cert, key) = read_identity(files)?;
    Ok(Contents { cert, key, client_ca: read_client_ca(files)? })
}

fn read_identity(files: &Files) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    Ok((read_file("tls.cert_file", &files.cert)?, read_file("tls.key_file", &files.key)?))
}

fn read_client_ca(files: &Files) -> anyhow::Result<Option<Vec<u8>>> {
    files.client_ca.as_deref().map(|path| read_file("tls.client_ca_file", path)).transpose()
}

pub(super) fn read_file(what: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    let told = || format!("{what} {} cannot be read", path.display());
    let length = std::fs::metadata(path).with_context(told)?.len();
    ensure!(length <= FILE_BYTES_MAX, "{what} {} is longer than {FILE_BYTES_MAX} bytes", path.display());
    std::fs::read(path).with_context(told)
}

fn build(files: &Files, Contents { cert, key, client_ca }: &Contents) -> anyhow::Result<Current> {
    let (chain, key) = identity(&files.cert, cert, &files.key, key)?;
    let leaf = chain.first().with_context(|| format!("{} holds no certificate", files.cert.display()))?;
    let validity = Validity::of(leaf).with_context(|| format!("the first of {}", files.cert.display()))?;
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&VERSIONS)?;
    let clients = match (&files.client_ca, client_ca) {
        (Some(path), Some(pem)) => Some(verifier(roots(path, pem)?, files.require_client)?),
        _ => None,
    };
    let builder = match &clients {
        Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .with_context(|| format!("{} and {} do not fit", files.cert.display(), files.key.display()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Current { config: Arc::new(config), clients, validity })
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

#[cfg(test)]
mod tests;
