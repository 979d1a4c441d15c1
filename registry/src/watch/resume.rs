//! Resume tokens: the revision up to which a client has seen everything.

use pulse_proto::model::Revision;

use crate::query::token::{Purpose, Seal, TokenError};

pub fn encode(seal: &Seal, revision: Revision) -> String {
    seal.seal(Purpose::Resume, &revision.0.to_be_bytes())
}

pub fn decode(seal: &Seal, text: &str) -> Result<Revision, TokenError> {
    let payload = seal.open(Purpose::Resume, text)?;
    let bytes: [u8; 8] = payload.try_into().map_err(|_| TokenError::Malformed)?;
    Ok(Revision(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_carries_its_revision_and_its_registry() {
        let seal = Seal::new("one");
        let token = encode(&seal, Revision(u64::MAX));
        assert_eq!(decode(&seal, &token), Ok(Revision(u64::MAX)));
        assert_eq!(decode(&Seal::new("two"), &token), Err(TokenError::OtherRegistry));
        let short = seal.seal(Purpose::Resume, &[1, 2]);
        assert_eq!(decode(&seal, &short), Err(TokenError::Malformed));
    }
}
