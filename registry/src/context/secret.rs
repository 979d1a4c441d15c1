//! Takes out of a text what looks like a secret, under every policy: nobody is
//! meant to send one, but an alert or a comment can quote anything.

use std::borrow::Cow;

/// Stands where a secret was.
pub(super) const REMOVED: &str = "(secret removed)";

/// What names a secret, anywhere in a key.
const KEYS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "private_key",
    "credential",
];
/// The word after one of these is a secret.
const SCHEMES: [&str; 2] = ["bearer", "basic"];
/// How well-known tokens begin.
const PREFIXES: [&str; 8] = ["AKIA", "ASIA", "ghp_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "eyJ"];
/// Shortest token that a well-known beginning gives away.
const PREFIXED_CHARS_MIN: usize = 16;
/// A word without a break that is this long and has letters and digits is nothing people wrote.
const RANDOM_CHARS_MIN: usize = 32;
const PEM: &str = "-----BEGIN";

pub(super) fn without_secrets(text: &str) -> Cow<'_, str> {
    let (text, pem) = match text.find(PEM) {
        Some(at) => (&text[..at], true),
        None => (text, false),
    };
    let mut clean = String::with_capacity(text.len());
    let mut found = pem;
    let mut expected = false;
    let mut rest = text;
    while !rest.is_empty() {
        let gap_len = rest.find(|c: char| !is_break(c)).unwrap_or(rest.len());
        let (gap, after) = rest.split_at(gap_len);
        clean.push_str(gap);
        let word_len = after.find(is_break).unwrap_or(after.len());
        let (word, next) = after.split_at(word_len);
        rest = next;
        if word.is_empty() {
            continue;
        }
        if expected && word.chars().all(|c| matches!(c, ':' | '=')) {
            clean.push_str(word);
            continue;
        }
        if expected && !is_scheme(word) {
            found = true;
            clean.push_str(REMOVED);
            expected = false;
            // A quoted value ends with its quote.
            if let Some(quote) = gap.chars().rev().find(|c| matches!(c, '"' | '\'')) {
                rest = rest.find(quote).map_or("", |end| &rest[end..]);
            }
            continue;
        }
        let (kept, secret) = split(word);
        clean.push_str(kept);
        if secret {
            found = true;
            clean.push_str(REMOVED);
            if let Some(host) = word.rfind('@').filter(|_| word.contains("://")) {
                clean.push_str(&word[host..]);
            }
        }
        expected = !secret && announces(word, rest);
    }
    if pem {
        clean.push_str(REMOVED);
    }
    if found { Cow::Owned(clean) } else { Cow::Borrowed(text) }
}

const fn is_break(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(
            letter,
            '"' | '\'' | '`' | ',' | ';' | '(' | ')' | '{' | '}' | '[' | ']' | '<' | '>' | '&' | '?' | '|'
        )
}

fn is_scheme(word: &str) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn names_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    KEYS.iter().any(|name| key.contains(name)) || key.ends_with("authorization")
}

/// Whether the next word is a secret.
fn announces(word: &str, rest: &str) -> bool {
    let assigned = rest.trim_start_matches(['"', '\'', ' ']).starts_with([':', '=']);
    let key = word.trim_end_matches([':', '=']);
    is_scheme(word) || (names_secret(key) && (key.len() < word.len() || assigned))
}

/// The part of a word to keep, and whether a secret follows it.
fn split(word: &str) -> (&str, bool) {
    if let Some((scheme, after)) = word.split_once("://")
        && let Some((user, _)) = after.rsplit_once('@')
        && user.contains(':')
    {
        return (&word[..scheme.len() + 3], true);
    }
    if let Some(at) = word.find(['=', ':'])
        && at + 1 < word.len()
        && names_secret(&word[..at])
    {
        return (&word[..=at], true);
    }
    // The longest stretch without a sign in it, whatever stands around it.
    let mut start = 0;
    for part in word.split(|c: char| !(c.is_ascii_alphanumeric() || "+=_".contains(c))) {
        if is_random(part) {
            let before = &word[..start];
            // The number of a TrueNAS key belongs to it.
            let number = before
                .strip_suffix('-')
                .map_or(before, |front| front.trim_end_matches(|c: char| c.is_ascii_digit()));
            return (number, true);
        }
        start += part.len() + 1;
    }
    let prefixed = word.len() >= PREFIXED_CHARS_MIN && PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    if prefixed { ("", true) } else { (word, false) }
}

fn is_random(part: &str) -> bool {
    part.len() >= RANDOM_CHARS_MIN
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        for (text, expected) in [
            ("no secret here: tank/media is full", "no secret here: tank/media is full"),
            ("login with password=hunter2 failed", "login with password=(secret removed) failed"),
            ("password: hunter2, user: bob", "password: (secret removed), user: bob"),
            (r#"{"api_key": "a b c", "x": 1}"#, r#"{"api_key": "(secret removed)", "x": 1}"#),
            ("Authorization: Bearer abc.def", "Authorization: Bearer (secret removed)"),
            ("push to https://bob:hunter2@nas/x", "push to https://(secret removed)@nas/x"),
            ("key 1-AbC4567890AbC4567890AbC4567890AbC4567890 seen", "key (secret removed) seen"),
            ("0123456789abcdef0123456789abcdef", "(secret removed)"),
            ("AKIAIOSFODNN7EXAMPLE", "(secret removed)"),
            ("x -----BEGIN RSA PRIVATE KEY----- abc", "x (secret removed)"),
            ("secret_token = s3cr3t!", "secret_token = (secret removed)"),
            (
                "auto-2026-11-28_00-00 of tank/very/long/path/of/datasets/12345",
                "auto-2026-11-28_00-00 of tank/very/long/path/of/datasets/12345",
            ),
            ("d9a1b1c2-0a1b-4c3d-8e4f-123456789abc", "d9a1b1c2-0a1b-4c3d-8e4f-123456789abc"),
        ] {
            assert_eq!(without_secrets(text), expected, "{text}");
        }
    }
}
