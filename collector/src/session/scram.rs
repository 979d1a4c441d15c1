//! The client side of SCRAM-SHA-512 as TrueNAS speaks it. Pure: the nonce is given.
//!
//! One difference to RFC 5802: nonces are compared as bytes, since their base64 text does not nest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub const NONCE_BYTES: usize = 32;
pub const ITERATIONS_MIN: u32 = 50_000;
pub const ITERATIONS_MAX: u32 = 5_000_000;
/// Longer salts are nobody's.
const SALT_BYTES_MAX: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    #[error("the server's message cannot be read")]
    Unreadable,
    #[error("the server's nonce does not continue ours")]
    Nonce,
    #[error("the server asks for {0} iterations, outside of {ITERATIONS_MIN} to {ITERATIONS_MAX}")]
    Iterations(u32),
    #[error("the server did not prove that it knows the key")]
    ServerProof,
    #[error("the server refuses: {0}")]
    Refused(String),
}

/// The hash of the server certificate that ties the login to this TLS connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBinding(Vec<u8>);

impl ChannelBinding {
    /// `tls-server-end-point`: undefined, hence `None`, for signatures without one hash (EdDSA, PSS).
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        use x509_parser::prelude::FromDer as _;
        let (_rest, certificate) = x509_parser::certificate::X509Certificate::from_der(der).ok()?;
        let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
        let hash = match algorithm.as_str() {
            // MD5 and SHA-1 are lifted to SHA-256.
            "1.2.840.113549.1.1.4"
            | "1.2.840.113549.1.1.5"
            | "1.2.840.113549.1.1.11"
            | "1.2.840.10045.4.1"
            | "1.2.840.10045.4.3.2" => Sha256::digest(der).to_vec(),
            "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(der).to_vec(),
            "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(der).to_vec(),
            "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" => Sha224::digest(der).to_vec(),
            _ => return None,
        };
        Some(Self(hash))
    }

    #[cfg(test)]
    fn raw(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

/// The first half: our nonce is out, the server's is not here.
pub struct Client {
    nonce: [u8; NONCE_BYTES],
    bare: String,
    gs2: &'static str,
    binding: Option<ChannelBinding>,
}

/// The second half: our proof is out, the server's is not here.
pub struct Expectation {
    signature: Zeroizing<Vec<u8>>,
}

impl Client {
    pub fn new(
        username: &str,
        key_id: &str,
        nonce: [u8; NONCE_BYTES],
        binding: Option<ChannelBinding>,
    ) -> Self {
        let name = username.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={name}:{key_id},r={}", STANDARD.encode(nonce));
        let gs2 = if binding.is_some() { "p=tls-server-end-point,," } else { "n,," };
        Self { nonce, bare, gs2, binding }
    }

    pub fn first_message(&self) -> String {
        format!("{}{}", self.gs2, self.bare)
    }

    /// Answers the server's first message with the proof. Takes CPU time: 0.2 s and more.
    pub fn final_message(
        self,
        key_part: &str,
        server_first: &str,
    ) -> Result<(String, Expectation), ScramError> {
        let challenge = Challenge::parse(server_first, &self.nonce)?;
        let mut salted = Zeroizing::new([0_u8; 64]);
        let params = pbkdf2::Params::new(challenge.iterations)
            .map_err(|_| ScramError::Iterations(challenge.iterations))?;
        pbkdf2::pbkdf2_hmac_with_params(
            key_part.as_bytes(),
            &challenge.salt,
            pbkdf2::Algorithm::Pbkdf2Sha512,
            params,
            salted.as_mut_slice(),
        );

        let mut bound = self.gs2.as_bytes().to_vec();
        if let Some(ChannelBinding(hash)) = &self.binding {
            bound.extend_from_slice(hash);
        }
        let unproven = format!("c={},r={}", STANDARD.encode(bound), challenge.nonce_text);
        let message = format!("{},{server_first},{unproven}", self.bare);

        let client_key = mac(salted.as_slice(), b"Client Key");
        let stored_key = Zeroizing::new(Sha512::digest(&*client_key).to_vec());
        let client_signature = mac(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(client_signature.iter()).map(|(a, b)| a ^ b).collect();
        let server_key = mac(salted.as_slice(), b"Server Key");
        let signature = mac(&server_key, message.as_bytes());
        Ok((format!("{unproven},p={}", STANDARD.encode(proof)), Expectation { signature }))
    }
}

impl Expectation {
    /// The server must prove itself too.
    pub fn verify(&self, server_final: &str) -> Result<(), ScramError> {
        if let Some(error) = server_final.strip_prefix("e=") {
            return Err(ScramError::Refused(error.chars().take(100).collect()));
        }
        let value = server_final.strip_prefix("v=").ok_or(ScramError::Unreadable)?;
        let value = value.split(',').next().unwrap_or_default();
        let given = STANDARD.decode(value).map_err(|_| ScramError::Unreadable)?;
        if bool::from(given.as_slice().ct_eq(self.signature.as_slice())) {
            Ok(())
        } else {
            Err(ScramError::ServerProof)
        }
    }
}

struct Challenge {
    nonce_text: String,
    salt: Vec<u8>,
    iterations: u32,
}

impl Challenge {
    fn parse(text: &str, ours: &[u8; NONCE_BYTES]) -> Result<Self, ScramError> {
        let mut parts = text.split(',');
        let mut field = |name: &str| {
            let part = parts.next().ok_or(ScramError::Unreadable)?;
            part.strip_prefix(name).ok_or(ScramError::Unreadable)
        };
        let nonce_text = field("r=")?.to_owned();
        let salt = STANDARD.decode(field("s=")?).map_err(|_| ScramError::Unreadable)?;
        let iterations: u32 = field("i=")?.parse().map_err(|_| ScramError::Unreadable)?;
        let nonce = STANDARD.decode(&nonce_text).map_err(|_| ScramError::Nonce)?;
        if nonce.len() != 2 * NONCE_BYTES || !bool::from(nonce[..NONCE_BYTES].ct_eq(ours.as_slice())) {
            return Err(ScramError::Nonce);
        }
        if salt.is_empty() || salt.len() > SALT_BYTES_MAX {
            return Err(ScramError::Unreadable);
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(ScramError::Iterations(iterations));
        }
        Ok(Self { nonce_text, salt, iterations })
    }
}

fn mac(key: &[u8], message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut mac = Hmac::<Sha512>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(message);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests;
