//! Either side stops, crashes or is away: nothing acknowledged is lost, and
//! the newest state arrives.

use std::time::Duration;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::{Effect, Failure};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::{DeleteConnectionRequest, RefreshConnectionRequest};
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, Status};
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::{Pair, Service};
use pulse_tests::harness::process::binary;
use pulse_tests::harness::view::{Mirror, client};
use pulse_tests::harness::within;
use serde_json::json;
use tokio::process::Command;

async fn running() -> anyhow::Result<(Appliance, Pair, String)> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let pair = Pair::start().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let created = pair.add("nas", &appliance).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    mirror.until("the disks", |m| m.resources.values().any(|r| r.physical_disk.is_some())).await?;
    Ok((appliance, pair, created.id))
}

async fn everything(pair: &Pair) -> anyhow::Result<(Vec<Resource>, u64)> {
    let request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let list = client(pair.registry.grpc()).await?.list_resources(request).await?.into_inner();
    Ok((list.resources, list.revision))
}

fn ids(resources: &[Resource]) -> Vec<(&str, &str)> {
    resources.iter().map(|r| (r.id.as_str(), r.state.as_str())).collect()
}

#[tokio::test]
async fn the_registry_is_killed_and_comes_back_with_everything() -> anyhow::Result<()> {
    let (appliance, mut pair, id) = running().await?;
    for _ in 0..3 {
        let (before, revision) = everything(&pair).await?;
        pair.registry.kill9().await?;
        pair.registry.up().await?;
        let (after, again) = everything(&pair).await?;
        assert_eq!(ids(&before), ids(&after));
        assert!(again >= revision);
    }
    // Something that happens while the registry is away arrives when it is back.
    pair.registry.kill9().await?;
    appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, "tank/while-away", now));
    pair.registry.up().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let refresh = RefreshConnectionRequest { id };
    pair.connections().await?.refresh_connection(refresh).await?;
    mirror.until("the dataset", |m| m.named("zfs-dataset", "tank/while-away").is_some()).await?;
    Ok(())
}

