//! What a pool is to be wherever one looks: each stage behind the collector is asked, and says this and nothing else.

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::{
    Alert, AlertState, GetInfrastructureContextRequest, GetResourceContextRequest, GetResourceRequest,
    ListResourcesRequest,
};
use pulse_proto::pb::resource::v1::{Resource, ResourceType, Severity, Status};
use pulse_tests::harness::alerts::AlertMirror;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::{Mirror, client};

use crate::journey::Leg;
use crate::told;

pub(crate) const POOL: &str = "tank";

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    pub(crate) pool: &'static str,
    pub(crate) state: &'static str,
    pub(crate) status: Status,
    pub(crate) severity: Severity,
}

pub(crate) const WELL: Shown =
    Shown { pool: POOL, state: "ONLINE", status: Status::Online, severity: Severity::Healthy };
pub(crate) const DEGRADED: Shown =
    Shown { pool: POOL, state: "DEGRADED", status: Status::Warning, severity: Severity::Warning };
pub(crate) const FAULTED: Shown = Shown::lost("FAULTED");

impl Shown {
    pub(crate) const fn lost(state: &'static str) -> Self {
        Self { pool: POOL, state, status: Status::Offline, severity: Severity::Critical }
    }

    pub(crate) const fn of(self, pool: &'static str) -> Self {
        Self { pool, ..self }
    }

    fn is_ill(self) -> bool {
        self.severity > Severity::Healthy
    }

    /// As a context words it.
    fn reason(self) -> Option<String> {
        let word = if self.severity == Severity::Critical { "Critical" } else { "Warning" };
        self.is_ill().then(|| format!("{word}: state {}.", self.state))
    }
}

/// A pool as the watch brought it, and what it is to be.
type Found = (Shown, Resource);

impl Leg {
    pub(crate) async fn shows(&mut self, pair: &Pair, shown: Shown) -> anyhow::Result<()> {
        self.show(pair, &[shown]).await
    }

