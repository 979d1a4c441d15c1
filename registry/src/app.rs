//! All the wiring of the registry, in the order data flows: store, state,
//! writer, services, servers; and the way back at a stop.

mod contexts;
mod fleet;
mod mcp;
mod watchful;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulse_proto::model::{ConnectionId, DataSource};
use pulse_proto::pb::admin::v1::log_service_server::LogServiceServer;
use pulse_proto::pb::registry::v1::alert_service_server::AlertServiceServer;
use pulse_proto::pb::registry::v1::context_service_server::ContextServiceServer;
use pulse_proto::served::registry::v1::ingest_service_server::IngestServiceServer;
use pulse_shell::calls::Calls;
use pulse_shell::logs::service::LogApi;
use pulse_shell::probes::{self, Readiness, Ready};
use pulse_shell::{logs, serve};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService as _;
use tonic_health::ServingStatus;
use tower::Layer as _;
use tracing::{error, info, warn};

use self::fleet::FleetMetrics;
use self::watchful::{Watchful, tell_unreadable};
use crate::alert::engine::{Engine, Keeping};
use crate::alert::{feed as alert_feed, task as alert_task};
use crate::clock::Clock;
use crate::config::Config;
use crate::console::collector::Addresses;
use crate::console::{Console, Refused, Sources, routes as console_routes};
use crate::context::memo::Memo;
use crate::context::redact::Policy;
use crate::health::Tables;
use crate::ingest::{Limits, Observer, Writer};
use crate::notify::task::Surroundings;
use crate::notify::{self, Board};
use crate::service::alert::{AlertApi, Options as AlertOptions};
use crate::service::context::{Contexts, Options as ContextOptions};
use crate::service::ingest::{IngestApi, Options as IngestOptions};
use crate::service::resource::direct::Direct;
use crate::service::resource::{Options as ResourceOptions, ResourceApi};
use crate::state::judge::Judge;
use crate::state::{Boundary, Retention, State, feed};
use crate::store::hiding::Hiding;
use crate::store::journal::disk::{Disk, OsDisk};
use crate::store::journal::{Journal, Options as JournalOptions};
use crate::store::{Loaded, Store};
use crate::telemetry::Metrics;
use crate::watch::task::Pace;

/// After a start, collectors get this long to say that what is held is still so.
const GRACE: Duration = Duration::from_secs(20);

/// A running registry.
#[derive(Debug)]
pub struct App {
    grpc: SocketAddr,
    http: SocketAddr,
    clock: Clock,
    stop: CancellationToken,
    done: JoinHandle<anyhow::Result<()>>,
}

