//! Appliances and both services, and what clients know of them. An error says at which stage it came (config, fetch, ingest, query,
//! watch, alert, context, console) and on which way. Knows no state.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::join_all;
use pulse_fixtures::appliance::Appliance;
use pulse_fixtures::world::{Event, World};
use pulse_proto::pb::collector::v1::{Connection, RefreshConnectionRequest};
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, ResourceType};
use pulse_tests::harness::PATIENCE;
use pulse_tests::harness::alerts::AlertMirror;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::Mirror;

use crate::shown::{DEGRADED, POOL, WELL};
use crate::told;
use crate::ways::Way;

/// What did not change is told to be so soon, so that confirmation needs no patience; a call does not hang for long.
const REGISTRY: &str = "[ingest]\nheartbeat_interval = \"1s\"";
const COLLECTOR: &str = "[poll]\ncall_timeout = \"2s\"";
/// What a login of 26 and later costs; that it is dear is no matter here.
const SCRAM_ITERATIONS: u32 = 50_000;

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

    /// Configured and read; nobody looked yet.
    pub(crate) async fn configured(
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
        told::page(pair, &format!("/console/connections/{}", self.id)).await.context("stage console")
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
