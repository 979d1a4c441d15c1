//! All the wiring of the collector, in the order data flows: connections,
//! targets, pump, uplink, service, servers; and the way back at a stop.

mod figures;
mod gone;
mod pump;
mod unnamed;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use pulse_proto::model::{CollectorId, UnixMillis};
use pulse_proto::pb::admin::v1::log_service_server::LogServiceServer;
use pulse_proto::pb::collector::v1::connection_service_server::ConnectionServiceServer;
use pulse_shell::calls::Calls;
use pulse_shell::command::remedied;
use pulse_shell::logs::service::LogApi;
use pulse_shell::probes::{self, Readiness, Ready};
use pulse_shell::{logs, serve};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tracing::{error, info, warn};

use self::figures::Figures;
use self::gone::Gone;
use self::pump::Pump;
use crate::clock;
use crate::config::{Config, Registry};
use crate::connection::{Board, Roster, RosterOptions};
use crate::service::{self, ConnectionApi};
use crate::target::{self, supervisor};
use crate::telemetry::Metrics;
use crate::uplink::known::Known;
use crate::uplink::{self, Link, Mailbox};

const COLLECTOR_ID_FILE: &str = "collector_id";

/// A running collector.
#[derive(Debug)]
pub struct App {
    grpc: SocketAddr,
    http: SocketAddr,
    stop: CancellationToken,
    done: JoinHandle<anyhow::Result<()>>,
}

impl App {
    /// Serves when it returns.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        // Fails only when somebody chose one before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let readiness = Readiness::default();
        let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
        let (grpc_stop, http_stop) = (CancellationToken::new(), CancellationToken::new());
        let (metrics, mut printed) = Metrics::new();
        let calls = Calls::default();
        calls.register(&mut printed);
        let board = Arc::new(Board::default());
        let link = watch::Sender::new(Link::default());

        // Addresses and probes first: they tell that the rest is starting.
        let http = serve::listen(config.http.listen, "http.listen").await?;
        let http_addr = http.local_addr()?;
        let entrance =
            serve::Entrance::open(&config.tls, &config.access, stop.clone()).await?.with_calls(calls);
        let (roster, known, collector) = open(&config).await?;
        let mailbox = Arc::new(Mailbox::default());
        let figures = Figures {
            metrics: Arc::clone(&metrics),
            roster: Arc::clone(&roster),
            board: Arc::clone(&board),
            link: link.subscribe(),
            mailbox: Arc::clone(&mailbox),
            runtime: Handle::current(),
            reconnects: Mutex::default(),
        };
        let router = probes::router(Arc::new(printed), figures.refresh(), readiness.clone());
        let probes = tokio::spawn(serve::http(http, entrance.clone(), router, http_stop.clone()));

