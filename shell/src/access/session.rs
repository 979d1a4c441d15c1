//! Sessions of browsers: a random name in a cookie that stands for a token
//! which was shown once. Kept in memory and as hashes; a session ends with its
//! token, without use, with age, or with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{COOKIE, ORIGIN};
use sha2::{Digest as _, Sha256};

/// Nobody used it for so long.
pub const IDLE_MAX: Duration = Duration::from_hours(12);
/// However much it was used.
const AGE_MAX: Duration = Duration::from_hours(24 * 7);
const SESSIONS_MAX: usize = 10_000;
const NAME: &str = "pulse_session";
/// Browsers take it only over TLS, for this host and all its paths.
const NAME_SECURE: &str = "__Host-pulse_session";

type Hash = [u8; 32];

/// Names a session to those who have let it in, and to nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionId(Hash);

#[derive(Debug)]
pub(super) struct Sessions {
    open: Mutex<BTreeMap<Hash, Session>>,
    secure: bool,
}

#[derive(Clone, Debug)]
struct Session {
    /// Of its token.
    text_hash: String,
    opened_ms: u64,
    used_ms: u64,
}

impl Session {
    fn holds(&self, now_ms: u64) -> bool {
        let within = |from: u64, max: Duration| u128::from(now_ms.saturating_sub(from)) < max.as_millis();
        within(self.used_ms, IDLE_MAX) && within(self.opened_ms, AGE_MAX)
    }

    fn ends_ms(&self) -> u64 {
        let after = |from: u64, max: Duration| {
            from.saturating_add(u64::try_from(max.as_millis()).unwrap_or(u64::MAX))
        };
        after(self.used_ms, IDLE_MAX).min(after(self.opened_ms, AGE_MAX))
    }
}

impl Sessions {
    /// `secure`: the port speaks TLS.
    pub(super) fn new(secure: bool) -> Self {
        Self { open: Mutex::default(), secure }
    }

    /// The cookie of a new session for the token with this hash, asked for with these headers.
    pub(super) fn open(&self, text_hash: &str, headers: &HeaderMap, now_ms: u64) -> String {
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let session = Session { text_hash: text_hash.to_owned(), opened_ms: now_ms, used_ms: now_ms };
        let mut open = self.locked();
        open.retain(|_, session| session.holds(now_ms));
        while open.len() >= SESSIONS_MAX {
            let Some(oldest) = open.iter().min_by_key(|(_, session)| session.used_ms).map(|(hash, _)| *hash)
            else {
                break;
            };
            open.remove(&oldest);
        }
        open.insert(hash(&name), session);
        self.cookie(&name, headers, AGE_MAX)
    }

    /// The shown session, and the hash of the token that it stands for. `uses`: that keeps it from ending.
    pub(super) fn find(&self, headers: &HeaderMap, now_ms: u64, uses: bool) -> Option<(SessionId, String)> {
        let hash = hash(shown(headers, self.name())?);
        let mut open = self.locked();
        let session = open.get_mut(&hash)?;
        if !session.holds(now_ms) {
            open.remove(&hash);
            return None;
        }
        if uses {
            session.used_ms = now_ms;
        }
        Some((SessionId(hash), session.text_hash.clone()))
    }

    /// When it ends if nobody uses it. `None`: it has ended.
    pub(super) fn ends(&self, SessionId(hash): &SessionId, now_ms: u64) -> Option<u64> {
        let open = self.locked();
        open.get(hash).filter(|session| session.holds(now_ms)).map(Session::ends_ms)
    }

    /// Ends it; the cookie that makes a browser forget it.
    pub(super) fn close(&self, headers: &HeaderMap) -> String {
        if let Some(name) = shown(headers, self.name()) {
            self.locked().remove(&hash(name));
        }
        self.cookie("", headers, Duration::ZERO)
    }

    const fn name(&self) -> &'static str {
        if self.secure { NAME_SECURE } else { NAME }
    }

    fn cookie(&self, value: &str, headers: &HeaderMap, age: Duration) -> String {
        let secure = if self.secure || is_over_tls(headers) { "; Secure" } else { "" };
        let age = age.as_secs();
        format!("{}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}", self.name())
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Hash, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a browser shows a session, be it a good one or not.
pub fn is_shown(headers: &HeaderMap) -> bool {
    [NAME, NAME_SECURE].iter().any(|name| shown(headers, name).is_some())
}

/// Whether a browser says that its page came over TLS, which something before this port may have ended.
pub fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

fn shown<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, value)| *known == name && !value.is_empty()).map(|(_, value)| value)
}

