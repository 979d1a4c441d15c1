//! Decides about each call: what it needs by the table, who shows what, and
//! whether that is enough. Follows its files, and tells open calls when a
//! credential is gone.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::book::{BadToken, Book};
use super::config::{Config, Jwt, Keys, Mode};
use super::inside::Pass;
use super::issuer::{self, Issuer};
use super::pace::Pace;
use super::refusal::Refusal;
use super::service_account::ServiceAccounts;
use super::session::Sessions;
use super::table::{self, Need, Row};
use super::{Caller, Grant, Role};
use crate::clock::now_unix_ms;
use crate::socket::Peer;

/// How soon a revocation holds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const JWKS_BYTES_MAX: u64 = issuer::BYTES_MAX as u64;
/// An issuer is asked again this often,
const ISSUER_INTERVAL: Duration = Duration::from_mins(10);
/// and where it failed, or a key is missing, so soon.
const ISSUER_PAUSE: Duration = Duration::from_secs(15);
/// Keys that an issuer has not confirmed for so long are no longer believed.
const KEYS_AGE_MAX: Duration = Duration::from_hours(24);

/// The port that a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Grpc,
    Http,
}

/// What is known of a call before it is let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knock<'a> {
    pub port: Port,
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub peer: Option<&'a Peer>,
}

/// A caller that was let through, and until when.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub caller: Caller,
    pub row: Row,
    pub credential: Credential,
}

/// What was shown; asked again while a call is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    None,
    Token { text_hash: String, expires_unix_ms: Option<u64> },
    Certificate(String),
    ServiceAccount { subject: String, expires_unix_ms: u64 },
}

/// Stands before every call.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    asks: AtomicBool,
    book: ArcSwap<Book>,
    accounts: ArcSwapOption<ServiceAccounts>,
    /// Somebody showed a token that a key signed which is not known.
    key_missing: Notify,
    pace: Option<Mutex<Pace>>,
    /// Counts changes of what is believed.
    changed: watch::Sender<u64>,
    sessions: Sessions,
    /// Labels that credentials may be limited to; `None`: any.
    scopes: Option<BTreeSet<String>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("asks", &self.asks()).finish_non_exhaustive()
    }
}

impl Default for Guard {
    /// Asks nobody.
    fn default() -> Self {
        Self::of(false, Book::default(), None, 0, Sessions::new(false), None)
    }
}

impl Guard {
    fn of(
        asks: bool,
        book: Book,
        accounts: Option<ServiceAccounts>,
        per_second: u32,
        sessions: Sessions,
        scopes: Option<BTreeSet<String>>,
    ) -> Self {
        Self(Arc::new(Inner {
            asks: AtomicBool::new(asks),
            book: ArcSwap::from_pointee(book),
            accounts: ArcSwapOption::from(accounts.map(Arc::new)),
            key_missing: Notify::new(),
            pace: (per_second > 0).then(|| Mutex::new(Pace::new(per_second))),
            changed: watch::Sender::new(0),
            sessions,
            scopes,
        }))
    }

    /// Reads the files and follows them until `stop`. Fails when others could call without being asked anything.
    pub async fn open(
        config: &Config,
        has_client_ca: bool,
        has_tls: bool,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let wanted = config.clone();
        let (book, accounts) = tokio::task::spawn_blocking(move || load(&wanted)).await??;
        let found = book.is_some() || config.jwt.is_some() || has_client_ca;
        let asks = match config.mode {
            Mode::Auto => found,
            Mode::Required => true,
            Mode::Off => false,
        };
        if !asks && !config.reachable.is_empty() {
            let where_ = config.reachable.join(", ");
            if config.mode == Mode::Auto {
                bail!(
                    "nobody would be asked who he is, and others can reach {where_}: make a credential with \
                     `tokens create`, set tls.client_ca_file, or say auth.mode = \"off\""
                );
            }
            warn!("AUTHENTICATION IS OFF: whoever can reach {where_} may do everything");
        } else if !asks {
            info!(
                "no credential is set up: whoever is on this machine may do everything; `tokens create` changes that"
            );
        }
        let guard = Self::of(
            asks,
            book.unwrap_or_default(),
            accounts,
            config.requests_per_second,
            Sessions::new(has_tls),
            config.scopes.clone(),
        );
        guard.tell_unkept();
        tokio::spawn(guard.clone().follow(config.clone(), stop.clone()));
        if let Some(jwt) = config.jwt.clone()
            && let Keys::Issuer(issuer) = jwt.keys.clone()
        {
            let mut known = Known::default();
            guard.ask(&issuer, &jwt, &mut known).await;
            tokio::spawn(guard.clone().follow_issuer(issuer, jwt, known, stop));
        }
        Ok(guard)
    }

