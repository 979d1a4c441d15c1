//! HTTP/2 by hand, as no well-behaved client speaks it.

/// The preface and empty settings.
pub(super) fn opening() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat()
}

pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
pub(super) const DATA: u8 = 0;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that no table remembers.
fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

fn text(text: &str) -> Vec<u8> {
    [integer(text.len(), 7), text.as_bytes().to_vec()].concat()
}

/// As HPACK writes numbers, the flags above the prefix being nought.
pub(super) fn integer(mut value: usize, prefix: u32) -> Vec<u8> {
    let most = (1 << prefix) - 1;
    if value < most {
        return vec![u8::try_from(value).unwrap_or_default()];
    }
    let mut bytes = vec![u8::try_from(most).unwrap_or_default()];
    value -= most;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128 + 128).unwrap_or_default());
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap_or_default());
    bytes
}

/// Head of a call of that method.
pub(super) fn call(method: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // ":method: POST" and ":scheme: http" of the static table.
    let mut block = vec![0x83, 0x86];
    let common = [
        (":path", method),
        (":authority", "registry"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in common.iter().chain(more) {
        block.extend(literal(name, value));
    }
    block
}
