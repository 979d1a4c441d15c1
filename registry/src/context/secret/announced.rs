//! Where a secret begins that a word before it announces.

use super::key::{Manner, keys, lowered};

/// Words between what announces a secret and the secret: "password for user bob is".
const WORDS_BETWEEN_MAX: usize = 6;
/// These say something of a secret and are not the secret.
const HARMLESS: [&str; 46] = [
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
    "loaded",
    "stored",
    "used",
    "lost",
    "known",
    "correct",
    "accepted",
    "available",
    "falsch",
    "ungültig",
    "abgelaufen",
    "incorrecto",
    "incorrecta",
    "expiré",
    "incorrecte",
    "ongeldig",
    "verlopen",
    "nieprawidłowe",
    "неверный",
    "истек",
];
/// A sentence goes on with these after a comma.
const GOING_ON: [&str; 18] = [
    "and", "or", "but", "so", "then", "which", "that", "please", "check", "try", "the", "a", "und", "oder",
    "bitte", "et", "ou", "y",
];
const LINKS: [&str; 19] = [
    "is", "was", "are", "were", "to", "as", "being", "be", "ist", "lautet", "war", "est", "es", "é", "era",
    "jest", "это", "là", "är",
];

/// Of all secrets that are announced the first.
pub(super) fn beginning(text: &str) -> Option<usize> {
    let lower = lowered(text);
    let mut first: Option<usize> = None;
    for (manner, start, end) in keys(&lower) {
        if first.is_some_and(|first| first <= start) {
            break;
        }
        let found = match manner {
            Manner::Part | Manner::Word => value_after_key(&lower, end, true),
            Manner::Dull => value_after_key(&lower, end, false),
            Manner::Sign => assigned(&lower, end),
            Manner::Weak => assigned(&lower, end).or_else(|| telling_after(text, &lower, end)),
            Manner::Login => password_after_user(text, &lower, end),
            Manner::Scheme => value_after_scheme(text, &lower, end),
        };
        let before = if matches!(manner, Manner::Part | Manner::Word | Manner::Weak) {
            value_before_key(text, &lower, start)
        } else {
            None
        };
        first = first.into_iter().chain(found).chain(before).min();
    }
    first
}

/// The next word, also after "is", when it is no ordinary one: "PIN 4711", "the pass is x7y".
fn telling_after(text: &str, lower: &str, end: usize) -> Option<usize> {
    let mut at = next_word(lower, end)?;
    if LINKS.contains(&word_at(lower, at)) {
        at = next_word(lower, at + word_at(lower, at).len())?;
    }
    is_telling(word_at(text, at)).then_some(at)
}

/// "CHAP user bob x7y", "login admin/x7y", "login with admin / x7y"
fn password_after_user(text: &str, lower: &str, end: usize) -> Option<usize> {
    const LEADING: [&str; 6] = ["is", "with", "as", "for", "user", ":"];
    let end = lower.len() - lower[end..].trim_start_matches(':').len();
    let mut at = next_word(lower, end)?;
    while LEADING.contains(&word_at(lower, at)) {
        at = next_word(lower, at + word_at(lower, at).len())?;
    }
    let user = word_at(text, at);
    if let Some((user, password)) = user.split_once('/') {
        return (!user.is_empty() && is_telling(password)).then_some(at + user.len() + 1);
    }
    let mut after = next_word(lower, at + user.len())?;
    let is_pair =
        lower[..end].ends_with(':') || lower[..end].ends_with("user") || lower[..end].ends_with("daten");
    if word_at(lower, after) == "/" {
        after = next_word(lower, after + 1)?;
    } else if !is_pair {
        return None;
    }
    is_telling(word_at(text, after)).then_some(after)
}

/// "x7y is the password", "x7y (password)"
fn value_before_key(text: &str, lower: &str, start: usize) -> Option<usize> {
    const AFTER: [&str; 9] =
        [" is the ", " is my ", " is our ", " is your ", " as ", " as the ", " ist das ", " (", " = the "];
    let before = AFTER.iter().find_map(|link| lower[..start].strip_suffix(link))?;
    let at = before.rfind(' ').map_or(0, |blank| blank + 1);
    is_telling(&text[at..before.len()]).then_some(at)
}

/// Where the next word begins, after a blank.
fn next_word(lower: &str, end: usize) -> Option<usize> {
    let rest = lower[end..].strip_prefix(' ')?.trim_start_matches(' ');
    (!rest.is_empty()).then_some(lower.len() - rest.len())
}

/// Digits of a figure that counts; a PIN has more.
const COUNT_DIGITS_MAX: usize = 3;

/// No word of a sentence, no figure that counts, no path.
fn is_telling(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'', '`', ',', '.', ';', ':', '!', '?', '(', ')', '[', ']']);
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let is_count = letters == 0 && digits <= COUNT_DIGITS_MAX;
    !word.is_empty() && !is_ordinary(word) && !is_count && !word.starts_with(['/', '-'])
}

fn value_after_scheme(text: &str, lower: &str, end: usize) -> Option<usize> {
    let at = end + lower[end..].strip_prefix(' ')?.find(|c| c != ' ')? + 1;
    (!is_ordinary(word_at(text, at))).then_some(at)
}

