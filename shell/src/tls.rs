//! TLS as both services speak it: which files, which versions, what is reloaded,
//! and that nothing goes over a network in the clear unless somebody said so.
//! Refuses to know who may do what.

pub mod certificates;
pub mod connector;
pub mod failure;
mod plain;
pub mod shown;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

use crate::settings::Settings;

/// 1.3 where the other side can, 1.2 at least.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS13, &rustls::version::TLS12];

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a server shows and whom it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Issues the certificates of clients; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Who shows no certificate is not served.
    pub require_client: bool,
}

/// How the ports of a service are protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub files: Option<Files>,
    /// Listens on a network without TLS, as somebody explicitly wants.
    pub exposed: bool,
}

impl Config {
    /// Reads `tls.*`. An address that others can reach needs TLS or the word that it does not.
    pub fn read(settings: &mut Settings, listens: &[(&str, SocketAddr)]) -> Self {
        let path = |text: &str| Some(PathBuf::from(text));
        let cert = settings.optional("tls.cert_file", "a path", path);
        let key = settings.optional("tls.key_file", "a path", path);
        let client_ca = settings.optional("tls.client_ca_file", "a path", path);
        let require_client = settings.flag("tls.require_client_certificate");
        let allow = settings.flag("tls.allow_plaintext");
        let files = match (cert, key) {
            (Some(cert), Some(key)) => Some(Files { cert, key, client_ca, require_client }),
            (None, None) => {
                if client_ca.is_some() {
                    settings.problem("tls.client_ca_file needs tls.cert_file and tls.key_file".to_owned());
                }
                None
            }
            _ => {
                settings.problem("tls.cert_file and tls.key_file belong together: set both".to_owned());
                None
            }
        };
        if require_client && files.as_ref().is_none_or(|files| files.client_ca.is_none()) {
            settings.problem("tls.require_client_certificate needs tls.client_ca_file".to_owned());
        }
        let open: Vec<_> = listens.iter().filter(|(_, address)| !address.ip().is_loopback()).collect();
        if files.is_none() && !allow {
            for (name, address) in &open {
                settings.problem(format!(
                    "{name} is {address}, which others can reach and read along: set tls.cert_file and \
                     tls.key_file, listen on 127.0.0.1, or say tls.allow_plaintext = true"
                ));
            }
        }
        Self { exposed: files.is_none() && !open.is_empty(), files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Key;

    const fn key(name: &'static str, default: &'static str) -> Key {
        Key { name, env: "", default, help: "" }
    }
    const KEYS: &[Key] = &[
        key("tls.cert_file", ""),
        key("tls.key_file", ""),
        key("tls.client_ca_file", ""),
        key("tls.require_client_certificate", "false"),
        key("tls.allow_plaintext", "false"),
    ];

    fn read(address: &str, set: &[(&'static str, &str)]) -> Result<Config, String> {
        let flags: Vec<_> = set.iter().map(|(name, text)| (*name, "", Some((*text).to_owned()))).collect();
        let mut settings = Settings::read(KEYS, None, |_| None, &flags);
        let config = Config::read(&mut settings, &[("grpc.listen", address.parse().expect("an address"))]);
        settings.finish(config).map_err(|problems| problems.to_string())
    }

    #[test]
    fn plaintext_stays_on_this_machine_unless_somebody_says_otherwise() {
        assert_eq!(read("127.0.0.1:1", &[]), Ok(Config::default()));
        assert_eq!(read("[::1]:1", &[]), Ok(Config::default()));
        let refused = read("0.0.0.0:1", &[]).expect_err("others could read along");
        assert!(
            refused.contains("grpc.listen is 0.0.0.0:1") && refused.contains("tls.cert_file"),
            "{refused}"
        );
        let allowed = read("0.0.0.0:1", &[("tls.allow_plaintext", "true")]).expect("as wanted");
        assert!(allowed.exposed && allowed.files.is_none());
        let secured = read("0.0.0.0:1", &[("tls.cert_file", "c"), ("tls.key_file", "k")]).expect("secured");
        assert!(!secured.exposed && secured.files.is_some());
    }

    #[test]
    fn half_a_configuration_is_none() {
        for set in [
            &[("tls.cert_file", "c")][..],
            &[("tls.key_file", "k")],
            &[("tls.client_ca_file", "a")],
            &[("tls.cert_file", "c"), ("tls.key_file", "k"), ("tls.require_client_certificate", "true")],
        ] {
            assert!(read("127.0.0.1:1", set).is_err(), "{set:?}");
        }
    }
}