#[tokio::test]
async fn the_collector_is_killed_and_nothing_flaps() -> anyhow::Result<()> {
    let (_appliance, mut pair, id) = running().await?;
    let (before, revision) = everything(&pair).await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    mirror.until("the list", |m| m.listed).await?;
    for _ in 0..2 {
        pair.collector.kill9().await?;
        pair.collector.up().await?;
        let live = pair.until_state(&id, ConnectionState::Live).await?;
        assert!(live.api_key.is_empty() || live.api_key == "********", "secrets are never read back");
    }
    let (after, again) = everything(&pair).await?;
    assert_eq!(ids(&before), ids(&after));
    assert!(again >= revision);
    for (id, statuses) in &mirror.statuses {
        assert_eq!(statuses.len(), 1, "{id} changed its status: {statuses:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_connection_deleted_while_the_registry_is_away_goes_when_it_is_back() -> anyhow::Result<()> {
    for new_name in [None, Some("renamed")] {
        let (_appliance, mut pair, id) = running().await?;
        pair.registry.kill9().await?;
        let delete = DeleteConnectionRequest { id, etag: String::new() };
        pair.connections().await?.delete_connection(delete).await?;
        // ... even when the collector forgets its memory in between, and what it was called.
        pair.collector.kill9().await?;
        pair.collector.set_env("PULSE_COLLECTOR_ID", new_name);
        pair.collector.up().await?;
        pair.registry.up().await?;
        let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        mirror.until("nothing", |m| m.listed && m.resources.is_empty()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_stored_connection_that_cannot_be_read_stays_until_it_is_deleted() -> anyhow::Result<()> {
    let (_appliance, mut pair, id) = running().await?;
    let store = pair.collector.data().join("connections.json");
    let whole = std::fs::read_to_string(&store)?;
    let unread = whole.replace("\"sealed\":\"", "\"sealed\":\"AAAA");
    // What is left of a record may not even say which it is.
    let nameless = unread.replace(&format!("\"id\":\"{id}\""), "\"id\":\"\"");
    assert!(whole != unread && unread != nameless);
    for damaged in [nameless, unread] {
        pair.collector.terminate().await?;
        std::fs::write(&store, damaged)?;
        pair.collector.up().await?;
        // What is told after the start, and after all that was told with it.
        let other = Appliance::start(ApplianceConfig::of(ApiLine::V26_0)).await?;
        let added = pair.add("other", &other).await?;
        let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        let of = |m: &Mirror, id: &str| m.resources.values().any(|r| r.connection == id);
        mirror.until("the other", |m| m.listed && of(m, &added.id)).await?;
        assert!(of(&mirror, &id), "it is kept, not deleted");
        for id in [&added.id, &id] {
            let delete = DeleteConnectionRequest { id: id.clone(), etag: String::new() };
            let deleted = pair.connections().await?.delete_connection(delete).await;
            // What has no id cannot be named.
            let is_nameless = deleted.is_err_and(|status| status.code() == tonic::Code::NotFound);
            if !is_nameless {
                mirror.until("it is gone", |m| !of(m, id)).await?;
            }
        }
    }
    assert!(everything(&pair).await?.0.is_empty());
    Ok(())
}

#[tokio::test]
async fn both_drain_when_asked_and_end_with_success() -> anyhow::Result<()> {
    let (_appliance, mut pair, _id) = running().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    pair.collector.terminate().await?;
    pair.registry.terminate().await?;
    let ended = loop {
        if let Err(ended) = mirror.step().await {
            break ended;
        }
    };
    let status = ended.downcast_ref::<tonic::Status>().map(tonic::Status::code);
    assert!(status.is_none_or(|code| code == tonic::Code::Unavailable), "{ended:?}");
    Ok(())
}

/// Whatever a start waits for, here for a certificate that nobody writes.
#[tokio::test]
async fn a_stop_ends_a_start_that_is_not_done() -> anyhow::Result<()> {
    for name in ["pulse-registry", "pulse-collector"] {
        let folder = tempfile::tempdir()?;
        let certificate = folder.path().join("tls.crt");
        assert!(Command::new("mkfifo").arg(&certificate).status().await?.success(), "mkfifo");
        let (data, any) = (folder.path().join("data"), "listen = \"127.0.0.1:0\"");
        let settings = format!(
            "data_dir = {data:?}\n[tls]\ncert_file = {certificate:?}\nkey_file = {certificate:?}\n[grpc]\n{any}\n[http]\n{any}\n"
        );
        let config = folder.path().join("config.toml");
        std::fs::write(&config, settings)?;
        let mut service = Command::new(binary(name)?);
        let mut child = service.arg("serve").arg("--config").arg(&config).kill_on_drop(true).spawn()?;
        // Opens when somebody reads: the start has come so far. In a thread that nobody waits for.
        let (opened, is_open) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || opened.send(std::fs::File::options().write(true).open(certificate)));
        let _held = within("the start to read its certificate", is_open).await??;
        let pid = child.id().expect("it is running").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await?.success(), "send SIGTERM");
        let status = within("the start to end", child.wait()).await?;
        assert!(status.success(), "{name} ended with {status}");
    }
    Ok(())
}

/// A stream on which nothing happens, one that nobody reads, and a connection without one.
#[tokio::test]
async fn who_streams_nothing_is_told_of_a_stop_at_once_and_delays_nobody() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    // Longer than anybody is to wait: what ends in time ends by itself.
    let settings = "[drain]\ntimeout = \"60s\"";
    let mut registry = Service::start("pulse-registry", folder.path(), settings).await?;
    let idle = Feeder::open(registry.grpc(), "idle", &[]).await?;
    let mut told = Feeder::open(registry.grpc(), "told", &[]).await?;
    told.put(batch("nas", 1, 1, vec![pool("nas", "tank", "ONLINE")])).await?;
    let unread = client(registry.grpc()).await?;
    let stop = async { tokio::time::timeout(Duration::from_secs(20), registry.terminate()).await };
    let (stopped, ended) = tokio::join!(stop, told.next());
    let ended = ended.expect_err("the stream ends");
    let status = ended.downcast_ref::<tonic::Status>().expect("with a status");
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    assert!(status.message().contains("stopping"), "{status}");
    stopped.expect("nobody holds it up")?;
    drop((idle, told, unread));
    Ok(())
}

#[tokio::test]
async fn a_restart_that_cannot_read_everything_recovers_nothing() -> anyhow::Result<()> {
    let (appliance, mut pair, id) = running().await?;
    let line = ApiLine::V25_10;
    appliance.mutate(|world, now| {
        world.raise_alert(line, "CRITICAL", "Odd", json!({"volume": "tank"}), "Pool tank is odd", now)
    });
    appliance.mutate(|world, now| world.set_readonly(line, "tank/backup", true, now));
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let pool = |m: &Mirror| m.named("zfs-pool", "tank").cloned().expect("the pool");
    mirror.until("the pool", |m| m.named("zfs-pool", "tank").is_some()).await?;
    mirror
        .until("the alert", |m| !pool(m).incidents.is_empty() && pool(m).status() == Status::Warning)
        .await?;
    mirror.statuses.clear();
    let (before, _) = everything(&pair).await?;

    for method in
        ["alert.list", "zfs.resource.query", "pool.dataset.query", "boot.get_state", "replication.query"]
    {
        let fault = appliance.faults().on_method(method, Effect::Answer(json!("odd")));
        pair.collector.kill9().await?;
        pair.collector.up().await?;
        let refresh = RefreshConnectionRequest { id: id.clone() };
        pair.connections().await?.refresh_connection(refresh).await?;
        let mut fresh = Mirror::open(pair.registry.grpc(), "", "").await?;
        fresh.until("the list", |m| m.listed).await?;
        let after = pool(&fresh);
        assert_eq!((after.status(), after.incidents.len()), (Status::Warning, 1), "{method}");
        assert!(after.capacity.is_some_and(|capacity| capacity.total_bytes > Some(0)), "{method}");
        assert!(fresh.named("zfs-pool", "boot-pool").is_some(), "{method}");
        assert_eq!(fresh.resources.len(), before.len(), "{method}: nothing is gone");
        appliance.faults().clear(fault);
    }
    for (id, statuses) in &mirror.statuses {
        assert!(!statuses.contains(&Status::Online) || statuses.len() == 1, "{id}: {statuses:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_boot_pool_that_may_not_be_read_any_more_is_not_removed() -> anyhow::Result<()> {
    let (appliance, mut pair, id) = running().await?;
    let (before, _) = everything(&pair).await?;
    appliance.faults().on_method("boot.get_state", Effect::Fail(Failure::NotAuthorized));
    pair.collector.kill9().await?;
    pair.collector.up().await?;
    pair.connections().await?.refresh_connection(RefreshConnectionRequest { id }).await?;
    // Something that is told after the restart, and after all that was told with it.
    appliance.mutate(|world, now| world.degrade_pool(ApiLine::V25_10, "tank", now));
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let degraded = |m: &Mirror| m.named("zfs-pool", "tank").is_some_and(|pool| pool.state == "DEGRADED");
    mirror.until("the pool degraded", |m| m.listed && degraded(m)).await?;
    assert!(mirror.named("zfs-pool", "boot-pool").is_some());
    assert_eq!(mirror.resources.len(), before.len());
    Ok(())
}

#[tokio::test]
async fn disks_keep_their_place_while_pools_cannot_be_read() -> anyhow::Result<()> {
    let (appliance, mut pair, id) = running().await?;
    let (before, _) = everything(&pair).await?;
    appliance.faults().on_method("pool.query", Effect::Answer(json!("odd")));
    pair.collector.kill9().await?;
    pair.collector.up().await?;
    pair.connections().await?.refresh_connection(RefreshConnectionRequest { id }).await?;
    let (after, _) = everything(&pair).await?;
    let places = |resources: &[Resource]| {
        let disks = resources.iter().filter(|r| r.physical_disk.is_some());
        disks.map(|r| (r.id.clone(), r.state.clone(), r.parent_id.clone(), r.freshness)).collect::<Vec<_>>()
    };
    assert_eq!(places(&before), places(&after));
    assert_eq!(ids(&before), ids(&after));
    Ok(())
}

#[tokio::test]
async fn rows_that_cannot_be_read_delete_nothing() -> anyhow::Result<()> {
    let (appliance, mut pair, id) = running().await?;
    let (before, _) = everything(&pair).await?;
    let refresh = RefreshConnectionRequest { id };
    for (method, reply) in [
        ("pool.query", json!([null, null])),
        ("pool.query", json!([{"name": null, "status": "ONLINE"}])),
        ("zfs.resource.query", json!([{"name": null}, {"name": null}])),
        ("disk.query", json!([{}])),
    ] {
        let fault = appliance.faults().on_method(method, Effect::Answer(reply.clone()));
        pair.connections().await?.refresh_connection(refresh.clone()).await?;
        let (after, _) = everything(&pair).await?;
        assert_eq!(ids(&before), ids(&after), "{method} {reply}");
        // ... nor after a restart, when the collector remembers nothing.
        pair.collector.kill9().await?;
        pair.collector.up().await?;
        pair.connections().await?.refresh_connection(refresh.clone()).await?;
        let (after, _) = everything(&pair).await?;
        assert_eq!(before.len(), after.len(), "{method} {reply}");
        appliance.faults().clear(fault);
        pair.connections().await?.refresh_connection(refresh.clone()).await?;
    }
    Ok(())
}
