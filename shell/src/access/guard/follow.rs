//! Follows what credentials are believed by: the file of them and the keys of service accounts, each for itself, so
//! that trouble with one keeps nothing alive in the other.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Guard;
use crate::access::book::Book;
use crate::access::config::{Config, Jwt, Keys, Mode};
use crate::access::issuer::{self, Issuer};
use crate::access::service_account::ServiceAccounts;
use crate::clock::now_unix_ms;

/// How soon a revocation holds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const JWKS_BYTES_MAX: u64 = issuer::BYTES_MAX as u64;
/// An issuer is asked again this often,
const ISSUER_INTERVAL: Duration = Duration::from_mins(10);
/// and where it failed, or a key is missing, so soon.
const ISSUER_PAUSE: Duration = Duration::from_secs(15);
/// Keys that an issuer has not confirmed for so long are no longer believed.
pub(super) const KEYS_AGE_MAX: Duration = Duration::from_hours(24);

/// What was last told of each file, so that it is told once.
#[derive(Default)]
struct Told {
    book: String,
    keys: String,
}

impl Guard {
    pub(super) async fn follow(self, config: Config, stop: CancellationToken) {
        let mut told = Told::default();
        let mut jwks = Vec::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            self.tell_strangers(now_unix_ms());
            let wanted = config.clone();
            let looked =
                tokio::task::spawn_blocking(move || (Book::read(&wanted.file), read_keys(&wanted))).await;
            let Ok((book, keys)) = looked else { continue };
            let book = read(book, &mut told.book, "changed credentials cannot be used; the former ones hold");
            let keys = read(
                keys,
                &mut told.keys,
                "keys of service accounts cannot be read; the former ones hold, and credentials go on to be followed",
            );
            let mut changes = book.is_some_and(|book| self.take_book(book, config.mode));
            if let (Some(jwt), Some(Some(keys))) = (&config.jwt, keys)
                && keys != jwks
            {
                changes |= self.take_keys(jwt, &keys);
                jwks = keys;
            }
            if changes {
                self.recheck();
            }
        }
    }

    /// Whether others are believed now.
    fn take_book(&self, book: Option<Book>, mode: Mode) -> bool {
        let mut changes = false;
        if book.is_some() && mode == Mode::Auto && !self.0.asks.swap(true, Ordering::AcqRel) {
            warn!("credentials are set up: from now on every caller is asked who he is");
            changes = true;
        }
        // A file that is gone takes everybody's credential away, and nobody is let in instead.
        let book = book.unwrap_or_default();
        if book != **self.0.book.load() {
            self.0.book.store(Arc::new(book));
            info!("credentials are reloaded");
            self.tell_unkept();
            changes = true;
        }
        changes
    }

    fn take_keys(&self, jwt: &Jwt, keys: &[u8]) -> bool {
        match ServiceAccounts::parse(keys, &jwt.issuer, &jwt.audience) {
            Ok(accounts) => {
                self.0.accounts.store(Some(Arc::new(accounts)));
                true
            }
            Err(problem) => {
                error!(
                    problem = format!("{problem:#}"),
                    "changed keys of service accounts cannot be used; the former ones hold"
                );
                false
            }
        }
    }

    /// Asks the issuer now and then, and when a key is missing; not oftener than it can bear.
    pub(super) async fn follow_issuer(
        self,
        issuer: Issuer,
        jwt: Jwt,
        mut known: Known,
        stop: CancellationToken,
    ) {
        loop {
            let rest = if known.failing { Duration::ZERO } else { ISSUER_INTERVAL };
            let pause = async {
                tokio::time::sleep(ISSUER_PAUSE).await;
                tokio::select! {
                    () = tokio::time::sleep(rest) => {}
                    () = self.0.key_missing.notified() => {}
                }
            };
            tokio::select! {
                () = pause => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.ask(&issuer, &jwt, &mut known) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// What was believed before goes on for a while where the issuer does not answer.
    pub(super) async fn ask(&self, issuer: &Issuer, jwt: &Jwt, known: &mut Known) {
        let parse = |keys: &[u8]| ServiceAccounts::parse(keys, &jwt.issuer, &jwt.audience);
        let asked = issuer.fetch().await.and_then(|keys| Ok((parse(&keys)?, keys)));
        match asked {
            Ok((accounts, keys)) => {
                if known.keys != keys {
                    self.0.accounts.store(Some(Arc::new(accounts)));
                    self.recheck();
                    info!(issuer = issuer.name, "keys of service accounts are those of the issuer");
                }
                *known = Known { keys, told_at: Some(Instant::now()), failing: false };
            }
            Err(problem) => {
                if !known.failing {
                    let problem = format!("{problem:#}");
                    error!(problem, issuer = issuer.name, "keys of service accounts cannot be asked for");
                }
                known.failing = true;
                let is_old = known.told_at.is_some_and(|at| at.elapsed() > KEYS_AGE_MAX);
                if is_old && self.0.accounts.swap(None).is_some() {
                    *known = Known { failing: true, ..Known::default() };
                    self.recheck();
                    error!(
                        issuer = issuer.name,
                        "keys of service accounts are too old: none is believed any more"
                    );
                }
            }
        }
    }
}

/// `None`: it cannot be read, which is told once. What was believed before goes on; nothing new is.
fn read<T>(found: anyhow::Result<T>, told: &mut String, what: &str) -> Option<T> {
    match found {
        Ok(found) => {
            told.clear();
            Some(found)
        }
        Err(problem) => {
            let problem = format!("{problem:#}");
            if problem != *told {
                error!(problem, "{what}");
                *told = problem;
            }
            None
        }
    }
}

/// What an issuer told last.
#[derive(Default)]
pub(super) struct Known {
    keys: Vec<u8>,
    pub(super) told_at: Option<Instant>,
    pub(super) failing: bool,
}

pub(super) type Believed = (Option<Book>, Option<ServiceAccounts>);

pub(super) fn load(config: &Config) -> anyhow::Result<Believed> {
    let (book, keys) = (Book::read(&config.file)?, read_keys(config)?);
    let accounts = match (&config.jwt, keys) {
        (Some(Jwt { issuer, audience, .. }), Some(keys)) => {
            Some(ServiceAccounts::parse(&keys, issuer, audience).context("auth.jwks_file")?)
        }
        _ => None,
    };
    Ok((book, accounts))
}

/// `None`: they are in no file.
fn read_keys(config: &Config) -> anyhow::Result<Option<Vec<u8>>> {
    match config.jwt.as_ref().map(|jwt| &jwt.keys) {
        Some(Keys::File(path)) => read_file(path).map(Some),
        Some(Keys::Issuer(_)) | None => Ok(None),
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let told = || format!("auth.jwks_file {} cannot be read", path.display());
    if std::fs::metadata(path).with_context(told)?.len() > JWKS_BYTES_MAX {
        bail!("auth.jwks_file {} is longer than {JWKS_BYTES_MAX} bytes", path.display());
    }
    std::fs::read(path).with_context(told)
}
