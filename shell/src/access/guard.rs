//! Decides about each call: what it needs by the table, who shows what, and
//! whether that is enough; tells open calls when a credential is gone.

mod follow;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::book::{BadToken, Book};
use super::config::{Config, Keys, Mode};
use super::inside::Pass;
use super::pace::Pace;
use super::refusal::Refusal;
use super::service_account::{ServiceAccounts, Signer};
use super::session::{SessionId, Sessions};
use super::table::{self, Need, Row};
use super::{Caller, Grant, Role, host};
use crate::audit;
use crate::audit::strangers::Strangers;
use crate::clock::now_unix_ms;
use crate::socket::Peer;
use crate::tls::shown::Shown;

/// Who shows nothing that is known here.
pub(super) const NOBODY: &str = "nobody";
const METRICS: &str = "/metrics";
/// Where pages hear of changes.
const LIVE: &str = "/console/live";
/// A call goes on so long at most on one showing of a token that others sign and that ends later, or never: only the
/// one who signs it could take it back.
const CALL_AGE_MAX: Duration = Duration::from_hours(24);

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
    /// Whom an HTTP/2 call is for.
    pub authority: Option<&'a str>,
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
    Token {
        text_hash: String,
        expires_unix_ms: Option<u64>,
    },
    /// In a browser, on behalf of a token.
    Session {
        id: SessionId,
        text_hash: String,
        expires_unix_ms: Option<u64>,
    },
    /// By one of its names.
    Certificate {
        name: String,
        shown: Shown,
    },
    ServiceAccount {
        subject: String,
        signer: Signer,
        expires_unix_ms: u64,
    },
}

impl Credential {
    fn of_service_account(subject: String, signer: Signer, expires_unix_ms: u64, now_ms: u64) -> Self {
        let latest = now_ms.saturating_add(u64::try_from(CALL_AGE_MAX.as_millis()).unwrap_or(u64::MAX));
        Self::ServiceAccount { subject, signer, expires_unix_ms: expires_unix_ms.min(latest) }
    }
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
    strangers: Mutex<Strangers>,
    /// Counts changes of what is believed.
    changed: watch::Sender<u64>,
    /// Names by which browsers may call where nobody is asked who he is.
    hosts: Vec<String>,
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
        Self::of(&Config::default(), false, (Book::default(), None), Sessions::new(false))
    }
}

