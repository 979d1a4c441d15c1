//! Whether a form was sent by a page of this console: what only such a page
//! knows, and what a browser says of where the request comes from.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, header};
use sha2::Sha256;

/// Of one process: pages from before a restart are read again before their forms are sent.
#[derive(Clone)]
pub struct Csrf([u8; 64]);

impl std::fmt::Debug for Csrf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Csrf(a key)")
    }
}

impl Default for Csrf {
    fn default() -> Self {
        Self(rand::random())
    }
}

impl Csrf {
    /// For the forms of a page that this caller sees.
    pub fn token(&self, caller: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(caller).finalize().into_bytes())
    }

    /// Takes as long for every text.
    pub fn is_it(&self, token: &str, caller: &str) -> bool {
        let token = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        self.mac(caller).verify_slice(&token).is_ok()
    }

    fn mac(&self, caller: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        mac.update(caller.as_bytes());
        mac
    }
}

/// Whether the browser, as far as it says so, sends this from a page of the same origin.
pub fn is_own(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let host = text(header::HOST.as_str()).or(authority);
    let origin = text(header::ORIGIN.as_str())
        .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, origin)| Some(origin) == host));
    site && origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (name.parse().expect("a name"), value.parse().expect("a value"))
        };
        all.iter().map(header).collect()
    }

    #[test]
    fn a_token_is_for_one_caller_of_one_process() {
        let csrf = Csrf::default();
        let token = csrf.token("token:1/ops");
        assert!(csrf.is_it(&token, "token:1/ops"));
        assert!(!csrf.is_it(&token, "token:2/ops") && !csrf.is_it("", "token:1/ops"));
        assert!(!Csrf::default().is_it(&token, "token:1/ops"));
        assert!(!format!("{csrf:?}").contains(&token));
    }

    #[test]
    fn a_form_of_another_page_is_seen_as_such() {
        let own = ("host", "pulse.example:7661");
        for (more, expected) in [
            (vec![], true),
            (vec![("origin", "https://pulse.example:7661")], true),
            (vec![("origin", "https://pulse.example:7661"), ("sec-fetch-site", "same-origin")], true),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "same-site")], false),
        ] {
            let all: Vec<_> = std::iter::once(own).chain(more.clone()).collect();
            assert_eq!(is_own(&headers(&all), None), expected, "{more:?}");
        }
        assert!(is_own(&headers(&[("origin", "https://a:1")]), Some("a:1")), "HTTP/2 has no host header");
    }
}
