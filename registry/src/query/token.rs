//! Opaque tokens a client carries from one call to the next. A token belongs
//! to one registry and one purpose; a damaged one is noticed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Longest token, in bytes of text.
pub const TOKEN_BYTES_MAX: usize = 256;

const FORMAT: u8 = 1;
const HEAD: usize = 10;
const CHECKSUM: usize = 4;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Page = 1,
    Resume = 2,
    /// Of a list of links.
    Links = 3,
    /// Of a list of changes.
    Changes = 4,
    /// Of a list of alerts, silences or rules.
    Alerts = 5,
    /// Of a watch of alerts.
    AlertResume = 6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not a token of this service; pass it on exactly as it was received")]
    Malformed,
    #[error("a token of another kind; page tokens and resume tokens are not the same")]
    OtherPurpose,
    #[error("the token was given by another registry; start again without it")]
    OtherRegistry,
}

/// Seals and opens the tokens of one registry.
#[derive(Clone, Debug)]
pub struct Seal {
    registry: [u8; 8],
}

impl Seal {
    pub fn new(registry_id: &str) -> Self {
        Self { registry: short_hash(&[registry_id.as_bytes()]) }
    }

    pub fn seal(&self, purpose: Purpose, payload: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(HEAD + payload.len() + CHECKSUM);
        bytes.push(FORMAT);
        bytes.push(purpose as u8);
        bytes.extend(self.registry);
        bytes.extend(payload);
        let checksum = checksum(&bytes);
        bytes.extend(checksum);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The payload.
    pub fn open(&self, purpose: Purpose, text: &str) -> Result<Vec<u8>, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)?;
        let (body, sum) =
            bytes.len().checked_sub(CHECKSUM).map(|at| bytes.split_at(at)).ok_or(TokenError::Malformed)?;
        if body.len() < HEAD || sum != checksum(body) || body[0] != FORMAT {
            return Err(TokenError::Malformed);
        }
        if body[1] != purpose as u8 {
            return Err(TokenError::OtherPurpose);
        }
        if body[2..HEAD] != self.registry {
            return Err(TokenError::OtherRegistry);
        }
        Ok(body[HEAD..].to_vec())
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    short_hash(&[bytes]).first_chunk().copied().unwrap_or_default()
}

/// Eight bytes of SHA-256 over the parts, each with its length.
pub(super) fn short_hash(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_where_it_belongs() {
        let seal = Seal::new("one");
        let token = seal.seal(Purpose::Page, b"payload");
        assert_eq!(seal.open(Purpose::Page, &token), Ok(b"payload".to_vec()));
        assert_eq!(seal.open(Purpose::Resume, &token), Err(TokenError::OtherPurpose));
        assert_eq!(Seal::new("two").open(Purpose::Page, &token), Err(TokenError::OtherRegistry));
        for at in 0..token.len() {
            let mut damaged: Vec<u8> = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).expect("ascii");
            assert!(damaged == token || seal.open(Purpose::Page, &damaged).is_err(), "{at}");
        }
        for text in ["", "AAAA", "not base64!", &"A".repeat(300)] {
            assert_eq!(seal.open(Purpose::Page, text), Err(TokenError::Malformed), "{text}");
        }
    }
}
