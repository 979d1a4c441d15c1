//! Appliances and both services, asked at every stage: config, fetch, ingest, query, watch, alert, context, console. An
//! error says at which stage it came, and on which way.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::join_all;
use pulse_fixtures::appliance::Appliance;
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
use pulse_tests::harness::view::{Mirror, client};
use pulse_tests::harness::{PATIENCE, http_get};

use crate::ways::Way;

/// What did not change is told to be so soon, so that confirmation needs no patience; a call does not hang for long.
const REGISTRY: &str = "[ingest]\nheartbeat_interval = \"1s\"";
const COLLECTOR: &str = "[poll]\ncall_timeout = \"2s\"";
/// What a login of 26 and later costs; that it is dear is no matter here.
const SCRAM_ITERATIONS: u32 = 50_000;
pub(crate) const POOL: &str = "tank";

/// A pair of services and what they watch.
pub(crate) struct Journey {
    pub(crate) pair: Pair,
    pub(crate) legs: Vec<Leg>,
}

/// One appliance, and what clients know of it.
pub(crate) struct Leg {
    pub(crate) way: Way,
    pub(crate) appliance: Appliance,
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) mirror: Mirror,
    pub(crate) alerts: AlertMirror,
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
    pub(crate) async fn begin(ways: &[Way]) -> anyhow::Result<Self> {
        let mut journey = Self::configured(ways, |_, _, _| Vec::new()).await?;
        journey.all(async |pair, leg| leg.shows(pair, WELL).await).await?;
        Ok(journey)
    }

    /// The same, with a degraded pool on each from the start.
    pub(crate) async fn begin_degraded(ways: &[Way]) -> anyhow::Result<Self> {
        let degrade = |way: Way, world: &mut World, now| world.degrade_pool(way.line, POOL, now);
        let mut journey = Self::configured(ways, degrade).await?;
        journey.all(async |pair, leg| leg.shows(pair, DEGRADED).await).await?;
        Ok(journey)
    }

    async fn configured(
        ways: &[Way],
        before: impl Fn(Way, &mut World, u64) -> Vec<Event>,
    ) -> anyhow::Result<Self> {
        let pair = Pair::start_with(REGISTRY, COLLECTOR).await?;
        let begun = join_all(ways.iter().map(|way| Leg::begin(*way, &pair, &before))).await;
        let legs = begun.into_iter().collect::<anyhow::Result<Vec<Leg>>>()?;
        Ok(Self { pair, legs })
    }

    /// Does it on each way at the same time.
    pub(crate) async fn all(
        &mut self,
        what: impl AsyncFn(&Pair, &mut Leg) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (pair, what) = (&self.pair, &what);
        let legs = self.legs.iter_mut().map(async |leg| {
            let way = leg.way;
            what(pair, leg).await.with_context(|| way.name())
        });
        let failed: Vec<String> = join_all(legs)
            .await
            .into_iter()
            .filter_map(Result::err)
            .map(|error| format!("{error:#}"))
            .collect();
        ensure!(failed.is_empty(), "{}", failed.join("\n"));
        Ok(())
    }
}

impl Leg {
    async fn begin(
        way: Way,
        pair: &Pair,
        before: impl Fn(Way, &mut World, u64) -> Vec<Event>,
    ) -> anyhow::Result<Self> {
        let mut config = way.config();
        config.scram_iterations = SCRAM_ITERATIONS;
        let appliance = Appliance::start(config).await?;
        appliance.mutate(|world, now| before(way, world, now));
        let name = way.name();
        let created = pair.add(&name, &appliance).await.context("stage config")?;
        ensure!(created.api_key == "********", "stage config: the key is not hidden: {:?}", created.api_key);
        let id = created.id;
        let (mirror, alerts) = watched(pair, &id, "").await?;
        let leg = Self { way, appliance, name, id, mirror, alerts };
        leg.is_live(pair).await?;
        Ok(leg)
    }

    pub(crate) async fn is_live(&self, pair: &Pair) -> anyhow::Result<()> {
        let live = |c: &Connection| c.status.as_ref().is_some_and(|s| s.state() == ConnectionState::Live);
        self.until(pair, "live", live).await.map(drop)
    }

    /// Something happens on the appliance. An operator asks for a look: over REST nothing else tells of it.
    pub(crate) async fn happens(
        &self,
        pair: &Pair,
        change: impl FnOnce(&mut World, u64) -> Vec<Event>,
    ) -> anyhow::Result<()> {
        self.appliance.mutate(change);
        self.look(pair).await
    }

    pub(crate) async fn look(&self, pair: &Pair) -> anyhow::Result<()> {
        let request = RefreshConnectionRequest { id: self.id.clone() };
        pair.connections().await?.refresh_connection(request).await.context("stage config")?;
        Ok(())
    }

