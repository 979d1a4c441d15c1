//! What Kubernetes does to pods, in its order: SIGTERM, the end, a new process on
//! the same volume, readiness by the health command. Nothing is lost and nothing flaps.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_proto::pb::registry::v1::ListResourcesRequest;
use pulse_proto::pb::resource::v1::{ConnectionState, Resource, Status};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::{Pair, Service};
use pulse_tests::harness::view::{Mirror, client, still};

/// The probe of the manifests, as the kubelet repeats it until it succeeds.
async fn ready(service: &str, at: SocketAddr) -> anyhow::Result<()> {
    let ran = run(service, &["health", "--wait", "60s", "--address", &at.to_string()], &[], "").await?;
    anyhow::ensure!(ran.code == 0, "{service} is not ready: {}", ran.stderr);
    Ok(())
}

async fn roll(service: &mut Service, name: &str) -> anyhow::Result<()> {
    service.terminate().await?;
    let gone =
        run(name, &["health", "--wait", "100ms", "--address", &service.grpc().to_string()], &[], "").await?;
    anyhow::ensure!(gone.code == 1, "it is gone, and the probe says: {}", gone.stdout);
    service.up().await?;
    ready(name, service.grpc()).await
}

async fn resources(registry: SocketAddr) -> anyhow::Result<(BTreeMap<String, Resource>, u64)> {
    let request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let list = client(registry).await?.list_resources(request).await?.into_inner();
    Ok((list.resources.into_iter().map(|r| (r.id.clone(), still(r))).collect(), list.revision))
}

/// Adds a dataset while `what` is under way; it must arrive.
async fn change(
    appliance: &Appliance,
    pair: &Pair,
    id: &str,
    mirror: &mut Mirror,
    what: &str,
) -> anyhow::Result<()> {
    let dataset = format!("tank/{what}");
    appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, &dataset, now));
    pair.connections().await?.refresh_connection(RefreshConnectionRequest { id: id.to_owned() }).await?;
    mirror.until(what, |m| m.named("zfs-dataset", &dataset).is_some()).await
}

#[tokio::test]
async fn a_roll_out_and_a_drain_lose_nothing() -> anyhow::Result<()> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let mut pair = Pair::start().await?;
    ready("pulse-registry", pair.registry.grpc()).await?;
    ready("pulse-collector", pair.collector.grpc()).await?;
    let created = pair.add("nas", &appliance).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    change(&appliance, &pair, &created.id, &mut mirror, "before").await?;

    // A rolling update: one pod after the other, each waited for.
    for round in 0..2 {
        let (before, revision) = resources(pair.registry.grpc()).await?;
        let token = mirror.resume_token.clone();
        roll(&mut pair.registry, "pulse-registry").await?;
        let (after, again) = resources(pair.registry.grpc()).await?;
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        assert!(again >= revision);
        let (known, statuses) = (mirror.resources, mirror.statuses);
        mirror = Mirror::open(pair.registry.grpc(), "", &token).await?;
        (mirror.resources, mirror.statuses) = (known, statuses);
        roll(&mut pair.collector, "pulse-collector").await?;
        pair.until_state(&created.id, ConnectionState::Live).await?;
        change(&appliance, &pair, &created.id, &mut mirror, &format!("update-{round}")).await?;
    }

    // A drained node: both go at once, and come back in the order that suits least.
    let token = mirror.resume_token.clone();
    let (registry, collector) = tokio::join!(pair.registry.terminate(), pair.collector.terminate());
    registry.and(collector)?;
    appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, "tank/drain", now));
    pair.collector.up().await?;
    ready("pulse-collector", pair.collector.grpc()).await?;
    pair.registry.up().await?;
    ready("pulse-registry", pair.registry.grpc()).await?;
    let (known, statuses) = (mirror.resources, mirror.statuses);
    mirror = Mirror::open(pair.registry.grpc(), "", &token).await?;
    (mirror.resources, mirror.statuses) = (known, statuses);
    mirror.until("what came meanwhile", |m| m.named("zfs-dataset", "tank/drain").is_some()).await?;

    let (listed, _) = resources(pair.registry.grpc()).await?;
    let seen: Vec<&String> = mirror.resources.keys().collect();
    assert_eq!(seen, listed.keys().collect::<Vec<_>>(), "the watch has a gap or a phantom");
    let flapped = mirror.statuses.iter().filter(|(_, told)| told.contains(&Status::Offline));
    assert_eq!(flapped.map(|(id, _)| id.as_str()).collect::<Vec<_>>(), [""; 0], "offline was never true");
    Ok(())
}