impl Guard {
    fn of(
        config: &Config,
        asks: bool,
        (book, accounts): (Book, Option<ServiceAccounts>),
        sessions: Sessions,
    ) -> Self {
        let per_second = config.requests_per_second;
        Self(Arc::new(Inner {
            asks: AtomicBool::new(asks),
            book: ArcSwap::from_pointee(book),
            accounts: ArcSwapOption::from(accounts.map(Arc::new)),
            key_missing: Notify::new(),
            pace: (per_second > 0).then(|| Mutex::new(Pace::new(per_second))),
            strangers: Mutex::default(),
            changed: watch::Sender::new(0),
            hosts: config.hosts.clone(),
            sessions,
            scopes: config.scopes.clone(),
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
        let (book, accounts) = tokio::task::spawn_blocking(move || follow::load(&wanted)).await??;
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
        let believed = (book.unwrap_or_default(), accounts);
        let guard = Self::of(config, asks, believed, Sessions::new(has_tls));
        guard.tell_unkept();
        tokio::spawn(guard.clone().follow(config.clone(), stop.clone()));
        if let Some(jwt) = config.jwt.clone()
            && let Keys::Issuer(issuer) = jwt.keys.clone()
        {
            let mut known = follow::Known::default();
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

    /// Ends the session that these headers show, and what is open in it; the cookie that makes a browser forget it.
    pub fn sign_out(&self, headers: &HeaderMap) -> String {
        let cookie = self.0.sessions.close(headers);
        self.recheck();
        cookie
    }

    /// Has everything that is open asked once more whether it may go on.
    pub(crate) fn recheck(&self) {
        self.0.changed.send_modify(|changes| *changes += 1);
    }

    /// Whether a refusal of nobody in particular gets a line of its own in the audit log.
    pub(super) fn tells_stranger(&self, now_ms: u64) -> bool {
        self.tell_strangers(now_ms);
        self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner).take(now_ms)
    }

    /// Says how many had none.
    fn tell_strangers(&self, now_ms: u64) {
        let unwritten = self.0.strangers.lock().unwrap_or_else(PoisonError::into_inner).unwritten(now_ms);
        if let Some(count) = unwritten {
            let entry = audit::Entry {
                action: "refused without a line each",
                requested_by: NOBODY,
                peer: "",
                request_id: "",
                resource: "",
                subject: &format!("{count} more"),
                result: "REFUSED",
            };
            entry.write_apart();
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
        // Before anything else: being refused costs something, too.
        if let (Some(pace), Some(peer)) = (&self.0.pace, knock.peer) {
            let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.take(of_peer(peer.address.ip()), now_ms).map_err(Refusal::TooFast)?;
        }
        let row = match knock.port {
            Port::Grpc => table::method(knock.path),
            Port::Http => table::route(knock.path),
        };
        let row = row.ok_or(Refusal::NoSuchPath)?;
        let open = |caller| Ok(Admitted { caller, row, credential: Credential::None });
        if !self.asks() {
            // Pages and MCP say it in their own words.
            let says = knock.port == Port::Http && row.path == METRICS;
            if says && !host::is_known(knock.headers, knock.authority, &self.0.hosts) {
                return Err(Refusal::UnknownHost);
            }
            return open(Caller::anyone());
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
                let (subject, expires_unix_ms, signer) = accounts.verify(text, now_ms).map_err(bad)?;
                let caller = book.by_service_account(&subject);
                let caller = caller.ok_or_else(|| Refusal::NoGrant(format!("service account {subject}")))?;
                let credential = Credential::of_service_account(subject, signer, expires_unix_ms, now_ms);
                Ok((caller, credential))
            }
            (Some(_), Some(_)) => Err(Refusal::BadCredential),
            (None, _) => {
                // A browser shows it wherever it goes: it counts for pages alone.
                if row.page && knock.port == Port::Http && super::session::is_shown(knock.headers) {
                    return self.by_session(&book, knock, now_ms);
                }
                let shown = knock.peer.and_then(|peer| peer.shown.clone()).ok_or(Refusal::NoCredential)?;
                let name = shown.names().first().ok_or(Refusal::NoCredential)?;
                if now_ms >= shown.ends_unix_ms() {
                    return Err(Refusal::Expired);
                }
                if !shown.is_believed(now_ms) {
                    return Err(Refusal::BadCredential);
                }
                let caller = book.by_certificate(shown.names());
                let caller = caller.ok_or_else(|| Refusal::NoGrant(format!("certificate {name}")))?;
                let credential = Credential::Certificate { name: caller.name.clone(), shown };
                Ok((caller, credential))
            }
        }
    }

    /// The token that a session stands for, as it is now.
    fn by_session(
        &self,
        book: &Book,
        knock: Knock<'_>,
        now_ms: u64,
    ) -> Result<(Caller, Credential), Refusal> {
        // A page that only waits for news, and comes back for them by itself, uses nothing.
        let uses = knock.path != LIVE;
        let (id, text_hash) = self.0.sessions.find(knock.headers, now_ms, uses).ok_or(Refusal::Expired)?;
        let kept = book.tokens.iter().find(|token| token.hash == text_hash).ok_or(Refusal::BadCredential)?;
        let expires_unix_ms = kept.expires_unix_ms;
        if expires_unix_ms.is_some_and(|expires| now_ms >= expires) {
            return Err(Refusal::Expired);
        }
        let name = format!("token:{}/{}", kept.id, kept.name);
        let caller = Caller { name, grant: Some(kept.grant.clone()) };
        Ok((caller, Credential::Session { id, text_hash, expires_unix_ms }))
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

    /// When the credential ends by itself, as far as is known now.
    pub(super) fn ends_in(&self, admitted: &Admitted) -> Option<Duration> {
        let now_ms = now_unix_ms();
        let end = match &admitted.credential {
            Credential::Token { expires_unix_ms, .. } => *expires_unix_ms,
            Credential::Session { id, expires_unix_ms, .. } => {
                let session = self.0.sessions.ends(id, now_ms).unwrap_or(now_ms);
                Some(expires_unix_ms.map_or(session, |token| token.min(session)))
            }
            Credential::ServiceAccount { expires_unix_ms, .. } => Some(*expires_unix_ms),
            Credential::Certificate { shown, .. } => Some(shown.ends_unix_ms()),
            Credential::None => None,
        };
        end.map(|end| Duration::from_millis(end.saturating_sub(now_ms)))
    }

    /// Whether a call that is open may go on.
    pub(super) fn still(&self, admitted: &Admitted) -> bool {
        self.still_at(admitted, now_unix_ms())
    }

    fn still_at(&self, admitted: &Admitted, now_ms: u64) -> bool {
        let book = self.0.book.load();
        let by_hash = |text_hash: &str| {
            let found = book.tokens.iter().find(|token| token.hash == text_hash);
            let found = found.filter(|token| token.expires_unix_ms.is_none_or(|expires| now_ms < expires));
            found.map(|token| &token.grant)
        };
        let grant = match &admitted.credential {
            Credential::None => return !self.asks() || admitted.row.need == Need::Open,
            Credential::Token { text_hash, .. } => by_hash(text_hash),
            Credential::Session { id, text_hash, .. } => {
                by_hash(text_hash).filter(|_| self.0.sessions.ends(id, now_ms).is_some())
            }
            Credential::Certificate { name, shown } => {
                let grant = book.certificates.get(name.trim_start_matches("certificate:"));
                grant.filter(|_| shown.is_believed(now_ms))
            }
            Credential::ServiceAccount { subject, signer, expires_unix_ms } => {
                let signs = self.0.accounts.load().as_ref().is_some_and(|accounts| accounts.believes(signer));
                book.service_accounts.get(subject).filter(|_| signs && now_ms < *expires_unix_ms)
            }
        };
        grant == admitted.caller.grant.as_ref()
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

#[cfg(test)]
mod tests;
