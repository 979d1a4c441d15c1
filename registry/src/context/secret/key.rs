//! Words that announce a secret.

use std::sync::LazyLock;

/// What follows such a word when it announces one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Any part of a word, and whatever leads to a value.
    Part,
    /// The same, but a comma leads to none: prose has these words, too.
    Dull,
    /// A word of its own, and whatever leads to a value.
    Word,
    /// A word of its own, and a sign of assignment.
    Sign,
    /// The same, or a word that is no ordinary one: prose and figures have these words, too.
    Weak,
    /// A word of its own, and a user, and then a word that is no ordinary one.
    Login,
    /// A word of its own, and a word that is no ordinary one.
    Scheme,
}

/// `_` is one of " _-" or nothing.
const KEYS: [(Manner, &[&str]); 8] = [
    (
        Manner::Part,
        &[
            "pass_word",
            "passwd",
            "pass_phrase",
            "pass_code",
            "pwd",
            "secret",
            "token",
            "api_key",
            "access_key",
            "private_key",
            "encryption_key",
            "account_key",
            "wpa_psk",
        ],
    ),
    (Manner::Dull, &["credential", "authorization", "session_id", "cookie", "signature", "webhook"]),
    // The same in what else alerts and comments are written in.
    (
        Manner::Part,
        &[
            "pass_wort",
            "kennwort",
            "mot_de_passe",
            "contraseña",
            "contrasena",
            "contrasenya",
            "palavra_passe",
            "wachtwoord",
            "passord",
            "lösenord",
            "adgangskode",
            "salasana",
            "hasło",
            "hasła",
            "hasłem",
            "jelszó",
            "mật_khẩu",
            "парол",
            "パスワード",
            "暗証番号",
            "密码",
            "密碼",
            "口令",
            "비밀번호",
        ],
    ),
    (
        Manner::Word,
        &[
            "senha",
            "haslo",
            "heslo",
            "geslo",
            "parola",
            "şifre",
            "pw",
            "p/w",
            "psk",
            "creds",
            "community_string",
            "recovery_key",
            "unlock_key",
            "unseal_key",
            "wifi_key",
            "wlan_key",
            "hex_key",
            "license_key",
            "seed_phrase",
        ],
    ),
    (Manner::Sign, &["key", "auth", "sig"]),
    (Manner::Weak, &["pass", "pin", "otp", "mfa", "2fa", "mfa_code", "one_time_code", "community", "clave"]),
    (Manner::Login, &["login", "log_in", "logon", "zugang", "zugangsdaten", "chap_user"]),
    (Manner::Scheme, &["bearer", "basic", "digest"]),
];

type Key = (Manner, &'static str);

/// By their first byte: a text is looked through once.
static BY_BYTE: LazyLock<Vec<Vec<Key>>> = LazyLock::new(|| {
    let mut table = vec![Vec::new(); 256];
    for (manner, keys) in KEYS {
        for key in keys {
            table[usize::from(key.as_bytes()[0])].push((manner, *key));
        }
    }
    table
});

/// In small letters, each where it was.
pub(super) fn lowered(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower = |letter: char| {
        let mut small = letter.to_lowercase();
        match (small.next(), small.next()) {
            (Some(small), None) if small.len_utf8() == letter.len_utf8() => small,
            _ => letter,
        }
    };
    text.chars().map(lower).collect()
}

/// Keys that stand in the text, each as where it begins and ends.
pub(super) fn keys(lower: &str) -> impl Iterator<Item = (Manner, usize, usize)> {
    lower.bytes().enumerate().flat_map(move |(start, byte)| {
        BY_BYTE[usize::from(byte)].iter().filter_map(move |(manner, key)| {
            let end = end_of(lower, start, key)?;
            let is_own = || is_word(lower, start, end);
            (matches!(manner, Manner::Part | Manner::Dull) || is_own()).then_some((*manner, start, end))
        })
    })
}

/// Where the key ends that begins there.
fn end_of(lower: &str, start: usize, key: &str) -> Option<usize> {
    let mut end = start;
    for part in key.split('_') {
        if end > start && lower[end..].starts_with([' ', '_', '-']) {
            end += 1;
        }
        end += lower.as_bytes()[end..].starts_with(part.as_bytes()).then_some(part.len())?;
    }
    Some(end)
}

fn is_word(lower: &str, start: usize, end: usize) -> bool {
    let is_part = |c: char| c.is_alphanumeric();
    !lower[..start].ends_with(is_part) && !lower[end..].starts_with(is_part)
}

/// Whether what is called so is a secret.
pub(in crate::context) fn names_secret(key: &str) -> bool {
    keys(&lowered(key)).any(|(manner, ..)| !matches!(manner, Manner::Scheme | Manner::Login))
}
