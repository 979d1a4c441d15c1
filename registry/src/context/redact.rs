//! Pseudonyms in the place of names: which kinds of text a policy hides, and
//! what stands there instead. The same text always has the same pseudonym in one
//! deployment, so rows stay apart and a client that is given the table can map
//! them back; without the key of the deployment nobody can.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use pulse_proto::model::{ResourceId, ResourceType};
use sha2::Sha256;

use super::piece::Kind;
use super::vocabulary::is_common;

pub const KEY_BYTES: usize = 32;

/// How much a context hides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    #[default]
    None,
    /// Names of systems, workloads, shares and users, and ids, which follow from names.
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
    const fn hiding(kind: Kind) -> Self {
        match kind {
            Kind::System | Kind::Workload | Kind::Share | Kind::User | Kind::Id => Self::Names,
            Kind::Pool
            | Kind::Path
            | Kind::Serial
            | Kind::Address
            | Kind::Label
            | Kind::Text
            | Kind::Sentence
            | Kind::Word => Self::Strict,
        }
    }

    pub fn hides(self, kind: Kind) -> bool {
        self >= Self::hiding(kind)
    }

    /// Words of products are shown as what they are.
    pub fn hides_text(self, kind: Kind, text: &str) -> bool {
        self.hides(kind) && !(kind == Kind::Word && is_common(text))
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

    /// In the place of a name that is spelled so: callers see to it that one thing has one spelling.
    pub fn of(&self, kind: Kind, spelling: &str) -> String {
        let digest = self.digest(&[kind.token().as_bytes(), spelling.as_bytes()]);
        let bits = digest.iter().take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        format!("{}-{}", kind.token(), letters(bits, LETTERS))
    }

    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        // A key of any length will do for HMAC, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        for part in parts {
            mac.update(part);
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }
}

fn letters(mut bits: u64, count: usize) -> String {
    let letter = |_| {
        let letter = char::from(ALPHABET[(bits & 31) as usize]);
        bits >>= 5;
        letter
    };
    (0..count).map(letter).collect()
}

/// Ids of resources follow from names, and who guesses a name could check it: what is shown is a permutation of their
/// 64 bits with the key of the deployment, a Feistel network with HMAC for its rounds.
const ROUNDS: u8 = 8;
const SEALED_LETTERS: usize = 13;

impl Pseudonyms {
    /// The id as it is shown where names are hidden.
    pub fn seal(&self, id: &ResourceId) -> String {
        let token = id.kind().token();
        let (mut left, mut right) = halves(id.number());
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(token, round, right));
        }
        format!("{token}-{}", letters(u64::from(left) << 32 | u64::from(right), SEALED_LETTERS))
    }

    /// The id that is shown as this; `None` when no id is.
    pub fn unseal(&self, text: &str) -> Option<ResourceId> {
        let (token, letters) = text.rsplit_once('-')?;
        let place = |letter: u8| ALPHABET.iter().position(|known| *known == letter);
        if letters.len() != SEALED_LETTERS {
            return None;
        }
        let mut bits = 0_u128;
        for letter in letters.bytes().rev() {
            bits = bits << 5 | place(letter)? as u128;
        }
        let (mut left, mut right) = halves(u64::try_from(bits).ok()?);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(token, round, left), left);
        }
        let kind = ResourceType::from_token(token)?;
        Some(ResourceId::new(kind, u64::from(left) << 32 | u64::from(right)))
    }

    fn round(&self, token: &str, round: u8, half: u32) -> u32 {
        let digest = self.digest(&[b"id", token.as_bytes(), &[round], &half.to_be_bytes()]);
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it is cut in two")]
const fn halves(bits: u64) -> (u32, u32) {
    ((bits >> 32) as u32, bits as u32)
}

/// Whether a pseudonym stands anywhere in a text.
pub fn holds_pseudonym(text: &str) -> bool {
    Kind::ALL.into_iter().any(|kind| {
        text.match_indices(kind.token()).any(|(at, token)| {
            let letters = text[at + token.len()..].strip_prefix('-').unwrap_or_default().as_bytes();
            letters.len() >= LETTERS && letters[..LETTERS].iter().all(|letter| ALPHABET.contains(letter))
        })
    })
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
        assert!(Policy::Strict.hides(Kind::Serial) && Policy::Strict.hides(Kind::Word));
        let hides = |word| Policy::ALL.map(|policy| policy.hides_text(Kind::Word, word));
        assert_eq!([hides("ONLINE"), hides("wwn-0x5000c500a1b2c3d4")], [[false; 3], [false, false, true]]);
    }

    #[test]
    fn ids_are_shown_with_the_key_and_lead_back() {
        let (one, other) = (Pseudonyms::new([1; 32]), Pseudonyms::new([2; 32]));
        for id in
            ["storage-f525297316fe02d5", "physical_disk-0000000000000000", "app-container-ffffffffffffffff"]
        {
            let id = ResourceId::parse(id).expect("an id");
            let shown = one.seal(&id);
            assert_eq!(one.unseal(&shown), Some(id));
            assert!(ResourceId::parse(&shown).is_err() && other.seal(&id) != shown);
            assert_ne!(other.unseal(&shown), Some(id));
        }
        for text in
            ["", "storage-", "storage-f525297316fe02d5", "storage-zzzzzzzzzzzzz", "pool-0000000000000"]
        {
            assert_eq!(one.unseal(text), None, "{text}");
        }
    }

    #[test]
    fn pseudonyms_are_known_by_their_form() {
        let names = Pseudonyms::new([1; 32]);
        assert!(holds_pseudonym(&format!("tank/{}/x", names.of(Kind::Pool, "tank"))));
        for text in ["tank", "pool-1", "pool-ABCDEFGHIJ", "thing-0123456789"] {
            assert!(!holds_pseudonym(text), "{text}");
        }
    }
}
