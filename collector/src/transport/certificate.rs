//! Certificates as people compare them: what each says of itself, and its fingerprint. Trusts none of it.

use std::net::{Ipv4Addr, Ipv6Addr};

use pulse_proto::model::UnixMillis;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::Fingerprint;

/// A server that shows more certificates than this shows the rest in vain.
pub const CHAIN_MAX: usize = 10;
const NAMES_MAX: usize = 64;
const TEXT_CHARS_MAX: usize = 256;

/// What cannot be read of one is empty; its fingerprint is always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    pub subject: String,
    pub issuer: String,
    pub not_before: Option<UnixMillis>,
    pub not_after: Option<UnixMillis>,
    /// DNS names and addresses.
    pub alternative_names: Vec<String>,
    pub fingerprint: Fingerprint,
}

impl Certificate {
    pub fn of_der(der: &[u8]) -> Self {
        let mut certificate = Self {
            subject: String::new(),
            issuer: String::new(),
            not_before: None,
            not_after: None,
            alternative_names: Vec::new(),
            fingerprint: Fingerprint::of_der(der),
        };
        if let Ok((_, told)) = X509Certificate::from_der(der) {
            certificate.subject = shown(&told.subject().to_string());
            certificate.issuer = shown(&told.issuer().to_string());
            certificate.not_before = time(told.validity().not_before);
            certificate.not_after = time(told.validity().not_after);
            certificate.alternative_names = names(&told);
        }
        certificate
    }

    /// Nobody else vouches for it.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(shown(name)),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    names.filter(|name| !name.is_empty()).take(NAMES_MAX).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_string())
}

fn time(time: ASN1Time) -> Option<UnixMillis> {
    u64::try_from(time.timestamp()).ok()?.checked_mul(1_000).map(UnixMillis::new)
}

/// A certificate may say anything, and is read on a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::connection::testing::CA_PEM;

    #[test]
    fn a_certificate_tells_who_it_is_for_whom_and_how_long() {
        let der = CertificateDer::from_pem_slice(CA_PEM.as_bytes()).expect("a certificate");
        let certificate = Certificate::of_der(&der);
        assert_eq!(certificate.subject, "CN=Test authority");
        assert!(certificate.is_self_issued());
        assert_eq!(certificate.not_before, Some(UnixMillis::new(1_795_447_813_000)));
        assert!(certificate.not_after > certificate.not_before);
        assert_eq!(certificate.fingerprint, Fingerprint::of_der(&der));
    }

    #[test]
    fn names_and_addresses_are_told_and_bounded() {
        let names: Vec<String> =
            ["nas.example", "192.0.2.7", "2001:db8::7"].into_iter().map(str::to_owned).collect();
        let made = rcgen::generate_simple_self_signed(names.clone()).expect("made");
        assert_eq!(Certificate::of_der(made.cert.der()).alternative_names, names);
        let many: Vec<String> = (0..200).map(|n| format!("nas{n}.example")).collect();
        let made = rcgen::generate_simple_self_signed(many).expect("made");
        assert_eq!(Certificate::of_der(made.cert.der()).alternative_names.len(), NAMES_MAX);
    }

    #[test]
    fn what_is_no_certificate_still_has_a_fingerprint() {
        let certificate = Certificate::of_der(b"nothing");
        assert_eq!((certificate.subject.as_str(), certificate.not_after), ("", None));
        assert_eq!(certificate.fingerprint, Fingerprint::of_der(b"nothing"));
    }
}
