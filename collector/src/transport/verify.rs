//! Judges a server certificate by the trust of its endpoint, and remembers what was seen.
//!
//! The handshake signature is always checked: a pin says which certificate, the signature says who holds its key.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

use super::certificate::{CHAIN_MAX, Certificate};
use super::error::{TlsCause, TlsFailure};
use super::fingerprint::Fingerprint;

/// The certificates of the last handshake of one endpoint.
#[derive(Debug, Clone, Default)]
pub struct Observed(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    leaf: Option<Vec<u8>>,
    /// What came with it, in the server's order.
    others: Vec<Vec<u8>>,
    mismatch: Option<(Fingerprint, Fingerprint)>,
}

impl Observed {
    pub fn leaf(&self) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).leaf.clone()
    }

    /// What the server showed, its own certificate first, trusted or not.
    pub fn chain(&self) -> Vec<Certificate> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.leaf.iter().chain(&seen.others).map(|der| Certificate::of_der(der)).collect()
    }

    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.leaf().map(|der| Fingerprint::of_der(&der))
    }

    /// Names the cause of a failed handshake.
    pub fn explain(&self, error: &rustls::Error, host: &str) -> TlsFailure {
        let mismatch = self.0.lock().unwrap_or_else(PoisonError::into_inner).mismatch;
        let cause = match mismatch {
            Some((expected, observed)) => TlsCause::PinMismatch { expected, observed },
            None => cause_of(error, host),
        };
        TlsFailure { cause, observed: self.fingerprint() }
    }

    fn note(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.leaf = Some(leaf.as_ref().to_vec());
        seen.others = others.iter().take(CHAIN_MAX - 1).map(|other| other.as_ref().to_vec()).collect();
        seen.mismatch = None;
    }

    fn note_mismatch(&self, expected: Fingerprint, observed: Fingerprint) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).mismatch = Some((expected, observed));
    }
}

#[derive(Debug)]
pub(super) enum Rule {
    Roots(Arc<WebPkiServerVerifier>),
    Pin(Fingerprint),
    Anything,
}

#[derive(Debug)]
pub(super) struct Verifier {
    rule: Rule,
    algorithms: WebPkiSupportedAlgorithms,
    observed: Observed,
}

impl Verifier {
    pub(super) fn new(rule: Rule, provider: &CryptoProvider, observed: Observed) -> Self {
        Self { rule, algorithms: provider.signature_verification_algorithms, observed }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.observed.note(end_entity, intermediates);
        match &self.rule {
            Rule::Roots(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            Rule::Pin(expected) => {
                let seen = Fingerprint::of_der(end_entity);
                if expected.matches(&seen) {
                    Ok(ServerCertVerified::assertion())
                } else {
                    self.observed.note_mismatch(*expected, seen);
                    Err(CertificateError::ApplicationVerificationFailure.into())
                }
            }
            Rule::Anything => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn cause_of(error: &rustls::Error, host: &str) -> TlsCause {
    match error {
        rustls::Error::InvalidCertificate(problem) => match problem {
            // A bad signature: an authority of the same name, but with another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => TlsCause::UnknownCa,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsCause::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsCause::NotYetValid
            }
            CertificateError::NotValidForName => {
                TlsCause::NameMismatch { expected: host.to_owned(), presented: Vec::new() }
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                TlsCause::NameMismatch { expected: host.to_owned(), presented: presented.clone() }
            }
            // A CA certificate used as the server's own: what appliances ship with. Nobody vouches for it.
            CertificateError::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => {
                TlsCause::UnknownCa
            }
            other => TlsCause::Other(other.to_string()),
        },
        rustls::Error::InvalidMessage(_) | rustls::Error::InappropriateMessage { .. } => TlsCause::NotTls,
        rustls::Error::PeerIncompatible(_)
        | rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion) => TlsCause::Incompatible,
        other => TlsCause::Other(other.to_string()),
    }
}
