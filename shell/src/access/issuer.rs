//! The keys of an issuer, fetched from where it says they are (OpenID Connect
//! discovery) or from where an operator says: over TLS only, within a deadline
//! and a size, no redirect followed. Knows no token and no grant.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body::Body;
use hyper::client::conn::http1;
use serde::Deserialize;

use crate::tls::connector::{self, ClientFiles};

/// A key set, or what discovery says.
pub(super) const BYTES_MAX: usize = 1024 * 1024;
const TOKEN_BYTES_MAX: u64 = 16 * 1024;
/// One exchange, from the name to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Where keys come from when not from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// As its tokens have it.
    pub name: String,
    /// The key set itself; `None`: the issuer is asked where it is.
    pub keys: Option<Uri>,
    /// Authorities of its certificate; the system's without it.
    pub ca: Option<PathBuf>,
    /// Shown to the issuer, and to nobody else that it names.
    pub token: Option<PathBuf>,
}

/// What is needed of a discovery document.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    jwks_uri: String,
}

impl Issuer {
    /// The key set, as it is told now.
    pub(super) async fn fetch(&self) -> anyhow::Result<Vec<u8>> {
        let (from, is_named_by_us) = match &self.keys {
            Some(keys) => (keys.clone(), true),
            None => self.discover().await?,
        };
        self.get(&from, is_named_by_us).await.with_context(|| format!("the key set at {from}"))
    }

    /// Where the issuer says that its keys are, and whether that is itself.
    async fn discover(&self) -> anyhow::Result<(Uri, bool)> {
        let at = format!("{}{DISCOVERY}", self.name.trim_end_matches('/'));
        let at: Uri = at.parse().with_context(|| format!("auth.jwt_issuer {:?} is no URL", self.name))?;
        let told = self.get(&at, true).await.with_context(|| format!("what {at} says"))?;
        let Discovered { issuer, jwks_uri } = serde_json::from_slice(&told)
            .with_context(|| format!("what {at} says is no discovery document"))?;
        ensure!(issuer == self.name, "{at} speaks for the issuer {issuer:?} and not for {:?}", self.name);
        let keys: Uri =
            jwks_uri.parse().with_context(|| format!("jwks_uri {jwks_uri:?} of {at} is no URL"))?;
        let is_same = keys.authority() == at.authority() && keys.scheme() == at.scheme();
        Ok((keys, is_same))
    }

    async fn get(&self, from: &Uri, shows_token: bool) -> anyhow::Result<Vec<u8>> {
        let exchange = self.exchange(from, shows_token);
        tokio::time::timeout(DEADLINE, exchange)
            .await
            .unwrap_or_else(|_late| bail!("no answer within {} s", DEADLINE.as_secs()))
    }

    async fn exchange(&self, from: &Uri, shows_token: bool) -> anyhow::Result<Vec<u8>> {
        // Who could change keys on their way could sign tokens.
        ensure!(from.scheme_str() == Some("https"), "only https is spoken");
        let authority = from.authority().context("the URL has no host")?;
        ensure!(!authority.as_str().contains('@'), "the URL holds a user");
        let path = from.path_and_query().map_or("/", |path| path.as_str());
        let mut request =
            Request::get(path).header(HOST, authority.as_str()).header(ACCEPT, "application/json");
        if let Some(token) = self.token.as_deref().filter(|_| shows_token) {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let request = request.body(Empty)?;
        let files = ClientFiles { ca: self.ca.clone(), identity: None };
        let stream = connector::http1(from.clone(), &files).await?;
        let (mut sender, connection) = http1::handshake(stream).await?;
        let talk = async {
            let response = sender.send_request(request).await?;
            ensure!(response.status() == StatusCode::OK, "status {}", response.status().as_u16());
            let told =
                response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
            ensure!(told.is_none_or(|length: usize| length <= BYTES_MAX), "more than {BYTES_MAX} bytes");
            collect(response.into_body()).await
        };
        let mut talk = std::pin::pin!(talk);
        tokio::select! {
            talked = talk.as_mut() => talked,
            // What has come by then is still to be read.
            ended = connection => {
                ended?;
                talk.await
            }
        }
    }
}

async fn collect<B>(body: B) -> anyhow::Result<Vec<u8>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (mut body, mut bytes) = (body, Vec::new());
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        ensure!(bytes.len() + data.len() <= BYTES_MAX, "more than {BYTES_MAX} bytes");
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Read at each use: projected tokens are replaced every hour.
fn bearer(file: &Path) -> anyhow::Result<HeaderValue> {
    let told = || format!("auth.jwks_token_file {} cannot be read", file.display());
    let length = std::fs::metadata(file).with_context(told)?.len();
    ensure!(length <= TOKEN_BYTES_MAX, "auth.jwks_token_file {} is too long", file.display());
    let text = std::fs::read_to_string(file).with_context(told)?;
    // The error would carry the text.
    let mut value = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        .map_err(|_secret| anyhow::anyhow!("auth.jwks_token_file {} holds no token", file.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request without a body.
struct Empty;

impl Body for Empty {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(0)
    }
}

#[cfg(test)]
pub(super) mod tests;
