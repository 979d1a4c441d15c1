//! Whether a system is heard of, wherever one looks: each stage behind the collector is asked, and says this and nothing else.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::{
    Alert, AlertState, GetInfrastructureContextRequest, GetResourceContextRequest, ListResourcesRequest,
};
use pulse_proto::pb::resource::v1::{Freshness, Resource, Severity, Status};
use pulse_tests::harness::PATIENCE;
use pulse_tests::harness::alerts::AlertMirror;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::client;

use crate::journey::Leg;
use crate::shown::POOL;
use crate::told;

/// Nothing is stale before: two minutes, or three times the interval at which it is read, which grows where reading is slow.
const STALE_AFTER_MIN: Duration = Duration::from_mins(2);
const STALE_AFTER_INTERVALS: u32 = 3;
const UNREACHABLE: &str = "system-unreachable";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    InTime,
    /// It does not answer, and what was read last is not old yet.
    Unreachable,
    /// It did not answer for so long that what was read last is old.
    Stale,
}

impl Heard {
    fn freshness(self) -> Freshness {
        if self == Self::Stale { Freshness::Stale } else { Freshness::Fresh }
    }

    /// Of the system itself.
    fn fits(self, host: &Resource) -> bool {
        let is_warned = host.reasons.iter().any(|reason| reason.code.starts_with("connection_"));
        host.freshness() == self.freshness()
            && is_warned == (self != Self::InTime)
            && (host.status() == Status::Warning || !is_warned)
    }
}

impl Leg {
    pub(crate) async fn is_heard(&mut self, pair: &Pair, heard: Heard) -> anyhow::Result<()> {
        let limit = if heard == Heard::Stale { self.stale_after(pair).await? } else { Duration::ZERO };
        let pool = self.until_heard(heard, PATIENCE + limit).await.context("stage watch")?;
        self.aged(pair, &pool, heard).await.context("stage query")?;
        self.warned(heard).await.context("stage alert")?;
        self.reach_told(pair, &pool, heard).await.context("stage context")?;
        self.reach_shown(pair, &pool, heard).await.context("stage console")
    }

    /// When the last of the system and its pool is old, as the collector says how often it reads them.
    async fn stale_after(&self, pair: &Pair) -> anyhow::Result<Duration> {
        let status = pair.connection(&self.id).await.context("stage fetch")?.status.unwrap_or_default();
        let read = status.sections.iter().filter(|report| ["system", "pools"].contains(&&*report.section));
        let interval = read.filter_map(|report| Duration::try_from(report.interval?).ok()).max();
        Ok(STALE_AFTER_MIN.max(interval.unwrap_or_default() * STALE_AFTER_INTERVALS))
    }

    async fn until_heard(&mut self, heard: Heard, patience: Duration) -> anyhow::Result<Resource> {
        let pool = |leg: &Self| leg.mirror.named("zfs-pool", POOL).cloned();
        let holds = |leg: &Self| {
            let mut all = leg.mirror.resources.values();
            pool(leg).is_some_and(|pool| pool.freshness() == heard.freshness())
                && leg.host().is_some_and(|host| heard.fits(host))
                && (heard == Heard::Stale || all.all(|resource| resource.freshness() == Freshness::Fresh))
        };
        let comes = async {
            while !holds(self) {
                self.mirror.step().await?;
            }
            pool(self).context("it is there")
        };
        let Ok(come) = tokio::time::timeout(patience, comes).await else {
            anyhow::bail!("not {heard:?}: {:?} and {:?}", self.host(), pool(self))
        };
        come
    }

    async fn aged(&self, pair: &Pair, pool: &Resource, heard: Heard) -> anyhow::Result<()> {
        let filter = format!("connection = \"{}\" AND freshness != fresh", self.id);
        let request = ListResourcesRequest { filter, ..Default::default() };
        let listed =
            client(pair.registry.grpc()).await?.list_resources(request).await?.into_inner().resources;
        let host = self.host().map(|host| host.id.as_str()).unwrap_or_default();
        for id in [pool.id.as_str(), host] {
            let is_old = listed.iter().any(|resource| resource.id == id);
            ensure!(is_old == (heard == Heard::Stale), "{id} is listed as old: {is_old}");
        }
        Ok(())
    }

