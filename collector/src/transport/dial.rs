//! From an endpoint to an open byte stream, in three separate steps: resolve, connect, secure.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::certificate::Certificate;
use super::error::{TlsCause, TlsFailure, TransportError};
use super::tls;
use super::{Endpoint, Fingerprint, Outbound, Route, Security, Trust};

/// More addresses than this of one name are not tried.
const ADDRESSES_MAX: usize = 8;

/// How long each step may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    pub resolve: Duration,
    pub connect: Duration,
    pub tls: Duration,
    pub http: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(5),
            connect: Duration::from_secs(10),
            tls: Duration::from_secs(10),
            http: Duration::from_secs(30),
        }
    }
}

pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open stream, secured as the endpoint asks.
pub struct Stream {
    pub io: Box<dyn Io>,
    pub peer: Option<PeerCertificate>,
    /// Unknown only when the connection is already gone.
    pub route: Option<Route>,
}

/// The leaf certificate of the other side; channel binding hashes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    pub der: Vec<u8>,
    pub fingerprint: Fingerprint,
}

/// Addresses that may be dialled.
pub async fn resolve(
    endpoint: &Endpoint,
    limit: Duration,
    outbound: &Outbound,
) -> Result<Vec<SocketAddr>, TransportError> {
    let failed = |cause: String| TransportError::Resolve { host: endpoint.host.clone(), cause };
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let found = timeout(limit, lookup)
        .await
        .map_err(|_| TransportError::Deadline { step: "resolving the host name", limit })?
        .map_err(|error| failed(error.to_string()))?;
    let addresses = outbound.permitted(found.take(ADDRESSES_MAX))?;
    if addresses.is_empty() { Err(failed("no address".to_owned())) } else { Ok(addresses) }
}

/// Tries the addresses in order; the time is shared among those left, so that a dead first one costs its part only.
pub async fn connect(
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<(TcpStream, SocketAddr), TransportError> {
    let until = tokio::time::Instant::now() + limit;
    let mut last = TransportError::Connect { address: "nowhere".to_owned(), cause: "no address".to_owned() };
    for (index, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Requests are small and waited for; a failure only costs latency.
                let _best_effort = stream.set_nodelay(true);
                return Ok((stream, *address));
            }
            Ok(Err(error)) => {
                last = TransportError::Connect { address: address.to_string(), cause: error.to_string() };
            }
            Err(_) => last = TransportError::Deadline { step: "opening the TCP connection", limit },
        }
    }
    Err(last)
}

pub async fn secure(tcp: TcpStream, endpoint: &Endpoint, limit: Duration) -> Result<Stream, TransportError> {
    secure_showing(tcp, endpoint, limit, &mut Vec::new()).await
}

/// As `secure`; what certificates the server showed is in `chain`, also when none of them was good enough.
pub async fn secure_showing(
    tcp: TcpStream,
    endpoint: &Endpoint,
    limit: Duration,
    chain: &mut Vec<Certificate>,
) -> Result<Stream, TransportError> {
    let route =
        tcp.local_addr().ok().zip(tcp.peer_addr().ok()).map(|(from, to)| Route { from: from.ip(), to });
    let Security::Tls(trust) = &endpoint.security else {
        return Ok(Stream { io: Box::new(tcp), peer: None, route });
    };
    let client = tls_client(trust.clone()).await?;
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| TlsFailure { cause: TlsCause::BadName, observed: None })?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client.config));
    let outcome = timeout(limit, connector.connect(name, tcp)).await;
    *chain = client.observed.chain();
    let stream = match outcome {
        Err(_) => return Err(TransportError::Deadline { step: "the TLS handshake", limit }),
        Ok(Err(error)) => return Err(explain(&error, &client, &endpoint.host).into()),
        Ok(Ok(stream)) => stream,
    };
    let peer = client.observed.leaf().map(|der| {
        let fingerprint = Fingerprint::of_der(&der);
        PeerCertificate { der, fingerprint }
    });
    Ok(Stream { io: Box::new(stream), peer, route })
}

/// All three steps.
pub async fn dial(
    endpoint: &Endpoint,
    deadlines: &Deadlines,
    outbound: &Outbound,
) -> Result<Stream, TransportError> {
    let addresses = resolve(endpoint, deadlines.resolve, outbound).await?;
    let (tcp, _address) = connect(&addresses, deadlines.connect).await?;
    secure(tcp, endpoint, deadlines.tls).await
}

/// Builds the TLS configuration off the runtime's threads, since the system's roots are files.
pub(super) async fn tls_client(trust: Trust) -> Result<tls::Client, TlsFailure> {
    match tokio::task::spawn_blocking(move || tls::client(&trust)).await {
        Ok(client) => client,
        Err(_) => Err(TlsFailure {
            cause: TlsCause::Other("the TLS configuration could not be built".to_owned()),
            observed: None,
        }),
    }
}

fn explain(error: &std::io::Error, client: &tls::Client, host: &str) -> TlsFailure {
    if let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return client.observed.explain(inner, host);
    }
    let cause = match error.kind() {
        std::io::ErrorKind::UnexpectedEof
        | std::io::ErrorKind::ConnectionReset
        | std::io::ErrorKind::ConnectionAborted
        | std::io::ErrorKind::BrokenPipe => TlsCause::ClosedInHandshake,
        _ => TlsCause::Other(error.to_string()),
    };
    TlsFailure { cause, observed: client.observed.fingerprint() }
}