impl App {
    /// Serves when it returns.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_on(config, Arc::new(OsDisk), JournalOptions::default()).await
    }

    /// The same, with its journal on a disk of the caller's.
    pub async fn start_on(
        config: Config,
        disk: Arc<dyn Disk>,
        options: JournalOptions,
    ) -> anyhow::Result<Self> {
        // Fails only when somebody chose one before.
        drop(rustls::crypto::ring::default_provider().install_default());
        let readiness = Readiness::default();
        let (stop, draining) = (CancellationToken::new(), CancellationToken::new());
        let (grpc_stop, http_stop) = (CancellationToken::new(), CancellationToken::new());
        let clock = Clock::default();
        let tables = Tables::default();
        let (metrics, mut figures) = Metrics::new();
        let calls = Calls::default();
        calls.register(&mut figures);
        let fleet = Arc::new(FleetMetrics::new(clock.clone(), config.metrics.fleet_series_max));
        figures.register_collector(Box::new(Arc::clone(&fleet)));
        let streams = metrics.streams.clone();
        let judged = metrics.watch_changes_judged.clone();
        let unreadable = metrics.stored_rows_unreadable.clone();
        let told_metrics = Arc::clone(&metrics);

        // Probes first: they tell that the rest is starting.
        let http = serve::listen(config.http.listen, "http.listen").await?;
        let http_addr = http.local_addr()?;
        let entrance = serve::Entrance::open(&config.tls, &config.access, stop.clone())
            .await?
            .with_pages(refused)
            .with_calls(calls);
        let watchful = Arc::new(Watchful::new(metrics, tables.unknown_values(), readiness.clone()));
        let (assistants, console) = (mcp::Slot::default(), console_routes::Slot::default());
        let router = probes::router(Arc::new(figures), watchful.refresh(), readiness.clone())
            .merge(mcp::router(&config.mcp, assistants.clone(), &draining))
            .merge(console_router(&config, console.clone()));
        let probes = tokio::spawn(serve::http(http, entrance.clone(), router, http_stop.clone()));

        let (store, loaded, hidden) = open(&config, disk, options).await?;
        unreadable.set(i64::try_from(loaded.damaged.len()).unwrap_or(i64::MAX));
        let registry_id = loaded.registry_id.clone();
        let judge: Arc<dyn Judge> = Arc::new(tables);
        let told = notify::task::notes(&loaded.remembered.notes);
        let (engine, book, unreadable) =
            Engine::restore(&loaded.remembered.notes, keeping(&config), clock.now());
        for note in &unreadable {
            error!(note, "a stored alert, silence or rule cannot be read and is left out");
        }
        let state = State::restore(
            (Arc::clone(&judge), Boundary::of(config.boundary_labels.iter().map(String::as_str))),
            loaded.revision,
            loaded.connections,
            loaded.links,
            (loaded.remembered, retention(&config)),
            clock.now() + GRACE,
        );
        let (revision, resources) = (state.view().revision, state.view().len());
        let (publisher, feed) = feed::channel(state.view().clone());
        watchful.follow(feed.clone());
        fleet.follow(feed.clone());
        let context_feed = feed.clone();
        let observer: Arc<dyn Observer> = Arc::clone(&watchful) as _;
        let (writer, handle) =
            Writer::new(state, judge, store, publisher, clock.clone(), Arc::clone(&observer));
        watchful.follow_backlog(handle.backlog());
        let writer = tokio::spawn(writer.run());

        let (alert_publisher, alert_feed) = alert_feed::channel(book);
        let context_alerts = alert_feed.clone();
        // Without resources there is nothing to say: what was said stays as it is.
        let (core, idle) = if config.alerts.enabled && config.enable_truenas {
            let (task, core) = alert_task::Task::new(
                engine,
                alert_publisher,
                feed.clone(),
                handle.clone(),
                clock.clone(),
                Arc::clone(&watchful) as _,
                draining.clone(),
            );
            tokio::spawn(task.run());
            (Some(core), None)
        } else {
            (None, Some(alert_publisher))
        };
        watchful.follow_alerts(alert_feed.clone(), core.is_some());
        let around = Surroundings {
            feed: alert_feed.clone(),
            store: handle.clone(),
            clock: clock.clone(),
            metrics: told_metrics,
            external_url: config.notify.external_url.clone(),
        };
        let telling = core.is_some().then_some(&config.notify.receivers).cloned().unwrap_or_default();
        let (receivers, mut telling) = notify::task::start(&telling, around, &told, &draining)?;
        console.fill(Console::new(Sources {
            feed: feed.clone(),
            alerts: alert_feed.clone(),
            core: core.clone(),
            deliveries: Some(Arc::clone(&receivers)),
            guard: entrance.guard(),
            clock: clock.clone(),
            draining: draining.clone(),
            allowed_hosts: config.console.allowed_hosts.clone().into(),
            collectors: collectors(&config),
        }));
        let alerts = AlertApi::new(
            alert_feed,
            feed.clone(),
            core,
            &registry_id,
            clock.clone(),
            alert_options(&config, receivers),
            draining.clone(),
        );
        let resource_writer = handle.clone();
        let options = ingest_options(&config, hidden);
        let ingest =
            IngestApi::new(handle, feed.clone(), &registry_id, options, observer, streams, draining.clone());
        let resource = ResourceApi::new(feed, &registry_id, resource_options(&config), draining.clone())
            .counting(judged)
            .with_writer(resource_writer);
        let memo = Arc::new(Memo::default());
        if config.context.redaction != Policy::None {
            memo.want_names();
        }
        tokio::spawn(contexts::keep_ready(context_feed.clone(), Arc::clone(&memo), draining.clone()));
        let context =
            Contexts::new(context_feed, context_alerts, clock.clone(), memo, context_options(&config).await?);
        let bytes_max = config.grpc.max_message_bytes;
        // Bound when there is somebody to answer: until then clients are refused at once.
        let grpc = serve::listen(config.grpc.listen, "grpc.listen").await?;
        let grpc_addr = grpc.local_addr()?;
        let (health, routes) = serve::routes(&SERVICES)?;
        let routes = routes
            .add_service(IngestServiceServer::new(ingest).max_decoding_message_size(bytes_max))
            .add_service(Direct::new(resource, bytes_max))
            .add_service(AlertServiceServer::new(alerts).max_decoding_message_size(bytes_max))
            .add_service(ContextServiceServer::new(context))
            .add_service(logs::service::server());
        // Assistants go through the same layers as everybody else.
        assistants.fill(crate::service::mcp::registry(entrance.inside().layer(routes.clone())));
        let server = tokio::spawn(serve::grpc(grpc, entrance, routes, grpc_stop.clone()));
        serve::say_health(&health, &SERVICES, ServingStatus::Serving).await;
        readiness.set(Ready::Yes);
        info!(
            grpc.addr = %grpc_addr, http.addr = %http_addr, registry_id, %revision, resources,
            enable_truenas = config.enable_truenas, "registry is serving",
        );

        let (until, drain) = (stop.clone(), config.drain.timeout);
        let done = tokio::spawn(async move {
            until.cancelled().await;
            info!(timeout = ?drain, "draining: no longer ready, finishing streams");
            readiness.set(Ready::Draining);
            serve::say_health(&health, &SERVICES, ServingStatus::NotServing).await;
            draining.cancel();
            drop(idle);
            grpc_stop.cancel();
            match tokio::time::timeout(drain, server).await {
                Ok(ended) => ended??,
                Err(_late) => warn!("some calls did not end in time and are cut"),
            }
            let told = async { while telling.join_next().await.is_some() {} };
            if tokio::time::timeout(drain, told).await.is_err() {
                warn!("some receivers did not answer in time; they are told after the next start");
            }
            drop(telling);
            // Pages and assistants speak to the writer, too.
            http_stop.cancel();
            match tokio::time::timeout(drain, probes).await {
                Ok(ended) => ended??,
                Err(_late) => warn!("some requests did not end in time and are cut"),
            }
            // The last of them has let go of the writer, which then ends by itself.
            if tokio::time::timeout(drain, writer).await.is_err() {
                warn!("the writer did not end in time; what was acknowledged is durable");
            }
            info!("registry has stopped");
            Ok(())
        });
        Ok(Self { grpc: grpc_addr, http: http_addr, clock, stop, done })
    }

    pub fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Can be set ahead, to see staleness without waiting for it.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Begins the drain. `wait` tells when it is over.
    pub fn shutdown(&self) {
        self.stop.cancel();
    }

    pub async fn wait(self) -> anyhow::Result<()> {
        self.done.await?
    }
}

