//! From what an operator typed to a connection that can be kept, or every reason why not.
//!
//! Pure. Knows no stored connection: whether a name is taken is the roster's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pulse_proto::model::{ConnectionId, SectionName, UnixMillis};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::address;
use super::settings::{Settings, Tls};
use crate::secret::{Credential, Secret};

/// What stands for a secret in every answer, and means "keep it" when it comes back.
pub const MASK: &str = "********";

pub const ID_CHARS_MAX: usize = 64;
pub const NAME_CHARS_MAX: usize = 128;
pub const USERNAME_CHARS_MAX: usize = 128;
pub const SECRET_BYTES_MAX: usize = 4_096;
pub const CA_BYTES_MAX: usize = 64 * 1024;
pub const POLL_SECONDS_DEFAULT: u32 = 60;
pub const POLL_SECONDS_MIN: u32 = 10;
pub const POLL_SECONDS_MAX: u32 = 86_400;
pub const LABELS_MAX: usize = 32;
pub const LABEL_KEY_CHARS_MAX: usize = 63;
pub const LABEL_VALUE_BYTES_MAX: usize = 255;
pub const SECTIONS_MAX: usize = 64;
const CERTIFICATES_MAX: usize = 64;

/// Before anything was checked. Fields as in the API.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    pub name: String,
    pub host: String,
    pub port: u32,
    pub use_https: Option<bool>,
    pub insecure_skip_verify: bool,
    pub fingerprint: String,
    pub ca_pem: String,
    pub username: String,
    pub api_key: Option<Secret>,
    pub password: Option<Secret>,
    pub enabled: Option<bool>,
    pub poll_interval_seconds: u32,
    pub labels: BTreeMap<String, String>,
    pub disabled_sections: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// As in the API, below the connection: `port`, `labels[site]`.
    pub field: String,
    pub message: String,
}

impl Violation {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(|v| format!("{}: {}", v.field, v.message)).collect::<Vec<_>>().join("; "))]
pub struct Violations(pub Vec<Violation>);

/// An id that a client chose.
pub fn connection_id(text: &str) -> Result<ConnectionId, Violation> {
    let short = text.chars().count() <= ID_CHARS_MAX;
    ConnectionId::parse(text)
        .ok()
        .filter(|_| short)
        .ok_or_else(|| Violation::new("id", "must be 1 to 64 of the characters A-Z a-z 0-9 . _ -"))
}

/// The connection, made now and in no store yet.
pub fn validate(raw: Raw, id: ConnectionId, now: UnixMillis) -> Result<Settings, Violations> {
    let mut wrong = Wrong(Vec::new());
    let name = name(&raw.name, &mut wrong);
    let (host, https, port) = address_of(&raw, &mut wrong);
    let tls = tls(&raw, https, &mut wrong);
    let credential = credential(&raw, https, &mut wrong);
    let poll_interval = poll_interval(raw.poll_interval_seconds, &mut wrong);
    labels(&raw.labels, &mut wrong);
    let disabled_sections = sections(&raw.disabled_sections, &mut wrong);
    match (credential, wrong.0.is_empty()) {
        (Some(credential), true) => Ok(Settings {
            id,
            name,
            host,
            port: port.unwrap_or_else(|| tls.default_port()),
            tls,
            credential,
            enabled: raw.enabled.unwrap_or(true),
            poll_interval,
            labels: raw.labels,
            scram_seen: false,
            disabled_sections,
            created_at: now,
            updated_at: now,
            revision: 0,
        }),
        _ => Err(Violations(wrong.0)),
    }
}

impl Raw {
    /// What an operator would have typed for a stored connection, its secret included.
    pub fn of(settings: &Settings) -> Self {
        let (username, api_key, password) = match &settings.credential {
            Credential::ApiKey { username, key } => {
                (username.clone().unwrap_or_default(), Some(key.clone()), None)
            }
            Credential::Password { username, password } => (username.clone(), None, Some(password.clone())),
        };
        Self {
            name: settings.name.clone(),
            host: settings.host.clone(),
            port: u32::from(settings.port),
            use_https: Some(settings.tls.is_on()),
            insecure_skip_verify: settings.tls == Tls::Insecure,
            fingerprint: match &settings.tls {
                Tls::Pinned(fingerprint) => fingerprint.to_string(),
                _ => String::new(),
            },
            ca_pem: match &settings.tls {
                Tls::Ca(pem) => pem.clone(),
                _ => String::new(),
            },
            username,
            api_key,
            password,
            enabled: Some(settings.enabled),
            poll_interval_seconds: u32::try_from(settings.poll_interval.as_secs()).unwrap_or(u32::MAX),
            labels: settings.labels.clone(),
            disabled_sections: settings.disabled_sections.iter().map(ToString::to_string).collect(),
        }
    }
}