    /// Says which credentials are refused for what they are limited by.
    fn tell_unkept(&self) {
        for (name, label) in self.0.book.load().unkept_labels(self.0.scopes.as_ref()) {
            warn!(
                credential = name,
                label,
                "A CREDENTIAL IS REFUSED: its label keeps nothing apart here; name it in merge.boundary_labels, or \
                 limit the credential by a label which stands there"
            );
        }
    }

    /// Whether callers are asked who they are.
    pub fn asks(&self) -> bool {
        self.0.asks.load(Ordering::Acquire)
    }

    /// The cookie of a new session for whoever shows this token, and his name; or why there is none.
    pub fn sign_in(&self, token: &str, headers: &HeaderMap) -> Result<(String, String), String> {
        let (now_ms, book) = (now_unix_ms(), self.0.book.load());
        let caller = book.by_token(token, now_ms).map_err(|why| bad(why).message())?;
        let id = super::token::id_of(token).unwrap_or_default();
        let kept = book.tokens.iter().find(|token| token.id == id).ok_or("the token is gone")?;
        let role = caller.grant.as_ref().map(|grant| grant.role);
        if let Some(has) = role.filter(|role| !role.allows(Role::Viewer)) {
            return Err(Refusal::Role { has, needs: Role::Viewer }.message());
        }
        Ok((self.0.sessions.open(&kept.hash, headers, now_ms), caller.name))
    }

    /// Ends the session that these headers show; the cookie that makes a browser forget it.
    pub fn sign_out(&self, headers: &HeaderMap) -> String {
        self.0.sessions.close(headers)
    }

