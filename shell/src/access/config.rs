//! The settings `auth.*` and `limits.*`, read.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::Uri;

use super::book::FILE_NAME;
use super::issuer::Issuer;
use crate::settings::Settings;

/// Whether callers are asked who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As soon as there is a file of credentials, an authority of clients or a key set; before, only this machine is
    /// listened to.
    #[default]
    Auto,
    Required,
    Off,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub mode: Mode,
    pub file: PathBuf,
    pub jwt: Option<Jwt>,
    /// Calls of one address; 0: no limit.
    pub requests_per_second: u32,
    /// An address that others can reach is listened on.
    pub reachable: Vec<String>,
    /// Labels that what is seen can be limited to, since they keep things apart. `None`: any.
    pub scopes: Option<BTreeSet<String>>,
    /// Names by which browsers may call where nobody is asked who he is, beside addresses and localhost.
    pub hosts: Vec<String>,
}

/// Whose service accounts are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    pub keys: Keys,
    pub issuer: String,
    pub audience: String,
}

/// Where the keys are that check them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    File(PathBuf),
    Issuer(Issuer),
}

impl Config {
    pub fn read(settings: &mut Settings, data_dir: &Path, listens: &[(&str, SocketAddr)]) -> Self {
        let mode = settings.get("auth.mode", "auto, required or off", |text| match text {
            "auto" => Some(Mode::Auto),
            "required" => Some(Mode::Required),
            "off" => Some(Mode::Off),
            _ => None,
        });
        let file = settings.optional("auth.file", "a path", |text| Some(PathBuf::from(text)));
        let jwt = Jwt::read(settings);
        let per_second = settings.number("limits.requests_per_second", 0, 1_000_000);
        let reachable = listens.iter().filter(|(_, address)| !address.ip().is_loopback());
        Self {
            mode,
            file: file.unwrap_or_else(|| data_dir.join(FILE_NAME)),
            jwt,
            requests_per_second: u32::try_from(per_second).unwrap_or(u32::MAX),
            reachable: reachable.map(|(name, address)| format!("{name} {address}")).collect(),
            scopes: None,
            hosts: Vec::new(),
        }
    }

    #[must_use]
    pub fn with_hosts(self, hosts: Vec<String>) -> Self {
        Self { hosts, ..self }
    }

    #[must_use]
    pub fn with_scopes(self, labels: impl IntoIterator<Item = String>) -> Self {
        Self { scopes: Some(labels.into_iter().collect()), ..self }
    }
}

/// Of `auth.jwks_url`: the issuer says where its keys are.
const DISCOVER: &str = "discover";

impl Jwt {
    fn read(settings: &mut Settings) -> Option<Self> {
        let path = |text: &str| Some(PathBuf::from(text));
        let file = settings.optional("auth.jwks_file", "a path", path);
        let url = settings.optional("auth.jwks_url", "an https URL, or `discover`", |text| {
            if text == DISCOVER {
                return Some(None);
            }
            let url: Uri = text.parse().ok()?;
            (url.scheme_str() == Some("https") && url.authority().is_some()).then_some(Some(url))
        });
        let ca = settings.optional("auth.jwks_ca_file", "a path", path);
        let token = settings.optional("auth.jwks_token_file", "a path", path);
        let (issuer, audience) = (settings.text("auth.jwt_issuer"), settings.text("auth.jwt_audience"));
        if url.is_none() && (ca.is_some() || token.is_some()) {
            settings.problem("auth.jwks_ca_file and auth.jwks_token_file are for auth.jwks_url".to_owned());
        }
        let keys = match (file, url) {
            (None, None) => return None,
            (Some(_), Some(_)) => {
                settings
                    .problem("auth.jwks_file and auth.jwks_url say both where keys are: set one".to_owned());
                return None;
            }
            (Some(file), None) => Keys::File(file),
            (None, Some(keys)) => {
                if keys.is_none() && !issuer.starts_with("https://") {
                    let problem =
                        "auth.jwks_url = \"discover\" needs an auth.jwt_issuer that begins with https://";
                    settings.problem(problem.to_owned());
                }
                Keys::Issuer(Issuer { name: issuer.clone(), keys, ca, token })
            }
        };
        if issuer.is_empty() || audience.is_empty() {
            settings.problem(
                "auth.jwks_file and auth.jwks_url need auth.jwt_issuer and auth.jwt_audience".to_owned(),
            );
        }
        Some(Self { keys, issuer, audience })
    }
}
