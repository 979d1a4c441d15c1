//! Kubernetes' projected service-account tokens: signed by the cluster, checked
//! against its keys in a file, for our audience only.

use std::collections::BTreeMap;
use std::sync::Once;

use anyhow::{Context as _, bail, ensure};
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Validation, decode, decode_header};
use ring::signature as ring_signature;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::book::BadToken;

const KEYS_MAX: usize = 64;
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// What a cluster signs with. Nothing symmetric: whoever can check could sign.
const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::ES256, Algorithm::EdDSA];

/// The keys of one issuer.
pub struct ServiceAccounts {
    keys: BTreeMap<String, Key>,
    issuer: String,
    audience: String,
}

struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
    fingerprint: [u8; 32],
}

/// The key that signed a token, by name and by what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    id: String,
    fingerprint: [u8; 32],
}

#[derive(Deserialize)]
struct Claims {
    /// One text: a list would be whoever's is in it.
    iss: String,
    sub: String,
    exp: u64,
    #[serde(default)]
    nbf: Option<u64>,
}

impl ServiceAccounts {
    /// Keys that are not for signatures, or of a kind that is not taken, are passed over.
    pub fn parse(jwks: &[u8], issuer: &str, audience: &str) -> anyhow::Result<Self> {
        install();
        let set: JwkSet = serde_json::from_slice(jwks).context("no JSON Web Key Set")?;
        ensure!(set.keys.len() <= KEYS_MAX, "more than {KEYS_MAX} keys");
        let mut keys = BTreeMap::new();
        for key in &set.keys {
            let algorithm =
                key.common.key_algorithm.and_then(|named| named.to_string().parse::<Algorithm>().ok());
            let algorithm = algorithm.filter(|algorithm| ALGORITHMS.contains(algorithm));
            if let (Some(algorithm), Some(id), Ok(decoding)) =
                (algorithm, key.common.key_id.clone(), DecodingKey::from_jwk(key))
            {
                let parameters = serde_json::to_vec(&key.algorithm).context("a key cannot be told")?;
                let fingerprint = Sha256::digest(parameters).into();
                keys.insert(id, Key { algorithm, decoding, fingerprint });
            }
        }
        if keys.is_empty() {
            bail!("no key with `kid` and an `alg` of {ALGORITHMS:?}");
        }
        Ok(Self { keys, issuer: issuer.to_owned(), audience: audience.to_owned() })
    }

    /// It names a key that is not among these.
    pub(super) fn misses_key_of(&self, text: &str) -> bool {
        let header = || decode_header(text).ok()?.kid;
        text.len() <= TOKEN_BYTES_MAX && header().is_some_and(|id| !self.keys.contains_key(&id))
    }

    /// Whether the key that signed something is still there, the same under its name.
    pub(super) fn believes(&self, signer: &Signer) -> bool {
        self.keys.get(&signer.id).is_some_and(|key| key.fingerprint == signer.fingerprint)
    }

    /// Subject, end and signer of a token that is valid now.
    pub fn verify(&self, text: &str, now_ms: u64) -> Result<(String, u64, Signer), BadToken> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::Unknown);
        }
        let header = decode_header(text).map_err(|_bad| BadToken::Unknown)?;
        let key = header.kid.and_then(|id| self.keys.get_key_value(&id));
        let (id, Key { algorithm, decoding, fingerprint }) = key.ok_or(BadToken::Unknown)?;
        // The key says how it signs; what the token says is not asked.
        let mut validation = Validation::new(*algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Times are compared here, with the time that is given.
        validation.validate_exp = false;
        let claims = decode::<Claims>(text, decoding, &validation).map_err(|_bad| BadToken::Unknown)?.claims;
        if claims.iss != self.issuer {
            return Err(BadToken::Unknown);
        }
        let now = now_ms / 1_000;
        if claims.nbf.is_some_and(|from| now < from) {
            return Err(BadToken::Unknown);
        }
        if now >= claims.exp {
            return Err(BadToken::Expired);
        }
        let signer = Signer { id: id.clone(), fingerprint: *fingerprint };
        Ok((claims.sub, claims.exp.saturating_mul(1_000), signer))
    }
}