    /// Several pools of the system at once.
    pub(crate) async fn show(&mut self, pair: &Pair, pools: &[Shown]) -> anyhow::Result<()> {
        let mut found: Vec<Found> = Vec::new();
        for shown in pools {
            found.push((*shown, self.until_pool(*shown).await.context("stage watch")?));
        }
        // Sections come in any order: a pool may be there before its system.
        let has_host = |m: &Mirror| m.resources.values().any(|r| r.r#type() == ResourceType::Host);
        self.mirror.until("its system", has_host).await.context("stage watch")?;
        for (shown, pool) in &found {
            let of = || shown.pool;
            self.ingested(pool).context("stage ingest").with_context(of)?;
            self.queried(pair, pool, *shown).await.context("stage query").with_context(of)?;
            self.alerted(*shown).await.context("stage alert").with_context(of)?;
        }
        self.told_to_assistants(pair, &found).await.context("stage context")?;
        self.shown_to_people(pair, &found).await.context("stage console")
    }

    async fn until_pool(&mut self, shown: Shown) -> anyhow::Result<Resource> {
        let Shown { pool, state, status, severity } = shown;
        let is = |r: &Resource| {
            r.state == state
                && r.status() == status
                && r.severity() >= severity
                && (severity != Severity::Healthy || r.severity() == Severity::Healthy)
        };
        let what = format!("{}: {pool} {state}", self.name);
        let holds = |m: &Mirror| m.named("zfs-pool", pool).is_some_and(is);
        self.mirror.until(&what, holds).await?;
        self.mirror.named("zfs-pool", pool).cloned().context("it is there")
    }

    /// It came from this connection, as a record of TrueNAS.
    fn ingested(&self, pool: &Resource) -> anyhow::Result<()> {
        let part = pool.source_status.first().context("no source")?;
        let badge = part.badge.as_ref().map(|badge| badge.label.as_str());
        ensure!(part.connection == self.id, "from {:?}", part.connection);
        ensure!(badge == Some("TrueNAS"), "badge {badge:?}");
        Ok(())
    }

    async fn queried(&self, pair: &Pair, pool: &Resource, shown: Shown) -> anyhow::Result<()> {
        let mut resources = client(pair.registry.grpc()).await?;
        let request = GetResourceRequest { id: pool.id.clone(), ..Default::default() };
        let got = resources.get_resource(request).await?.into_inner().resource.context("no resource")?;
        ensure!((got.state.as_str(), got.status()) == (shown.state, shown.status), "got {got:?}");
        let filter = format!(
            "topology = pool AND name = {} AND state = {} AND connection = \"{}\"",
            shown.pool, shown.state, self.id
        );
        let request = ListResourcesRequest { filter, ..Default::default() };
        let listed = resources.list_resources(request).await?.into_inner().resources;
        ensure!(listed.len() == 1 && listed[0].id == pool.id, "listed {listed:?}");
        Ok(())
    }

    /// Fires while it is not well, as badly as it is now and with its state by name, and no longer.
    pub(crate) async fn alerted(&mut self, shown: Shown) -> anyhow::Result<()> {
        let is_so = |m: &AlertMirror| match m.of("pool-state", shown.pool) {
            Some(alert) if alert.state() == AlertState::Firing => {
                shown.is_ill() && alert.severity() == shown.severity && alert.summary.contains(shown.state)
            }
            Some(alert) => alert.state() == AlertState::Resolved && !shown.is_ill(),
            None => !shown.is_ill(),
        };
        // What was not listed yet may fire.
        let holds = |m: &AlertMirror| m.listed && is_so(m);
        let what = if shown.is_ill() { "fires" } else { "is at rest" };
        self.alerts.until(&format!("pool-state {what}: {shown:?}"), holds).await
    }

    /// The alert of a pool's state, when there ever was one.
    pub(crate) fn alert_of(&self, pool: &str) -> Option<&Alert> {
        self.alerts.of("pool-state", pool)
    }

    async fn told_to_assistants(&self, pair: &Pair, found: &[Found]) -> anyhow::Result<()> {
        let mut contexts = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
        for (shown, pool) in found {
            let request = GetResourceContextRequest { resource_id: pool.id.clone(), ..Default::default() };
            let told = contexts.get_resource_context(request).await?.into_inner();
            let head = told.text.lines().next().unwrap_or_default();
            ensure!(head.contains(&format!(", state {};", shown.state)), "the pool's own begins with {head}");
            let states = told::said(&told.sections, "State", &pool.id);
            let states: Vec<&str> = states.into_iter().filter(|said| said.contains(": state ")).collect();
            ensure!(
                states == Vec::from_iter(shown.reason()),
                "its own gives as reasons {states:?}: {shown:?}"
            );
            let alerts = told::said(&told.sections, "Alerts", &pool.id);
            let fires = |said: &&str| said.contains("alert \"pool-state\"") && said.contains(" fires, ");
            ensure!(
                alerts.iter().any(fires) == shown.is_ill(),
                "its own has as alerts {alerts:?}: {shown:?}"
            );
        }
        let filter = format!("connection = \"{}\"", self.id);
        let request = GetInfrastructureContextRequest { filter, ..Default::default() };
        let fleet = contexts.get_infrastructure_context(request).await?.into_inner();
        for (shown, pool) in found {
            let wrong = told::said(&fleet.sections, "Wrong now", &pool.id);
            let named = format!("pool \"{}\" on \"{}\": state {}", shown.pool, self.name, shown.state);
            let is_told = |said: &&str| said.contains(&named) && fleet.text.contains(*said);
            let is_right = wrong.len() == usize::from(shown.is_ill()) && wrong.iter().all(is_told);
            ensure!(is_right, "{shown:?}: {}", fleet.text);
        }
        Ok(())
    }

    async fn shown_to_people(&self, pair: &Pair, found: &[Found]) -> anyhow::Result<()> {
        let storage = told::page(pair, &format!("/console/storage?system={}", self.name)).await?;
        for (shown, pool) in found {
            let page = told::page(pair, &format!("/console/resources/{}", pool.id)).await?;
            let head = told::part(&page, "head")?;
            ensure!(told::state(head) == Some(shown.state), "{shown:?}: its page begins with {head}");
            if let Some(alert) = self.alert_of(shown.pool) {
                let is_open = told::row(&page, &alert.id).is_some();
                ensure!(is_open == shown.is_ill(), "{shown:?}: its page shows the alert: {is_open}");
                let page = told::page(pair, &format!("/console/alerts/{}", alert.id)).await?;
                let state = told::state(told::part(&page, "head")?);
                let expected = if shown.is_ill() { "firing" } else { "resolved" };
                ensure!(state == Some(expected), "{shown:?}: the alert's page says {state:?}");
            }
            let row = told::row(&storage, &pool.id).with_context(|| format!("no row of {}", shown.pool))?;
            ensure!(told::state(row) == Some(shown.state), "{shown:?}: storage has {row}");
        }
        let path = format!("/console/infrastructure?filter=connection%3D%22{}%22", self.id);
        let page = told::page(pair, &path).await?;
        ensure!(page.contains(&self.name) && page.contains("TrueNAS"), "infrastructure has no such system");
        Ok(())
    }
}
