//! Takes out of a text what looks like a secret, under every policy: nobody is
//! meant to send one, but an alert or a comment can quote anything. Where a word
//! announces a secret, nothing of the text is shown from there on: nobody knows
//! where a password ends. What is a secret by its own shape costs its word.

use std::borrow::Cow;

/// Stands where a secret was.
pub(super) const REMOVED: &str = "(secret removed)";

/// What announces a secret, in any word that holds it; `_` is one of " _-" or nothing.
const KEYS: [&str; 20] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passwort",
    "kennwort",
    "pwd",
    "secret",
    "token",
    "api_key",
    "access_key",
    "private_key",
    "encryption_key",
    "account_key",
    "credential",
    "authorization",
    "session_id",
    "cookie",
    "signature",
    "wpa_psk",
];
/// The same as words of their own, before a sign of assignment.
const SHORT_KEYS: [&str; 9] = ["pass", "psk", "pw", "pin", "otp", "key", "auth", "sig", "community"];
/// The word after one of these is a secret, unless it is an ordinary one.
const SCHEMES: [&str; 3] = ["bearer", "basic", "digest"];
/// Words between what announces a secret and the secret: "password for user bob is".
const WORDS_BETWEEN_MAX: usize = 6;
/// After "is" and the like: these say something of a secret and not the secret.
const HARMLESS: [&str; 26] = [
    "required",
    "needed",
    "wrong",
    "invalid",
    "incorrect",
    "missing",
    "expired",
    "revoked",
    "not",
    "too",
    "empty",
    "about",
    "no",
    "unknown",
    "weak",
    "disabled",
    "enabled",
    "locked",
    "rejected",
    "refused",
    "denied",
    "changed",
    "reset",
    "set",
    "being",
    "going",
];
const LINKS: [&str; 8] = ["is", "was", "are", "were", "to", "as", "being", "be"];

/// How well-known tokens begin.
const PREFIXES: [&str; 26] = [
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "glrt-",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxs-",
    "xapp-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "npm_",
    "dop_v1_",
    "hvs.",
    "SG.",
    "eyJ",
    "AGE-SECRET-KEY-",
];
/// Shortest token that a well-known beginning gives away.
const PREFIXED_CHARS_MIN: usize = 16;
/// A word without a break that is this long and has letters and digits is nothing people wrote.
const RANDOM_CHARS_MIN: usize = 32;
/// The same where letters of both cases and digits are mixed all over.
const MIXED_CHARS_MIN: usize = 20;
const MIXED_TURNS_MIN: usize = 4;
/// Of a secret key of AWS.
const AWS_CHARS: usize = 40;
const PEM: &str = "-----BEGIN";

/// Of a text on one line, without invisible characters.
pub(super) fn without_secrets(text: &str) -> Cow<'_, str> {
    let end = [text.find(PEM), announced(text)].into_iter().flatten().min();
    let kept = &text[..end.unwrap_or(text.len())];
    if end.is_none() && !kept.split(' ').any(is_secret) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for (number, word) in kept.split(' ').enumerate() {
        if number > 0 {
            clean.push(' ');
        }
        clean.push_str(if is_secret(word) { REMOVED } else { word });
    }
    if end.is_some() {
        clean.push_str(REMOVED);
    }
    Cow::Owned(clean)
}

/// Whether what is called so is a secret.
pub(super) fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    KEYS.iter().any(|pattern| find(&key, pattern, 0).is_some())
        || SHORT_KEYS.iter().any(|short| key.split(|c: char| !c.is_alphanumeric()).any(|word| word == *short))
}

/// Where the first secret begins that a word announces.
fn announced(text: &str) -> Option<usize> {
    // What was taken out before is a value and no key.
    let lower = text.to_ascii_lowercase().replace(REMOVED, &"~".repeat(REMOVED.len()));
    let long = KEYS.iter().filter_map(|key| first(&lower, key, |end| value_after_key(&lower, end)));
    let short = SHORT_KEYS.iter().filter_map(|key| {
        first(&lower, key, |end| {
            is_word(&lower, end - key.len(), end).then(|| assigned(&lower, end)).flatten()
        })
    });
    let schemes = SCHEMES.iter().filter_map(|scheme| {
        first(&lower, scheme, |end| {
            let at = end + lower[end..].strip_prefix(' ')?.find(|c| c != ' ')? + 1;
            let is_own = is_word(&lower, end - scheme.len(), end);
            (is_own && !is_ordinary(word_at(text, at))).then_some(at)
        })
    });
    long.chain(short).chain(schemes).min()
}

/// The first place of the pattern after which a secret stands.
fn first(lower: &str, pattern: &str, value: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    let mut from = 0;
    while let Some(end) = find(lower, pattern, from) {
        if let Some(at) = value(end) {
            return Some(at);
        }
        from = end;
    }
    None
}