/// The one crypto provider of the house, once for the process.
fn install() {
    static ONCE: Once = Once::new();
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
        verifier_factory: |algorithm, key| {
            Ok(Box::new(RingVerifier { algorithm: *algorithm, key: key.clone() }))
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // Fails only when somebody chose one before.
    ONCE.call_once(|| {
        let _chosen = PROVIDER.install_default();
    });
}

struct RingVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let bad = |_unspecified| signature::Error::new();
        match (self.key.kind(), self.algorithm) {
            (DecodingKeyKind::RsaModulusExponent { n, e }, algorithm) => {
                let parameters = match algorithm {
                    Algorithm::RS256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
                    _ => return Err(signature::Error::new()),
                };
                let key = ring_signature::RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).map_err(bad)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::ES256) => {
                let key =
                    ring_signature::UnparsedPublicKey::new(&ring_signature::ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).map_err(bad)
            }
            (DecodingKeyKind::SecretOrDer(point), Algorithm::EdDSA) => {
                let key = ring_signature::UnparsedPublicKey::new(&ring_signature::ED25519, point);
                key.verify(message, signature).map_err(bad)
            }
            _ => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    /// Made once with openssl; the private keys are gone.
    const KEYS: &[u8] = include_bytes!("service_account/jwks.json");
    const TOKENS: &str = include_str!("service_account/tokens.json");
    const ISSUER: &str = "https://kubernetes.default.svc";
    /// The tokens hold from 1,700,000,000 for an hour.
    const NOW_MS: u64 = 1_700_000_100_000;

    fn tokens() -> BTreeMap<String, String> {
        serde_json::from_str(TOKENS).expect("a map of tokens")
    }

    #[test]
    fn what_the_cluster_signed_for_us_is_believed_while_it_holds() {
        let accounts = ServiceAccounts::parse(KEYS, ISSUER, "pulse").expect("keys");
        let tokens = tokens();
        for name in ["rs256", "es256"] {
            let (subject, end, signer) = accounts.verify(&tokens[name], NOW_MS).expect(name);
            assert!(accounts.believes(&signer));
            assert_eq!((subject.as_str(), end), ("system:serviceaccount:pulse:core", 1_700_003_600_000));
            assert_eq!(accounts.verify(&tokens[name], end), Err(BadToken::Expired));
            assert_eq!(accounts.verify(&tokens[name], 1_699_999_999_000), Err(BadToken::Unknown), "not yet");
            // Any other claims or signature are somebody else's.
            for place in [tokens[name].find('.').expect("a dot") + 5, tokens[name].len() - 20] {
                let mut bent = tokens[name].clone();
                let other = if &bent[place..=place] == "A" { "B" } else { "A" };
                bent.replace_range(place..=place, other);
                assert_eq!(accounts.verify(&bent, NOW_MS), Err(BadToken::Unknown), "{name} {place}");
            }
        }
    }

    #[test]
    fn everything_else_is_not() {
        let accounts = ServiceAccounts::parse(KEYS, ISSUER, "pulse").expect("keys");
        let others = tokens().into_iter().filter(|(name, _)| !["rs256", "es256"].contains(&name.as_str()));
        for (name, token) in others {
            assert_eq!(accounts.verify(&token, NOW_MS), Err(BadToken::Unknown), "{name}");
        }
        for text in ["", "..", "a.b.c", &"x".repeat(100_000)] {
            assert_eq!(accounts.verify(text, NOW_MS), Err(BadToken::Unknown));
        }
    }

    /// A key set of one key, and a token with these claims that it signed.
    fn signed(claims: &serde_json::Value) -> (Vec<u8>, String) {
        use ring_signature::KeyPair as _;
        let random = ring::rand::SystemRandom::new();
        let how = &ring_signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let secret = ring_signature::EcdsaKeyPair::generate_pkcs8(how, &random).expect("a key");
        let pair = ring_signature::EcdsaKeyPair::from_pkcs8(how, secret.as_ref(), &random).expect("a key");
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = pair.public_key().as_ref();
        let key = serde_json::json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "k", "x": text(&point[1..33]), "y": text(&point[33..]),
        });
        let head = serde_json::json!({"alg": "ES256", "kid": "k"});
        let said = format!("{}.{}", text(head.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let signature = pair.sign(&random, said.as_bytes()).expect("signed");
        let set = serde_json::json!({ "keys": [key] });
        (set.to_string().into_bytes(), format!("{said}.{}", text(signature.as_ref())))
    }

    #[test]
    fn an_issuer_is_one_text() {
        let claims =
            |iss| serde_json::json!({"iss": iss, "aud": "pulse", "sub": "s", "exp": 1_700_003_600_u64});
        for (iss, expected) in [
            (serde_json::json!(ISSUER), Ok("s".to_owned())),
            (serde_json::json!([ISSUER]), Err(BadToken::Unknown)),
            (serde_json::json!(["https://evil.example", ISSUER]), Err(BadToken::Unknown)),
            (serde_json::json!("https://evil.example"), Err(BadToken::Unknown)),
            (serde_json::json!(null), Err(BadToken::Unknown)),
        ] {
            let (keys, token) = signed(&claims(iss.clone()));
            let accounts = ServiceAccounts::parse(&keys, ISSUER, "pulse").expect("keys");
            assert_eq!(accounts.verify(&token, NOW_MS).map(|(subject, ..)| subject), expected, "{iss}");
        }
    }

    #[test]
    fn a_set_without_a_usable_key_is_told() {
        for text in
            ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"AAAA"}]}"#]
        {
            assert!(ServiceAccounts::parse(text.as_bytes(), ISSUER, "pulse").is_err(), "{text}");
        }
    }
}
