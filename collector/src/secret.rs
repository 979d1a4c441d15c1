//! Secrets in a type that cannot be printed, and the credential a NAS accepts.
//!
//! Owns redaction of diagnostics. Knows nothing of where secrets are stored or how they are sent.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

/// What is shown instead of a secret, everywhere.
pub const REDACTED: &str = "[redacted]";

/// Shorter secrets are still replaced as a whole; their parts are not, since they would match ordinary words.
const PART_CHARS_MIN: usize = 8;
/// So much of a secret is replaced where the rest of it was cut off.
const CUT_CHARS_MIN: usize = 8;

/// A text that is wiped on drop and prints as a fixed mark.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The one way to the value. Call it where the value leaves the process, nowhere else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// What a NAS accepts at login.
#[derive(Clone, Debug)]
pub enum Credential {
    ApiKey { username: Option<String>, key: Secret },
    Password { username: String, password: Secret },
}

impl Credential {
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::ApiKey { username, .. } => username.as_deref(),
            Self::Password { username, .. } => Some(username),
        }
    }

    /// Removes every form of the secret from a diagnostic text, also one that was cut short.
    pub fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for form in self.forms() {
            out = without(&out, form.expose());
        }
        out
    }

    /// Longest first, so that a part never leaves the rest of the whole behind.
    fn forms(&self) -> Vec<Secret> {
        let mut raw: Vec<String> = Vec::new();
        match self {
            Self::ApiKey { key, .. } => {
                raw.push(key.expose().to_owned());
                if let Some((_, part)) = split_key(key.expose())
                    && part.len() >= PART_CHARS_MIN
                {
                    raw.push(part.to_owned());
                }
            }
            Self::Password { username, password } => {
                raw.push(format!("{username}:{}", password.expose()));
                raw.push(password.expose().to_owned());
            }
        }
        let mut forms: Vec<String> = raw.iter().flat_map(|value| encodings(value)).collect();
        forms.retain(|form| !form.is_empty());
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        forms.into_iter().map(Secret::new).collect()
    }
}

/// Replaces each run of `text` that begins as `form` does: the whole of it, or a beginning that is long enough to tell.
fn without(text: &str, form: &str) -> String {
    let least = form.char_indices().nth(CUT_CHARS_MIN).map_or(form.len(), |(at, _)| at);
    let Some(first) = text.find(&form[..least]) else { return text.to_owned() };
    let mut out = text[..first].to_owned();
    let mut rest = &text[first..];
    while let Some(at) = rest.find(&form[..least]) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let same = rest.chars().zip(form.chars()).take_while(|(a, b)| a == b);
        rest = &rest[same.map(|(c, _)| c.len_utf8()).sum()..];
        out.push_str(REDACTED);
    }
    out.push_str(rest);
    out
}

/// `<id>-<64 characters>` as TrueNAS makes keys; `None` when the text has another form.
pub fn split_key(key: &str) -> Option<(&str, &str)> {
    key.split_once('-').filter(|(id, part)| !id.is_empty() && !part.is_empty())
}

fn encodings(value: &str) -> [String; 6] {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    [
        value.to_owned(),
        STANDARD.encode(value),
        STANDARD_NO_PAD.encode(value),
        URL_SAFE_NO_PAD.encode(value),
        percent(value),
        quoted.trim_matches('"').to_owned(),
    ]
}

/// Percent-encoding with the unreserved set of RFC 3986 left as is.
pub(crate) fn percent(value: &str) -> String {
    use fmt::Write as _;
    value.bytes().fold(String::with_capacity(value.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "7-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01";

    fn key() -> Credential {
        Credential::ApiKey { username: Some("monitor".into()), key: Secret::new(KEY) }
    }

    #[test]
    fn never_prints() {
        let shown = format!("{:?} {:#?} {}", key(), key(), Secret::new(KEY));
        assert!(!shown.contains("AbCdEf"), "{shown}");
        assert!(shown.contains(REDACTED));
    }

    #[test]
    fn redacts_every_form() {
        let part = &KEY[2..];
        for form in [KEY.to_owned(), part.to_owned(), STANDARD.encode(KEY), URL_SAFE_NO_PAD.encode(part)] {
            let shown = key().redact(&format!("before {form} after"));
            assert_eq!(shown, format!("before {REDACTED} after"));
        }
        let password =
            Credential::Password { username: "root".into(), password: Secret::new("p@ss \"word\"/1") };
        for form in ["p@ss \"word\"/1", "p%40ss%20%22word%22%2F1", "p@ss \\\"word\\\"/1"] {
            assert_eq!(password.redact(form), REDACTED);
        }
        let basic = STANDARD.encode("root:p@ss \"word\"/1");
        assert_eq!(password.redact(&format!("Basic {basic}")), format!("Basic {REDACTED}"));
    }

    #[test]
    fn a_secret_that_was_cut_short_is_no_less_secret() {
        for length in CUT_CHARS_MIN..KEY.len() {
            let shown = key().redact(&format!("error: {} {}", &KEY[..length], &KEY[2..length.max(12)]));
            assert_eq!(shown, format!("error: {REDACTED} {REDACTED}"), "{length}");
        }
        let twice = key().redact(&format!("{KEY}{KEY}, {}", &KEY[..20]));
        assert_eq!(twice, format!("{REDACTED}{REDACTED}, {REDACTED}"));
    }

    #[test]
    fn leaves_other_text() {
        assert_eq!(key().redact("nothing to hide, id 7-"), "nothing to hide, id 7-");
        let empty = Credential::Password { username: "u".into(), password: Secret::new("") };
        assert_eq!(empty.redact("abc"), "abc");
    }
}
