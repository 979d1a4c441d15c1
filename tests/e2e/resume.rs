//! Watches that go on after the registry was killed.

use std::collections::BTreeMap;

use pulse_proto::pb::registry::v1::resource_event::{Kind, Removal};
use pulse_proto::pb::registry::v1::{Batch, ListResourcesRequest, WatchResourcesRequest};
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::view::{Mirror, client, still};
use pulse_tests::harness::within;
use tonic::Code;
use tonic_types::StatusExt as _;

const ONLINE: &str = "status = online";

/// Names and kinds of what a resumed watch tells until its first token.
async fn missed(
    registry: &Service,
    filter: &str,
    token: &str,
) -> anyhow::Result<Vec<(String, Kind, Removal)>> {
    let request =
        WatchResourcesRequest { filter: filter.to_owned(), resume_token: token.to_owned(), read_mask: None };
    let mut stream = client(registry.grpc()).await?.watch_resources(request).await?.into_inner();
    let mut told = Vec::new();
    loop {
        let message = within("what was missed", stream.message()).await?.expect("the watch goes on");
        for event in message.events {
            let (kind, removal) = (event.kind(), event.removal());
            told.push((event.resource.expect("a resource").name, kind, removal));
        }
        if !message.resume_token.is_empty() {
            told.sort_by(|a, b| a.0.cmp(&b.0));
            return Ok(told);
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_kill_9_without_gap_and_without_phantom() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut registry = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    let pools = ["back", "gone", "same", "worse"].map(|name| pool("nas", name, "ONLINE"));
    feeder.put(batch("nas", 1, 1, pools.to_vec())).await?;
    let mut mirror = Mirror::open(registry.grpc(), ONLINE, "").await?;
    mirror.until("the list", |m| m.listed).await?;
    let token = mirror.resume_token.clone();
    assert_eq!(mirror.resources.len(), 4);

    let remove = |names: &[&str]| names.iter().map(|name| format!("system:nas/pool:{name}")).collect();
    let gone = Batch { removals: remove(&["back", "gone"]), ..batch("nas", 1, 2, Vec::new()) };
    feeder.put(gone).await?;
    let changed = vec![
        pool("nas", "back", "ONLINE"),
        pool("nas", "new", "ONLINE"),
        pool("nas", "passing", "ONLINE"),
        pool("nas", "worse", "FAULTED"),
    ];
    feeder.put(batch("nas", 1, 3, changed)).await?;
    let passing = Batch { removals: remove(&["passing"]), ..batch("nas", 1, 4, Vec::new()) };
    feeder.put(passing).await?;

    // What memory kept and what the disk kept lead to the same.
    let none = Removal::Unspecified;
    let row = |name: &str, kind, removal| (name.to_owned(), kind, removal);
    for _ in 0..2 {
        registry.kill9().await?;
        registry.up().await?;
        let told = missed(&registry, ONLINE, &token).await?;
        let expected = [
            row("back", Kind::Changed, none),
            row("gone", Kind::Removed, Removal::Deleted),
            row("new", Kind::Added, none),
            row("passing", Kind::Removed, Removal::Deleted),
            row("worse", Kind::Removed, Removal::Filtered),
        ];
        assert_eq!(told, expected);
        assert_eq!(missed(&registry, "type = vm", &token).await?, []);
    }

    let mut resumed = Mirror::open(registry.grpc(), ONLINE, &token).await?;
    resumed.resources = mirror.resources;
    resumed.until("what was missed", |m| m.resume_token != token).await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &["nas"]).await?;
    feeder.put(batch("nas", 1, 5, vec![pool("nas", "later", "ONLINE")])).await?;
    resumed.until("what comes after", |m| m.named("zfs-pool", "later").is_some()).await?;
    let request = ListResourcesRequest { filter: ONLINE.to_owned(), ..ListResourcesRequest::default() };
    let list = client(registry.grpc()).await?.list_resources(request).await?.into_inner();
    let listed: BTreeMap<_, _> = list.resources.into_iter().map(|r| (r.id.clone(), still(r))).collect();
    let mirrored: BTreeMap<_, _> = resumed.resources.into_iter().map(|(id, r)| (id, still(r))).collect();
    assert_eq!(mirrored, listed);
    Ok(())
}

#[tokio::test]
async fn a_token_ends_when_the_registry_shows_other_things() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut registry = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    feeder.put(batch("nas", 1, 1, vec![pool("nas", "tank", "ONLINE")])).await?;
    for settings in ["enable_truenas = false", ""] {
        let list = client(registry.grpc()).await?.list_resources(ListResourcesRequest::default()).await?;
        let token = list.into_inner().resume_token;
        registry.terminate().await?;
        registry.set(settings);
        registry.up().await?;
        let request = WatchResourcesRequest { resume_token: token, ..WatchResourcesRequest::default() };
        let refused = client(registry.grpc()).await?.watch_resources(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
        let info = refused.get_details_error_info().expect("a reason");
        assert_eq!(info.reason, "HISTORY_EXPIRED");
    }
    Ok(())
}
