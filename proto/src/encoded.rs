//! Messages that are encoded already. They travel where the contract has
//! answers that hold resources, so that a registry encodes what it holds once
//! and not for every reader.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_varint, encode_key, encode_varint};

/// A message in parts that are its bytes, one behind the other: what many watchers are told is encoded once, and each
/// message is put together of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedParts(pub Vec<Bytes>);

impl prost::Message for EncodedParts {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for part in &self.0 {
            buf.put_slice(part);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        _context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut part = Vec::new();
        keep(tag, wire_type, buf, &mut part)?;
        self.0.push(part.into());
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// Keeps a field as it comes.
fn keep(tag: u32, wire_type: WireType, buf: &mut impl Buf, bytes: &mut Vec<u8>) -> Result<(), DecodeError> {
    encode_key(tag, wire_type, bytes);
    let length = match wire_type {
        WireType::Varint => {
            encode_varint(decode_varint(buf)?, bytes);
            0
        }
        WireType::ThirtyTwoBit => 4,
        WireType::SixtyFourBit => 8,
        WireType::LengthDelimited => {
            let length = decode_varint(buf)?;
            encode_varint(length, bytes);
            usize::try_from(length).map_err(|_| too_short())?
        }
        WireType::StartGroup | WireType::EndGroup => return Err(too_short()),
    };
    if buf.remaining() < length {
        return Err(too_short());
    }
    bytes.put(buf.take(length));
    Ok(())
}

fn too_short() -> DecodeError {
    // prost has no public way to word one; a varint that ends early fails like this.
    decode_varint(&mut [].as_slice()).expect_err("an empty buffer holds no varint")
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::pb::registry::v1::{ResourceEvent, WatchResourcesResponse};

    #[test]
    fn parts_of_a_watch_are_one_message() {
        let event = |revision| ResourceEvent { revision, ..ResourceEvent::default() };
        let whole = WatchResourcesResponse {
            events: vec![event(7), event(8)],
            revision: 8,
            resume_token: "token".to_owned(),
            ..WatchResourcesResponse::default()
        };
        let part = |events| WatchResourcesResponse { events, ..WatchResourcesResponse::default() };
        let rest = WatchResourcesResponse { events: Vec::new(), ..whole.clone() };
        let parts = [part(vec![event(7)]), part(vec![event(8)]), rest];
        let told = EncodedParts(parts.iter().map(|part| part.encode_to_vec().into()).collect());
        assert_eq!(told.encoded_len(), whole.encoded_len());
        let bytes = told.encode_to_vec();
        assert_eq!(WatchResourcesResponse::decode(bytes.as_slice()), Ok(whole));
        let again = EncodedParts::decode(bytes.as_slice()).unwrap();
        assert_eq!(again.encode_to_vec(), bytes);
    }
}
