//! A backup of a registry that runs, and what becomes of it: put back where the
//! registry was, and beside it.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::{ListResourcesRequest, WatchResourcesRequest};
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::command::{Ran, run};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::{Mirror, client};

async fn registry(arguments: &[&str]) -> anyhow::Result<Ran> {
    run("pulse-registry", arguments, &[], "").await
}

async fn held(pair: &Pair) -> anyhow::Result<(Vec<String>, u64)> {
    let request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let list = client(pair.registry.grpc()).await?.list_resources(request).await?.into_inner();
    Ok((list.resources.into_iter().map(|resource| resource.id).collect(), list.revision))
}

#[tokio::test]
async fn a_running_registry_is_saved_and_comes_back_as_another_one() -> anyhow::Result<()> {
    let appliance = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let mut pair = Pair::start().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let created = pair.add("nas", &appliance).await?;
    pair.until_state(&created.id, ConnectionState::Live).await?;
    mirror.until("the disks", |m| m.resources.values().any(|r| r.physical_disk.is_some())).await?;
    // From here on only the registry is looked at.
    pair.collector.kill9().await?;

    let data = pair.registry.data().display().to_string();
    let file = pair.folder.path().join("backup").display().to_string();
    let saved = registry(&["backup", "--data-dir", &data, "--to", &file]).await?;
    assert_eq!(saved.code, 0, "{saved:?}");
    assert!(saved.stdout.starts_with("saved registry "), "{saved:?}");

    let refused = registry(&["restore", "--data-dir", &data, "--from", &file, "--force"]).await?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("in use by another process"), "{refused:?}");

    let token = mirror.resume_token.clone();
    let (ids, revision) = held(&pair).await?;
    pair.registry.terminate().await?;
    let refused = registry(&["restore", "--data-dir", &data, "--from", &file]).await?;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    let restored = registry(&["restore", "--data-dir", &data, "--from", &file, "--force"]).await?;
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(restored.stdout.contains("what was there before is now"), "{restored:?}");

    pair.registry.up().await?;
    let (again, came_back_at) = held(&pair).await?;
    assert_eq!(again, ids);
    assert!(came_back_at <= revision);
    // Its revisions are not those of the registry that gave the token.
    let request = WatchResourcesRequest { resume_token: token, ..WatchResourcesRequest::default() };
    let status = client(pair.registry.grpc()).await?.watch_resources(request).await;
    let status = status.expect_err("a token of another registry");
    assert!(status.message().starts_with("resume_token: "), "{status}");
    // The collector brings what came after the backup.
    appliance.mutate(|world, now| world.add_dataset(ApiLine::V25_10, "tank/after-restore", now));
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    pair.collector.up().await?;
    mirror.until("the dataset", |m| m.named("zfs-dataset", "tank/after-restore").is_some()).await?;
    Ok(())
}