    async fn follow(self, config: Config, stop: CancellationToken) {
        let mut told = String::new();
        let mut jwks = Vec::new();
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = stop.cancelled() => return,
            }
            let wanted = config.clone();
            let looked = tokio::task::spawn_blocking(move || read(&wanted)).await;
            let read = match looked {
                Ok(Ok(read)) => read,
                Ok(Err(problem)) => {
                    // What was believed before goes on; nothing new is.
                    let problem = format!("{problem:#}");
                    if problem != told {
                        error!(problem, "changed credentials cannot be used; the former ones hold");
                        told = problem;
                    }
                    continue;
                }
                Err(_panicked) => continue,
            };
            told.clear();
            let (book, keys) = read;
            let mut changes = false;
            if book.is_some() && config.mode == Mode::Auto && !self.0.asks.swap(true, Ordering::AcqRel) {
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
            if let (Some(jwt), Some(keys)) = (&config.jwt, keys)
                && keys != jwks
            {
                match ServiceAccounts::parse(&keys, &jwt.issuer, &jwt.audience) {
                    Ok(accounts) => {
                        self.0.accounts.store(Some(Arc::new(accounts)));
                        changes |= !jwks.is_empty();
                    }
                    Err(problem) => error!(
                        problem = format!("{problem:#}"),
                        "changed keys of service accounts cannot be used; the former ones hold"
                    ),
                }
                jwks = keys;
            }
            if changes {
                self.0.changed.send_modify(|changes| *changes += 1);
            }
        }
    }

    /// Asks the issuer now and then, and when a key is missing; not oftener than it can bear.
    async fn follow_issuer(self, issuer: Issuer, jwt: Jwt, mut known: Known, stop: CancellationToken) {
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
    async fn ask(&self, issuer: &Issuer, jwt: &Jwt, known: &mut Known) {
        let parse = |keys: &[u8]| ServiceAccounts::parse(keys, &jwt.issuer, &jwt.audience);
        let asked = issuer.fetch().await.and_then(|keys| Ok((parse(&keys)?, keys)));
        match asked {
            Ok((accounts, keys)) => {
                if known.keys != keys {
                    self.0.accounts.store(Some(Arc::new(accounts)));
                    self.0.changed.send_modify(|changes| *changes += 1);
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
                    self.0.changed.send_modify(|changes| *changes += 1);
                    error!(
                        issuer = issuer.name,
                        "keys of service accounts are too old: none is believed any more"
                    );
                }
            }
        }
    }

    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// `who` is told as far as it is known, also when he is refused.
    pub(super) fn admit(&self, knock: Knock<'_>, who: &mut String) -> Result<Admitted, Refusal> {
        self.admit_at(knock, now_unix_ms(), who)
    }

    fn admit_at(&self, knock: Knock<'_>, now_ms: u64, who: &mut String) -> Result<Admitted, Refusal> {
        let row = match knock.port {
            Port::Grpc => table::method(knock.path),
            Port::Http => table::route(knock.path),
        };
        let row = row.ok_or(Refusal::NoSuchPath)?;
        let open = |caller| Ok(Admitted { caller, row, credential: Credential::None });
        if !self.asks() {
            return open(Caller::anyone());
        }
        if let (Some(pace), Some(peer)) = (&self.0.pace, knock.peer) {
            let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.take(of_peer(peer.address.ip()), now_ms).map_err(Refusal::TooFast)?;
        }
        let needs = match row.need {
            Need::Open => return open(Caller::anyone()),
            Need::Role(needs) => needs,
        };
        let (caller, credential) = self.identify(knock, row, now_ms)?;
        who.clone_from(&caller.name);
        let Some(grant) = &caller.grant else { return Err(Refusal::BadCredential) };
        self.suffices(grant, needs, row)?;
        Ok(Admitted { caller, row, credential })
    }

    /// Of a call from inside this process, on behalf of whoever has that pass.
    pub(super) fn admit_inside(&self, pass: Option<&Pass>, path: &str) -> Result<Caller, Refusal> {
        let row = table::method(path).ok_or(Refusal::NoSuchPath)?;
        if !self.asks() {
            return Ok(Caller::anyone());
        }
        let Pass(admitted) = pass.ok_or(Refusal::NoCredential)?;
        if !self.still(admitted) {
            return Err(Refusal::BadCredential);
        }
        let Need::Role(needs) = row.need else { return Ok(admitted.caller.clone()) };
        let grant = admitted.caller.grant.as_ref().ok_or(Refusal::NoCredential)?;
        self.suffices(grant, needs, row)?;
        Ok(admitted.caller.clone())
    }

    /// A token that is shown counts, and nothing beside it: a bad one is not made good by a certificate.
    fn identify(&self, knock: Knock<'_>, row: Row, now_ms: u64) -> Result<(Caller, Credential), Refusal> {
        let mut shown = knock.headers.get_all(AUTHORIZATION).iter();
        let book = self.0.book.load();
        match (shown.next(), shown.next()) {
            (Some(value), None) => {
                let text = value.to_str().ok().and_then(bearer).ok_or(Refusal::BadCredential)?;
                if text.starts_with(super::token::PREFIX) {
                    let caller = book.by_token(text, now_ms).map_err(bad)?;
                    let id = super::token::id_of(text).unwrap_or_default();
                    let kept = book.tokens.iter().find(|token| token.id == id);
                    let kept = kept.ok_or(Refusal::BadCredential)?;
                    let (text_hash, expires_unix_ms) = (kept.hash.clone(), kept.expires_unix_ms);
                    return Ok((caller, Credential::Token { text_hash, expires_unix_ms }));
                }
                let accounts = self.0.accounts.load_full().ok_or(Refusal::BadCredential)?;
                if accounts.misses_key_of(text) {
                    self.0.key_missing.notify_one();
                }
                let (subject, expires_unix_ms) = accounts.verify(text, now_ms).map_err(bad)?;
                let caller = book.by_service_account(&subject);
                let caller = caller.ok_or_else(|| Refusal::NoGrant(format!("service account {subject}")))?;
                Ok((caller, Credential::ServiceAccount { subject, expires_unix_ms }))
            }
            (Some(_), Some(_)) => Err(Refusal::BadCredential),
            (None, _) => {
                // A browser shows it wherever it goes: it counts for pages alone.
                if row.page && knock.port == Port::Http && super::session::is_shown(knock.headers) {
                    return self.by_session(&book, knock.headers, now_ms);
                }
                let names = knock.peer.map(|peer| Arc::clone(&peer.names)).unwrap_or_default();
                if names.is_empty() {
                    return Err(Refusal::NoCredential);
                }
                let caller = book.by_certificate(&names);
                let caller = caller.ok_or_else(|| Refusal::NoGrant(format!("certificate {}", names[0])))?;
                let credential = Credential::Certificate(caller.name.clone());
                Ok((caller, credential))
            }
        }
    }

    /// The token that a session stands for, as it is now.
    fn by_session(
        &self,
        book: &Book,
        headers: &HeaderMap,
        now_ms: u64,
    ) -> Result<(Caller, Credential), Refusal> {
        let text_hash = self.0.sessions.find(headers, now_ms).ok_or(Refusal::Expired)?;
        let kept = book.tokens.iter().find(|token| token.hash == text_hash).ok_or(Refusal::BadCredential)?;
        let expires_unix_ms = kept.expires_unix_ms;
        if expires_unix_ms.is_some_and(|expires| now_ms >= expires) {
            return Err(Refusal::Expired);
        }
        let name = format!("token:{}/{}", kept.id, kept.name);
        let caller = Caller { name, grant: Some(kept.grant.clone()) };
        Ok((caller, Credential::Token { text_hash, expires_unix_ms }))
    }

    fn suffices(&self, grant: &Grant, needs: Role, row: Row) -> Result<(), Refusal> {
        let Grant { role, labels, .. } = grant;
        if let Some(label) = grant.unkept_label(self.0.scopes.as_ref()) {
            return Err(Refusal::ScopeNotKept(label.to_owned()));
        }
        if !role.allows(needs) {
            return Err(Refusal::Role { has: *role, needs });
        }
        if !labels.is_empty() && !row.scoped {
            return Err(Refusal::Scoped);
        }
        Ok(())
    }

    /// Whether a call that is open may go on.
    pub(super) fn still(&self, admitted: &Admitted) -> bool {
        let (book, now_ms) = (self.0.book.load(), now_unix_ms());
        let grant = match &admitted.credential {
            Credential::None => return !self.asks() || admitted.row.need == Need::Open,
            Credential::Token { text_hash, .. } => {
                let found = book.tokens.iter().find(|token| token.hash == *text_hash);
                found
                    .filter(|token| token.expires_unix_ms.is_none_or(|expires| now_ms < expires))
                    .map(|token| &token.grant)
            }
            Credential::Certificate(name) => book.certificates.get(name.trim_start_matches("certificate:")),
            Credential::ServiceAccount { subject, expires_unix_ms } => {
                book.service_accounts.get(subject).filter(|_| now_ms < *expires_unix_ms)
            }
        };
        grant == admitted.caller.grant.as_ref()
    }
}

