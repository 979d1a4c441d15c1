//! Decides about each call: what it needs by the table, who shows what, and
//! whether that is enough. Follows its files, and tells open calls when a
//! credential is gone.

use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::book::{BadToken, Book};
use super::config::{Config, Jwt, Mode};
use super::inside::Pass;
use super::pace::Pace;
use super::refusal::Refusal;
use super::service_account::ServiceAccounts;
use super::table::{self, Need, Row};
use super::{Caller, Grant, Role};
use crate::clock::now_unix_ms;
use crate::socket::Peer;

/// How soon a revocation holds.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const JWKS_BYTES_MAX: u64 = 1024 * 1024;

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
    pace: Option<Mutex<Pace>>,
    /// Counts changes of what is believed.
    changed: watch::Sender<u64>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("asks", &self.asks()).finish_non_exhaustive()
    }
}

impl Default for Guard {
    /// Asks nobody.
    fn default() -> Self {
        Self::of(false, Book::default(), None, 0)
    }
}

impl Guard {
    fn of(asks: bool, book: Book, accounts: Option<ServiceAccounts>, per_second: u32) -> Self {
        Self(Arc::new(Inner {
            asks: AtomicBool::new(asks),
            book: ArcSwap::from_pointee(book),
            accounts: ArcSwapOption::from(accounts.map(Arc::new)),
            pace: (per_second > 0).then(|| Mutex::new(Pace::new(per_second))),
            changed: watch::Sender::new(0),
        }))
    }

    /// Reads the files and follows them until `stop`. Fails when others could call without being asked anything.
    pub async fn open(config: &Config, has_client_ca: bool, stop: CancellationToken) -> anyhow::Result<Self> {
        let wanted = config.clone();
        let (book, accounts) = tokio::task::spawn_blocking(move || load(&wanted)).await??;
        let found = book.is_some() || accounts.is_some() || has_client_ca;
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
        let guard = Self::of(asks, book.unwrap_or_default(), accounts, config.requests_per_second);
        tokio::spawn(guard.clone().follow(config.clone(), stop));
        Ok(guard)
    }

    fn asks(&self) -> bool {
        self.0.asks.load(Ordering::Acquire)
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
        let (caller, credential) = self.identify(knock, now_ms)?;
        who.clone_from(&caller.name);
        let Some(grant) = &caller.grant else { return Err(Refusal::BadCredential) };
        suffices(grant, needs, row)?;
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
        suffices(grant, needs, row)?;
        Ok(admitted.caller.clone())
    }

