//! Fields of a message, put behind what a buffer holds. Messages within it are
//! written where they belong, with no buffer of their own: on the way to a
//! client that was half of what showing a resource took (docs/adr/0012).

use prost::encoding::{WireType, encode_varint, encoded_len_varint};
use pulse_proto::model::UnixMillis;

pub fn number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        key(field, WireType::Varint, out);
        varint(value, out);
    }
}

fn key(field: u32, kind: WireType, out: &mut Vec<u8>) {
    varint(u64::from(field << 3 | kind as u32), out);
}

/// Most are one byte.
fn varint(value: u64, out: &mut Vec<u8>) {
    if let Ok(short @ 0..0x80) = u8::try_from(value) {
        out.push(short);
    } else {
        let mut written = Written::default();
        written.varint(value);
        out.extend_from_slice(written.bytes());
    }
}

/// A few bytes that are put at once: asking a buffer for room takes longer than writing one.
#[derive(Default)]
struct Written {
    bytes: [u8; WRITTEN_BYTES],
    len: usize,
}

/// The length, two keys and the numbers of a `google.protobuf.Timestamp`.
const WRITTEN_BYTES: usize = 1 + 1 + VARINT_BYTES_MAX + 1 + VARINT_BYTES_MAX;
const VARINT_BYTES_MAX: usize = 10;

impl Written {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(low(value) | 0x80);
            value >>= 7;
        }
        self.byte(low(value));
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    /// A number with its one-byte key.
    fn number(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.byte(field << 3);
            self.varint(value);
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

const fn low(value: u64) -> u8 {
    value.to_le_bytes()[0]
}

/// An enum.
pub fn word(field: u32, value: i32, out: &mut Vec<u8>) {
    number(field, u64::try_from(value).unwrap_or_default(), out);
}

pub fn text(field: u32, value: &str, out: &mut Vec<u8>) {
    if !value.is_empty() {
        bytes(field, value.as_bytes(), out);
    }
}

pub fn bytes(field: u32, value: &[u8], out: &mut Vec<u8>) {
    key(field, WireType::LengthDelimited, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A `google.protobuf.Timestamp`.
pub fn time(field: u32, value: UnixMillis, out: &mut Vec<u8>) {
    let mut written = Written { len: 1, ..Written::default() };
    written.number(1, value.get() / 1_000);
    written.number(2, value.get() % 1_000 * 1_000_000);
    // Two numbers of ten bytes are far less than 128.
    written.bytes[0] = low(written.len as u64 - 1);
    key(field, WireType::LengthDelimited, out);
    out.extend_from_slice(written.bytes());
}

/// An entry of a map.
pub fn pair(field: u32, key: &str, value: &str, out: &mut Vec<u8>) {
    message(field, Expected::Short, out, |out| {
        text(1, key, out);
        text(2, value, out);
    });
}

/// How long a message will probably be; when it is not, it is moved once.
#[derive(Clone, Copy)]
pub enum Expected {
    /// Less than 128 bytes.
    Short = 1,
    /// Less than 16 KiB.
    Long = 2,
}

/// A message within a message.
pub fn message(field: u32, expected: Expected, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    key(field, WireType::LengthDelimited, out);
    let room = expected as usize;
    let at = out.len();
    out.extend_from_slice(&[0; 2][..room]);
    fill(out);
    let length = (out.len() - at - room) as u64;
    let mut said = [0; 10];
    let width = encoded_len_varint(length);
    encode_varint(length, &mut said.as_mut_slice());
    let said = &said[..width];
    if width == room {
        out[at..at + room].copy_from_slice(said);
    } else {
        out.splice(at..at + room, said.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use pulse_proto::convert::timestamp_to_wire;
    use pulse_proto::pb::resource::v1::{HealthReason, Resource};

    use super::*;

    #[test]
    fn messages_of_any_length_are_what_the_contract_encodes() {
        for length in [0, 1, 120, 125, 126, 130, 16_370, 16_380, 16_384, 3 << 20] {
            let reason = HealthReason { summary: "a".repeat(length), ..HealthReason::default() };
            let whole = Resource { reasons: vec![reason.clone()], child_count: 7, ..Resource::default() };
            for expected in [Expected::Short, Expected::Long] {
                let mut out = b"before".to_vec();
                message(8, expected, &mut out, |out| text(3, &reason.summary, out));
                number(14, 7, &mut out);
                assert_eq!(out.strip_prefix(b"before"), Some(&*whole.encode_to_vec()), "{length}");
            }
        }
    }

    #[test]
    fn times_are_what_the_contract_encodes() {
        for millis in [0, 1, 999, 1_000, 127_000, 128_000, 1_764_460_799_999, u64::MAX] {
            let time = UnixMillis::new(millis);
            let whole = Resource { created_at: Some(timestamp_to_wire(time)), ..Resource::default() };
            let mut out = Vec::new();
            super::time(28, time, &mut out);
            assert_eq!(out, whole.encode_to_vec());
        }
    }
}