    /// One case for the whole system, which keeps all below it quiet; it ends when the system is heard of again.
    async fn warned(&mut self, heard: Heard) -> anyhow::Result<()> {
        let name = self.name.clone();
        let holds = |m: &AlertMirror| {
            let case = m.of(UNREACHABLE, &name);
            let fires = case.filter(|case| case.state() == AlertState::Firing);
            let is_right = match case {
                Some(case) if heard == Heard::Stale => {
                    fires.is_some()
                        && case.severity() == Severity::Warning
                        && case.summary.contains("is not reached")
                }
                Some(case) => case.state() == AlertState::Resolved,
                None => heard != Heard::Stale,
            };
            is_right && is_kept_quiet(m, fires) == fires.is_some()
        };
        self.alerts.until(&format!("{UNREACHABLE} of {name}: {heard:?}"), holds).await
    }

    async fn reach_told(&self, pair: &Pair, pool: &Resource, heard: Heard) -> anyhow::Result<()> {
        let mut contexts = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
        let filter = format!("connection = \"{}\"", self.id);
        let request = GetInfrastructureContextRequest { filter, ..Default::default() };
        let fleet = contexts.get_infrastructure_context(request).await?.into_inner();
        let host = self.host().map(|host| host.id.as_str()).unwrap_or_default();
        let away = format!("system \"{}\" cannot be reached", self.name);
        let wrong = told::said(&fleet.sections, "Wrong now", host);
        let is_away = wrong.iter().any(|said| said.contains(&away) && fleet.text.contains(*said));
        ensure!(is_away == (heard != Heard::InTime), "{heard:?}: {}", fleet.text);
        let is_current = fleet.text.contains("everything is up to date");
        ensure!(is_current == (heard != Heard::Stale), "{heard:?}: {}", fleet.text);
        let request = GetResourceContextRequest { resource_id: pool.id.clone(), ..Default::default() };
        let of_pool = contexts.get_resource_context(request).await?.into_inner().text;
        let head = of_pool.lines().next().unwrap_or_default();
        let is_old = head.contains("; not up to date, last read ");
        ensure!(is_old == (heard == Heard::Stale), "{heard:?}: the pool's own begins with {head}");
        Ok(())
    }

    async fn reach_shown(&self, pair: &Pair, pool: &Resource, heard: Heard) -> anyhow::Result<()> {
        let page = self.connection_page(pair).await?;
        let head = told::part(&page, "head")?;
        let is_away = head.contains("Unreachable");
        ensure!(is_away == (heard != Heard::InTime), "{heard:?}: the connection's page begins with {head}");
        let page = told::page(pair, &format!("/console/resources/{}", pool.id)).await?;
        let head = told::part(&page, "head")?;
        let is_old = head.contains("Unreachable") && head.contains("seen ");
        ensure!(is_old == (heard == Heard::Stale), "{heard:?}: the pool's page begins with {head}");
        let page = told::page(pair, &format!("/console/storage?system={}", self.name)).await?;
        let row = told::row(&page, &pool.id).context("no row of the pool")?;
        let is_old = row.split('>').next().is_some_and(|tag| tag.contains(" away\""));
        ensure!(is_old == (heard == Heard::Stale), "{heard:?}: storage has {row}");
        Ok(())
    }
}

/// What tells of the pool is told by this case, or by one that is.
fn is_kept_quiet(m: &AlertMirror, by: Option<&Alert>) -> bool {
    let told_by = |alert: &&Alert| m.alerts.get(&alert.suppressed_by);
    let above =
        std::iter::successors(m.of("pool-state", POOL).as_ref().and_then(told_by), |alert| told_by(alert));
    by.is_some_and(|by| above.take(m.alerts.len()).any(|alert| alert.id == by.id))
}
