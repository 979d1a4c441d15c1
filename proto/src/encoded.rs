//! A resource that is encoded already. It travels where the contract has a
//! `pulse.resource.v1.Resource`, so that a registry encodes what it holds once
//! and not for every reader.

use bytes::{Buf, BufMut, Bytes};
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_varint, encode_key, encode_varint};

/// The bytes of a `Resource` message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedResource(pub Bytes);

impl prost::Message for EncodedResource {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    /// Fields are kept as they come.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        _context: DecodeContext,
    ) -> Result<(), DecodeError> {
        let mut bytes = Vec::from(std::mem::take(&mut self.0));
        encode_key(tag, wire_type, &mut bytes);
        let length = match wire_type {
            WireType::Varint => {
                encode_varint(decode_varint(buf)?, &mut bytes);
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                let length = decode_varint(buf)?;
                encode_varint(length, &mut bytes);
                usize::try_from(length).map_err(|_| too_short())?
            }
            WireType::StartGroup | WireType::EndGroup => return Err(too_short()),
        };
        if buf.remaining() < length {
            return Err(too_short());
        }
        bytes.put(buf.take(length));
        self.0 = bytes.into();
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn too_short() -> DecodeError {
    // prost has no public way to word one; a varint that ends early fails like this.
    decode_varint(&mut [].as_slice()).expect_err("an empty buffer holds no varint")
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::pb::registry::v1::GetResourceResponse;
    use crate::pb::resource::v1::Resource;
    use crate::served::registry::v1 as served;

    #[test]
    fn clients_read_what_was_encoded_before() {
        let resource = Resource { id: "storage-1".to_owned(), child_count: 7, ..Resource::default() };
        let answer = served::GetResourceResponse {
            resource: Some(EncodedResource(resource.encode_to_vec().into())),
            revision: 3,
        };
        let bytes = answer.encode_to_vec();
        assert_eq!(
            GetResourceResponse::decode(bytes.as_slice()),
            Ok(GetResourceResponse { resource: Some(resource), revision: 3 })
        );
        assert_eq!(served::GetResourceResponse::decode(bytes.as_slice()), Ok(answer));
    }
}
