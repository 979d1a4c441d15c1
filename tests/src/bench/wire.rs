//! Messages as bytes: what a load generator sends was encoded before, and of
//! what it gets it reads only the fields it counts. Two cores are shared with
//! the server that is measured.

use bytes::{Buf as _, BufMut as _, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

/// Largest message that is taken: a watch of a peer may put much into one.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// Room for what is on the way, so that the client is not what holds back.
const WINDOW_BYTES: u32 = 4 << 20;
/// Most that comes in one frame of a server that cares to ask: one read and one write then do for many small frames.
const FRAME_BYTES: u32 = 1 << 20;

/// Passes messages through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let whole = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(whole)))
    }
}

/// A client of any gRPC server, by the path of the method.
#[derive(Clone, Debug)]
pub struct Client(tonic::client::Grpc<Channel>);

impl Client {
    pub async fn connect(address: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES);
        let client = tonic::client::Grpc::new(endpoint.connect().await?);
        Ok(Self(client.max_decoding_message_size(MESSAGE_BYTES_MAX)))
    }

    pub async fn unary(&mut self, path: &'static str, message: impl prost::Message) -> anyhow::Result<Bytes> {
        self.unary_encoded(path, message.encode_to_vec().into()).await
    }

    pub async fn unary_encoded(&mut self, path: &'static str, message: Bytes) -> anyhow::Result<Bytes> {
        self.0.ready().await?;
        let answer = self.0.unary(Request::new(message), PathAndQuery::from_static(path), Raw).await?;
        Ok(answer.into_inner())
    }

    pub async fn server_streaming(
        &mut self,
        path: &'static str,
        message: impl prost::Message,
    ) -> anyhow::Result<Streaming<Bytes>> {
        self.0.ready().await?;
        let message = Request::new(message.encode_to_vec().into());
        let answer = self.0.server_streaming(message, PathAndQuery::from_static(path), Raw).await?;
        Ok(answer.into_inner())
    }

    pub async fn streaming(
        &mut self,
        path: &'static str,
        messages: impl tokio_stream::Stream<Item = Bytes> + Send + 'static,
    ) -> anyhow::Result<Streaming<Bytes>> {
        self.0.ready().await?;
        let answer = self.0.streaming(Request::new(messages), PathAndQuery::from_static(path), Raw).await?;
        Ok(answer.into_inner())
    }
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    Number(u32, u64),
    Bytes(u32, &'a [u8]),
}

/// The fields of a message, not looked into; `None` at the end or at what is no message.
pub fn fields(mut message: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let (tag, kind) = decode_key(&mut message).ok()?;
        match kind {
            WireType::Varint => Some(Field::Number(tag, decode_varint(&mut message).ok()?)),
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
                let (value, rest) = message.split_at_checked(length)?;
                message = rest;
                Some(Field::Bytes(tag, value))
            }
            WireType::SixtyFourBit => {
                let (value, rest) = message.split_first_chunk()?;
                message = rest;
                Some(Field::Number(tag, u64::from_le_bytes(*value)))
            }
            WireType::ThirtyTwoBit => {
                let (value, rest) = message.split_first_chunk()?;
                message = rest;
                Some(Field::Number(tag, u32::from_le_bytes(*value).into()))
            }
            WireType::StartGroup | WireType::EndGroup => None,
        }
    })
}

/// How often a field stands in a message.
pub fn count(message: &[u8], wanted: u32) -> u64 {
    let is_wanted =
        |field: &Field<'_>| matches!(field, Field::Bytes(tag, _) | Field::Number(tag, _) if *tag == wanted);
    fields(message).filter(is_wanted).count() as u64
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use pulse_proto::pb::registry::v1::{ResourceEvent, WatchResourcesResponse};

    use super::*;

    #[test]
    fn fields_are_what_was_encoded() {
        let event = ResourceEvent { kind: 3, ..ResourceEvent::default() };
        let message = WatchResourcesResponse { events: vec![event; 3], revision: 300, ..Default::default() }
            .encode_to_vec();
        assert_eq!(count(&message, 1), 3);
        assert_eq!(fields(&message).last(), Some(Field::Number(2, 300)));
        assert_eq!(fields(&message[..message.len() - 1]).count(), 3, "what is cut off is no field");
    }
}
