//! `health`: what a probe that runs a command asks a server of ours, over TLS or
//! not. Kubernetes' own gRPC probe cannot speak TLS.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use tokio::time::{Instant, timeout_at};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::answer;
use crate::client::{Access, Channel, connect};
use crate::settings::duration;
use crate::table;

/// Ask a running server whether it serves. Ends with 1 when it does not.
#[derive(Clone, Debug, Args)]
pub struct HealthArgs {
    /// One of its services, such as pulse.registry.v1.ResourceService. Without it: the server as a whole.
    #[arg(long, value_name = "NAME", default_value = "")]
    service: String,
    /// Wait so long for it to serve.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration_of)]
    wait: Duration,
    #[command(flatten)]
    access: Access,
}

pub(crate) fn duration_of(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| format!("{text:?} is no time such as 500ms, 3s or 1m"))
}

pub async fn run(server: &str, address: &str, arguments: &HealthArgs) -> anyhow::Result<ExitCode> {
    let deadline = Instant::now() + arguments.wait;
    let answer = timeout_at(deadline, serving(server, address, arguments)).await;
    answer
        .with_context(|| format!("the {server} at {address} does not serve within {:?}", arguments.wait))??;
    table::print(&["serving".to_owned()])?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for the word that it serves.
async fn serving(server: &str, address: &str, arguments: &HealthArgs) -> anyhow::Result<()> {
    let channel: Channel = connect(server, address, &arguments.access).await?;
    let request = HealthCheckRequest { service: arguments.service.clone() };
    let unknown = || format!("there is no service {:?} at {address}", arguments.service);
    let mut states = match HealthClient::new(channel).watch(request).await {
        Ok(states) => states.into_inner(),
        Err(status) if status.code() == Code::NotFound => bail!("{}", unknown()),
        Err(status) => {
            bail!("the {server} at {address} does not tell its health: {}", answer::told(&status));
        }
    };
    loop {
        let state =
            states.message().await.context("the server went away")?.context("the server went away")?;
        match state.status() {
            ServingStatus::Serving => return Ok(()),
            ServingStatus::ServiceUnknown => bail!("{}", unknown()),
            ServingStatus::NotServing | ServingStatus::Unknown => {}
        }
    }
}

/// Where the server of these settings answers on this machine: `listen` is their address, `has_tls` whether they have a
/// certificate.
pub fn own_address(listen: SocketAddr, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    format!("{scheme}://{}", reachable(listen))
}

/// Where this machine reaches what listens on every address.
fn reachable(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() { format!("localhost:{}", listen.port()) } else { listen.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_everywhere_is_asked_here() {
        for (listens, asked) in [
            ("0.0.0.0:7660", "localhost:7660"),
            ("[::]:7660", "localhost:7660"),
            ("127.0.0.1:7660", "127.0.0.1:7660"),
            ("10.0.0.7:7660", "10.0.0.7:7660"),
        ] {
            assert_eq!(reachable(listens.parse().expect("an address")), asked);
        }
    }
}
