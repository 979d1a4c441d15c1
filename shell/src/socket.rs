//! Accepted connections, with or without TLS: bounded in number and in the time
//! they may take to begin. Knows no protocol above TLS.

use std::collections::HashMap;
use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::tls::certificates::Certificates;
use crate::tls::shown::Shown;

/// For a TLS handshake, and again for the first bytes after it.
const OPENING_DEADLINE: Duration = Duration::from_secs(10);
/// As long as the preface of HTTP/2; with it a connection has begun.
const OPENING_BYTES: usize = 24;
/// Accepted and not taken yet.
const BACKLOG_MAX: usize = 64;

/// Most connections of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    /// From one address.
    pub connections_per_peer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 8_192, connections_per_peer: 2_048 }
    }
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub address: SocketAddr,
    /// A certificate that a trusted authority issued.
    pub shown: Option<Shown>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// One connection.
pub struct Socket {
    stream: Stream,
    peer: Option<Peer>,
    opening: Option<Opening>,
    /// Resolves when what the client showed no longer counts.
    parts: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _seat: Option<Seat>,
}

struct Opening {
    until: Pin<Box<Sleep>>,
    missing: usize,
}

impl Socket {
    pub(crate) fn client(stream: tokio_rustls::client::TlsStream<TcpStream>) -> Self {
        Self {
            stream: Stream::Tls(Box::new(stream.into())),
            peer: None,
            opening: None,
            parts: None,
            _seat: None,
        }
    }

    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }
}

impl Connected for Socket {
    type ConnectInfo = Option<Peer>;

    fn connect_info(&self) -> Option<Peer> {
        self.peer.clone()
    }
}

/// How many connections there are, and each address has.
#[derive(Debug, Default)]
struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of: HashMap<IpAddr, usize>,
}

struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

impl Seats {
    fn take(self: &Arc<Self>, address: IpAddr, limits: Limits) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = taken.of.get(&address).copied().unwrap_or_default();
        if taken.all >= limits.connections || of_peer >= limits.connections_per_peer {
            return None;
        }
        taken.all += 1;
        taken.of.insert(address, of_peer + 1);
        Some(Seat { seats: Arc::clone(self), address })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        match taken.of.get_mut(&self.address) {
            Some(of_peer) if *of_peer > 1 => *of_peer -= 1,
            _ => drop(taken.of.remove(&self.address)),
        }
    }
}

/// Accepts until `stop`. Beyond the limits a connection is closed at once; a handshake holds up nobody else.
pub fn accept(
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    limits: Limits,
    stop: CancellationToken,
) -> mpsc::Receiver<io::Result<Socket>> {
    let (ready, sockets) = mpsc::channel(BACKLOG_MAX);
    tokio::spawn(async move {
        let seats = Arc::new(Seats::default());
        let mut refused = 0_u64;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
                () = ready.closed() => return,
            };
            let (tcp, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, for example: some will be given back.
                    debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Some(seat) = seats.take(address.ip(), limits) else {
                refused += 1;
                if refused.is_power_of_two() {
                    warn!(peer = %address, refused, "too many connections; closed at once");
                }
                continue;
            };
            let certificates = certificates.clone();
            let ready = ready.clone();
            tokio::spawn(async move {
                match open(tcp, address, certificates, seat).await {
                    // Nobody takes any more: the server is stopping.
                    Ok(socket) => drop(ready.send(Ok(socket)).await),
                    Err(error) => debug!(peer = %address, %error, "a connection did not begin"),
                }
            });
        }
    });
    sockets
}

async fn open(
    tcp: TcpStream,
    address: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    seat: Seat,
) -> io::Result<Socket> {
    // Small messages go out at once.
    tcp.set_nodelay(true)?;
    let (stream, shown) = match certificates {
        None => (Stream::Plain(tcp), None),
        Some(certificates) => {
            // First the number: of a load that comes between, it is asked again.
            let load = certificates.load_number();
            let acceptor = TlsAcceptor::from(certificates.current());
            let stream = tokio::time::timeout(OPENING_DEADLINE, acceptor.accept(tcp)).await??;
            let chain = stream.get_ref().1.peer_certificates();
            let shown = chain.and_then(|chain| Shown::of(chain, &certificates, load));
            (Stream::Tls(Box::new(stream.into())), shown)
        }
    };
    let parts = shown.clone().map(|shown| Box::pin(shown.parts()) as Pin<Box<_>>);
    let peer = Some(Peer { address, shown });
    let until = Box::pin(tokio::time::sleep(OPENING_DEADLINE));
    let opening = Some(Opening { until, missing: OPENING_BYTES });
    Ok(Socket { stream, peer, opening, parts, _seat: Some(seat) })
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(opening) = &mut self.opening
            && opening.until.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if let Some(parts) = &mut self.parts
            && parts.as_mut().poll(cx).is_ready()
        {
            self.parts = None;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        ready!(match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        let came = buf.filled().len() - before;
        if let Some(opening) = &mut self.opening {
            opening.missing = opening.missing.saturating_sub(came);
            if opening.missing == 0 {
                self.opening = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn listening(limits: Limits) -> (SocketAddr, mpsc::Receiver<io::Result<Socket>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        (addr, accept(listener, None, limits, CancellationToken::new()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_connects_and_says_nothing_is_let_go() {
        let (addr, mut sockets) = listening(Limits::default()).await;
        let mut silent = TcpStream::connect(addr).await.expect("connected");
        let mut socket = sockets.recv().await.expect("a socket").expect("open");
        silent.write_all(b"PRI").await.expect("sent");
        let mut all = Vec::new();
        let ended = socket.read_to_end(&mut all).await.map_err(|error| error.kind());
        assert_eq!((ended, all.as_slice()), (Err(io::ErrorKind::TimedOut), b"PRI".as_slice()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_may_take_its_time() {
        let (addr, mut sockets) = listening(Limits::default()).await;
        let mut client = TcpStream::connect(addr).await.expect("connected");
        let mut socket = sockets.recv().await.expect("a socket").expect("open");
        client.write_all(&[7; OPENING_BYTES]).await.expect("sent");
        socket.read_exact(&mut [0; OPENING_BYTES]).await.expect("read");
        tokio::time::sleep(OPENING_DEADLINE * 10).await;
        client.write_all(b"!").await.expect("sent");
        assert_eq!(socket.read_u8().await.expect("still open"), b'!');
    }

    #[tokio::test]
    async fn a_flood_is_closed_at_once_and_its_places_come_back() {
        let (addr, mut sockets) = listening(Limits { connections: 2, connections_per_peer: 2 }).await;
        let _first = TcpStream::connect(addr).await.expect("connected");
        let _second = TcpStream::connect(addr).await.expect("connected");
        let held = [sockets.recv().await, sockets.recv().await];
        let mut third = TcpStream::connect(addr).await.expect("connected");
        // Closed or reset: nothing is ever read.
        assert!(matches!(third.read_u8().await, Err(error) if error.kind() != io::ErrorKind::TimedOut));
        drop(held);
        let _fourth = TcpStream::connect(addr).await.expect("connected");
        assert!(sockets.recv().await.is_some_and(|socket| socket.is_ok()));
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let seats = Arc::new(Seats::default());
        let limits = Limits { connections: 3, connections_per_peer: 2 };
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let taken = [seats.take(one, limits), seats.take(one, limits)];
        assert!(taken.iter().all(Option::is_some) && seats.take(one, limits).is_none());
        let last = seats.take(other, limits);
        assert!(last.is_some() && seats.take(other, limits).is_none());
        drop(taken);
        assert!(seats.take(one, limits).is_some());
    }
}
