//! Takes over the connections that Pulse keeps in `truenas.enc` beside its `.encryption.key`.
//!
//! Reads only. What this collector would not accept from an operator it does not accept from there either.

use std::path::Path;

use aes_gcm::aead::Aead as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pulse_proto::model::UnixMillis;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::settings::Settings;
use super::store::{StoreError, read_bounded};
use super::validate::{self, POLL_SECONDS_MAX, POLL_SECONDS_MIN, Raw, Violations};
use crate::secret::Secret;

/// As Pulse names them.
pub const CONNECTIONS_FILE: &str = "truenas.enc";
pub const KEY_FILE: &str = ".encryption.key";

const NONCE_BYTES: usize = 12;
const KEY_FILE_BYTES_MAX: u64 = 4_096;
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the key file is not 32 bytes in base64")]
    Key,
    #[error("the connections cannot be opened with this key")]
    WrongKey,
    #[error("the connections are not encrypted")]
    Plaintext,
    #[error("the connections do not have the form that Pulse writes")]
    Form,
    #[error("{0} is not there")]
    Missing(String),
    #[error(transparent)]
    File(#[from] StoreError),
}

impl ImportError {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Key | Self::WrongKey => "give the .encryption.key that stood beside truenas.enc",
            Self::Plaintext => "let Pulse save its connections once more: it encrypts them then",
            Self::Form => "give the truenas.enc of Pulse 6",
            Self::Missing(_) => "give the data folder of Pulse, /etc/pulse or /data",
            Self::File(error) => error.remedy(),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub struct Imported {
    pub connections: Vec<Settings>,
    pub refused: Vec<Refused>,
}

/// One connection that this collector does not accept.
#[derive(Debug)]
pub struct Refused {
    pub name: String,
    pub why: Violations,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    port: u32,
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    use_https: Option<bool>,
    #[serde(default)]
    insecure_skip_verify: bool,
    #[serde(default)]
    fingerprint: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    poll_interval_seconds: u32,
    #[serde(default)]
    monitor_datasets: Option<bool>,
    #[serde(default)]
    monitor_pools: Option<bool>,
    #[serde(default)]
    monitor_replication: Option<bool>,
}

/// What Pulse's scope flags leave out here.
const DATASETS: [&str; 2] = ["datasets", "snapshots"];
const POOLS: [&str; 3] = ["pools", "boot", "scrubs"];
const REPLICATION: [&str; 1] = ["replications"];

impl Instance {
    /// Pulse takes all three false for a record from before there were such flags, and so for none of them.
    fn disabled_sections(&self) -> Vec<String> {
        let flags = [
            (self.monitor_datasets, &DATASETS[..]),
            (self.monitor_pools, &POOLS),
            (self.monitor_replication, &REPLICATION),
        ];
        let off = |flag: Option<bool>| flag == Some(false);
        if flags.iter().all(|(flag, _)| off(*flag)) {
            return Vec::new();
        }
        let left_out = flags.iter().filter(|(flag, _)| off(*flag)).flat_map(|(_, names)| names.iter());
        left_out.map(|name| (*name).to_owned()).collect()
    }
}

/// Reads both files below Pulse's data folder. Blocking.
pub fn read_folder(folder: &Path, now: UnixMillis) -> Result<Imported, ImportError> {
    read_files(&folder.join(CONNECTIONS_FILE), &folder.join(KEY_FILE), now)
}

/// Blocking.
pub fn read_files(connections: &Path, key: &Path, now: UnixMillis) -> Result<Imported, ImportError> {
    let read = |path: &Path, limit| {
        read_bounded(path, limit)?.ok_or_else(|| ImportError::Missing(path.display().to_string()))
    };
    let key = Zeroizing::new(read(key, KEY_FILE_BYTES_MAX)?);
    decode(&read(connections, FILE_BYTES_MAX)?, &key, now)
}

/// From the bytes of `truenas.enc` and of `.encryption.key`.
pub fn decode(sealed: &[u8], key: &[u8], now: UnixMillis) -> Result<Imported, ImportError> {
    // Pulse takes an empty file for an empty list.
    if sealed.is_empty() {
        return Ok(Imported { connections: Vec::new(), refused: Vec::new() });
    }
    let plain = open(sealed, key)?;
    let instances: Vec<Instance> = serde_json::from_slice(&plain).map_err(|_| ImportError::Form)?;
    let mut imported = Imported { connections: Vec::new(), refused: Vec::new() };
    for instance in instances {
        let (id, raw) = (instance.id.clone(), raw(instance));
        let name = raw.name.clone();
        let made = validate::connection_id(&id)
            .map_err(|violation| Violations(vec![violation]))
            .and_then(|id| validate::validate(raw, id, now));
        match made {
            Ok(settings) => imported.connections.push(settings),
            Err(why) => imported.refused.push(Refused { name, why }),
        }
    }
    Ok(imported)
}

fn open(sealed: &[u8], key: &[u8]) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let key = STANDARD.decode(key.trim_ascii()).map(Zeroizing::new).map_err(|_| ImportError::Key)?;
    let cipher = Aes256Gcm::new_from_slice(&key).map_err(|_| ImportError::Key)?;
    let opened = sealed
        .split_first_chunk::<NONCE_BYTES>()
        .and_then(|(nonce, content)| cipher.decrypt(&(*nonce).into(), content).ok());
    match opened {
        Some(plain) => Ok(Zeroizing::new(plain)),
        None if sealed.trim_ascii().starts_with(b"[") => Err(ImportError::Plaintext),
        None => Err(ImportError::WrongKey),
    }
}

