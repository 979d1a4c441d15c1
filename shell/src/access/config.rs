//! The settings `auth.*` and `limits.*`, read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::book::FILE_NAME;
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
}

/// Whose service accounts are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwt {
    pub jwks: PathBuf,
    pub issuer: String,
    pub audience: String,
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
        let jwks = settings.optional("auth.jwks_file", "a path", |text| Some(PathBuf::from(text)));
        let (issuer, audience) = (settings.text("auth.jwt_issuer"), settings.text("auth.jwt_audience"));
        if jwks.is_some() && (issuer.is_empty() || audience.is_empty()) {
            settings.problem("auth.jwks_file needs auth.jwt_issuer and auth.jwt_audience".to_owned());
        }
        let per_second = settings.number("limits.requests_per_second", 0, 1_000_000);
        let reachable = listens.iter().filter(|(_, address)| !address.ip().is_loopback());
        Self {
            mode,
            file: file.unwrap_or_else(|| data_dir.join(FILE_NAME)),
            jwt: jwks.map(|jwks| Jwt { jwks, issuer, audience }),
            requests_per_second: u32::try_from(per_second).unwrap_or(u32::MAX),
            reachable: reachable.map(|(name, address)| format!("{name} {address}")).collect(),
        }
    }
}
