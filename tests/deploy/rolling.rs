//! What Kubernetes does to pods, in its order: SIGTERM, the end, a new process on the same volume, readiness by the
//! manifest's probes. Meanwhile records come in and somebody watches: nothing is lost, nothing flaps, no watch has a gap.

mod load;
mod pod;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{
    CreateConnectionRequest, RefreshConnectionRequest, WatchConnectionsRequest,
};
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, Status};
use pulse_tests::harness::fleet::connection_to;
use pulse_tests::harness::pki::Authority;
use pulse_tests::harness::within;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::load::{COLLECTOR, Stage, Watched};
use self::pod::{Caller, Pod};

const LINE: ApiLine = ApiLine::V25_10;
/// A master key, as `openssl rand -base64 32` makes one.
const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// Batches that come in beside each step, at least.
const BATCHES: u64 = 10;

struct Scene {
    appliance: Appliance,
    registry: Pod,
    collector: Pod,
    viewer: Caller,
    admin: Caller,
    connection: String,
    stage: watch::Sender<Stage>,
    acked: watch::Receiver<u64>,
    names: watch::Receiver<BTreeSet<String>>,
    feeding: JoinHandle<anyhow::Result<u64>>,
    watching: JoinHandle<anyhow::Result<Watched>>,
    /// Kept last: the files go when everything is down.
    _folder: tempfile::TempDir,
}

