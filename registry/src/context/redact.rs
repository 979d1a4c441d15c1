//! Pseudonyms in the place of names: which kinds of text a policy hides, and
//! what stands there instead. The same text always has the same pseudonym in one
//! deployment, so rows stay apart and a client that is given the table can map
//! them back; without the key of the deployment nobody can.

use std::collections::BTreeSet;
use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::piece::Kind;

pub const KEY_BYTES: usize = 32;

/// How much a context hides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    #[default]
    None,
    /// Names of systems, workloads, shares and users.
    Names,
    /// Everything that somebody chose or that identifies a thing.
    Strict,
}

impl Policy {
    pub const ALL: [Self; 3] = [Self::None, Self::Names, Self::Strict];

    pub const fn token(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Names => "names",
            Self::Strict => "strict",
        }
    }

    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.token() == token)
    }

    /// From this policy on texts of the kind are pseudonyms.
    const fn hiding(kind: Kind) -> Option<Self> {
        match kind {
            Kind::System | Kind::Workload | Kind::Share | Kind::User => Some(Self::Names),
            Kind::Pool | Kind::Path | Kind::Serial | Kind::Address | Kind::Label | Kind::Text => {
                Some(Self::Strict)
            }
            Kind::Word => None,
        }
    }

    pub fn hides(self, kind: Kind) -> bool {
        Self::hiding(kind).is_some_and(|from| self >= from)
    }
}

/// Makes pseudonyms with the key of the deployment. Cannot be printed.
#[derive(Clone)]
pub struct Pseudonyms([u8; KEY_BYTES]);

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms")
    }
}

/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Ten letters are 50 bits: of a million names, two share one with a chance of 1 in 2,000.
const LETTERS: usize = 10;

impl Pseudonyms {
    pub const fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(key)
    }

    pub fn of(&self, kind: Kind, text: &str) -> String {
        // A key of any length will do for HMAC, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return kind.token().to_owned() };
        mac.update(kind.token().as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        let digest = mac.finalize().into_bytes();
        let mut bits = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let mut name = format!("{}-", kind.token());
        for _ in 0..LETTERS {
            name.push(char::from(ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        name
    }
}

/// Names of systems that may stand inside other texts.
#[derive(Clone, Debug, Default)]
pub struct Known(BTreeSet<String>);

impl Known {
    /// Shorter ones are words of any text.
    const CHARS_MIN: usize = 3;

    pub fn add(&mut self, name: &str) {
        if name.chars().count() >= Self::CHARS_MIN && !name.contains(char::is_whitespace) {
            self.0.insert(name.to_lowercase());
        }
    }

    /// The text with a pseudonym in the place of each system's name.
    pub(super) fn hide(&self, text: &str, mut pseudonym: impl FnMut(&str) -> String) -> String {
        let is_part = |c: char| c.is_alphanumeric() || "._-".contains(c);
        let mut clean = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let gap = rest.find(is_part).unwrap_or(rest.len());
            clean.push_str(&rest[..gap]);
            rest = &rest[gap..];
            let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let (word, next) = rest.split_at(end);
            rest = next;
            let name = word.trim_end_matches('.');
            // `nas-1.example.net` is a name of nas-1.
            let first = name.split('.').next().unwrap_or_default();
            let is_name = |name: &str| self.0.contains(&name.to_lowercase());
            if !name.is_empty() && (is_name(name) || is_name(first)) {
                clean.push_str(&pseudonym(if is_name(name) { name } else { first }));
                clean.push_str(&word[name.len()..]);
            } else {
                clean.push_str(word);
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonyms_are_stable_keyed_and_of_their_kind() {
        let (one, other) = (Pseudonyms::new([1; 32]), Pseudonyms::new([2; 32]));
        let name = one.of(Kind::System, "nas-1");
        assert_eq!(name, one.of(Kind::System, "nas-1"));
        assert!(name.starts_with("system-") && name.len() == 17, "{name}");
        assert_ne!(name, one.of(Kind::System, "nas-2"));
        assert_ne!(name, other.of(Kind::System, "nas-1"));
        assert_ne!(one.of(Kind::Path, "x")[5..], one.of(Kind::Pool, "x")[5..]);
        assert_eq!(format!("{one:?}"), "Pseudonyms");
    }

    #[test]
    fn each_policy_hides_what_the_one_before_hides_and_more() {
        for kind in Kind::ALL {
            for pair in Policy::ALL.windows(2) {
                assert!(!pair[0].hides(kind) || pair[1].hides(kind), "{kind:?}");
            }
            assert!(!Policy::None.hides(kind));
        }
        assert!(Policy::Names.hides(Kind::System) && !Policy::Names.hides(Kind::Serial));
        assert!(Policy::Strict.hides(Kind::Serial) && !Policy::Strict.hides(Kind::Word));
    }

    #[test]
    fn names_of_systems_are_found_inside_other_texts() {
        let mut known = Known::default();
        known.add("nas-1");
        known.add("x");
        known.add("the rack");
        let hidden = |text: &str| known.hide(text, |name| format!("<{}>", name.to_lowercase()));
        assert_eq!(
            hidden("ssh: NAS-1.example.net: no route to nas-1."),
            "ssh: <nas-1>: no route to <nas-1>."
        );
        assert_eq!(hidden("nas-11 and x in the rack"), "nas-11 and x in the rack");
        assert_eq!(hidden(""), "");
    }
}