struct Wrong(Vec<Violation>);

impl Wrong {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation::new(field, message));
    }
}

fn name(text: &str, wrong: &mut Wrong) -> String {
    let name = text.trim();
    if name.is_empty() {
        wrong.add("name", "is required");
    } else if name.chars().count() > NAME_CHARS_MAX {
        wrong.add("name", format!("must be at most {NAME_CHARS_MAX} characters long"));
    } else if name.chars().any(char::is_control) {
        wrong.add("name", "must not contain control characters");
    }
    name.to_owned()
}

fn address_of(raw: &Raw, wrong: &mut Wrong) -> (String, bool, Option<u16>) {
    let port = u16::try_from(raw.port);
    if port.is_err() {
        wrong.add("port", "must be between 1 and 65535, or 0 for the usual one");
    }
    let port = port.ok().filter(|port| *port > 0);
    let address = match address::parse(&raw.host) {
        Ok(address) => address,
        Err(why) => {
            wrong.add("host", why);
            return (String::new(), raw.use_https.unwrap_or(true), port);
        }
    };
    if let (Some(in_host), Some(beside)) = (address.port, port)
        && in_host != beside
    {
        wrong.add("port", format!("is {beside}, but the host names port {in_host}"));
    }
    if let (Some(in_host), Some(beside)) = (address.https, raw.use_https)
        && in_host != beside
    {
        wrong.add("use_https", "contradicts the scheme of the host");
    }
    let https = raw.use_https.or(address.https).unwrap_or(true);
    (address.host, https, port.or(address.port))
}

fn tls(raw: &Raw, https: bool, wrong: &mut Wrong) -> Tls {
    let fingerprint = raw.fingerprint.trim();
    let ca_pem = raw.ca_pem.trim();
    let given = [
        ("insecure_skip_verify", raw.insecure_skip_verify),
        ("fingerprint", !fingerprint.is_empty()),
        ("ca_pem", !ca_pem.is_empty()),
    ];
    let given: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(field, _)| *field).collect();
    if !https {
        for field in given {
            wrong.add(field, "makes no sense without use_https");
        }
        return Tls::Off;
    }
    if let [first, others @ ..] = given.as_slice() {
        for field in others {
            wrong.add(*field, format!("contradicts {first}: give one of them"));
        }
    }
    let mut tls = if raw.insecure_skip_verify { Tls::Insecure } else { Tls::SystemRoots };
    if !fingerprint.is_empty() {
        match fingerprint.parse() {
            Ok(fingerprint) => tls = Tls::Pinned(fingerprint),
            Err(_) => wrong.add("fingerprint", "must be a SHA-256 as 64 hex digits, with or without colons"),
        }
    }
    if !ca_pem.is_empty() {
        match check_ca(ca_pem) {
            Ok(()) => tls = Tls::Ca(ca_pem.to_owned()),
            Err(why) => wrong.add("ca_pem", why),
        }
    }
    tls
}

/// The text is shown to whoever may read connections, so a private key is refused.
fn check_ca(pem: &str) -> Result<(), String> {
    if pem.len() > CA_BYTES_MAX {
        return Err(format!("must be at most {CA_BYTES_MAX} bytes long"));
    }
    if pem.contains("PRIVATE KEY") {
        return Err("must hold certificates only, and never a private key".to_owned());
    }
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        if roots.len() == CERTIFICATES_MAX {
            return Err(format!("must hold at most {CERTIFICATES_MAX} certificates"));
        }
        let added = certificate.ok().map(|certificate| roots.add(certificate));
        if !matches!(added, Some(Ok(()))) {
            return Err(format!("certificate {} cannot be read", roots.len() + 1));
        }
    }
    if roots.is_empty() { Err("must hold at least one PEM certificate".to_owned()) } else { Ok(()) }
}

