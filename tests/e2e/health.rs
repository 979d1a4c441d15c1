//! What happens to a pool, from the appliance's disk to a watcher's screen:
//! healthy, degraded, faulted, suspended, and back; locked, read-only, full.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, ResourceType, Severity, Status};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::Mirror;

struct Scene {
    appliance: Appliance,
    pair: Pair,
    mirror: Mirror,
    id: String,
    line: ApiLine,
    /// There are no events to hear.
    rest: bool,
}

impl Scene {
    async fn open(config: ApplianceConfig) -> anyhow::Result<Self> {
        let (line, rest) = (config.line, config.line == ApiLine::V24_10 && !config.legacy_websocket);
        let appliance = Appliance::start(config).await?;
        let pair = Pair::start().await?;
        let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        let id = pair.add("nas", &appliance).await?.id;
        pair.until_state(&id, ConnectionState::Live).await?;
        mirror
            .until("the pool", |m| m.named("zfs-pool", "tank").is_some_and(|r| r.status() == Status::Online))
            .await?;
        Ok(Self { appliance, pair, mirror, id, line, rest })
    }

    /// REST has no events: an operator asks for a look.
    async fn look(&self) -> anyhow::Result<()> {
        if self.rest {
            let request = RefreshConnectionRequest { id: self.id.clone() };
            self.pair.connections().await?.refresh_connection(request).await?;
        }
        Ok(())
    }

    async fn until_pool(&mut self, what: &str, holds: impl Fn(&Resource) -> bool) -> anyhow::Result<()> {
        self.mirror.until(what, |m| m.named("zfs-pool", "tank").is_some_and(&holds)).await
    }
}

