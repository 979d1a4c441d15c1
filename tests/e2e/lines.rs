//! From an appliance of every API line to a gRPC client: configured, read,
//! told, shown, removed.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::{Connection, DeleteConnectionRequest, RefreshConnectionRequest};
use pulse_proto::pb::resource::v1::{ConnectionState, ResourceType, Severity, Status};
use pulse_tests::harness::fleet::{Pair, connection_to};
use pulse_tests::harness::view::Mirror;

async fn shows_everything(line: ApiLine, mode: &str, mechanism: &str) -> anyhow::Result<()> {
    shows_all_of(ApplianceConfig::of(line), mode, mechanism).await
}

async fn shows_all_of(config: ApplianceConfig, mode: &str, mechanism: &str) -> anyhow::Result<()> {
    let appliance = Appliance::start(config).await?;
    let pair = Pair::start().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    // So rarely that only an event, a probe or an operator can be why something is seen soon.
    let connection = Connection { poll_interval_seconds: 3_600, ..connection_to("Rack 1", &appliance) };
    let created = pair.create(connection).await?;
    let live = pair.until_state(&created.id, ConnectionState::Live).await?;
    let transport = live.status.as_ref().and_then(|status| status.transport.clone()).expect("its transport");
    assert_eq!((transport.mode.as_str(), transport.auth_mechanism.as_str()), (mode, mechanism));
    assert!(transport.tls && transport.connected && !transport.insecure);

    let of = |m: &Mirror, kind: ResourceType| m.resources.values().filter(|r| r.r#type() == kind).count();
    mirror
        .until("a host, pools, datasets and disks", |m| {
            of(m, ResourceType::Host) == 1
                && m.named("zfs-pool", "tank").is_some()
                && m.named("zfs-pool", "boot-pool").is_some()
                && m.resources.values().any(|r| r.technology == "zfs-dataset")
                && of(m, ResourceType::PhysicalDisk) > 0
        })
        .await?;
    let host = mirror.resources.values().find(|r| r.r#type() == ResourceType::Host).expect("the host");
    assert_eq!(host.display_name, "Rack 1");
    assert_eq!(
        Some(&host.id),
        live.status.as_ref().and_then(|s| s.observed.as_ref()).map(|o| &o.resource_id)
    );
    let tank = mirror.named("zfs-pool", "tank").expect("the pool");
    assert_eq!(
        (tank.status(), tank.severity(), tank.state.as_str()),
        (Status::Online, Severity::Healthy, "ONLINE")
    );
    assert_eq!(tank.parent_id, host.id);
    let capacity = tank.capacity.expect("its capacity");
    assert!(
        capacity.total_bytes > Some(0) && capacity.raw_total_bytes >= capacity.total_bytes,
        "{capacity:?}"
    );
    assert_eq!(tank.source_status[0].badge.as_ref().map(|badge| badge.label.as_str()), Some("TrueNAS"));

    let line = appliance.line();
    appliance.mutate(|world, now| world.degrade_pool(line, "tank", now));
    if mode == "legacy-rest" {
        let refresh = RefreshConnectionRequest { id: created.id.clone() };
        pair.connections().await?.refresh_connection(refresh).await?;
    }
    let degraded = |m: &Mirror| m.named("zfs-pool", "tank").is_some_and(|pool| pool.state == "DEGRADED");
    mirror.until("the pool degraded", degraded).await?;

    let delete = DeleteConnectionRequest { id: created.id.clone(), etag: String::new() };
    pair.connections().await?.delete_connection(delete).await?;
    mirror.until("nothing", |m| m.resources.is_empty()).await?;
    Ok(())
}

#[tokio::test]
async fn line_24_04_over_the_legacy_websocket() -> anyhow::Result<()> {
    shows_everything(ApiLine::V24_04, "legacy-websocket", "legacy-api-key").await
}

#[tokio::test]
async fn line_24_10_over_the_legacy_websocket() -> anyhow::Result<()> {
    shows_everything(ApiLine::V24_10, "legacy-websocket", "legacy-api-key").await
}

#[tokio::test]
async fn line_24_10_over_rest() -> anyhow::Result<()> {
    let config = ApplianceConfig { legacy_websocket: false, ..ApplianceConfig::of(ApiLine::V24_10) };
    shows_all_of(config, "legacy-rest", "rest-bearer-api-key").await
}

#[tokio::test]
async fn line_25_04() -> anyhow::Result<()> {
    shows_everything(ApiLine::V25_04, "jsonrpc-websocket", "api-key-plain").await
}

#[tokio::test]
async fn line_25_10() -> anyhow::Result<()> {
    shows_everything(ApiLine::V25_10, "jsonrpc-websocket", "api-key-plain").await
}

#[tokio::test]
async fn line_26_0_with_scram() -> anyhow::Result<()> {
    shows_everything(ApiLine::V26_0, "jsonrpc-websocket", "scram-sha-512").await
}

#[tokio::test]
async fn line_27_0_with_scram() -> anyhow::Result<()> {
    shows_everything(ApiLine::V27_0, "jsonrpc-websocket", "scram-sha-512").await
}