/// Pulse's habits in this collector's words.
fn raw(instance: Instance) -> Raw {
    let disabled_sections = instance.disabled_sections();
    let Instance { name, host, fingerprint, api_key, password, .. } = instance;
    let given = |secret: Option<String>| secret.filter(|text| !text.is_empty()).map(Secret::new);
    let api_key = given(api_key);
    Raw {
        name: if name.trim().is_empty() { host.clone() } else { name },
        // A scheme in the host overrides the flag.
        use_https: if host.contains("://") { None } else { instance.use_https },
        port: instance.port,
        // Pulse needs both for a self-signed certificate; here the pin is enough, and stricter.
        insecure_skip_verify: instance.insecure_skip_verify && fingerprint.trim().is_empty(),
        ca_pem: String::new(),
        username: instance.username,
        // The API key wins when there are both.
        password: if api_key.is_some() { None } else { given(password) },
        api_key,
        enabled: instance.enabled,
        poll_interval_seconds: match instance.poll_interval_seconds {
            0 => 0,
            seconds => seconds.clamp(POLL_SECONDS_MIN, POLL_SECONDS_MAX),
        },
        labels: std::collections::BTreeMap::new(),
        disabled_sections,
        host,
        fingerprint,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connection::settings::Tls;
    use crate::secret::Credential;

    /// Bytes 0 to 31.
    const KEY: &str = include_str!("../../../fixtures/pulse/.encryption.key");

    /// Three connections sealed by Python's `cryptography` (OpenSSL): nonce, ciphertext, tag.
    fn sealed() -> Vec<u8> {
        include_bytes!("../../../fixtures/pulse/truenas.enc").to_vec()
    }

    fn import(sealed: &[u8], key: &str) -> Result<Imported, ImportError> {
        decode(sealed, key.as_bytes(), UnixMillis::new(5))
    }

    #[test]
    fn takes_over_what_pulse_has() {
        let imported = import(&sealed(), &format!("{KEY}\n")).expect("opened");
        let [tank, second] = imported.connections.as_slice() else { panic!("{imported:?}") };
        assert_eq!(tank.id.as_str(), "6f1c2e9e-3c1f-4b38-9a80-6a5f0d8c3a55");
        assert_eq!((tank.name.as_str(), tank.host.as_str(), tank.port), ("Tank", "nas1.example", 443));
        assert_eq!(tank.tls, Tls::Pinned("ab".repeat(32).parse().expect("a pin")));
        assert_eq!(tank.poll_interval, Duration::from_secs(10));
        match &tank.credential {
            Credential::ApiKey { username: Some(user), key } => {
                assert_eq!((user.as_str(), key.expose()), ("pulse", "1-abcdefgh"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((second.name.as_str(), second.host.as_str()), ("https://nas2:8443", "nas2"));
        assert_eq!((second.port, second.enabled), (8443, false));
        match &second.credential {
            Credential::Password { username, password } => {
                assert_eq!((username.as_str(), password.expose()), ("root", "pass wörd"));
            }
            other @ Credential::ApiKey { .. } => panic!("{other:?}"),
        }
        assert_eq!(imported.refused.len(), 1);
        assert_eq!(imported.refused[0].name, "broken");
        assert_eq!(imported.refused[0].why.0[0].field, "host");
    }

    #[test]
    fn scope_flags_of_pulse_switch_sections_off() {
        let off = |flags: &str| {
            let instance = serde_json::from_str::<Instance>(&format!(r#"{{"id":"a","host":"nas"{flags}}}"#));
            raw(instance.expect("an instance")).disabled_sections
        };
        for (flags, expected) in [
            ("", &[][..]),
            (r#","monitorDatasets":true,"monitorPools":true,"monitorReplication":true"#, &[]),
            (
                r#","monitorDatasets":false,"monitorPools":true,"monitorReplication":true"#,
                &["datasets", "snapshots"],
            ),
            (
                r#","monitorDatasets":true,"monitorPools":false,"monitorReplication":true"#,
                &["pools", "boot", "scrubs"],
            ),
            (
                r#","monitorDatasets":false,"monitorPools":true,"monitorReplication":false"#,
                &["datasets", "snapshots", "replications"],
            ),
            // Older than the flags: nothing was meant by them.
            (r#","monitorDatasets":false,"monitorPools":false,"monitorReplication":false"#, &[]),
        ] {
            assert_eq!(off(flags), expected, "{flags}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let other = STANDARD.encode([9_u8; 32]);
        let mut tampered = sealed();
        tampered[40] ^= 1;
        for (sealed, key, expected) in [
            (sealed(), other.as_str(), "cannot be opened with this key"),
            (tampered, KEY, "cannot be opened with this key"),
            (sealed()[..20].to_vec(), KEY, "cannot be opened with this key"),
            (sealed(), "c2hvcnQ=", "32 bytes"),
            (sealed(), "no base64!", "32 bytes"),
            (b"[{\"id\":\"a\"}]".to_vec(), KEY, "not encrypted"),
        ] {
            let error = import(&sealed, key).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(import(b"", KEY).expect("an empty list").connections.is_empty());
    }

    #[test]
    fn reads_the_folder_of_pulse() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(matches!(read_folder(folder.path(), UnixMillis::new(5)), Err(ImportError::Missing(_))));
        std::fs::write(folder.path().join(CONNECTIONS_FILE), sealed()).expect("written");
        std::fs::write(folder.path().join(KEY_FILE), KEY).expect("written");
        assert_eq!(read_folder(folder.path(), UnixMillis::new(5)).expect("read").connections.len(), 2);
    }
}
