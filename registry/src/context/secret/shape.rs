//! Words that are secrets by their shape.

/// How well-known tokens begin.
const PREFIXES: [&str; 33] = [
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
    "glsa_",
    "xoxa-",
    "xoxb-",
    "xoxe",
    "xoxp-",
    "xoxs-",
    "xapp-",
    "sk-",
    "sk_live_",
    "rk_live_",
    "npm_",
    "pypi-",
    "hf_",
    "dckr_pat_",
    "tskey-",
    "shpat_",
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

/// Addresses that are the key to what they lead to, whoever knows the rest of one may use it.
const CAPABILITIES: [&str; 15] = [
    "hooks.slack.com/",
    "discord.com/api/webhooks/",
    "discordapp.com/api/webhooks/",
    "webhook.office.com/",
    "outlook.office.com/webhook",
    "outlook.office365.com/webhook",
    "logic.azure.com",
    "hooks.zapier.com/",
    "api.telegram.org/bot",
    "chat.googleapis.com/v1/spaces/",
    "events.pagerduty.com/integration/",
    "maker.ifttt.com/",
    "hc-ping.com/",
    "ntfy.sh/",
    ".make.com/",
];
/// The same in the path of any address.
const CAPABILITY_FOLDERS: [&str; 4] = ["hooks", "webhook", "webhooks", "webhookb2"];

/// A hash of a password is as good as the password to who has time.
const CRYPT_CHARS_MIN: usize = 8;
/// Longest name of a way to hash: `$pbkdf2-sha512$`.
const CRYPT_NAME_CHARS_MAX: usize = 16;

/// By its shape alone.
pub(super) fn is_secret(word: &str) -> bool {
    has_userinfo(word)
        || word.contains('$') && is_crypt(word)
        || word.contains('/') && is_capability(word)
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

/// `$6$salt$hash`, `$2b$12$hash`, `$argon2id$v=19$m=65536,t=3,p=4$salt$hash`.
fn is_crypt(word: &str) -> bool {
    let is_hash = |c: char| c.is_ascii_alphanumeric() || "./+=,$-_".contains(c);
    word.match_indices('$').any(|(at, _)| {
        let Some((name, hash)) = word[at + 1..].split_once('$') else { return false };
        let is_name = (1..=CRYPT_NAME_CHARS_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        is_name && hash.chars().take_while(|c| is_hash(*c)).count() >= CRYPT_CHARS_MIN
    })
}

fn is_capability(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let leads_on =
        |end: usize| lower[end..].starts_with(|c: char| c.is_ascii_alphanumeric() || "/:?".contains(c));
    if CAPABILITIES.iter().any(|known| lower.find(known).is_some_and(|at| leads_on(at + known.len()))) {
        return true;
    }
    let Some((_, address)) = lower.split_once("://") else { return false };
    let mut parts = address.split('/').skip(1).skip_while(|part| !CAPABILITY_FOLDERS.contains(part)).skip(1);
    parts.any(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()))
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