    /// A token that is shown counts, and nothing beside it: a bad one is not made good by a certificate.
    fn identify(&self, knock: Knock<'_>, now_ms: u64) -> Result<(Caller, Credential), Refusal> {
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
                let (subject, expires_unix_ms) = accounts.verify(text, now_ms).map_err(bad)?;
                let caller = book.by_service_account(&subject);
                let caller = caller.ok_or_else(|| Refusal::NoGrant(format!("service account {subject}")))?;
                Ok((caller, Credential::ServiceAccount { subject, expires_unix_ms }))
            }
            (Some(_), Some(_)) => Err(Refusal::BadCredential),
            (None, _) => {
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

fn suffices(Grant { role, labels, .. }: &Grant, needs: Role, row: Row) -> Result<(), Refusal> {
    if !role.allows(needs) {
        return Err(Refusal::Role { has: *role, needs });
    }
    if !labels.is_empty() && !row.scoped {
        return Err(Refusal::Scoped);
    }
    Ok(())
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

type Believed = (Option<Book>, Option<ServiceAccounts>);

fn load(config: &Config) -> anyhow::Result<Believed> {
    let (book, keys) = read(config)?;
    let accounts = match (&config.jwt, keys) {
        (Some(Jwt { jwks, issuer, audience }), Some(keys)) => {
            let parsed = ServiceAccounts::parse(&keys, issuer, audience);
            Some(parsed.with_context(|| format!("auth.jwks_file {}", jwks.display()))?)
        }
        _ => None,
    };
    Ok((book, accounts))
}

fn read(config: &Config) -> anyhow::Result<(Option<Book>, Option<Vec<u8>>)> {
    let keys = config.jwt.as_ref().map(|jwt| read_keys(&jwt.jwks)).transpose()?;
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
mod tests {
    use http::HeaderValue;
    use secrecy::ExposeSecret as _;
    use tonic::Code;
    use tonic_types::StatusExt as _;

    use super::*;
    use crate::access::book::Token;
    use crate::access::token;

    const LIST: &str = "/pulse.registry.v1.ResourceService/ListResources";
    const CREATE: &str = "/pulse.collector.v1.ConnectionService/CreateConnection";
    const NOW: u64 = 1_000_000;

    fn grant(role: Role) -> Grant {
        serde_json::from_value(serde_json::json!({ "role": role })).expect("a grant")
    }

    fn peer(address: [u8; 4], names: &[&str]) -> Peer {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Peer { address: (address, 7).into(), names: names.into() }
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (AUTHORIZATION, HeaderValue::from_str(text).expect("a value"));
        values.iter().map(value).collect::<Vec<_>>().into_iter().fold(
            HeaderMap::new(),
            |mut map, (key, value)| {
                map.append(key, value);
                map
            },
        )
    }

    fn with_token(role: Role) -> (Book, String) {
        let (id, text) = token::make();
        let hash = token::hash(&text);
        let name = "core".to_owned();
        let kept = Token { id, name, hash, grant: grant(role), created_unix_ms: 0, expires_unix_ms: None };
        let mut book = Book::default();
        book.tokens.push(kept);
        book.certificates.insert("uri:spiffe://pulse/core".to_owned(), grant(Role::Viewer));
        (book, format!("Bearer {}", text.expose_secret()))
    }

    #[test]
    fn who_is_asked_shows_one_good_credential() {
        let (book, text) = with_token(Role::Admin);
        let guard = Guard::of(true, book, None, 0);
        let known = peer([10, 0, 0, 1], &["dns:x", "uri:spiffe://pulse/core"]);
        let unknown = peer([10, 0, 0, 1], &["dns:x"]);
        let bare = peer([10, 0, 0, 1], &[]);
        let by = |path, values: &[&str], peer| {
            let headers = headers(values);
            let knock = Knock { port: Port::Grpc, path, headers: &headers, peer: Some(peer) };
            guard
                .admit_at(knock, NOW, &mut String::new())
                .map(|admitted| admitted.caller.name)
                .map_err(|refusal| refusal.reason())
        };
        assert!(by(CREATE, &[&text], &bare).expect("an admin").ends_with("/core"));
        assert_eq!(by(LIST, &[], &known).as_deref(), Ok("certificate:uri:spiffe://pulse/core"));
        for (path, values, peer, reason) in [
            (LIST, &[][..], &bare, "NO_CREDENTIAL"),
            (LIST, &[], &unknown, "NO_GRANT"),
            (CREATE, &[], &known, "ROLE_MISSING"),
            // A certificate does not make up for a bad token, nor one of two for the other.
            (LIST, &["Bearer pulse_nonsense"], &known, "BAD_CREDENTIAL"),
            (LIST, &["Basic cHVsc2U6cHVsc2U="], &known, "BAD_CREDENTIAL"),
            (LIST, &[&text, "Bearer x"], &known, "BAD_CREDENTIAL"),
            ("/pulse.registry.v1.ResourceService/NoSuchMethod", &[&text], &bare, "NO_SUCH_METHOD"),
            ("/metrics", &[&text], &bare, "NO_SUCH_METHOD"),
        ] {
            assert_eq!(by(path, values, peer), Err(reason), "{path} {peer:?}");
        }
        assert_eq!(by("/grpc.health.v1.Health/Check", &[], &bare).as_deref(), Ok("anyone"));
    }

    #[test]
    fn who_calls_too_fast_is_told_when_to_come_back() {
        let (book, text) = with_token(Role::Viewer);
        let guard = Guard::of(true, book, None, 5);
        let headers = headers(&[&text]);
        let (loud, calm) = (peer([10, 0, 0, 1], &[]), peer([10, 0, 0, 2], &[]));
        let knock = |peer| {
            let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, peer: Some(peer) };
            guard.admit_at(knock, NOW, &mut String::new())
        };
        assert!((0..10).all(|_| knock(&loud).is_ok()));
        let status = knock(&loud).expect_err("too fast").status();
        assert_eq!(status.code(), Code::ResourceExhausted);
        let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
        assert_eq!(retry, Some(Duration::from_millis(200)));
        assert!(knock(&calm).is_ok());
    }

    #[test]
    fn a_call_from_inside_is_its_callers() {
        let (mut book, text) = with_token(Role::Viewer);
        let guard = Guard::of(true, book.clone(), None, 0);
        let headers = headers(&[&text]);
        let peer = peer([10, 0, 0, 1], &[]);
        let knock = Knock { port: Port::Http, path: "/mcp", headers: &headers, peer: Some(&peer) };
        let pass = Pass(guard.admit_at(knock, NOW, &mut String::new()).expect("let through"));
        let inside = |pass: Option<&Pass>, path| {
            let admitted = guard.admit_inside(pass, path);
            admitted.map(|caller| caller.name).map_err(|refusal| refusal.reason())
        };
        assert_eq!(inside(Some(&pass), LIST), Ok(pass.0.caller.name.clone()));
        assert_eq!(inside(Some(&pass), CREATE), Err("ROLE_MISSING"));
        assert_eq!(inside(Some(&pass), "/no.such.Service/Method"), Err("NO_SUCH_METHOD"));
        assert_eq!(inside(None, LIST), Err("NO_CREDENTIAL"), "nobody inside is trusted for being there");
        let labels = &mut book.tokens[0].grant.labels;
        labels.insert("customer".to_owned(), "a".to_owned());
        guard.0.book.store(Arc::new(book.clone()));
        assert_eq!(inside(Some(&pass), LIST), Err("BAD_CREDENTIAL"), "less than it was let in for");
        let pass = Pass(guard.admit_at(knock, NOW, &mut String::new()).expect("let through"));
        assert_eq!(inside(Some(&pass), LIST), Ok(pass.0.caller.name.clone()));
        let rules = "/pulse.registry.v1.AlertService/ListAlertRules";
        assert_eq!(inside(Some(&pass), rules), Err("CREDENTIAL_IS_SCOPED"));
    }

    #[test]
    fn what_is_open_ends_with_its_grant() {
        let (mut book, text) = with_token(Role::Operator);
        let guard = Guard::of(true, book.clone(), None, 0);
        let headers = headers(&[&text]);
        let peer = peer([10, 0, 0, 1], &[]);
        let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, peer: Some(&peer) };
        let admitted = guard.admit_at(knock, NOW, &mut String::new()).expect("let through");
        assert!(guard.still(&admitted));
        // Less than it was is not what the call was let through for.
        book.tokens[0].grant = grant(Role::Viewer);
        guard.0.book.store(Arc::new(book));
        assert!(!guard.still(&admitted));
    }
}
