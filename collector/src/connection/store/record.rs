//! One connection as bytes, and those bytes sealed: nobody without the key reads, changes or moves them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use aes_gcm::aead::{Aead as _, Payload};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulse_proto::model::{ConnectionId, SectionName, UnixMillis};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::StoreError;
use super::keyring::Keyring;
use crate::connection::settings::{Settings, Tls};
use crate::secret::{Credential, Secret};

const NONCE_BYTES: usize = 12;
/// Ties a record to this format, its key and its id.
const BOUND_TO: &str = "pulse-collector connection record v1";

/// As it stands in the file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    pub(super) id: String,
    pub(super) key: String,
    nonce: String,
    sealed: String,
}

/// What is sealed. An unknown field fails the record, which is then kept as it is: a newer program wrote it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    name: Cow<'a, str>,
    host: Cow<'a, str>,
    port: u16,
    tls: PlainTls<'a>,
    credential: PlainCredential<'a>,
    enabled: bool,
    poll_interval_seconds: u64,
    labels: Cow<'a, BTreeMap<String, String>>,
    /// Left out when empty, so that an older program can read the record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    disabled_sections: Vec<Cow<'a, str>>,
    created_at_ms: u64,
    updated_at_ms: u64,
    revision: u64,
    /// Later than the rest: older files are without it, and so is what does not need it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    scram_seen: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlainTls<'a> {
    Off,
    SystemRoots,
    Ca(Cow<'a, str>),
    Pinned(String),
    Insecure,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlainCredential<'a> {
    ApiKey { username: Option<Cow<'a, str>>, key: Cow<'a, str> },
    Password { username: Cow<'a, str>, password: Cow<'a, str> },
}

pub(super) fn seal(settings: &Settings, ring: &Keyring) -> Result<Sealed, StoreError> {
    let plain = encode(settings)?;
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let key = ring.active().as_str().to_owned();
    let id = settings.id.as_str().to_owned();
    let payload = Payload { msg: &plain, aad: &bound_to(&key, &id) };
    let sealed = ring.sealer().encrypt(&nonce.into(), payload).map_err(|_| StoreError::Seal)?;
    Ok(Sealed { id, key, nonce: STANDARD.encode(nonce), sealed: STANDARD.encode(sealed) })
}

/// Fails with what is wrong with it, in words that tell nothing of its content.
pub(super) fn open(record: &Sealed, ring: &Keyring) -> Result<Settings, &'static str> {
    let id = ConnectionId::parse(&record.id).map_err(|_| "its id is malformed")?;
    let cipher = ring.opener(&record.key).ok_or("its key is not known")?;
    let nonce: [u8; NONCE_BYTES] = STANDARD
        .decode(&record.nonce)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or("its nonce is malformed")?;
    let sealed = STANDARD.decode(&record.sealed).map_err(|_| "its content is not base64")?;
    let payload = Payload { msg: &sealed, aad: &bound_to(&record.key, &record.id) };
    let plain = cipher
        .decrypt(&nonce.into(), payload)
        .map(Zeroizing::new)
        .map_err(|_| "it was changed or belongs elsewhere")?;
    decode(id, &plain).ok_or("it has another form than this version writes")
}

fn bound_to(key: &str, id: &str) -> Vec<u8> {
    format!("{BOUND_TO}\0{key}\0{id}").into_bytes()
}

fn encode(settings: &Settings) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let plain = Plain {
        name: Cow::Borrowed(&settings.name),
        host: Cow::Borrowed(&settings.host),
        port: settings.port,
        tls: match &settings.tls {
            Tls::Off => PlainTls::Off,
            Tls::SystemRoots => PlainTls::SystemRoots,
            Tls::Ca(pem) => PlainTls::Ca(Cow::Borrowed(pem)),
            Tls::Pinned(fingerprint) => PlainTls::Pinned(fingerprint.to_string()),
            Tls::Insecure => PlainTls::Insecure,
        },
        credential: match &settings.credential {
            Credential::ApiKey { username, key } => PlainCredential::ApiKey {
                username: username.as_deref().map(Cow::Borrowed),
                key: Cow::Borrowed(key.expose()),
            },
            Credential::Password { username, password } => PlainCredential::Password {
                username: Cow::Borrowed(username),
                password: Cow::Borrowed(password.expose()),
            },
        },
        enabled: settings.enabled,
        poll_interval_seconds: settings.poll_interval.as_secs(),
        labels: Cow::Borrowed(&settings.labels),
        disabled_sections: settings
            .disabled_sections
            .iter()
            .map(|name| Cow::Borrowed(name.as_str()))
            .collect(),
        created_at_ms: settings.created_at.get(),
        updated_at_ms: settings.updated_at.get(),
        revision: settings.revision,
        scram_seen: settings.scram_seen,
    };
    serde_json::to_vec(&plain).map(Zeroizing::new).map_err(|_| StoreError::Seal)
}

fn decode(id: ConnectionId, plain: &[u8]) -> Option<Settings> {
    let plain: Plain<'_> = serde_json::from_slice(plain).ok()?;
    Some(Settings {
        id,
        name: plain.name.into_owned(),
        host: plain.host.into_owned(),
        port: Some(plain.port).filter(|port| *port > 0)?,
        tls: match plain.tls {
            PlainTls::Off => Tls::Off,
            PlainTls::SystemRoots => Tls::SystemRoots,
            PlainTls::Ca(pem) => Tls::Ca(pem.into_owned()),
            PlainTls::Pinned(text) => Tls::Pinned(text.parse().ok()?),
            PlainTls::Insecure => Tls::Insecure,
        },
        credential: match plain.credential {
            PlainCredential::ApiKey { username, key } => Credential::ApiKey {
                username: username.map(Cow::into_owned),
                key: Secret::new(key.into_owned()),
            },
            PlainCredential::Password { username, password } => Credential::Password {
                username: username.into_owned(),
                password: Secret::new(password.into_owned()),
            },
        },
        enabled: plain.enabled,
        poll_interval: Some(Duration::from_secs(plain.poll_interval_seconds))
            .filter(|every| !every.is_zero())?,
        labels: plain.labels.into_owned(),
        disabled_sections: plain
            .disabled_sections
            .iter()
            .map(|name| SectionName::parse(name).ok())
            .collect::<Option<_>>()?,
        created_at: UnixMillis::new(plain.created_at_ms),
        updated_at: UnixMillis::new(plain.updated_at_ms),
        revision: plain.revision,
        scram_seen: plain.scram_seen,
    })
}
