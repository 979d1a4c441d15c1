//! The timeline of one pool through degrade, heal, rename and removal, and after a kill.

use pulse_proto::pb::registry::v1::{Batch, ListResourceChangesRequest, ResourceChange};
use pulse_proto::pb::resource::v1::{Capacity, ResourceType};
use pulse_tests::harness::command;
use pulse_tests::harness::feeder::{Feeder, batch, pool};
use pulse_tests::harness::fleet::Service;
use pulse_tests::harness::view::{Mirror, client};
use tonic::Code;

async fn changes(
    registry: &Service,
    resource_id: &str,
    filter: &str,
    page_size: i32,
) -> anyhow::Result<Vec<ResourceChange>> {
    let mut all = Vec::new();
    let mut client = client(registry.grpc()).await?;
    let mut page_token = String::new();
    loop {
        let request = ListResourceChangesRequest {
            resource_id: resource_id.to_owned(),
            page_size,
            page_token,
            filter: filter.to_owned(),
        };
        let page = client.list_resource_changes(request).await?.into_inner();
        all.extend(page.changes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

fn told(changes: &[ResourceChange]) -> Vec<(&str, &str, &str)> {
    changes.iter().map(|c| (c.kind.as_str(), c.from.as_str(), c.to.as_str())).collect()
}

#[tokio::test]
async fn a_pool_is_told_from_its_beginning_to_its_end() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut registry = Service::start("pulse-registry", &folder.path().join("registry"), "").await?;
    let mut feeder = Feeder::open(registry.grpc(), "c1", &[]).await?;
    feeder
        .put(batch("nas", 1, 1, vec![pool("nas", "tank", "ONLINE"), pool("nas", "other", "ONLINE")]))
        .await?;
    let mut mirror = Mirror::open(registry.grpc(), "", "").await?;
    mirror.until("the list", |m| m.listed).await?;
    let id = mirror.named("zfs-pool", "tank").expect("the pool").id.clone();

    feeder.put(batch("nas", 1, 2, vec![pool("nas", "tank", "DEGRADED")])).await?;
    feeder.put(batch("nas", 1, 3, vec![pool("nas", "tank", "ONLINE")])).await?;
    let mut larger = pool("nas", "tank", "ONLINE");
    larger.capacity = Some(Capacity { total_bytes: Some(1 << 40), ..Capacity::default() });
    let ack = feeder.put(batch("nas", 1, 4, vec![larger])).await?;
    let gone = Batch { removals: vec!["system:nas/pool:tank".to_owned()], ..batch("nas", 1, 5, Vec::new()) };
    assert!(feeder.put(gone).await?.revision > ack.revision, "the larger size was a revision");

    let expected = [
        ("removed", "online", "absent"),
        ("state_transition", "warning", "online"),
        ("state_transition", "online", "warning"),
        ("created", "absent", "online"),
    ];
    let before = changes(&registry, &id, "", 1).await?;
    assert_eq!(told(&before), expected, "page by page");
    let worse = &before[2];
    assert_eq!((worse.resource_name.as_str(), worse.resource_type()), ("tank", ResourceType::Storage));
    assert!(worse.reason.contains("DEGRADED") || worse.reason.contains("degraded"), "{}", worse.reason);
    let fields: Vec<&str> = worse.steps.iter().map(|step| step.field.as_str()).collect();
    assert_eq!(fields, ["status", "severity", "state"]);

    // The watch told the same, in the order of time.
    mirror.until("the removal", |m| !m.resources.contains_key(&id)).await?;
    let mut watched = mirror.changes.clone();
    watched.retain(|change| change.resource_id == id);
    watched.reverse();
    assert_eq!(told(&watched), expected[..3]);

    for _ in 0..2 {
        registry.kill9().await?;
        registry.up().await?;
        assert_eq!(changes(&registry, &id, "", 0).await?, before, "a restart keeps all and adds nothing");
    }
    let filter = format!("kind = state_transition AND to = warning AND resource_id = {id}");
    assert_eq!(changes(&registry, "", &filter, 0).await?, std::slice::from_ref(worse));
    assert_eq!(changes(&registry, "", "kind = created", 0).await?.len(), 2);
    let refused = changes(&registry, "", "severity = warning", 0).await.unwrap_err();
    let refused = refused.downcast_ref::<tonic::Status>().expect("a status");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("at character 1"), "{refused}");

    let address = registry.grpc().to_string();
    let arguments = ["changes", "--address", address.as_str(), "--resource", id.as_str()];
    let shown = command::run("pulse-registry", &arguments, &[], "").await?;
    assert_eq!((shown.code, shown.stdout.lines().count()), (0, 5), "{}", shown.stderr);
    assert!(shown.stdout.contains("status online -> warning"), "{}", shown.stdout);
    let json =
        command::run("pulse-registry", &[&arguments[..], &["--output", "json"]].concat(), &[], "").await?;
    let first: serde_json::Value = serde_json::from_str(json.stdout.lines().next().unwrap_or_default())?;
    assert_eq!((&first["kind"], &first["resource_name"]), (&"removed".into(), &"tank".into()), "{first}");
    Ok(())
}