        let (targets_stop, uplink_stop) = (CancellationToken::new(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        if config.enable_truenas {
            let known_there = known.connections().clone();
            let mut gone = Gone::new(Arc::clone(&roster), Arc::clone(&mailbox), known_there);
            // Before the uplink says what it holds.
            gone.tell().await;
            tasks.spawn(gone.run(targets_stop.clone()));
            let pump = Pump::new(Arc::clone(&mailbox), metrics);
            let Registry { address, files, token_file } = config.registry.clone();
            let options = uplink::Options { address, files, token_file, collector: collector.clone() };
            tasks.spawn(uplink::run(options, known, mailbox, link, uplink_stop.clone()));
            let (roster, board) = (Arc::clone(&roster), Arc::clone(&board));
            tasks.spawn(supervisor::run(roster, board, target_options(&config), pump, targets_stop.clone()));
        } else {
            warn!("PULSE_ENABLE_TRUENAS is off: connections are kept, nothing is collected");
        }

        let connections = roster.all().len();
        let api = ConnectionApi::new(roster, board, service_options(&config), draining.clone());
        // Bound when there is somebody to answer: until then clients are refused at once.
        let grpc = serve::listen(config.grpc.listen, "grpc.listen").await?;
        let grpc_addr = grpc.local_addr()?;
        let (health, routes) = serve::routes(&SERVICES)?;
        let routes = routes.add_service(api.into_server()).add_service(logs::service::server());
        let server = tokio::spawn(serve::grpc(grpc, entrance, routes, grpc_stop.clone()));
        serve::say_health(&health, &SERVICES, ServingStatus::Serving).await;
        readiness.set(Ready::Yes);
        info!(
            grpc.addr = %grpc_addr, http.addr = %http_addr, %collector, connections,
            registry = config.registry.address, enable_truenas = config.enable_truenas, "collector is serving",
        );

        let (until, drain) = (stop.clone(), config.drain.timeout);
        let done = tokio::spawn(async move {
            until.cancelled().await;
            info!(timeout = ?drain, "draining: no longer ready, handing over the newest states");
            readiness.set(Ready::Draining);
            serve::say_health(&health, &SERVICES, ServingStatus::NotServing).await;
            for token in [draining, grpc_stop, targets_stop, uplink_stop] {
                token.cancel();
            }
            let ended = async {
                while let Some(ended) = tasks.join_next().await {
                    if let Err(error) = ended {
                        error!(%error, "a task did not end well");
                    }
                }
            };
            if tokio::time::timeout(drain, ended).await.is_err() {
                warn!("some sessions did not end in time and are cut");
            }
            match tokio::time::timeout(drain, server).await {
                Ok(ended) => ended??,
                Err(_late) => warn!("some calls did not end in time and are cut"),
            }
            http_stop.cancel();
            probes.await??;
            info!("collector has stopped");
            Ok(())
        });
        Ok(Self { grpc: grpc_addr, http: http_addr, stop, done })
    }

    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Begins the drain. `wait` tells when it is over.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }

    pub async fn wait(self) -> anyhow::Result<()> {
        self.done.await?
    }
}

const SERVICES: [&str; 2] =
    [ConnectionServiceServer::<ConnectionApi>::NAME, LogServiceServer::<LogApi>::NAME];

/// Opens what is on disk. Blocking work, off the runtime's threads.
async fn open(config: &Config) -> anyhow::Result<(Arc<Roster>, Known, CollectorId)> {
    let config = config.clone();
    let key = config.connections.key().await?;
    let opened = tokio::task::spawn_blocking(move || {
        let folder = &config.data_dir;
        serve::own_folder(folder)?;
        let options = RosterOptions { max_connections: config.connections.max };
        let roster = Roster::open(folder, &key, options).map_err(|error| remedied(&error, error.remedy()))?;
        let known = Known::open(folder, UnixMillis::new(clock::now_unix_ms()))?;
        let collector = match &config.collector_id {
            Some(id) => id.clone(),
            None => stored_id(folder)?,
        };
        Ok::<_, anyhow::Error>((roster, known, collector))
    });
    let (roster, known, collector) = opened.await??;
    for damaged in roster.damaged().await {
        error!(?damaged, "a stored connection cannot be read; it is kept as it is, and the others go on");
    }
    Ok((roster, known, collector))
}

/// Made once; the registry knows this collector by it.
fn stored_id(folder: &Path) -> anyhow::Result<CollectorId> {
    let path = folder.join(COLLECTOR_ID_FILE);
    if let Ok(text) = std::fs::read_to_string(&path) {
        return CollectorId::parse(text.trim()).map_err(|error| {
            remedied(format!("cannot use {}: {error}", path.display()), "delete it to get a new id")
        });
    }
    let id = format!("collector-{}", uuid::Uuid::new_v4());
    std::fs::write(&path, &id).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(CollectorId::parse(&id)?)
}

fn target_options(config: &Config) -> target::Options {
    let mut options = target::Options::default();
    options.limits.call = config.poll.call_timeout;
    options.limits.large_call =
        options.limits.large_call.max(config.poll.call_timeout).min(config.poll.call_timeout * 4);
    options.session.outbound = config.outbound.clone();
    options.session.rpc.window = config.poll.calls_in_flight;
    options
}

fn service_options(config: &Config) -> service::Options {
    service::Options {
        enabled: config.enable_truenas,
        target: target_options(config),
        write_back: config.alerts.write_back,
        message_bytes_max: config.grpc.max_message_bytes,
        ..service::Options::default()
    }
}