impl Admitted {
    /// When the credential ends by itself.
    pub(super) fn ends_in(&self) -> Option<Duration> {
        let end = match &self.credential {
            Credential::Token { expires_unix_ms, .. } => *expires_unix_ms,
            Credential::ServiceAccount { expires_unix_ms, .. } => Some(*expires_unix_ms),
            Credential::None | Credential::Certificate(_) => None,
        };
        end.map(|end| Duration::from_millis(end.saturating_sub(now_unix_ms())))
    }
}

/// All addresses of one subscriber's IPv6 network are one.
fn of_peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

fn bad(token: BadToken) -> Refusal {
    match token {
        BadToken::Unknown => Refusal::BadCredential,
        BadToken::Expired => Refusal::Expired,
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, text) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| text.trim())
}

/// What an issuer told last.
#[derive(Default)]
struct Known {
    keys: Vec<u8>,
    told_at: Option<Instant>,
    failing: bool,
}

type Believed = (Option<Book>, Option<ServiceAccounts>);

fn load(config: &Config) -> anyhow::Result<Believed> {
    let (book, keys) = read(config)?;
    let accounts = match (&config.jwt, keys) {
        (Some(Jwt { issuer, audience, .. }), Some(keys)) => {
            Some(ServiceAccounts::parse(&keys, issuer, audience).context("auth.jwks_file")?)
        }
        _ => None,
    };
    Ok((book, accounts))
}

fn read(config: &Config) -> anyhow::Result<(Option<Book>, Option<Vec<u8>>)> {
    let keys = match config.jwt.as_ref().map(|jwt| &jwt.keys) {
        Some(Keys::File(path)) => Some(read_keys(path)?),
        Some(Keys::Issuer(_)) | None => None,
    };
    Ok((Book::read(&config.file)?, keys))
}

fn read_keys(path: &Path) -> anyhow::Result<Vec<u8>> {
    let told = || format!("auth.jwks_file {} cannot be read", path.display());
    if std::fs::metadata(path).with_context(told)?.len() > JWKS_BYTES_MAX {
        bail!("auth.jwks_file {} is longer than {JWKS_BYTES_MAX} bytes", path.display());
    }
    std::fs::read(path).with_context(told)
}

#[cfg(test)]
mod tests;
