//! One POST to one address, and what its answer means. The only part of this room that knows HTTP.
//!
//! Follows no redirect, reads no proxy from the environment, keeps little of an answer, and shows of an address no more
//! than its origin: what follows may be a secret.

use std::fmt;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Certificate, Proxy, StatusCode, Url, redirect};

use super::settings::Secret;

/// What is read and shown of an answer.
const ANSWER_BYTES_MAX: usize = 4_096;
const ANSWER_CHARS_SHOWN: usize = 200;

/// Where to send to. Prints as its origin.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("only http:// and https:// with a host are spoken".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL holds no user and no password: they have settings of their own".to_owned());
        }
        Ok(Self(url))
    }

    /// All of it, for telling one from another.
    pub fn whole(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, Debug)]
pub enum Auth {
    None,
    Basic { username: String, password: Secret },
    Bearer(Secret),
}

/// How an address is reached.
#[derive(Clone, Debug)]
pub struct Line {
    pub auth: Auth,
    /// One attempt, all in all.
    pub timeout: Duration,
    /// Trusted beside the system's own authorities.
    pub ca_pem: Option<String>,
    pub proxy: Option<String>,
}

impl Line {
    /// What of it cannot be used.
    pub fn check(&self) -> Result<(), String> {
        self.certificates()?;
        self.proxy().map(drop)
    }

    fn certificates(&self) -> Result<Vec<Certificate>, String> {
        let Some(pem) = &self.ca_pem else { return Ok(Vec::new()) };
        match Certificate::from_pem_bundle(pem.as_bytes()) {
            Ok(all) if !all.is_empty() => Ok(all),
            _ => Err("ca_file: there is no certificate in PEM in it".to_owned()),
        }
    }

    fn proxy(&self) -> Result<Option<Proxy>, String> {
        let parse = |url: &String| Proxy::all(url).map_err(|_| "proxy: not a URL".to_owned());
        self.proxy.as_ref().map(parse).transpose()
    }

    fn client(&self) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("pulse-registry/", env!("CARGO_PKG_VERSION")))
            .timeout(self.timeout);
        let certificates = self.certificates()?;
        if !certificates.is_empty() {
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(proxy) = self.proxy()? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| format!("no HTTP client can be made: {}", causes(&error)))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    /// It will not be taken, however often it is sent.
    Refused(String),
    /// It may be taken later.
    Failed {
        why: String,
        retry_after: Option<Duration>,
        /// It may have been taken all the same.
        in_doubt: bool,
    },
}

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    address: Address,
    auth: Auth,
}

impl Client {
    pub fn new(address: &Address, line: &Line) -> Result<Self, String> {
        Ok(Self { http: line.client()?, address: address.clone(), auth: line.auth.clone() })
    }

    pub async fn post(
        &self,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
        now: jiff::Timestamp,
    ) -> Outcome {
        let mut request =
            self.http.post(self.address.0.clone()).header(CONTENT_TYPE, "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request = match &self.auth {
            Auth::None => request,
            Auth::Basic { username, password } => request.basic_auth(username, Some(password.expose())),
            Auth::Bearer(token) => request.bearer_auth(token.expose()),
        };
        match request.send().await {
            Ok(response) => {
                let status = response.status();
                let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let asked = asked.and_then(|text| retry_after(text, now));
                sort(status, asked, &self.clean(&excerpt(response).await))
            }
            Err(error) => {
                // Without a connection nothing was sent.
                let in_doubt = !error.is_connect() && !error.is_builder();
                Outcome::Failed { why: causes(&error.without_url()), retry_after: None, in_doubt }
            }
        }
    }

    /// An answer may repeat what was sent.
    fn clean(&self, text: &str) -> String {
        match &self.auth {
            Auth::None => text.to_owned(),
            Auth::Basic { password: secret, .. } | Auth::Bearer(secret) => {
                text.replace(secret.expose(), "[redacted]")
            }
        }
    }
}

fn sort(status: StatusCode, retry_after: Option<Duration>, said: &str) -> Outcome {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let why = format!("status {}{said}", status.as_u16());
    match status.as_u16() {
        200..=299 => Outcome::Delivered,
        300..=399 => Outcome::Refused(format!("status {}: redirects are not followed", status.as_u16())),
        408 | 425 | 429 => Outcome::Failed { why, retry_after, in_doubt: false },
        400..=499 => Outcome::Refused(why),
        // Also the word of a proxy that knows as little as we do.
        _ => Outcome::Failed { why, retry_after, in_doubt: true },
    }
}

/// Seconds, or a date.
fn retry_after(text: &str, now: jiff::Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Duration::try_from(at.duration_since(now)).ok()
}

async fn excerpt(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.chars().filter(|c| !c.is_control()).take(ANSWER_CHARS_SHOWN).collect::<String>().trim().to_owned()
}

/// With what is behind it, which is what helps.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted() {
        let minute = Some(Duration::from_mins(1));
        for (status, want) in [
            (200, "delivered"),
            (204, "delivered"),
            (301, "refused"),
            (400, "refused"),
            (401, "refused"),
            (404, "refused"),
            (410, "refused"),
            (408, "failed"),
            (425, "failed"),
            (429, "failed"),
            (500, "in doubt"),
            (502, "in doubt"),
            (503, "in doubt"),
            (504, "in doubt"),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let got = match sort(status, minute, "no") {
                Outcome::Delivered => "delivered",
                Outcome::Refused(_) => "refused",
                Outcome::Failed { retry_after, in_doubt, .. } => {
                    assert_eq!(retry_after, minute);
                    if in_doubt { "in doubt" } else { "failed" }
                }
            };
            assert_eq!(got, want, "{status}");
        }
    }

    async fn posted(url: &str) -> Outcome {
        let line = Line { auth: Auth::None, timeout: Duration::from_millis(200), ca_pem: None, proxy: None };
        let client = Client::new(&Address::parse(url).expect("an address"), &line).expect("a client");
        client.post(&[], b"{}".to_vec(), jiff::Timestamp::UNIX_EPOCH).await
    }

    #[tokio::test]
    async fn what_was_sent_and_not_answered_is_in_doubt() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let is_in_doubt = |outcome| matches!(outcome, Outcome::Failed { in_doubt: true, .. });
        let is_not = |outcome| matches!(outcome, Outcome::Failed { in_doubt: false, .. });
        assert!(is_in_doubt(posted(&url).await), "it hangs");
        drop(listener);
        assert!(is_not(posted(&url).await), "nobody is there");
        assert!(is_not(posted("http://nowhere.invalid").await), "no such host");
    }

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_as_a_date() {
        let now: jiff::Timestamp = "1994-11-06T08:49:07Z".parse().expect("a time");
        for (text, want) in [
            ("120", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("soon", None),
            ("-5", None),
        ] {
            assert_eq!(retry_after(text, now), want.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn an_address_shows_its_origin_only() {
        let address =
            Address::parse("https://hooks.example:8443/T0/planted?token=planted").expect("an address");
        assert_eq!(format!("{address} {address:?}"), "https://hooks.example:8443 https://hooks.example:8443");
        for bad in ["", "hooks", "ftp://h", "file:///x", "http://user:pass@h", "http://user@h"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
