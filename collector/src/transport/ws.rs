//! The WebSocket: upgrade over our own stream, then text frames in and out.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use pulse_shell::tls::failure;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};

use super::dial::{Io, PeerCertificate, Stream};
use super::error::TransportError;
use super::framewise::Framewise;
use super::redirect::Redirect;
use super::{Endpoint, Route, http};

/// Room that a message made for itself is given back beyond this.
const LARGE_BYTES: usize = 32 * 1024;
/// What is read at once, and what a quiet connection keeps; the library's own choice would be 128 KiB.
const READ_BUFFER_BYTES: usize = 2 * 1024;
/// How long a write may wait for a server that does not read.
const WRITE_LIMIT: Duration = Duration::from_secs(15);
/// How long a closing handshake may take before the connection is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One message and one frame alike: the server sends each message in one frame.
    pub message_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes_max: http::BODY_BYTES_MAX }
    }
}

/// What comes out of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    Text(String),
    Pong,
    /// Anything else that shows the other side is there.
    Noise,
    Closed(Closed),
}

/// Why a socket ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    #[error("the server closed the connection with code {code}: {reason}")]
    ByServer { code: u16, reason: String },
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("a message of the server was larger than the limit of {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the server broke the websocket protocol: {0}")]
    Protocol(String),
    #[error("the server did not take a message within {} s", WRITE_LIMIT.as_secs())]
    WriteStalled,
}

pub struct Socket {
    inner: WebSocketStream<Framewise<Box<dyn Io>>>,
    /// What was read when a large message gave its room back.
    ahead: Option<tungstenite::Result<Message>>,
    limits: Limits,
    pub peer: Option<PeerCertificate>,
    pub route: Option<Route>,
}

/// Asks for the upgrade at `path`. A status other than 101 comes out by number, a redirect by what it means.
pub async fn upgrade(
    stream: Stream,
    endpoint: &Endpoint,
    path: &str,
    limits: Limits,
    limit: Duration,
) -> Result<Socket, TransportError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.message_bytes_max));
    let handshake = tokio_tungstenite::client_async_with_config(
        endpoint.ws_url(path),
        Framewise::new(stream.io),
        Some(config),
    );
    match timeout(limit, handshake).await {
        Err(_) => Err(TransportError::Deadline { step: "the websocket upgrade", limit }),
        Ok(Ok((mut inner, _response))) => {
            inner.get_mut().begin();
            Ok(Socket { inner, ahead: None, limits, peer: stream.peer, route: stream.route })
        }
        Ok(Err(tungstenite::Error::Http(response))) => {
            let status = response.status();
            let location = response.headers().get(::http::header::LOCATION);
            if let (true, Some(location)) = (status.is_redirection(), location) {
                let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
                return Err(TransportError::Redirect(Redirect::judge(endpoint, &location)));
            }
            Err(TransportError::UpgradeRefused { status: status.as_u16() })
        }
        Ok(Err(error)) => Err(TransportError::Upgrade { cause: failure::cause(&error) }),
    }
}

impl Socket {
    /// Safe to drop while it waits.
    pub async fn recv(&mut self) -> Incoming {
        let next = match self.ahead.take() {
            Some(read) => Some(read),
            None => self.inner.next().await,
        };
        match next {
            Some(Ok(Message::Text(text))) => {
                let message = text.as_str().to_owned();
                if message.len() > LARGE_BYTES {
                    self.give_back(text);
                }
                Incoming::Text(message)
            }
            Some(Ok(Message::Pong(_))) => Incoming::Pong,
            Some(Ok(Message::Close(frame))) => Incoming::Closed(by_server(frame)),
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Frame(_))) => Incoming::Noise,
            Some(Err(error)) => Incoming::Closed(closed_by(error, self.limits)),
            None => Incoming::Closed(Closed::Lost("end of stream".to_owned())),
        }
    }

    /// The message shares the buffer it was read into, which would stay for as long as the connection does. It has no room
    /// left, so while the message is held a further look for data makes a small one, and the large one goes with the message.
    fn give_back(&mut self, message: Utf8Bytes) {
        self.ahead = self.inner.next().now_or_never().flatten();
        drop(message);
    }

    pub async fn send_text(&mut self, text: String) -> Result<(), Closed> {
        self.send(Message::text(text)).await
    }

    pub async fn send_ping(&mut self) -> Result<(), Closed> {
        self.send(Message::Ping(Bytes::new())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Closed> {
        let limits = self.limits;
        match timeout(WRITE_LIMIT, self.inner.send(message)).await {
            Err(_) => Err(Closed::WriteStalled),
            Ok(result) => result.map_err(|error| closed_by(error, limits)),
        }
    }

    /// Says goodbye and waits a little for the answer.
    pub async fn close(mut self) {
        let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _bounded = timeout(CLOSE_LIMIT, async {
            if self.inner.close(Some(frame)).await.is_ok() {
                while let Some(Ok(_)) = self.inner.next().await {}
            }
        })
        .await;
    }
}

fn by_server(frame: Option<CloseFrame>) -> Closed {
    match frame {
        Some(frame) => Closed::ByServer { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
        None => Closed::ByServer { code: 1005, reason: "no reason given".to_owned() },
    }
}

fn closed_by(error: tungstenite::Error, limits: Limits) -> Closed {
    match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Closed::TooLarge { limit_bytes: limits.message_bytes_max }
        }
        tungstenite::Error::Protocol(error) => match error {
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake => {
                Closed::Lost("the server went away without closing".to_owned())
            }
            other => Closed::Protocol(other.to_string()),
        },
        tungstenite::Error::Utf8(_) => Closed::Protocol("text that is not UTF-8".to_owned()),
        other => Closed::Lost(failure::cause(&other)),
    }
}
