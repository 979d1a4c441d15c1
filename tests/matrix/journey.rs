//! One appliance and both services, asked at every stage: config, fetch, ingest, query, watch, alert, context, console. An
//! error says at which stage it came.

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::world::{Event, World};
use pulse_proto::pb::collector::v1::{Connection, RefreshConnectionRequest};
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::{
    AlertState, GetInfrastructureContextRequest, GetResourceContextRequest, GetResourceRequest,
    ListResourcesRequest,
};
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, ResourceType, Severity, Status};
use pulse_tests::harness::alerts::AlertMirror;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::http_get;
use pulse_tests::harness::view::{Mirror, client};

/// What did not change is told to be so soon, so that confirmation needs no patience; a call does not hang for long.
const REGISTRY: &str = "[ingest]\nheartbeat_interval = \"1s\"";
const COLLECTOR: &str = "[poll]\ncall_timeout = \"2s\"";
pub(crate) const POOL: &str = "tank";

pub(crate) struct Journey {
    pub(crate) appliance: Appliance,
    pub(crate) pair: Pair,
    pub(crate) mirror: Mirror,
    pub(crate) alerts: AlertMirror,
    pub(crate) id: String,
}

/// What the pool is to be, wherever one looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) state: &'static str,
    pub(crate) status: Status,
    pub(crate) severity: Severity,
}

pub(crate) const WELL: Shown = Shown { state: "ONLINE", status: Status::Online, severity: Severity::Healthy };
pub(crate) const DEGRADED: Shown =
    Shown { state: "DEGRADED", status: Status::Warning, severity: Severity::Warning };

impl Journey {
    /// Configured, read, taken in and shown everywhere as healthy.
    pub(crate) async fn begin(config: ApplianceConfig) -> anyhow::Result<Self> {
        let appliance = Appliance::start(config).await?;
        let pair = Pair::start_with(REGISTRY, COLLECTOR).await?;
        let mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        let alerts = AlertMirror::open(pair.registry.grpc(), "", "").await?;
        let created = pair.add("nas", &appliance).await.context("stage config")?;
        ensure!(created.api_key == "********", "stage config: the key is not hidden: {:?}", created.api_key);
        let id = created.id;
        pair.until_state(&id, ConnectionState::Live).await.context("stage fetch")?;
        let mut journey = Self { appliance, pair, mirror, alerts, id };
        journey.shows(WELL).await?;
        Ok(journey)
    }

    /// Something happens on the appliance. An operator asks for a look: over REST nothing else tells of it.
    pub(crate) async fn happens(
        &self,
        change: impl FnOnce(&mut World, u64) -> Vec<Event>,
    ) -> anyhow::Result<()> {
        self.appliance.mutate(change);
        self.look().await
    }

    pub(crate) async fn look(&self) -> anyhow::Result<()> {
        let request = RefreshConnectionRequest { id: self.id.clone() };
        self.pair.connections().await?.refresh_connection(request).await.context("stage config")?;
        Ok(())
    }

    /// The pool is this at every stage behind the collector.
    pub(crate) async fn shows(&mut self, shown: Shown) -> anyhow::Result<()> {
        let pool = self.until_pool(shown).await?;
        self.ingested(&pool)?;
        self.queried(&pool, shown).await.context("stage query")?;
        self.alerted(shown).await.context("stage alert")?;
        self.told_to_assistants(&pool, shown).await.context("stage context")?;
        self.shown_to_people(&pool, shown).await.context("stage console")
    }

    async fn until_pool(&mut self, shown: Shown) -> anyhow::Result<Resource> {
        let Shown { state, status, severity } = shown;
        let is = |r: &Resource| {
            r.state == state
                && r.status() == status
                && r.severity() >= severity
                && (severity != Severity::Healthy || r.severity() == Severity::Healthy)
        };
        let what = format!("pool {state}");
        let holds = |m: &Mirror| m.named("zfs-pool", POOL).is_some_and(is);
        self.mirror.until(&what, holds).await.context("stage watch")?;
        self.mirror.named("zfs-pool", POOL).cloned().context("stage watch")
    }

    /// It came from this connection, as a record of TrueNAS.
    fn ingested(&self, pool: &Resource) -> anyhow::Result<()> {
        let part = pool.source_status.first().context("stage ingest: no source")?;
        let badge = part.badge.as_ref().map(|badge| badge.label.as_str());
        ensure!(part.connection == self.id, "stage ingest: from {:?}", part.connection);
        ensure!(badge == Some("TrueNAS"), "stage ingest: badge {badge:?}");
        Ok(())
    }

