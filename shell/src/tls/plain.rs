//! A client's connection without TLS, which finds out at once when the other end
//! wants it: later, a write that fails may hide why.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::SpeaksTls;

/// With it a client of HTTP/2 begins. TLS does not understand it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The record in which TLS says so begins with it. No first frame of HTTP/2 does.
const ALERT: u8 = 0x15;
/// Who says nothing to the preface alone hears the rest of it then.
const FIRST_WORD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Plain {
    tcp: TcpStream,
    /// Of the preface, which is sent already and will be written once more.
    written_ahead: usize,
}

impl Plain {
    pub(super) async fn begin(mut tcp: TcpStream) -> io::Result<Self> {
        tcp.write_all(PREFACE).await?;
        let mut first = [0];
        match timeout(FIRST_WORD, tcp.peek(&mut first)).await {
            Ok(Ok(1)) if first[0] == ALERT => Err(io::Error::new(io::ErrorKind::InvalidData, SpeaksTls)),
            _ => Ok(Self { tcp, written_ahead: PREFACE.len() }),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Plain {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let again = self.written_ahead.min(bytes.len());
        if again > 0 {
            self.written_ahead -= again;
            return Poll::Ready(Ok(again));
        }
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.written_ahead > 0 {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return self.poll_write(context, first.map_or(&[][..], |slice| &**slice));
        }
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}