/// Where the next place of the pattern ends.
fn find(lower: &str, pattern: &str, from: usize) -> Option<usize> {
    let Some((head, tail)) = pattern.split_once('_') else {
        return lower[from..].find(pattern).map(|at| from + at + pattern.len());
    };
    let mut from = from;
    while let Some(at) = lower[from..].find(head) {
        let end = from + at + head.len();
        let rest = &lower[end..];
        let gap = usize::from(rest.starts_with([' ', '_', '-']));
        if rest[gap..].starts_with(tail) {
            return Some(end + gap + tail.len());
        }
        from = end;
    }
    None
}

fn is_word(lower: &str, start: usize, end: usize) -> bool {
    let is_part = |c: char| c.is_alphanumeric();
    !lower[..start].ends_with(is_part) && !lower[end..].starts_with(is_part)
}

/// Where the value begins that is assigned to what ends here.
fn assigned(lower: &str, end: usize) -> Option<usize> {
    const AROUND: [char; 8] = [' ', '"', '\'', '`', ')', ']', '}', '>'];
    let is_tag = || lower[..end].rfind('<').is_some_and(|at| !lower[at + 1..].starts_with('/'));
    if let Some(value) = lower[end..].strip_prefix('>').filter(|value| !value.is_empty() && is_tag()) {
        return Some(lower.len() - value.len());
    }
    let rest = lower[end..].trim_start_matches(AROUND);
    let value =
        rest.strip_prefix(":=").or_else(|| rest.strip_prefix("=>")).or_else(|| rest.strip_prefix("->"));
    let value = value.or_else(|| rest.strip_prefix(['=', ':']))?;
    let value = value.trim_start_matches([' ', '"', '\'', '`', '=', ':', '(', '[', '{', '<']);
    (!value.is_empty()).then_some(lower.len() - value.len())
}

/// Where the value begins that the key ending here announces.
fn value_after_key(lower: &str, end: usize) -> Option<usize> {
    // `secret_access_key`, `passwords`: the rest of an identifier.
    let is_part = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let whole = lower.len() - lower[end..].trim_start_matches(is_part).len();
    if let Some(at) = assigned(lower, whole) {
        return Some(at);
    }
    let end = if lower[end..].starts_with('s') { end + 1 } else { end };
    let rest = &lower[end..];
    let unspaced = rest.trim_start_matches(' ');
    if let Some(value) = unspaced.strip_prefix(['"', '\'', '`']).filter(|value| !value.is_empty()) {
        return (unspaced.len() < rest.len()).then_some(lower.len() - value.len());
    }
    if unspaced.len() == rest.len() {
        return None;
    }
    let mut at = lower.len() - unspaced.len();
    if !is_ordinary(word_at(lower, at)) || is_option(lower, end) {
        return Some(at);
    }
    for _ in 0..WORDS_BETWEEN_MAX {
        let word = word_at(lower, at);
        let next = at + word.len();
        if word.ends_with([':', '=']) || ["->", "=>"].contains(&word) {
            let value = lower[next..].trim_start_matches([' ', '"', '\'', '`']);
            return (!value.is_empty()).then_some(lower.len() - value.len());
        }
        if let Some(sign) = word.find(['=', ':']) {
            return Some(at + sign + 1);
        }
        if word.is_empty() || word.ends_with(['.', ',', ';', '!', '?']) {
            return None;
        }
        at = lower.len() - lower[next..].trim_start_matches(' ').len();
        if LINKS.contains(&word) && !HARMLESS.contains(&word_at(lower, at).trim_end_matches(['.', ',', ';']))
        {
            return (at < lower.len()).then_some(at);
        }
    }
    None
}

/// `--password hunter`.
fn is_option(lower: &str, end: usize) -> bool {
    lower[..end].rsplit(' ').next().is_some_and(|word| word.starts_with('-'))
}

fn word_at(text: &str, at: usize) -> &str {
    text[at..].split(' ').next().unwrap_or_default()
}

/// A word of a sentence: letters, and a sign at its end.
fn is_ordinary(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ',', ':', ';', '=', '!', '?', ')']);
    let letters = word.trim_start_matches('(');
    letters.chars().all(|c| c.is_alphabetic() || c == '-' || c == '/')
        && !letters.chars().skip(1).any(char::is_uppercase)
}

/// By its shape alone.
fn is_secret(word: &str) -> bool {
    has_userinfo(word)
        || word.split(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).any(is_prefixed)
        || word.split(|c: char| !(c.is_ascii_alphanumeric() || "+=_".contains(c))).any(is_random)
        || word.split(|c: char| !(c.is_ascii_alphanumeric() || "+=/".contains(c))).any(is_base64)
}