const SERVICES: [&str; 5] = [
    IngestServiceServer::<IngestApi>::NAME,
    Direct::NAME,
    AlertServiceServer::<AlertApi>::NAME,
    ContextServiceServer::<Contexts>::NAME,
    LogServiceServer::<LogApi>::NAME,
];

/// Opens the store and reads it. Rows that cannot be read are told and left alone.
async fn open(
    config: &Config,
    disk: Arc<dyn Disk>,
    options: JournalOptions,
) -> anyhow::Result<(Arc<dyn Store>, Loaded, BTreeSet<ConnectionId>)> {
    let folder = config.data_dir.clone();
    let enable_truenas = config.enable_truenas;
    let opened = tokio::task::spawn_blocking(move || {
        serve::own_folder(&folder)?;
        let new_id = uuid::Uuid::new_v4().to_string();
        let opened = Journal::open_with(&folder, &new_id, disk, options)?;
        let mut store: Arc<dyn Store> = Arc::new(opened);
        let mut hiding = None;
        if !enable_truenas {
            // Kept on disk, not shown: switching back on brings them back.
            let hides = Arc::new(Hiding::new(store, DataSource::Truenas));
            hiding = Some(Arc::clone(&hides));
            store = hides;
        }
        let mut loaded = store.load()?;
        let hidden = hiding.map(|hiding| hiding.connections()).unwrap_or_default();
        let shown_by = format!("{} enable_truenas={enable_truenas}", env!("CARGO_PKG_VERSION"));
        let damaged = !loaded.damaged.is_empty();
        let (revision, write) = loaded.remembered.begin(loaded.revision, &shown_by, damaged);
        if let Some(write) = write {
            store.commit(revision, &[write])?;
            loaded.revision = revision;
        }
        Ok::<_, anyhow::Error>((store, loaded, hidden))
    });
    let (store, loaded, hidden) = opened.await??;
    tell_unreadable(&loaded.damaged);
    Ok((store, loaded, hidden))
}

