//! Whoever can reach a port, or is reached, and means ill: floods, half-said requests, bombs,
//! names that imitate something else. What he does ends or stays small, memory stays bounded
//! in each case, and everybody else is served meanwhile.

mod claims;
mod frames;
mod http;
mod nas;
mod streams;

use std::net::SocketAddr;

use anyhow::ensure;
use pulse_proto::pb::registry::v1::SummarizeResourcesRequest;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::usage::Usage;
use pulse_tests::harness::within;
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

/// What an attack may cost while it goes on and after it.
const GROWTH_MB_MAX: f64 = 96.0;

/// A registry, and how large it was before.
struct Besieged {
    registry: Service,
    before: Usage,
    _folder: TempDir,
}

impl Besieged {
    async fn new() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let registry = Service::start("pulse-registry", folder.path(), "").await?;
        serves(registry.grpc()).await?;
        let before = Usage::of(registry.process().pid()?)?;
        Ok(Self { registry, before, _folder: folder })
    }

    /// Others are served, and it has not grown.
    async fn holds(&self, what: &str) -> anyhow::Result<()> {
        serves(self.registry.grpc()).await?;
        self.is_small(what)
    }

    fn is_small(&self, what: &str) -> anyhow::Result<()> {
        let now = Usage::of(self.registry.process().pid()?)?;
        let grown = now.rss_mb - self.before.rss_mb;
        ensure!(grown < GROWTH_MB_MAX, "{what}: grew by {grown:.0} MB to {:.0} MB", now.rss_mb);
        Ok(())
    }
}

/// Somebody else asks something and is answered.
async fn serves(addr: SocketAddr) -> anyhow::Result<()> {
    let answer = async {
        let mut client = ResourceServiceClient::connect(format!("http://{addr}")).await?;
        client.summarize_resources(SummarizeResourcesRequest::default()).await?;
        anyhow::Ok(())
    };
    within("an answer meanwhile", answer).await
}

/// A connection of an attacker, who has an address of his own.
async fn attacker(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 66], 0).into())?;
    socket.connect(addr).await
}