    async fn queried(&self, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let mut resources = client(self.pair.registry.grpc()).await?;
        let request = GetResourceRequest { id: pool.id.clone(), ..Default::default() };
        let got = resources.get_resource(request).await?.into_inner().resource.context("no resource")?;
        ensure!((got.state.as_str(), got.status()) == (shown.state, shown.status), "got {got:?}");
        let filter = format!("topology = pool AND name = {POOL} AND state = {}", shown.state);
        let request = ListResourcesRequest { filter, ..Default::default() };
        let listed = resources.list_resources(request).await?.into_inner().resources;
        ensure!(listed.len() == 1 && listed[0].id == pool.id, "listed {listed:?}");
        Ok(())
    }

    /// Fires while it is not well, and no longer.
    pub(crate) async fn alerted(&mut self, shown: Shown) -> anyhow::Result<()> {
        let ill = shown.severity > Severity::Healthy;
        let holds = |m: &AlertMirror| match m.state("pool-state", POOL) {
            Some(AlertState::Firing) => ill,
            None | Some(AlertState::Resolved) => !ill,
            Some(_) => false,
        };
        self.alerts.until(if ill { "pool-state fires" } else { "pool-state at rest" }, holds).await
    }

    async fn told_to_assistants(&self, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let mut contexts =
            ContextServiceClient::connect(format!("http://{}", self.pair.registry.grpc())).await?;
        let request = GetResourceContextRequest { resource_id: pool.id.clone(), ..Default::default() };
        let of_pool = contexts.get_resource_context(request).await?.into_inner().text;
        ensure!(of_pool.contains(shown.state), "the pool's own says nothing of {}: {of_pool}", shown.state);
        let request = GetInfrastructureContextRequest::default();
        let fleet = contexts.get_infrastructure_context(request).await?.into_inner().text;
        let wrong = format!("pool \"{POOL}\" on \"nas\"");
        let told = fleet.split("## ").any(|section| {
            section.starts_with("Wrong now") && section.contains(&wrong) && section.contains(shown.state)
        });
        ensure!(told == (shown.severity > Severity::Healthy), "{fleet}");
        Ok(())
    }

    async fn shown_to_people(&self, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let http = self.pair.registry.http();
        for path in [format!("/console/resources/{}", pool.id), "/console/storage".to_owned()] {
            let (code, page) = http_get(http, &path).await?;
            ensure!(code == 200 && page.contains(POOL), "{path}: {code}");
            ensure!(page.contains(shown.state), "{path} says nothing of {}", shown.state);
        }
        let (code, page) = http_get(http, "/console/infrastructure").await?;
        ensure!(code == 200 && page.contains("nas") && page.contains("TrueNAS"), "infrastructure: {code}");
        Ok(())
    }

    /// The registry was down: a client takes up where it was.
    pub(crate) async fn watch_again(&mut self) -> anyhow::Result<()> {
        let grpc = self.pair.registry.grpc();
        let mut mirror = Mirror::open(grpc, "", &self.mirror.resume_token).await.context("stage watch")?;
        mirror.resources = std::mem::take(&mut self.mirror.resources);
        mirror.statuses = std::mem::take(&mut self.mirror.statuses);
        self.mirror = mirror;
        self.alerts = AlertMirror::open(grpc, "", "").await.context("stage alert")?;
        Ok(())
    }

    /// The system's resource as the watch knows it.
    pub(crate) fn host(&self) -> Option<&Resource> {
        self.mirror.resources.values().find(|r| r.r#type() == ResourceType::Host)
    }

    pub(crate) async fn connection_page(&self) -> anyhow::Result<String> {
        let path = format!("/console/connections/{}", self.id);
        let (code, page) = http_get(self.pair.registry.http(), &path).await?;
        ensure!(code == 200, "stage console: {code}");
        Ok(page)
    }

    /// Waits for a state of the connection, of which it must say why and what helps.
    pub(crate) async fn until_trouble(
        &self,
        what: &str,
        holds: impl FnMut(&Connection) -> bool,
    ) -> anyhow::Result<Connection> {
        self.pair.until(&self.id, what, holds).await.context("stage fetch")
    }
}