fn ingest_options(config: &Config, hidden: BTreeSet<ConnectionId>) -> IngestOptions {
    IngestOptions {
        limits: Limits {
            batch_records_max: config.ingest.max_batch_records,
            batch_bytes_max: config.ingest.max_batch_bytes,
        },
        unacked_batches_max: config.ingest.max_unacked_batches,
        heartbeat_interval: config.ingest.heartbeat_interval,
        enable_truenas: config.enable_truenas,
        hidden: Arc::new(hidden),
    }
}

async fn context_options(config: &Config) -> anyhow::Result<ContextOptions> {
    let folder = config.data_dir.clone();
    let pseudonyms = tokio::task::spawn_blocking(move || contexts::pseudonyms(&folder)).await??;
    let (redaction, reveal) = (config.context.redaction, config.context.reveal_pseudonyms);
    Ok(ContextOptions { redaction, reveal, pseudonyms })
}

fn resource_options(config: &Config) -> ResourceOptions {
    let pace = Pace { bookmark_interval: config.watch.bookmark_interval, ..Pace::default() };
    ResourceOptions { pace, watchers_max: config.watch.max_watchers }
}

/// None where it is switched off.
fn console_router(config: &Config, slot: console_routes::Slot) -> axum::Router {
    if config.console.enabled { console_routes::router(slot) } else { axum::Router::new() }
}

fn collectors(config: &Config) -> Addresses {
    Addresses {
        addresses: config.console.collectors.clone(),
        ca_file: config.console.collector_ca_file.clone(),
        token_file: config.console.collector_token_file.clone(),
    }
}

/// For people whom the guard keeps out.
fn refused(title: &str, text: &str, offers_sign_in: bool) -> http::Response<String> {
    let mut page = http::Response::new(Refused::page(title, text, offers_sign_in));
    let html = http::HeaderValue::from_static("text/html; charset=utf-8");
    page.headers_mut().insert(http::header::CONTENT_TYPE, html);
    console_routes::protect(page.headers_mut());
    page
}

fn alert_options(config: &Config, receivers: Arc<Board>) -> AlertOptions {
    let pace = Pace { bookmark_interval: config.watch.bookmark_interval, ..Pace::default() };
    AlertOptions { pace, watchers_max: config.watch.max_watchers, receivers: Some(receivers) }
}

fn keeping(config: &Config) -> Keeping {
    Keeping { age: config.alerts.max_age, cases: config.alerts.max_resolved }
}

fn retention(config: &Config) -> Retention {
    Retention { entries: config.timeline.max_entries, age: config.timeline.max_age }
}

#[cfg(test)]
mod tests;
