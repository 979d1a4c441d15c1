//! From what an operator configured to where a session is made.

use crate::connection::{Settings, Tls};
use crate::transport::{Endpoint, Security, Trust};

pub fn endpoint(settings: &Settings) -> Endpoint {
    let security = match &settings.tls {
        Tls::Off => Security::Plaintext,
        Tls::SystemRoots => Security::Tls(Trust::SystemRoots),
        Tls::Ca(pem) => Security::Tls(Trust::CustomCa(pem.clone())),
        Tls::Pinned(fingerprint) => Security::Tls(Trust::Pinned(*fingerprint)),
        Tls::Insecure => Security::Tls(Trust::Insecure),
    };
    Endpoint { host: settings.host.clone(), port: settings.port, security }
}
