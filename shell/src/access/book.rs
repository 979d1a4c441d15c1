//! The file of who may do what: tokens by hash, certificates and service accounts by
//! name. Written as a whole, for its owner alone; read by a running service as it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

use super::{Caller, Grant, token};
use crate::command::remedied;

pub const FILE_NAME: &str = "access.json";
const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const ENTRIES_MAX: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    pub id: String,
    pub name: String,
    pub hash: String,
    pub grant: Grant,
    pub created_unix_ms: u64,
    /// `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Book {
    version: u32,
    #[serde(default)]
    pub tokens: Vec<Token>,
    /// By the name in the certificate, as `dns:`, `uri:` or `email:`.
    #[serde(default)]
    pub certificates: BTreeMap<String, Grant>,
    /// By the subject, e.g. `system:serviceaccount:pulse:core`.
    #[serde(default)]
    pub service_accounts: BTreeMap<String, Grant>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            version: VERSION,
            tokens: Vec::new(),
            certificates: BTreeMap::new(),
            service_accounts: BTreeMap::new(),
        }
    }
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// Never made here, revoked, or not as it was made.
    Unknown,
    Expired,
}

impl Book {
    /// `None` when there is no file. A file that others could write is not believed.
    pub fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        let told = || format!("{} cannot be read", path.display());
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.with_context(told)?,
        };
        ensure!(metadata.len() <= FILE_BYTES_MAX, "{} is longer than {FILE_BYTES_MAX} bytes", path.display());
        let mode = metadata.permissions().mode();
        ensure!(
            mode & 0o022 == 0,
            "{} can be written by others (mode {:o}), who could give themselves any role; chmod 600 it",
            path.display(),
            mode & 0o777
        );
        Ok(Some(Self::parse(&fs::read(path).with_context(told)?).with_context(told)?))
    }

    /// Strict: what is not understood might have been a limit.
    pub fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let book: Self = serde_json::from_slice(text)?;
        ensure!(book.version == VERSION, "version {} is not known here; {VERSION} is", book.version);
        let entries = book.tokens.len() + book.certificates.len() + book.service_accounts.len();
        ensure!(entries <= ENTRIES_MAX, "more than {ENTRIES_MAX} entries");
        Ok(book)
    }

    /// Reads, changes and writes under a lock, so that two commands lose nothing of each other.
    pub fn change<T>(path: &Path, change: impl FnOnce(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.with_extension("lock"))
            .map_err(|error| {
                remedied(format!("cannot write beside {}: {error}", path.display()), "check data_dir")
            })?;
        lock.lock()?;
        let mut book = Self::read(path)?.unwrap_or_default();
        let done = change(&mut book)?;
        book.write(path)?;
        Ok(done)
    }

    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let told = || format!("cannot write {}", path.display());
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .with_context(told)?;
        file.write_all(&serde_json::to_vec_pretty(self)?).with_context(told)?;
        file.sync_all().with_context(told)?;
        fs::rename(&new, path).with_context(told)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).with_context(told)?;
        }
        Ok(())
    }

    /// Who shows this token.
    pub fn by_token(&self, text: &str, now_ms: u64) -> Result<Caller, BadToken> {
        let id = token::id_of(text).ok_or(BadToken::Unknown)?;
        let found = self.tokens.iter().find(|token| token.id == id).ok_or(BadToken::Unknown)?;
        if !token::is_it(text, &found.hash) {
            return Err(BadToken::Unknown);
        }
        if found.expires_unix_ms.is_some_and(|expires| now_ms >= expires) {
            return Err(BadToken::Expired);
        }
        let name = format!("token:{}/{}", found.id, found.name);
        Ok(Caller { name, grant: Some(found.grant.clone()) })
    }

    /// Who shows a certificate with these names: the first that is known.
    pub fn by_certificate(&self, names: &[String]) -> Option<Caller> {
        let (name, grant) = names.iter().find_map(|name| self.certificates.get_key_value(name))?;
        Some(Caller { name: format!("certificate:{name}"), grant: Some(grant.clone()) })
    }

    pub fn by_service_account(&self, subject: &str) -> Option<Caller> {
        let grant = self.service_accounts.get(subject)?;
        Some(Caller { name: format!("service-account:{subject}"), grant: Some(grant.clone()) })
    }

    /// Credentials that are limited by a label which is not among these, and that label.
    pub fn unkept_labels(&self, kept: Option<&BTreeSet<String>>) -> Vec<(String, &str)> {
        let tokens =
            self.tokens.iter().map(|token| (format!("token:{}/{}", token.id, token.name), &token.grant));
        let named = |kind: &'static str, map| {
            let map: &BTreeMap<String, Grant> = map;
            map.iter().map(move |(name, grant)| (format!("{kind}:{name}"), grant))
        };
        let certificates = named("certificate", &self.certificates);
        let all = tokens.chain(certificates).chain(named("service-account", &self.service_accounts));
        all.filter_map(|(name, grant)| Some((name, grant.unkept_label(kept)?))).collect()
    }

    /// Takes a token away. What is open with it ends.
    pub fn revoke(&mut self, id: &str) -> anyhow::Result<()> {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.id != id);
        if self.tokens.len() == before {
            bail!("no token has the id {id:?}; `tokens list` shows all");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::access::Role;

    fn grant(role: Role) -> Grant {
        Grant { role, labels: BTreeMap::new(), collector: None, connections: BTreeSet::new() }
    }

    fn token(expires_unix_ms: Option<u64>) -> (Token, String) {
        let (id, text) = token::make();
        let hash = token::hash(&text);
        let grant = grant(Role::Viewer);
        let kept = Token { id, name: "core".to_owned(), hash, grant, created_unix_ms: 1, expires_unix_ms };
        (kept, text.expose_secret().to_owned())
    }

    #[test]
    fn a_token_works_until_it_expires_or_is_revoked() {
        let (kept, text) = token(Some(100));
        let id = kept.id.clone();
        let mut book = Book { tokens: vec![kept], ..Book::default() };
        assert_eq!(book.by_token(&text, 99).expect("valid").name, format!("token:{id}/core"));
        assert_eq!(book.by_token(&text, 100), Err(BadToken::Expired));
        let mut bent = text.clone();
        let last = if bent.pop() == Some('A') { 'B' } else { 'A' };
        bent.push(last);
        assert_eq!(book.by_token(&bent, 99), Err(BadToken::Unknown));
        book.revoke(&id).expect("it was there");
        assert_eq!(book.by_token(&text, 99), Err(BadToken::Unknown));
        assert!(book.revoke(&id).is_err());
    }

    #[test]
    fn the_file_never_holds_a_token_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        assert_eq!(Book::read(&path).expect("no file is no error"), None);
        let (kept, text) = token(None);
        let written = Book::change(&path, |book| {
            book.tokens.push(kept);
            Ok(book.clone())
        });
        assert_eq!(Book::read(&path).expect("read"), Some(written.expect("written")));
        assert!(!fs::read_to_string(&path).expect("text").contains(&text));
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
        assert!(format!("{:#}", Book::read(&path).expect_err("anyone could write it")).contains("chmod"));
    }

    #[test]
    fn what_is_not_understood_is_not_passed_over() {
        for text in [
            "",
            "[]",
            r#"{"version":2}"#,
            r#"{"version":1,"certificates":{"dns:a":{"role":"root"}}}"#,
            r#"{"version":1,"certificates":{"dns:a":{"role":"viewer","label":{"a":"b"}}}}"#,
            r#"{"version":1,"more":true}"#,
        ] {
            assert!(Book::parse(text.as_bytes()).is_err(), "{text}");
        }
        let text = r#"{"version":1,"certificates":{"dns:a":{"role":"viewer","labels":{"a":"b"}}}}"#;
        let book = Book::parse(text.as_bytes()).expect("fine");
        let caller = book.by_certificate(&["dns:x".to_owned(), "dns:a".to_owned()]).expect("known");
        assert_eq!(caller.scope(), BTreeMap::from([("a".to_owned(), "b".to_owned())]));
        assert_eq!(book.by_certificate(&["dns:x".to_owned()]), None);
    }
}