/// A name has 256 random bits, so a plain hash of it tells nothing, and looking it up tells nothing of others.
fn hash(name: &str) -> Hash {
    Sha256::digest(name.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn headers(cookie: &str) -> HeaderMap {
        let pair = cookie.split(';').next().unwrap_or_default();
        let value = format!("other=1; {pair}").parse().expect("a value");
        HeaderMap::from_iter([(COOKIE, value)])
    }

    fn find(sessions: &Sessions, headers: &HeaderMap, now_ms: u64) -> Option<String> {
        sessions.find(headers, now_ms, true).map(|(_, text_hash)| text_hash)
    }

    #[test]
    fn waiting_for_news_is_no_use_and_ends_with_the_session() {
        let hour = 3_600_000;
        let sessions = Sessions::new(false);
        let shown = headers(&sessions.open("hash", &HeaderMap::new(), NOW));
        let (id, _) = sessions.find(&shown, NOW + 11 * hour, false).expect("a session");
        assert_eq!(sessions.ends(&id, NOW + 11 * hour), Some(NOW + 12 * hour));
        assert_eq!(sessions.ends(&id, NOW + 12 * hour), None, "idle");
        assert!(sessions.find(&shown, NOW + 11 * hour, true).is_some());
        assert_eq!(sessions.ends(&id, NOW + 12 * hour), Some(NOW + 23 * hour), "used meanwhile");
        sessions.close(&shown);
        assert_eq!(sessions.ends(&id, NOW + 12 * hour), None, "ended");
    }

    #[test]
    fn a_session_lasts_while_it_is_used_and_not_for_ever() {
        let hour = 3_600_000;
        let sessions = Sessions::new(false);
        let cookie = sessions.open("hash", &HeaderMap::new(), NOW);
        let shown = headers(&cookie);
        assert!(is_shown(&shown));
        assert_eq!(find(&sessions, &shown, NOW + 11 * hour).as_deref(), Some("hash"));
        assert_eq!(find(&sessions, &shown, NOW + 22 * hour).as_deref(), Some("hash"), "used meanwhile");
        assert_eq!(find(&sessions, &shown, NOW + 35 * hour), None, "idle");
        let shown = headers(&sessions.open("hash", &HeaderMap::new(), NOW));
        for used in 1..17 {
            assert_eq!(find(&sessions, &shown, NOW + used * 10 * hour).is_some(), used * 10 < 168, "{used}");
        }
    }

    #[test]
    fn a_session_ends_where_it_is_ended_and_nobody_guesses_one() {
        let sessions = Sessions::new(true);
        let cookie = sessions.open("hash", &HeaderMap::new(), NOW);
        for part in ["__Host-pulse_session=", "Secure", "HttpOnly", "SameSite=Strict", "Path=/;"] {
            assert!(cookie.contains(part), "{part} in {cookie}");
        }
        let shown = headers(&cookie);
        assert_eq!(find(&sessions, &headers("__Host-pulse_session=abc"), NOW), None);
        assert_eq!(
            find(&sessions, &headers(&cookie.replace("__Host-", "")), NOW),
            None,
            "not over plain text"
        );
        assert!(find(&sessions, &shown, NOW).is_some());
        assert!(sessions.close(&shown).contains("Max-Age=0"));
        assert_eq!(find(&sessions, &shown, NOW), None);
    }

    #[test]
    fn a_page_that_came_over_tls_has_a_cookie_that_goes_over_tls_alone() {
        let sessions = Sessions::new(false);
        for (origin, expected) in [("https://pulse.example", true), ("http://127.0.0.1:7661", false)] {
            let asked = HeaderMap::from_iter([(ORIGIN, origin.parse().expect("a value"))]);
            let cookie = sessions.open("hash", &asked, NOW);
            assert_eq!(cookie.contains("; Secure"), expected, "{origin}");
            assert!(find(&sessions, &headers(&cookie), NOW).is_some(), "whoever ends TLS hands it on");
            assert_eq!(sessions.close(&asked).contains("; Secure"), expected, "{origin}");
        }
    }

    #[test]
    fn there_is_room_for_so_many() {
        let sessions = Sessions::new(false);
        let first = headers(&sessions.open("hash", &HeaderMap::new(), NOW));
        for _ in 0..SESSIONS_MAX {
            sessions.open("hash", &HeaderMap::new(), NOW + 1);
        }
        assert_eq!(sessions.locked().len(), SESSIONS_MAX);
        assert_eq!(find(&sessions, &first, NOW + 2), None, "the one that was not used for longest went");
    }
}