/// `scheme://user@`, `user:password@`.
fn has_userinfo(word: &str) -> bool {
    let Some((before, _)) = word.rsplit_once('@') else { return false };
    let user = before.split_once("://").map(|(_, user)| user);
    user.is_some_and(|user| !user.is_empty())
        || before.split_once(':').is_some_and(|(user, password)| !user.is_empty() && !password.is_empty())
}

fn is_prefixed(part: &str) -> bool {
    part.len() >= PREFIXED_CHARS_MIN && PREFIXES.iter().any(|prefix| part.starts_with(prefix))
}

fn is_random(part: &str) -> bool {
    let has = |test: fn(&u8) -> bool| part.bytes().any(|byte| test(&byte));
    let both = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    part.len() >= RANDOM_CHARS_MIN && both || part.len() >= MIXED_CHARS_MIN && is_mixed(part)
}

/// Letters of both cases and digits all over.
fn is_mixed(part: &str) -> bool {
    let has = |test: fn(&u8) -> bool| part.bytes().any(|byte| test(&byte));
    let turns =
        part.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit());
    has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && turns.count() >= MIXED_TURNS_MIN
}

/// Bytes in base64: a key of AWS, or with the signs at the end that nobody writes.
fn is_base64(part: &str) -> bool {
    let has = |test: fn(&u8) -> bool| part.bytes().any(|byte| test(&byte));
    let is_dense = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    is_dense && (part.len() == AWS_CHARS || part.len() >= MIXED_CHARS_MIN && part.ends_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_ordinary_texts_stay() {
        for text in [
            "no secrets here, tank/media is full",
            "auto-2026-11-28_00-00 of tank/very/long/path/of/datasets/12345",
            "d9a1b1c2-0a1b-4c3d-8e4f-123456789abc",
            "ata-WDC_WD40EFRX-68N32N0_WD-WCC4E1234567",
            "MyBackupServer2024Production",
            "Password authentication failed for user bob",
            "the password is wrong",
            "API key was revoked",
            "token expired, basic functions work",
            "ssh: bob@attic: no route to host",
            "tank/passwords/2024 is full",
            "bypass: on, compass: off",
            "key rotation due",
        ] {
            assert_eq!(without_secrets(text), text);
        }
        for (text, expected) in [
            ("login with password=hunter2 failed", "login with password=(secret removed)"),
            ("password: hunter2, user: bob", "password: (secret removed)"),
            ("the password is hunter2", "the password is (secret removed)"),
            ("The password for user bob is hunter", "The password for user bob is (secret removed)"),
            ("password of root was changed to hunter", "password of root was changed to (secret removed)"),
            ("run with --password hunter", "run with --password (secret removed)"),
            ("passphrase: correct horse battery staple", "passphrase: (secret removed)"),
            ("password 'correct horse'", "password '(secret removed)"),
            (r#"{"api_key": "a, b & c <d>", "x": 1}"#, r#"{"api_key": "(secret removed)"#),
            ("secret_access_key => abc", "secret_access_key => (secret removed)"),
            ("Authorization: Bearer abc.def", "Authorization: (secret removed)"),
            ("sent Bearer abc.d3f", "sent Bearer (secret removed)"),
            ("<token>abc</token>", "<token>(secret removed)"),
            ("psk=abc", "psk=(secret removed)"),
            ("PASS = abc", "PASS = (secret removed)"),
            ("API Key abc1 refused", "API Key (secret removed)"),
            ("push to https://bob:hunter2@nas/x failed", "push to (secret removed) failed"),
            ("push to bob:hunter2@nas failed", "push to (secret removed) failed"),
            ("key 1-AbC4567890AbC4567890AbC4567890AbC4567890 seen", "key (secret removed) seen"),
            ("1-AbC4567890AbC4567890AbC4567890AbC4567890 seen", "(secret removed) seen"),
            ("0123456789abcdef0123456789abcdef", "(secret removed)"),
            ("AKIAIOSFODNN7EXAMPLE", "(secret removed)"),
            ("found wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "found (secret removed)"),
            ("found x8Kd03mPq7Zt1VbN4yLw", "found (secret removed)"),
            ("x -----BEGIN RSA PRIVATE KEY----- abc", "x (secret removed)"),
        ] {
            let clean = without_secrets(text);
            assert_eq!(clean, expected, "{text}");
            assert_eq!(without_secrets(&clean), expected, "{text}");
        }
    }

    #[test]
    fn what_names_a_secret_is_known() {
        for (key, expected) in
            [("api-key", true), ("DB_PASSWORD", true), ("psk", true), ("site", false), ("keyboard", false)]
        {
            assert_eq!(names_secret(key), expected, "{key}");
        }
    }
}
