//! The master keys: which one seals, and which older ones still open.
//!
//! A key's id is derived from it, so a wrong key is known as such before anything is opened.

use std::fmt;
use std::path::{Path, PathBuf};

use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::StoreError;
use super::file;
use crate::secret::Secret;

const KEY_FILE: &str = "collector.key";
const KEY_BYTES: usize = 32;
const KEY_ID_BYTES: usize = 8;
const KEYS_MAX: usize = 8;
const FILE_BYTES_MAX: u64 = 4_096;
const FILE_HEADER: &str = "# Opens the stored connections. Keep it secret, and keep a copy elsewhere.\n";
const ID_INFO: &[u8] = b"pulse-collector key id v1";
const SEAL_INFO: &str = "pulse-collector connection records v1 ";

/// Where the master key comes from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `collector.key` beside the store; made together with it.
    Beside,
    /// A file that somebody else keeps; never written.
    File(PathBuf),
    /// Base64 of 32 bytes; older keys, which only open, may follow after commas.
    Given(Secret),
}

/// Names a master key without telling it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyId(String);

impl KeyId {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

struct MasterKey {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl MasterKey {
    fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        use fmt::Write as _;
        let mut id = [0_u8; KEY_ID_BYTES];
        expand(&bytes, ID_INFO, &mut id);
        let id = id.iter().fold(String::new(), |mut out, byte| {
            let _infallible = write!(out, "{byte:02x}");
            out
        });
        Self { id: KeyId(id), bytes }
    }

    fn generate() -> Self {
        Self::new(Zeroizing::new(rand::random()))
    }

    fn cipher(&self) -> Aes256Gcm {
        let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
        expand(&self.bytes, format!("{SEAL_INFO}{}", self.id.0).as_bytes(), key.as_mut_slice());
        Aes256Gcm::new((&*key).into())
    }
}

/// The first key seals; all of them open.
pub(super) struct Keyring {
    keys: Vec<MasterKey>,
    /// Where it may be written to.
    file: Option<PathBuf>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id.as_str())).finish()
    }
}

impl Keyring {
    /// A key is made only where there is neither a key nor anything that an older one may have sealed.
    pub(super) fn open(
        folder: &Path,
        source: &KeySource,
        store: &Path,
        stored: bool,
    ) -> Result<Self, StoreError> {
        match source {
            KeySource::Given(text) => {
                Ok(Self { keys: parse(text.expose().split(','), "the given key")?, file: None })
            }
            KeySource::File(path) => match read(path)? {
                Some(keys) => Ok(Self { keys, file: None }),
                None => Err(StoreError::KeyFileMissing { path: path.clone() }),
            },
            KeySource::Beside => {
                let path = folder.join(KEY_FILE);
                match read(&path)? {
                    Some(keys) => Ok(Self { keys, file: Some(path) }),
                    None if stored => Err(StoreError::KeyMissing { store: store.to_owned(), key: path }),
                    None => {
                        let ring = Self { keys: vec![MasterKey::generate()], file: Some(path) };
                        ring.save()?;
                        Ok(ring)
                    }
                }
            }
        }
    }

    pub(super) fn active(&self) -> &KeyId {
        &self.keys[0].id
    }

    pub(super) fn sealer(&self) -> Aes256Gcm {
        self.keys[0].cipher()
    }

    /// `None` when the key is not on the ring.
    pub(super) fn opener(&self, id: &str) -> Option<Aes256Gcm> {
        self.keys.iter().find(|key| key.id.as_str() == id).map(MasterKey::cipher)
    }

    pub(super) fn has_retired(&self) -> bool {
        self.keys.len() > 1
    }

    /// Puts a new key before the old ones, on disk first.
    pub(super) fn rotate(&mut self) -> Result<(), StoreError> {
        if self.file.is_none() {
            return Err(StoreError::KeyNotOurs);
        }
        self.keys.insert(0, MasterKey::generate());
        self.keys.truncate(KEYS_MAX);
        self.save().inspect_err(|_| {
            self.keys.remove(0);
        })
    }

    /// Forgets every key but the first, where the file is ours.
    pub(super) fn retire(&mut self) -> Result<(), StoreError> {
        if self.file.is_none() || !self.has_retired() {
            return Ok(());
        }
        let retired = self.keys.split_off(1);
        self.save().inspect_err(|_| self.keys.extend(retired))
    }

    fn save(&self) -> Result<(), StoreError> {
        let Some(path) = &self.file else { return Err(StoreError::KeyNotOurs) };
        let mut text = Zeroizing::new(String::with_capacity(1_024));
        text.push_str(FILE_HEADER);
        for key in &self.keys {
            let mut line = STANDARD.encode(key.bytes.as_slice());
            text.push_str(&line);
            text.push('\n');
            line.zeroize();
        }
        file::replace(path, text.as_bytes(), FILE_BYTES_MAX)
    }
}

fn read(path: &Path) -> Result<Option<Vec<MasterKey>>, StoreError> {
    let Some(bytes) = file::read(path, FILE_BYTES_MAX)?.map(Zeroizing::new) else { return Ok(None) };
    if let Some(mode) = file::exposed(path) {
        return Err(StoreError::KeyExposed { path: path.to_owned(), mode });
    }
    let origin = path.display().to_string();
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| StoreError::KeyMalformed { origin: origin.clone(), why: "it is not text" })?;
    parse(text.lines(), &origin).map(Some)
}

fn parse<'a>(words: impl Iterator<Item = &'a str>, origin: &str) -> Result<Vec<MasterKey>, StoreError> {
    let malformed = |why| StoreError::KeyMalformed { origin: origin.to_owned(), why };
    let mut keys = Vec::new();
    for word in words.map(str::trim).filter(|word| !word.is_empty() && !word.starts_with('#')) {
        if keys.len() == KEYS_MAX {
            return Err(malformed("there are too many keys"));
        }
        let decoded = STANDARD.decode(word).map(Zeroizing::new).map_err(|_| malformed("it is not base64"))?;
        let mut bytes = Zeroizing::new([0_u8; KEY_BYTES]);
        if decoded.len() != KEY_BYTES {
            return Err(malformed("it is not 32 bytes long"));
        }
        bytes.copy_from_slice(&decoded);
        keys.push(MasterKey::new(bytes));
    }
    if keys.is_empty() { Err(malformed("it is empty")) } else { Ok(keys) }
}

fn expand(key: &[u8; KEY_BYTES], info: &[u8], out: &mut [u8]) {
    Hkdf::<Sha256>::new(None, key).expand(info, out).expect("a few bytes are within HKDF's limit");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_alike_and_print_no_bytes() {
        let text = STANDARD.encode([7_u8; KEY_BYTES]);
        let keys = parse([text.as_str(), "# word", ""].into_iter(), "test").unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].id, MasterKey::new(Zeroizing::new([7; KEY_BYTES])).id);
        assert_ne!(keys[0].id, MasterKey::generate().id);
        let ring = Keyring { keys, file: None };
        assert!(!format!("{ring:?}").contains(&text));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (text, why) in [
            ("", "it is empty"),
            ("# only this", "it is empty"),
            ("not base64!", "it is not base64"),
            ("c2hvcnQ=", "it is not 32 bytes long"),
        ] {
            match parse(text.lines(), "test") {
                Err(StoreError::KeyMalformed { why: found, .. }) => assert_eq!(found, why),
                other => panic!("{text:?}: {:?}", other.map(|keys| keys.len())),
            }
        }
    }
}