async fn falls_ill_and_recovers(config: ApplianceConfig) -> anyhow::Result<()> {
    let mut scene = Scene::open(config).await?;
    let line = scene.line;
    scene.appliance.mutate(|world, now| world.degrade_pool(line, "tank", now));
    scene.look().await?;
    scene
        .until_pool("degraded", |r| {
            (r.state.as_str(), r.status()) == ("DEGRADED", Status::Warning)
                && r.severity() >= Severity::Warning
        })
        .await?;
    scene
        .mirror
        .until("the disk", |m| {
            m.resources.values().any(|r| r.r#type() == ResourceType::PhysicalDisk && r.state == "FAULTED")
        })
        .await?;
    scene
        .mirror
        .until("the host", |m| {
            m.resources.values().any(|r| r.r#type() == ResourceType::Host && r.status() == Status::Warning)
        })
        .await?;

    scene.appliance.mutate(|world, now| world.fault_pool(line, "tank", now));
    scene.look().await?;
    scene
        .until_pool("faulted", |r| {
            (r.state.as_str(), r.status(), r.severity()) == ("FAULTED", Status::Offline, Severity::Critical)
        })
        .await?;
    let faulted = scene.mirror.named("zfs-pool", "tank").expect("the pool");
    assert!(!faulted.reasons.is_empty() && !faulted.incidents.is_empty(), "{faulted:?}");

    scene.appliance.mutate(|world, now| world.suspend_pool(line, "tank", now));
    scene.look().await?;
    scene
        .until_pool("suspended", |r| (r.state.as_str(), r.status()) == ("SUSPENDED", Status::Offline))
        .await?;

    scene.appliance.mutate(|world, now| world.online_pool(line, "tank", now));
    scene.look().await?;
    scene
        .until_pool("healthy again", |r| {
            (r.state.as_str(), r.status(), r.severity()) == ("ONLINE", Status::Online, Severity::Healthy)
        })
        .await?;
    let healthy = scene.mirror.named("zfs-pool", "tank").expect("the pool");
    assert!(
        healthy.incidents.iter().all(|incident| incident.klass != "VolumeStatus"),
        "{:?}",
        healthy.incidents
    );
    Ok(())
}

#[tokio::test]
async fn a_pool_falls_ill_and_recovers_over_rest() -> anyhow::Result<()> {
    let line = ApplianceConfig::of(ApiLine::V24_10);
    falls_ill_and_recovers(ApplianceConfig { legacy_websocket: false, ..line }).await
}

#[tokio::test]
async fn a_pool_falls_ill_and_recovers_over_the_legacy_websocket() -> anyhow::Result<()> {
    falls_ill_and_recovers(ApplianceConfig::of(ApiLine::V24_10)).await
}

#[tokio::test]
async fn a_pool_falls_ill_and_recovers_on_25_10() -> anyhow::Result<()> {
    falls_ill_and_recovers(ApplianceConfig::of(ApiLine::V25_10)).await
}

#[tokio::test]
async fn a_pool_falls_ill_and_recovers_on_26_0_which_sends_no_pool_events() -> anyhow::Result<()> {
    falls_ill_and_recovers(ApplianceConfig::of(ApiLine::V26_0)).await
}

#[tokio::test]
async fn datasets_lock_turn_read_only_and_pools_fill_up() -> anyhow::Result<()> {
    let line = ApiLine::V25_10;
    let mut scene = Scene::open(ApplianceConfig::of(line)).await?;
    let refresh = RefreshConnectionRequest { id: scene.id.clone() };
    scene.appliance.mutate(|world, now| {
        let mut events = world.lock_dataset(line, "tank/vm", now);
        events.extend(world.set_readonly(line, "tank/home", true, now));
        events.extend(world.fill_pool(line, "tank", 97, now));
        events
    });
    scene.pair.connections().await?.refresh_connection(refresh.clone()).await?;
    let status = |m: &Mirror, name: &str| m.named("zfs-dataset", name).map(Resource::status);
    scene.mirror.until("locked", |m| status(m, "tank/vm") == Some(Status::Offline)).await?;
    scene.mirror.until("read-only", |m| status(m, "tank/home") == Some(Status::Warning)).await?;
    scene
        .until_pool("full", |r| {
            r.severity() == Severity::Critical && r.reasons.iter().any(|x| x.summary.contains("97"))
        })
        .await?;
    scene.appliance.mutate(|world, now| {
        let mut events = world.unlock_dataset(line, "tank/vm", now);
        events.extend(world.set_readonly(line, "tank/home", false, now));
        events.extend(world.fill_pool(line, "tank", 10, now));
        events
    });
    scene.pair.connections().await?.refresh_connection(refresh).await?;
    scene.mirror.until("unlocked", |m| status(m, "tank/vm") == Some(Status::Online)).await?;
    scene.mirror.until("writable", |m| status(m, "tank/home") == Some(Status::Online)).await?;
    scene.until_pool("room", |r| r.severity() == Severity::Healthy).await?;
    Ok(())
}

#[tokio::test]
async fn things_come_and_go() -> anyhow::Result<()> {
    let line = ApiLine::V25_10;
    let mut scene = Scene::open(ApplianceConfig::of(line)).await?;
    scene.appliance.mutate(|world, now| {
        let mut events = world.add_pool(line, "cold", now);
        events.extend(world.add_dataset(line, "tank/new", now));
        events
    });
    let refresh = RefreshConnectionRequest { id: scene.id.clone() };
    scene.pair.connections().await?.refresh_connection(refresh.clone()).await?;
    scene
        .mirror
        .until("both", |m| {
            m.named("zfs-pool", "cold").is_some() && m.named("zfs-dataset", "tank/new").is_some()
        })
        .await?;
    scene.appliance.mutate(|world, now| {
        let mut events = world.remove_pool(line, "cold", now);
        events.extend(world.remove_dataset(line, "tank/new", now));
        events
    });
    scene.pair.connections().await?.refresh_connection(refresh).await?;
    scene
        .mirror
        .until("neither", |m| {
            m.named("zfs-pool", "cold").is_none() && m.named("zfs-dataset", "tank/new").is_none()
        })
        .await?;
    Ok(())
}