fn credential(raw: &Raw, https: bool, wrong: &mut Wrong) -> Option<Credential> {
    let username = username(&raw.username, wrong);
    let api_key = secret("api_key", raw.api_key.as_ref(), wrong);
    let password = secret("password", raw.password.as_ref(), wrong);
    match (api_key, password) {
        (Some(_), Some(_)) => {
            wrong.add("password", "contradicts api_key: give one of them");
            None
        }
        (Some(key), None) => Some(Credential::ApiKey { username, key }),
        (None, Some(password)) => {
            if !https {
                wrong.add("password", "is never sent without use_https; an API key can be");
            }
            if username.is_none() && raw.username.trim().is_empty() {
                wrong.add("username", "is required with a password");
            }
            username.map(|username| Credential::Password { username, password })
        }
        (None, None) => {
            if !wrong.0.iter().any(|violation| matches!(violation.field.as_str(), "api_key" | "password")) {
                wrong.add("api_key", "is required, or a password with a username");
            }
            None
        }
    }
}

fn username(text: &str, wrong: &mut Wrong) -> Option<String> {
    let text = text.trim();
    if text.chars().count() > USERNAME_CHARS_MAX {
        wrong.add("username", format!("must be at most {USERNAME_CHARS_MAX} characters long"));
        return None;
    }
    if text.chars().any(char::is_control) {
        wrong.add("username", "must not contain control characters");
        return None;
    }
    (!text.is_empty()).then(|| text.to_owned())
}

/// White space around an API key is a slip of pasting; in a password it may be meant.
fn secret(field: &'static str, given: Option<&Secret>, wrong: &mut Wrong) -> Option<Secret> {
    let given = given.filter(|secret| !secret.is_empty())?;
    let text = if field == "api_key" { given.expose().trim() } else { given.expose() };
    if text == MASK {
        wrong.add(field, "is the mask that stands for a stored secret, not a secret");
    } else if text.is_empty() {
        wrong.add(field, "must not be blank");
    } else if text.len() > SECRET_BYTES_MAX {
        wrong.add(field, format!("must be at most {SECRET_BYTES_MAX} bytes long"));
    } else if text.chars().any(char::is_control) || (field == "api_key" && text.contains(' ')) {
        wrong.add(field, "contains characters that a secret cannot have");
    } else {
        return Some(Secret::new(text));
    }
    None
}

fn poll_interval(seconds: u32, wrong: &mut Wrong) -> Duration {
    let seconds = if seconds == 0 { POLL_SECONDS_DEFAULT } else { seconds };
    if !(POLL_SECONDS_MIN..=POLL_SECONDS_MAX).contains(&seconds) {
        wrong.add(
            "poll_interval_seconds",
            format!(
                "must be between {POLL_SECONDS_MIN} and {POLL_SECONDS_MAX}, or 0 for {POLL_SECONDS_DEFAULT}"
            ),
        );
    }
    Duration::from_secs(u64::from(seconds))
}

fn labels(labels: &BTreeMap<String, String>, wrong: &mut Wrong) {
    if labels.len() > LABELS_MAX {
        wrong.add("labels", format!("must be at most {LABELS_MAX}"));
        return;
    }
    for (key, value) in labels {
        let shown: String = key.chars().filter(|c| !c.is_control()).take(LABEL_KEY_CHARS_MAX).collect();
        let field = format!("labels[{shown}]");
        let key_ok = (1..=LABEL_KEY_CHARS_MAX).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/-".contains(&b));
        if !key_ok {
            wrong.add(&field, "the key must be 1 to 63 of the characters a-z 0-9 . _ / -");
        }
        if value.len() > LABEL_VALUE_BYTES_MAX {
            wrong.add(&field, format!("the value must be at most {LABEL_VALUE_BYTES_MAX} bytes long"));
        } else if value.chars().any(char::is_control) {
            wrong.add(&field, "the value must not contain control characters");
        }
    }
}

/// Their form; whether there is such a section is for those to say who read them.
fn sections(names: &[String], wrong: &mut Wrong) -> BTreeSet<SectionName> {
    if names.len() > SECTIONS_MAX {
        wrong.add("disabled_sections", format!("must be at most {SECTIONS_MAX}"));
        return BTreeSet::new();
    }
    let mut parsed = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        match SectionName::parse(name) {
            Ok(name) => {
                parsed.insert(name);
            }
            Err(_) => wrong.add(format!("disabled_sections[{index}]"), "is not the name of a section"),
        }
    }
    parsed
}

#[cfg(test)]
mod tests;
