//! The client's side: whom to believe, what to show, and the stream that a gRPC
//! channel runs over. Files are read at each connect, so a change needs no restart.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::certificates::{identity, read_file, roots};
use super::failure::Failure;
use super::plain::Plain;
use super::{VERSIONS, provider};
use crate::socket::Socket;

/// Whom a client believes and how it shows who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// PEM file of authorities; without it, the system's.
    pub ca: Option<PathBuf>,
    /// Certificate and key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A channel to `endpoint`: over TLS for `https`, without for `http`.
pub async fn connect(endpoint: Endpoint, files: &ClientFiles) -> Result<Channel, Failure> {
    if endpoint.uri().scheme_str() != Some("https") {
        let connector = service_fn(async |uri: Uri| {
            let (_host, tcp) = open(&uri, 80).await?;
            Ok::<_, io::Error>(TokioIo::new(Plain::begin(tcp).await?))
        });
        return Ok(endpoint.connect_with_connector(connector).await?);
    }
    let wanted = files.clone();
    let read = tokio::task::spawn_blocking(move || client_config(&wanted, b"h2"));
    let config = read.await.map_err(anyhow::Error::new)??;
    let config = Arc::new(config);
    let connector = service_fn(move |uri: Uri| dial(uri, Arc::clone(&config)));
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// A channel that connects when it is used, and again when it has to. Files are read now.
pub(crate) fn lazy(endpoint: &Endpoint, files: &ClientFiles) -> anyhow::Result<Channel> {
    if endpoint.uri().scheme_str() != Some("https") {
        return Ok(endpoint.connect_lazy());
    }
    let config = Arc::new(client_config(files, b"h2")?);
    Ok(endpoint.connect_with_connector_lazy(service_fn(move |uri: Uri| dial(uri, Arc::clone(&config)))))
}

/// One connection to an `https` address for plain HTTP/1.1.
pub(crate) async fn http1(uri: Uri, files: &ClientFiles) -> anyhow::Result<TokioIo<Socket>> {
    let wanted = files.clone();
    let config = tokio::task::spawn_blocking(move || client_config(&wanted, b"http/1.1")).await??;
    Ok(dial(uri, Arc::new(config)).await?)
}

/// The host as it is called outside of an address, and a connection to it.
async fn open(uri: &Uri, port: u16) -> io::Result<(String, TcpStream)> {
    let host = uri.host().ok_or_else(|| invalid("the address has no host"))?;
    // An IPv6 address stands in brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let tcp = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(port))).await?;
    tcp.set_nodelay(true)?;
    Ok((host, tcp))
}

async fn dial(uri: Uri, config: Arc<ClientConfig>) -> io::Result<TokioIo<Socket>> {
    let (host, tcp) = open(&uri, 443).await?;
    let name =
        ServerName::try_from(host).map_err(|_bad| invalid("the host is no name that a certificate has"))?;
    let stream = TlsConnector::from(config).connect(name, tcp).await?;
    Ok(TokioIo::new(Socket::client(stream)))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.to_owned())
}

fn client_config(files: &ClientFiles, protocol: &[u8]) -> anyhow::Result<ClientConfig> {
    let trusted = match &files.ca {
        Some(path) => roots(path, &read_file("the CA file", path)?)?,
        None => system_roots()?,
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)?
        .with_root_certificates(trusted);
    let mut config = match &files.identity {
        Some((cert, key)) => {
            let (chain, secret) = identity(
                cert,
                &read_file("the certificate file", cert)?,
                key,
                &read_file("the key file", key)?,
            )?;
            builder
                .with_client_auth_cert(chain, secret)
                .with_context(|| format!("{} and {} do not fit", cert.display(), key.display()))?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

fn system_roots() -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        bail!("the system has no root certificates; name a CA file");
    }
    Ok(roots)
}
