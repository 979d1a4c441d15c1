//! SHA-256 of a leaf certificate, as people paste it and as it is compared.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const HEX_DIGITS: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is the SHA-256 of the certificate: 64 hex digits, with or without colons")]
pub struct FingerprintError;

impl Fingerprint {
    pub fn of_der(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }

    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let text = match text.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => &text[7..],
            _ => text,
        };
        let mut bytes = [0_u8; 32];
        let mut count = 0;
        for c in text.chars().filter(|c| !matches!(c, ':' | ' ')) {
            let digit = c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(FingerprintError)?;
            if count == HEX_DIGITS {
                return Err(FingerprintError);
            }
            bytes[count / 2] = bytes[count / 2] << 4 | digit;
            count += 1;
        }
        if count == HEX_DIGITS { Ok(Self(bytes)) } else { Err(FingerprintError) }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn accepts_the_usual_forms() {
        let want = Fingerprint::of_der(b"");
        let colons: Vec<String> =
            HEX.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
        for form in [
            HEX.to_owned(),
            HEX.to_uppercase(),
            format!("SHA256:{HEX}"),
            format!(" sha256: {} ", colons.join(":")),
            colons.join(" "),
        ] {
            assert_eq!(form.parse(), Ok(want), "{form}");
        }
        assert_eq!(want.to_string(), HEX);
    }

    #[test]
    fn refuses_the_rest() {
        for form in ["", "sha256:", &HEX[1..], &format!("{HEX}0"), &HEX.replace('e', "g"), "sha256:é"] {
            assert_eq!(form.parse::<Fingerprint>(), Err(FingerprintError), "{form}");
        }
    }
}
