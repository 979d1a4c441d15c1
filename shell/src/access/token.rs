//! Bearer tokens: made here, shown once, kept as a hash. A token has 256 random
//! bits, so a plain hash of it tells nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Programs that look for leaked secrets know it by this.
pub const PREFIX: &str = "pulse_";
const ID_CHARS: usize = 8;
const SECRET_CHARS: usize = 43;

/// Its public part and its text.
pub fn make() -> (String, SecretString) {
    let id = format!("{:08x}", rand::random::<u32>());
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let text = SecretString::from(format!("{PREFIX}{id}_{secret}"));
    (id, text)
}

/// The public part of what looks like a token.
pub fn id_of(text: &str) -> Option<&str> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let fits = id.len() == ID_CHARS && secret.len() == SECRET_CHARS;
    (fits && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
}

/// What is kept of a token.
pub fn hash(text: &SecretString) -> String {
    hash_of(text.expose_secret())
}

fn hash_of(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// Takes as long for every text.
pub fn is_it(text: &str, hash: &str) -> bool {
    hash_of(text).as_bytes().ct_eq(hash.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_id_and_known_by_its_hash() {
        let (id, text) = make();
        assert_eq!(id_of(text.expose_secret()), Some(id.as_str()));
        assert!(is_it(text.expose_secret(), &hash(&text)));
        let (_, other) = make();
        assert!(!is_it(other.expose_secret(), &hash(&text)));
        assert!(!hash(&text).contains(&text.expose_secret()[PREFIX.len()..]));
        assert!(!format!("{text:?}").contains(&id));
        let mut bent = text.expose_secret().to_owned();
        bent.pop();
        for bad in ["", "pulse_", "pulse_0000000g_x", "eyJhbGciOi", bent.as_str()] {
            assert_eq!(id_of(bad), None, "{bad}");
        }
    }
}