impl Scene {
    /// The pair as the manifests have it, an appliance, and both who go on meanwhile.
    async fn begin() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path(), "ca")?;
        let appliance = Appliance::start(ApplianceConfig::of(LINE)).await?;
        let mut registry = Pod::new("pulse-registry", folder.path(), &authority, &[])?;
        let ingest = registry.token("collector", &["ingest", "--collector", "kubernetes"]).await?;
        let load = registry.token("load", &["ingest", "--collector", COLLECTOR]).await?;
        let viewer = registry.token("core", &["viewer"]).await?;
        registry.up().await?;

        // A name of the cluster.
        let others = [("https://pulse-registry.pulse.svc:7660", registry.address())];
        let others = others.each_ref().map(|(there, here)| (*there, here.as_str()));
        let mut collector = Pod::new("pulse-collector", folder.path(), &authority, &others)?;
        collector.put("/etc/pulse/key/master.key", KEY)?;
        collector.put("/etc/pulse/ingest/token", &ingest)?;
        let admin = collector.token("ops", &["admin"]).await?;
        collector.up().await?;
        let (viewer, admin) = (Caller::new(&registry, &viewer)?, Caller::new(&collector, &admin)?);

        let (stage, looked_at) = watch::channel(Stage { ready: 1, ..Stage::default() });
        let (told, acked) = watch::channel(0);
        let feeding = tokio::spawn(load::feed(Caller::new(&registry, &load)?, looked_at.clone(), told));
        let (told, names) = watch::channel(BTreeSet::new());
        let watching = tokio::spawn(load::follow(viewer.clone(), looked_at, told));
        let connection = Some(connection_to("nas", &appliance));
        let request = CreateConnectionRequest { connection, validate_only: false };
        let mut connections = ConnectionServiceClient::new(admin.reach().await?);
        let created = connections.create_connection(request).await?.into_inner().connection;
        let connection = created.context("the created connection")?.id;
        Ok(Self {
            appliance,
            registry,
            collector,
            viewer,
            admin,
            connection,
            stage,
            acked,
            names,
            feeding,
            watching,
            _folder: folder,
        })
    }

    /// Those who wait for the registry go on.
    fn is_ready(&self) {
        self.stage.send_modify(|stage| stage.ready += 1);
    }

    /// Batches are taken now.
    async fn is_fed(&mut self) -> anyhow::Result<()> {
        let wanted = *self.acked.borrow() + BATCHES;
        let fed = self.acked.wait_for(|acked| *acked >= wanted);
        if within("batches to be acknowledged", fed).await.is_err() {
            (&mut self.feeding).await?.context("it fed no more")?;
        }
        Ok(())
    }

    /// Waits until the collector reads the appliance.
    async fn is_live(&self) -> anyhow::Result<()> {
        let mut connections = ConnectionServiceClient::new(self.admin.reach().await?);
        let mut states = connections.watch_connections(WatchConnectionsRequest {}).await?.into_inner();
        let live = async {
            while let Some(message) = states.message().await? {
                let status = message.connection.and_then(|connection| connection.status);
                if status.is_some_and(|status| status.state() == ConnectionState::Live) {
                    return Ok(());
                }
            }
            anyhow::bail!("the watch of connections ended")
        };
        within("the connection to be live", live).await
    }

    fn add(&self, dataset: &str) {
        self.appliance.mutate(|world, now| world.add_dataset(LINE, dataset, now));
    }

    async fn is_told(&mut self, dataset: &str) -> anyhow::Result<()> {
        let told = self.names.wait_for(|names| names.contains(dataset));
        if within(dataset, told).await.is_err() {
            (&mut self.watching).await?.context("it watched no more")?;
        }
        Ok(())
    }

    /// A change of the appliance comes through to who watches.
    async fn changes(&mut self, dataset: &str) -> anyhow::Result<()> {
        self.is_live().await?;
        self.add(dataset);
        let request = RefreshConnectionRequest { id: self.connection.clone() };
        let mut connections = ConnectionServiceClient::new(self.admin.reach().await?);
        connections.refresh_connection(request).await?;
        self.is_told(dataset).await
    }

    async fn listed(&self) -> anyhow::Result<(BTreeMap<String, Resource>, u64)> {
        let request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
        let mut resources = ResourceServiceClient::new(self.viewer.reach().await?);
        let list = resources.list_resources(request).await?.into_inner();
        Ok((list.resources.into_iter().map(|r| (r.id.clone(), r)).collect(), list.revision))
    }

    /// The end: what is listed is what was acknowledged, and what the watch has told.
    async fn audit(mut self) -> anyhow::Result<()> {
        self.collector.down().await?;
        self.stage.send_modify(|stage| stage.feeding_ends = true);
        let streams = within("the last acknowledgement", &mut self.feeding).await??;
        let (listed, revision) = self.listed().await?;
        load::audit(*self.acked.borrow(), &listed)?;
        self.stage.send_modify(|stage| stage.revision = Some(revision));
        let watched = within("the watch to come as far", &mut self.watching).await??;
        let starts = self.stage.borrow().ready;
        // Each start has ended a stream of both, and each has gone on.
        ensure!((streams, watched.resumed) == (starts, starts - 1), "{streams} {watched:?}");
        let told: Vec<&String> = watched.resources.keys().collect();
        ensure!(told == listed.keys().collect::<Vec<_>>(), "the watch has a gap or a phantom");
        for (id, resource) in &listed {
            let told = &watched.resources[id];
            ensure!(
                (told.revision, &told.tags) == (resource.revision, &resource.tags),
                "{told:?} {resource:?}"
            );
        }
        let flapped = watched.statuses.iter().filter(|(_, told)| told.contains(&Status::Offline));
        let flapped: Vec<&String> = flapped.map(|(id, _)| id).collect();
        ensure!(flapped.is_empty(), "offline was never true: {flapped:?}");
        self.registry.down().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_and_a_drain_under_load_lose_nothing() -> anyhow::Result<()> {
    let mut scene = Scene::begin().await?;
    scene.is_fed().await?;
    scene.changes("tank/before").await?;

    // A rolling update: one pod after the other, each waited for.
    for round in 0..2 {
        let (before, revision) = scene.listed().await?;
        scene.registry.roll().await?;
        scene.is_ready();
        let (after, again) = scene.listed().await?;
        ensure!(before.keys().all(|id| after.contains_key(id)) && again >= revision, "{again} {revision}");
        scene.is_fed().await?;
        scene.collector.roll().await?;
        scene.is_fed().await?;
        scene.changes(&format!("tank/update-{round}")).await?;
    }

    // A drained node: both go at once, and come back in the order that suits least.
    let (registry, collector) = tokio::join!(scene.registry.down(), scene.collector.down());
    registry.and(collector)?;
    scene.add("tank/drain");
    scene.collector.up().await?;
    scene.registry.up().await?;
    scene.is_ready();
    scene.is_fed().await?;
    scene.is_told("tank/drain").await?;
    scene.audit().await
}
