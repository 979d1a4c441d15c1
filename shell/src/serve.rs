//! Listening and serving as both binaries do it.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use pulse_proto::DESCRIPTOR_SET;
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Pings on idle connections, so that dead peers are noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);
const HEALTH: &str = "grpc.health.v1.Health";
/// Streams of one connection.
const STREAMS_MAX: u32 = 1_024;

/// Binds before anything else is done, so that a taken address is told at once.
pub async fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let hint = || {
        format!("cannot listen on {address}; choose another address with {key}, or stop what listens there")
    };
    TcpListener::bind(address).await.with_context(hint)
}

/// Health and reflection (v1 and v1alpha) of these services, to which the services are added.
pub fn routes(services: &[&str]) -> anyhow::Result<(HealthReporter, Routes)> {
    let (health, service) = tonic_health::server::health_reporter();
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(HEALTH);
        // Listed is what answers here; messages of the whole contract can be looked up.
        services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
    };
    let routes =
        Routes::new(service).add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    Ok((health, routes))
}

/// Serves until `stop`, then lets open calls end.
pub async fn grpc(listener: TcpListener, routes: Routes, stop: CancellationToken) -> anyhow::Result<()> {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_DEADLINE))
        .max_concurrent_streams(STREAMS_MAX)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming(listener), stop.cancelled_owned())
        .await
        .context("the gRPC server failed")
}

pub async fn http(
    listener: TcpListener,
    router: axum::Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    server.await.context("the HTTP server failed")
}

/// Makes the folder of a service's data, for its own user alone.
pub fn own_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| {
        format!("cannot make data_dir {}; set data_dir to a folder that can be written", folder.display())
    })
}

/// Sets the health of the process and of each service.
pub async fn say_health(health: &HealthReporter, services: &[&str], status: ServingStatus) {
    for service in std::iter::once(&"").chain(services) {
        health.set_service_status(*service, status).await;
    }
}

/// Resolves at Ctrl-C or SIGTERM.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// Small messages go out at once. A connection that broke while it was accepted is not the server's end.
fn incoming(listener: TcpListener) -> impl Stream<Item = std::io::Result<TcpStream>> {
    TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        stream.set_nodelay(true)?;
        Ok(stream)
    })
}