    /// The pool is this at every stage behind the collector.
    pub(crate) async fn shows(&mut self, pair: &Pair, shown: Shown) -> anyhow::Result<()> {
        let pool = self.until_pool(shown).await?;
        // Sections come in any order: a pool may be there before its system.
        let has_host = |m: &Mirror| m.resources.values().any(|r| r.r#type() == ResourceType::Host);
        self.mirror.until("its system", has_host).await.context("stage watch")?;
        self.ingested(&pool)?;
        self.queried(pair, &pool, shown).await.context("stage query")?;
        self.alerted(shown).await.context("stage alert")?;
        self.told_to_assistants(pair, &pool, shown).await.context("stage context")?;
        self.shown_to_people(pair, &pool, shown).await.context("stage console")
    }

    async fn until_pool(&mut self, shown: Shown) -> anyhow::Result<Resource> {
        let Shown { state, status, severity } = shown;
        let is = |r: &Resource| {
            r.state == state
                && r.status() == status
                && r.severity() >= severity
                && (severity != Severity::Healthy || r.severity() == Severity::Healthy)
        };
        let what = format!("{}: pool {state}", self.name);
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

    async fn queried(&self, pair: &Pair, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let mut resources = client(pair.registry.grpc()).await?;
        let request = GetResourceRequest { id: pool.id.clone(), ..Default::default() };
        let got = resources.get_resource(request).await?.into_inner().resource.context("no resource")?;
        ensure!((got.state.as_str(), got.status()) == (shown.state, shown.status), "got {got:?}");
        let filter = format!(
            "topology = pool AND name = {POOL} AND state = {} AND connection = \"{}\"",
            shown.state, self.id
        );
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

    async fn told_to_assistants(&self, pair: &Pair, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let mut contexts = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
        let request = GetResourceContextRequest { resource_id: pool.id.clone(), ..Default::default() };
        let of_pool = contexts.get_resource_context(request).await?.into_inner().text;
        ensure!(of_pool.contains(shown.state), "the pool's own says nothing of {}: {of_pool}", shown.state);
        let filter = format!("connection = \"{}\"", self.id);
        let request = GetInfrastructureContextRequest { filter, ..Default::default() };
        let fleet = contexts.get_infrastructure_context(request).await?.into_inner().text;
        let wrong = format!("pool \"{POOL}\" on \"{}\"", self.name);
        let told = fleet.split("## ").any(|section| {
            section.starts_with("Wrong now") && section.contains(&wrong) && section.contains(shown.state)
        });
        ensure!(told == (shown.severity > Severity::Healthy), "{fleet}");
        Ok(())
    }

    async fn shown_to_people(&self, pair: &Pair, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let http = pair.registry.http();
        for path in [format!("/console/resources/{}", pool.id), "/console/storage".to_owned()] {
            let (code, page) = http_get(http, &path).await?;
            ensure!(code == 200 && page.contains(POOL), "{path}: {code}");
            ensure!(page.contains(shown.state), "{path} says nothing of {}", shown.state);
        }
        let path = format!("/console/infrastructure?filter=connection%3D%22{}%22", self.id);
        let (code, page) = http_get(http, &path).await?;
        ensure!(
            code == 200 && page.contains(&self.name) && page.contains("TrueNAS"),
            "infrastructure: {code}"
        );
        Ok(())
    }

    /// The registry was down: a client takes up where it was.
    pub(crate) async fn watch_again(&mut self, pair: &Pair) -> anyhow::Result<()> {
        let (mut mirror, alerts) = watched(pair, &self.id, &self.mirror.resume_token).await?;
        mirror.resources = std::mem::take(&mut self.mirror.resources);
        mirror.statuses = std::mem::take(&mut self.mirror.statuses);
        (self.mirror, self.alerts) = (mirror, alerts);
        Ok(())
    }

    /// The system's resource as the watch knows it.
    pub(crate) fn host(&self) -> Option<&Resource> {
        self.mirror.resources.values().find(|r| r.r#type() == ResourceType::Host)
    }

    pub(crate) async fn connection_page(&self, pair: &Pair) -> anyhow::Result<String> {
        let path = format!("/console/connections/{}", self.id);
        let (code, page) = http_get(pair.registry.http(), &path).await?;
        ensure!(code == 200, "stage console: {code}");
        Ok(page)
    }

    /// Waits for a state of the connection; where it does not come, says what there is.
    pub(crate) async fn until(
        &self,
        pair: &Pair,
        what: &str,
        holds: impl FnMut(&Connection) -> bool,
    ) -> anyhow::Result<Connection> {
        let comes = pair.until(&self.id, what, holds);
        match tokio::time::timeout(PATIENCE.saturating_sub(Duration::from_secs(1)), comes).await {
            Ok(come) => come.context("stage fetch"),
            Err(_late) => bail!("stage fetch: not {what}: {:?}", pair.connection(&self.id).await?.status),
        }
    }
}

/// What one connection brings, and its alerts.
async fn watched(pair: &Pair, id: &str, resume_token: &str) -> anyhow::Result<(Mirror, AlertMirror)> {
    let (grpc, filter) = (pair.registry.grpc(), format!("connection = \"{id}\""));
    let mirror = Mirror::open(grpc, &filter, resume_token).await.context("stage watch")?;
    let alerts = AlertMirror::open(grpc, &filter, "").await.context("stage alert")?;
    Ok((mirror, alerts))
}
