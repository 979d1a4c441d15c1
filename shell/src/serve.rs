//! Listening and serving as both binaries do it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pulse_proto::DESCRIPTOR_SET;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::{Layer as _, ServiceExt as _};
use tracing::{debug, info, warn};

use crate::access::guard::{Guard, Port};
use crate::access::inside::InsideLayer;
use crate::access::{self, GuardLayer, RefusedPage};
use crate::calls::Calls;
use crate::command::remedied;
use crate::socket::{self, Limits, Socket};
use crate::tls;
use crate::tls::certificates::Certificates;

/// Pings on idle connections, so that dead peers are noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);
const HEALTH: &str = "grpc.health.v1.Health";
/// Streams of one connection.
const STREAMS_MAX: u32 = 1_024;
/// All headers of a request together.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Streams that a client opened and reset before they were looked at; more end its connection.
const RESETS_PENDING_MAX: usize = 64;
/// For the head of an HTTP/1 request.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Binds before anything else is done, so that a taken address is told at once.
pub async fn listen(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let fault = format!("cannot listen on {address}: {error}");
        remedied(fault, format!("choose another address with {key}, or stop what listens there"))
    })
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

/// What stands before both ports of a service.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    certificates: Option<Arc<Certificates>>,
    limits: Limits,
    guard: Guard,
    pages: Option<RefusedPage>,
    calls: Calls,
}

impl Entrance {
    /// Reads certificates and credentials and follows their files until `stop`.
    pub async fn open(
        config: &tls::Config,
        access: &access::config::Config,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let has_client_ca = config.files.as_ref().is_some_and(|files| files.client_ca.is_some());
        let guard = Guard::open(access, has_client_ca, config.files.is_some(), stop.clone()).await?;
        if config.exposed {
            warn!(
                "TLS IS OFF on an address that others can reach: everything sent here can be read and changed on its way"
            );
        }
        let Some(files) = config.files.clone() else { return Ok(Self { guard, ..Self::default() }) };
        let (certificates, follower) =
            tokio::task::spawn_blocking(move || Certificates::load(files)).await??;
        tokio::spawn(follower.run(stop.clone()));
        // Other authorities believe other clients.
        let (mut loads, asked_again) = (certificates.loads(), guard.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            while loads.changed().await.is_ok() {
                asked_again.recheck();
            }
        }));
        Ok(Self { certificates: Some(certificates), guard, ..Self::default() })
    }

    /// With figures of what comes in.
    #[must_use]
    pub fn with_calls(self, calls: Calls) -> Self {
        Self { calls, ..self }
    }

    /// With pages for people where they are refused one.
    #[must_use]
    pub fn with_pages(self, pages: RefusedPage) -> Self {
        Self { pages: Some(pages), ..self }
    }

    /// Knows who may do what, and opens sessions.
    pub fn guard(&self) -> Guard {
        self.guard.clone()
    }

    /// For what asks the services from inside, on behalf of those who were let in.
    pub fn inside(&self) -> InsideLayer {
        InsideLayer::new(self.guard.clone())
    }

    fn accept(&self, listener: TcpListener, stop: CancellationToken) -> mpsc::Receiver<io::Result<Socket>> {
        socket::accept(listener, self.certificates.clone(), self.limits, stop)
    }
}

/// Serves until `stop`, then lets open calls end.
pub async fn grpc(
    listener: TcpListener,
    entrance: Entrance,
    routes: Routes,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let sockets = ReceiverStream::new(entrance.accept(listener, stop.clone()));
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_DEADLINE))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_PENDING_MAX))
        .layer(entrance.calls.layer(Port::Grpc))
        .layer(GuardLayer::new(entrance.guard, Port::Grpc))
        .add_routes(routes)
        .serve_with_incoming_shutdown(sockets, stop.cancelled_owned())
        .await
        .context("the gRPC server failed")
}

/// Serves until `stop`, then lets open requests end.
pub async fn http(
    listener: TcpListener,
    entrance: Entrance,
    router: axum::Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut sockets = entrance.accept(listener, stop.clone());
    let connections = TaskTracker::new();
    let guarded = GuardLayer::new(entrance.guard, Port::Http).with_pages(entrance.pages).layer(router);
    let router = entrance.calls.layer(Port::Http).layer(guarded);
    let server = http_server();
    while let Some(Ok(socket)) = sockets.recv().await {
        let (peer, router, server, stop) =
            (socket.peer().cloned(), router.clone(), server.clone(), stop.clone());
        connections.spawn(async move {
            let answer = service_fn(move |mut request: http::Request<Incoming>| {
                if let Some(peer) = &peer {
                    request.extensions_mut().insert(ConnectInfo(peer.address));
                }
                request.extensions_mut().insert(peer.clone());
                router.clone().oneshot(request)
            });
            let mut connection = pin!(server.serve_connection(TokioIo::new(socket), answer));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                debug!(%error, "an HTTP connection broke");
            }
        });
    }
    connections.close();
    connections.wait().await;
    Ok(())
}

fn http_server() -> auto::Builder<TokioExecutor> {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(BUFFER_BYTES_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_DEADLINE)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX);
    server
}

/// Makes the folder of a service's data, for its own user alone.
pub fn own_folder(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        let fault = format!("cannot make data_dir {}: {error}", folder.display());
        remedied(fault, "set data_dir to a folder that can be written")
    })
}

/// Refuses root in the folder of another user's service, which could not read what root writes there. A service itself
/// may run as root.
pub fn refuse_root(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |path: &Path| std::fs::metadata(path).ok().map(|metadata| metadata.uid());
    let (Some(user), Some(owner)) = (owner(Path::new("/proc/self")), owner(folder)) else { return Ok(()) };
    anyhow::ensure!(
        user != 0 || owner == 0,
        "{} belongs to user {owner}, whose service could not read what root writes; run this as that user (sudo -u)",
        folder.display()
    );
    Ok(())
}

/// Sets the health of the process and of each service.
pub async fn say_health(health: &HealthReporter, services: &[&str], status: ServingStatus) {
    for service in std::iter::once(&"").chain(services) {
        health.set_service_status(*service, status).await;
    }
}

/// Starts and serves until Ctrl-C or SIGTERM, then drains. A start that one of them comes into is given up where it next
/// waits for something.
pub async fn until_stopped<A>(
    start: impl Future<Output = anyhow::Result<A>>,
    shutdown: impl FnOnce(&A),
    wait: impl AsyncFnOnce(A) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut stop = pin!(stop_signal());
    let app = tokio::select! {
        started = start => started?,
        stopped = &mut stop => {
            info!("asked to stop before it served");
            return stopped;
        }
    };
    stop.await?;
    shutdown(&app);
    // Who asks twice does not want to wait.
    tokio::select! {
        ended = wait(app) => ended,
        signal = stop_signal() => signal,
    }
}

/// Resolves at Ctrl-C or SIGTERM. They are caught from the call on, and not from when they are first waited for: what ends
/// what else is waited for could come before.
pub fn stop_signal() -> impl Future<Output = anyhow::Result<()>> {
    let caught = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [interrupt, terminate] = caught;
        let (mut interrupt, mut terminate) = (interrupt?, terminate?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    }
}