/// Where the value begins that is assigned to what ends here.
fn assigned(lower: &str, end: usize) -> Option<usize> {
    const AROUND: [char; 8] = [' ', '"', '\'', '`', ')', ']', '}', '>'];
    let is_tag = || lower[..end].rfind('<').is_some_and(|at| !lower[at + 1..].starts_with('/'));
    if let Some(value) = lower[end..].strip_prefix('>').filter(|value| !value.is_empty() && is_tag()) {
        return Some(lower.len() - value.len());
    }
    let rest = lower[end..].trim_start_matches(AROUND);
    let value = rest.strip_prefix(is_sign).or_else(|| after_arrow(rest))?;
    let value = value.trim_start_matches([' ', '"', '\'', '`', '=', ':', '>', '(', '[', '{', '<']);
    (!value.is_empty()).then_some(lower.len() - value.len())
}

/// Of assignment.
fn is_sign(letter: char) -> bool {
    matches!(letter, '=' | ':' | '∶' | '꞉' | '≔' | '\u{2190}'..='\u{21ff}' | '\u{2794}'..='\u{27bf}' | '\u{27f5}'..='\u{27ff}')
}

/// `->`, `-->`, `~>`
fn after_arrow(rest: &str) -> Option<&str> {
    let head = rest.trim_start_matches(is_dash);
    if head.len() < rest.len() { head.strip_prefix('>') } else { None }
}

fn is_dash(letter: char) -> bool {
    matches!(letter, '-' | '~' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Of scripts without blanks nobody knows where a word ends.
fn is_unspaced(letter: char) -> bool {
    letter >= '\u{2e80}'
}

/// Letters at the end of a key that are no other word: "tokens", "lösenordet".
const ENDING_CHARS_MAX: usize = 3;

/// Where the rest of the word ends that begins with a key: "tokens", "паролем", "パスワードは".
fn inflected(lower: &str, end: usize) -> usize {
    let rest = lower[end..].trim_start_matches(|c: char| c.is_alphabetic() && !c.is_ascii());
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let end = lower.len() - rest.len();
    if letters <= ENDING_CHARS_MAX && !lower[..end].ends_with(is_unspaced) { end + letters } else { end }
}

/// Where the value begins that the key ending here announces; after a mere pause if `may_pause`.
fn value_after_key(lower: &str, end: usize, may_pause: bool) -> Option<usize> {
    // `secret_access_key`, `passwords`: the rest of an identifier.
    let is_part = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let whole = lower.len() - lower[end..].trim_start_matches(is_part).len();
    if let Some(at) = assigned(lower, whole).or_else(|| assigned(lower, end)) {
        return Some(at);
    }
    let end = inflected(lower, end);
    let rest = &lower[end..];
    let unspaced = rest.trim_start_matches(' ');
    let is_spaced = unspaced.len() < rest.len();
    if lower[..end].ends_with(is_unspaced) && unspaced.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some(lower.len() - unspaced.len());
    }
    if let Some(value) = unspaced.strip_prefix(['"', '\'', '`']).filter(|value| !value.is_empty()) {
        return is_spaced.then_some(lower.len() - value.len());
    }
    if let Some(value) = after_pause(unspaced, is_spaced).filter(|_| may_pause) {
        return Some(lower.len() - value.len());
    }
    if !is_spaced {
        return None;
    }
    let at = lower.len() - unspaced.len();
    if !is_ordinary(word_at(lower, at)) || is_option(lower, end) {
        return (at < lower.len()).then_some(at);
    }
    after_words(lower, at)
}

/// What stands after a sign that assigns nothing, but parts: "password, x", "password - x", "password (x)".
fn after_pause(unspaced: &str, is_spaced: bool) -> Option<&str> {
    let sign = unspaced.chars().next()?;
    let is_between = |c: char| is_pause(c) || is_dash(c) && c != '~' || " /\\\"'`".contains(c);
    let value = unspaced.trim_start_matches(is_between);
    let pauses = match sign {
        sign if is_pause(sign) => true,
        '/' | '\\' => is_spaced && unspaced[1..].starts_with(' '),
        // "--password -h host" has none.
        sign if is_dash(sign) => {
            !sign.is_ascii() || is_spaced && unspaced[sign.len_utf8()..].starts_with(' ')
        }
        _ => false,
    };
    let word = word_at(value, 0).trim_end_matches([',', '.', ';', ':', ')', ']', '!', '?']);
    let goes_on = HARMLESS.contains(&word) || GOING_ON.contains(&word);
    (pauses && !goes_on && !value.is_empty()).then_some(value)
}

fn is_pause(letter: char) -> bool {
    matches!(letter, ',' | ';' | '|' | '(' | '[' | '{' | '•' | '·' | '、' | '。')
}

/// "password for user bob is x", "password of bob: x".
fn after_words(lower: &str, mut at: usize) -> Option<usize> {
    for _ in 0..WORDS_BETWEEN_MAX {
        let word = word_at(lower, at);
        let next = at + word.len();
        if word.ends_with(is_sign) || after_arrow(word) == Some("") {
            let value = lower[next..].trim_start_matches([' ', '"', '\'', '`']);
            return (!value.is_empty()).then_some(lower.len() - value.len());
        }
        if let Some((sign, letter)) = word.char_indices().find(|(_, letter)| is_sign(*letter)) {
            return Some(at + sign + letter.len_utf8());
        }
        if word == "from" {
            return changed_from(lower, next);
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

/// "password of bob from x to y": both were one.
fn changed_from(lower: &str, end: usize) -> Option<usize> {
    let old = next_word(lower, end)?;
    let link = next_word(lower, old + word_at(lower, old).len())?;
    (word_at(lower, link) == "to").then_some(old)
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
