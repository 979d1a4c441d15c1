//! Small HTTP exchanges: the version list and the REST API of older lines.
//!
//! Never follows a redirect, never uses a proxy, never reads more than its cap.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use pulse_shell::tls::failure;
use reqwest::header::LOCATION;

use super::dial::{self, Deadlines};
use super::error::{TlsFailure, TransportError};
use super::outbound::Resolver;
use super::redirect::Redirect;
use super::tls;
use super::{Endpoint, Outbound, Security};
use crate::secret::Secret;

/// The default cap of one body, for replies and for websocket messages alike.
pub const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What goes into the `Authorization` header.
#[derive(Debug, Clone)]
pub enum Authorization {
    None,
    Bearer(Secret),
    Basic { username: String, password: Secret },
}

#[derive(Debug, Clone)]
pub enum Request<'a> {
    Get { path: &'a str, query: &'a [(&'a str, &'a str)] },
    Post { path: &'a str, body: &'a serde_json::Value },
}

/// A complete answer. Redirects come out as errors, all other statuses as they are.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// A client for one endpoint. Built per session: the roots are read here.
pub struct Client {
    endpoint: Endpoint,
    inner: reqwest::Client,
    tls: Option<tls::Client>,
    body_bytes_max: usize,
    connect_limit: Duration,
}

impl Client {
    pub async fn new(
        endpoint: &Endpoint,
        deadlines: &Deadlines,
        body_bytes_max: usize,
        outbound: &Outbound,
    ) -> Result<Self, TransportError> {
        // An address is never resolved.
        if let Ok(address) = endpoint.host.parse() {
            outbound.check(address)?;
        }
        // Without a TLS endpoint this configuration is never used, but the builder wants one.
        let tls = match &endpoint.security {
            Security::Plaintext => dial::tls_client(super::Trust::Insecure).await?,
            Security::Tls(trust) => dial::tls_client(trust.clone()).await?,
        };
        let connect_limit = deadlines.resolve + deadlines.connect + deadlines.tls;
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls.config))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Resolver(outbound.clone())))
            .http1_only()
            .user_agent(concat!("pulse-collector/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_limit)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| TransportError::Http { cause: error.to_string() })?;
        let tls = endpoint.is_tls().then_some(tls);
        Ok(Self { endpoint: endpoint.clone(), inner, tls, body_bytes_max, connect_limit })
    }

    /// One exchange within `limit`, body included.
    pub async fn send(
        &self,
        request: Request<'_>,
        authorization: &Authorization,
        limit: Duration,
    ) -> Result<Answer, TransportError> {
        let builder = match request {
            Request::Get { path, query } => self.inner.get(with_query(&self.endpoint.http_url(path), query)),
            Request::Post { path, body } => self.inner.post(self.endpoint.http_url(path)).json(body),
        };
        let builder = match authorization {
            Authorization::None => builder,
            Authorization::Bearer(token) => builder.bearer_auth(token.expose()),
            Authorization::Basic { username, password } => {
                builder.basic_auth(username, Some(password.expose()))
            }
        };
        tokio::time::timeout(limit, self.exchange(builder))
            .await
            .unwrap_or(Err(TransportError::Deadline { step: "waiting for the http reply", limit }))
    }

    async fn exchange(&self, builder: reqwest::RequestBuilder) -> Result<Answer, TransportError> {
        let mut response = builder.send().await.map_err(|error| self.explain(error))?;
        let status = response.status();
        if status.is_redirection() {
            let location = response
                .headers()
                .get(LOCATION)
                .map(reqwest::header::HeaderValue::as_bytes)
                .unwrap_or_default();
            let location = String::from_utf8_lossy(location);
            return Err(TransportError::Redirect(Redirect::judge(&self.endpoint, &location)));
        }
        let too_large = TransportError::TooLarge { limit_bytes: self.body_bytes_max };
        if response.content_length().is_some_and(|length| length > self.body_bytes_max as u64) {
            return Err(too_large);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.explain(error))? {
            if body.len() + chunk.len() > self.body_bytes_max {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: status.as_u16(), body })
    }

    /// The certificate of the last handshake.
    pub fn observed(&self) -> Option<super::Fingerprint> {
        self.tls.as_ref().and_then(|tls| tls.observed.fingerprint())
    }

    fn explain(&self, error: reqwest::Error) -> TransportError {
        // The URL carries no secret, but a query may be long; the cause is what matters.
        let error = error.without_url();
        if let Some(failure) = self.tls_failure(&error) {
            return failure.into();
        }
        if let Some(forbidden) = forbidden(&error) {
            return forbidden;
        }
        if error.is_timeout() {
            return TransportError::Deadline {
                step: "opening the http connection",
                limit: self.connect_limit,
            };
        }
        let cause = failure::cause(&error);
        if error.is_connect() {
            return TransportError::Connect { address: self.endpoint.authority(), cause };
        }
        TransportError::Http { cause }
    }

    fn tls_failure(&self, error: &reqwest::Error) -> Option<TlsFailure> {
        let tls = self.tls.as_ref()?;
        let mut source = error.source();
        while let Some(inner) = source {
            if let Some(rustls) = rustls_error(inner) {
                return Some(tls.observed.explain(rustls, &self.endpoint.host));
            }
            source = inner.source();
        }
        None
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Checks an endpoint the way a session would, and nothing more: one unauthenticated GET.
pub async fn get_once(
    endpoint: &Endpoint,
    path: &str,
    deadlines: &Deadlines,
    body_bytes_max: usize,
    outbound: &Outbound,
) -> Result<Answer, TransportError> {
    let client = Arc::new(Client::new(endpoint, deadlines, body_bytes_max, outbound).await?);
    client.send(Request::Get { path, query: &[] }, &Authorization::None, deadlines.http).await
}

fn with_query(url: &str, query: &[(&str, &str)]) -> String {
    let mut out = url.to_owned();
    for (index, (key, value)) in query.iter().enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        out.push_str(&crate::secret::percent(key));
        out.push('=');
        out.push_str(&crate::secret::percent(value));
    }
    out
}

fn forbidden(error: &reqwest::Error) -> Option<TransportError> {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(found @ TransportError::Forbidden { .. }) = inner.downcast_ref() {
            return Some(found.clone());
        }
        source = inner.source();
    }
    None
}

/// Also inside of IO errors, which do not name what they wrap as their source.
fn rustls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    rustls_error(error.downcast_ref::<std::io::Error>()?.get_ref()?)
}
