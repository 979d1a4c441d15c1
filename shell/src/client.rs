//! How a client command reaches a server: address, whom to believe, what to show.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use crate::command::{remedied, url};
use crate::tls::connector::{self, ClientFiles};
use crate::tls::failure::Failure;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const TOKEN_BYTES_MAX: u64 = 16 * 1024;

/// A channel that says with every call who calls.
pub type Channel = InterceptedService<tonic::transport::Channel, Bearer>;

/// Flags of every client command.
#[derive(Clone, Debug, Default, Args)]
pub struct Access {
    /// PEM file of the authority that issued the server's certificate; without it, the system's authorities.
    #[arg(long, value_name = "FILE", env = "PULSE_TLS_CA")]
    pub tls_ca: Option<PathBuf>,
    /// PEM file of a certificate to show.
    #[arg(long, value_name = "FILE", env = "PULSE_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's key.
    #[arg(long, value_name = "FILE", env = "PULSE_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// File that holds a bearer token.
    #[arg(long, value_name = "FILE", env = "PULSE_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
}

impl Access {
    pub fn files(&self) -> ClientFiles {
        ClientFiles { ca: self.tls_ca.clone(), identity: self.tls_cert.clone().zip(self.tls_key.clone()) }
    }
}

/// Puts a token into each call, if there is one.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(a token)" } else { "Bearer(none)" })
    }
}

impl Bearer {
    /// Reads the token. It never goes over a connection that others can read.
    pub fn read(file: Option<&Path>, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        ensure!(
            endpoint.uri().scheme_str() == Some("https") || is_loopback(endpoint.uri().host()),
            "a token is not sent over plain text: use an https address"
        );
        let told = || format!("the token file {} cannot be read", file.display());
        let length = std::fs::metadata(file).with_context(told)?.len();
        ensure!(length <= TOKEN_BYTES_MAX, "the token file {} is too long", file.display());
        let text = std::fs::read_to_string(file).with_context(told)?;
        let text = text.trim();
        ensure!(!text.is_empty(), "the token file {} is empty", file.display());
        // The error would carry the text.
        let mut value: MetadataValue<Ascii> = format!("Bearer {text}")
            .parse()
            .map_err(|_secret| anyhow::anyhow!("the token file {} holds no token", file.display()))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

fn is_loopback(host: Option<&str>) -> bool {
    let host = host.unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Connects to the `server` ("registry", "collector") at `address` as the flags say.
pub async fn connect(server: &str, address: &str, access: &Access) -> anyhow::Result<Channel> {
    reach(address, access).await.map_err(|failure| {
        let remedy = match &failure {
            Failure::Ours(_) => return anyhow!("{failure}"),
            Failure::Authority => "name the PEM file of that authority with --tls-ca",
            Failure::Name(_) => "name it with --address as its certificate does",
            Failure::Certificate(_) => "give it another one, or check both clocks",
            Failure::NoTls => "name its gRPC port with --address, or use http://",
            Failure::Tls => "use https://",
            Failure::Other(_) => "start it, or name another with --address",
        };
        remedied(format!("no {server} answers at {address}: {failure}"), remedy)
    })
}

/// The same for who has no flags, and other remedies.
pub async fn reach(address: &str, access: &Access) -> Result<Channel, Failure> {
    let endpoint = Endpoint::from_shared(url(address))
        .with_context(|| format!("the address {address:?} is no URL such as http://127.0.0.1:7660"))?
        .connect_timeout(CONNECT_DEADLINE);
    let bearer = Bearer::read(access.token_file.as_deref(), &endpoint)?;
    let channel = connector::connect(endpoint, &access.files()).await?;
    Ok(InterceptedService::new(channel, bearer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_leaves_in_the_clear() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "pulse_secret\n").expect("written");
        let read = |address: &'static str| Bearer::read(Some(file.path()), &Endpoint::from_static(address));
        for address in ["http://registry.example:1", "http://10.0.0.1:1", "http://127.0.0.1.evil.example:1"] {
            let refused = format!("{:#}", read(address).expect_err(address));
            assert!(refused.contains("https") && !refused.contains("secret"), "{refused}");
        }
        for address in ["https://registry.example:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            let bearer = read(address).expect(address);
            assert!(!format!("{bearer:?}").contains("secret"));
        }
    }
}
