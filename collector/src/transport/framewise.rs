//! Reads from a websocket's stream so that the head of a frame and its payload
//! come apart. Only the length of reads is chosen here, never a byte changed.
//!
//! Why: a payload is read into the buffer that grew for it. Had anything else
//! been read into that buffer with it, the buffer would stay, as large as the
//! largest reply, for as long as the connection. `cargo xtask bench fleet`
//! shows what a thousand of them hold.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;

#[derive(Debug)]
pub(super) struct Framewise<S> {
    stream: S,
    /// Off until the upgrade is over.
    is_on: bool,
    head: [u8; HEAD_BYTES_MAX],
    /// How much of the head is known.
    known: usize,
    /// What is left of the payload.
    left: u64,
}

impl<S> Framewise<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, is_on: false, head: [0; HEAD_BYTES_MAX], known: 0, left: 0 }
    }

    /// From here on the stream holds frames.
    pub(super) const fn begin(&mut self) {
        self.is_on = true;
    }

    /// How much may be read now.
    fn wanted(&self) -> usize {
        if self.left > 0 {
            return usize::try_from(self.left).unwrap_or(usize::MAX);
        }
        head_bytes(&self.head[..self.known]) - self.known
    }

    fn took(&mut self, bytes: &[u8]) {
        if self.left > 0 {
            self.left -= bytes.len() as u64;
            return;
        }
        self.head[self.known..self.known + bytes.len()].copy_from_slice(bytes);
        self.known += bytes.len();
        if self.known == head_bytes(&self.head[..self.known]) {
            self.left = payload_bytes(&self.head);
            self.known = 0;
        }
    }
}

/// How long a head is, as far as its beginning tells (RFC 6455, section 5.2).
fn head_bytes(known: &[u8]) -> usize {
    let [_, second, ..] = known else { return 2 };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    mask + match second & 0x7f {
        127 => 10,
        126 => 4,
        _ => 2,
    }
}

fn payload_bytes(head: &[u8; HEAD_BYTES_MAX]) -> u64 {
    let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    match head[1] & 0x7f {
        127 => big_endian(&head[2..10]),
        126 => big_endian(&head[2..4]),
        short => u64::from(short),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framewise<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_on {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        let room = this.wanted().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let polled = Pin::new(&mut this.stream).poll_read(context, &mut part);
        this.took(part.filled());
        let count = part.filled().len();
        buffer.advance(count);
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framewise<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// A frame of a server, and whether it is masked against the rules.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { 0x80 } else { 0 };
        let mut bytes = vec![0x81];
        match length {
            0..126 => bytes.push(mask + u8::try_from(length).unwrap()),
            126..65_536 => {
                bytes.push(mask + 126);
                bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                bytes.push(mask + 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(if masked { &[1, 2, 3, 4][..] } else { &[] });
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes
    }

    #[tokio::test]
    async fn no_read_crosses_from_one_frame_into_another_or_from_a_head_into_a_payload() {
        let lengths = [0, 1, 125, 126, 4_000, 65_535, 65_536, 200_000];
        for masked in [false, true] {
            let stream: Vec<u8> = lengths.iter().flat_map(|length| frame(*length, masked)).collect();
            let mut reader = Framewise::new(&stream[..]);
            reader.begin();
            let mut all = Vec::new();
            for length in lengths {
                let head = frame(length, masked).len() - length;
                let mut bytes = vec![0; stream.len()];
                let mut read = 0;
                while read < head {
                    read += reader.read(&mut bytes[read..]).await.unwrap();
                }
                assert_eq!(read, head, "{length}");
                if length > 0 {
                    read += reader.read(&mut bytes[read..]).await.unwrap();
                }
                assert_eq!(read, head + length, "{length}");
                all.extend_from_slice(&bytes[..read]);
            }
            assert_eq!(all, stream);
        }
    }

    #[tokio::test]
    async fn before_the_upgrade_is_over_all_is_read_as_it_comes() {
        let mut reader = Framewise::new(&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..]);
        let mut bytes = [0; 64];
        assert_eq!(reader.read(&mut bytes).await.unwrap(), 36);
    }
}
