//! The TLS client: ring, TLS 1.2 and 1.3, and the trust that an endpoint asks for.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Trust;
use super::error::{TlsCause, TlsFailure};
use super::verify::{Observed, Rule, Verifier};

/// A PEM bundle with more certificates than this is not a CA for one NAS.
const CA_CERTIFICATES_MAX: usize = 512;

/// A configuration for one connect, and where its verifier notes the certificate it sees.
pub struct Client {
    pub config: Arc<ClientConfig>,
    pub observed: Observed,
}

/// Reads the system's roots when they are what counts, so that a change of them needs no restart.
/// Blocks on files: call it where that is allowed.
pub fn client(trust: &Trust) -> Result<Client, TlsFailure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let observed = Observed::default();
    let rule = rule(trust, &provider).map_err(|cause| TlsFailure { cause, observed: None })?;
    let verifier = Verifier::new(rule, &provider, observed.clone());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| TlsFailure { cause: TlsCause::Other(error.to_string()), observed: None })?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed handshake shows no certificate; pin and channel binding need one each time.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Client { config: Arc::new(config), observed })
}

fn rule(trust: &Trust, provider: &Arc<CryptoProvider>) -> Result<Rule, TlsCause> {
    let roots = match trust {
        Trust::Pinned(fingerprint) => return Ok(Rule::Pin(*fingerprint)),
        Trust::Insecure => return Ok(Rule::Anything),
        Trust::SystemRoots => system_roots()?,
        Trust::CustomCa(pem) => custom_roots(pem)?,
    };
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map(Rule::Roots)
        .map_err(|error| TlsCause::Other(error.to_string()))
}

fn system_roots() -> Result<RootCertStore, TlsCause> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
    Err(TlsCause::NoRoots(why))
}

/// The roots in a PEM text; also how a bundle is checked before it is stored.
pub fn custom_roots(pem: &str) -> Result<RootCertStore, TlsCause> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        if index == CA_CERTIFICATES_MAX {
            return Err(TlsCause::BadCa(format!("more than {CA_CERTIFICATES_MAX} certificates")));
        }
        let certificate = certificate.map_err(|error| TlsCause::BadCa(error.to_string()))?;
        roots.add(certificate).map_err(|error| TlsCause::BadCa(error.to_string()))?;
    }
    if roots.is_empty() { Err(TlsCause::BadCa("no certificate in it".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_must_hold_certificates() {
        for text in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(matches!(custom_roots(text), Err(TlsCause::BadCa(_))), "{text}");
        }
    }
}
