//! A NAS watched by its own API and by an agent on it, from outside.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_proto::pb::registry::v1::ingest_request::Message;
use pulse_proto::pb::registry::v1::ingest_response::Message as Said;
use pulse_proto::pb::registry::v1::resource_link::Kind;
use pulse_proto::pb::registry::v1::{
    Batch, ConnectionRemoval, DeleteResourceLinkRequest, LinkResourcesRequest, ListResourceLinksRequest,
    RecordRef, ResourceLink, UnlinkResourcesRequest,
};
use pulse_proto::pb::resource::v1::{ConnectionState, DataSource, Resource, ResourceType, SourceStatus};
use pulse_tests::harness::command::run;
use pulse_tests::harness::feeder::{Feeder, batch, disk, host};
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::view::{Mirror, client};
use tonic::Code;

fn of_type(mirror: &Mirror, kind: ResourceType) -> Vec<&Resource> {
    mirror.resources.values().filter(|resource| resource.r#type() == kind).collect()
}

fn sources(resource: &Resource) -> Vec<DataSource> {
    resource.source_status.iter().map(SourceStatus::source).collect()
}

fn is_shared(resource: &Resource) -> bool {
    sources(resource) == [DataSource::Agent, DataSource::Truenas]
}

fn told(sequence: u64, mac: &str, hostname: &str, serial: &str) -> Batch {
    let upserts = vec![host("host-1", hostname, mac), disk("host-1/sda", "host-1", serial)];
    Batch { source: DataSource::Agent.into(), ..batch("agents", 1, sequence, upserts) }
}

async fn links(pair: &Pair) -> anyhow::Result<Vec<ResourceLink>> {
    let mut client = client(pair.registry.grpc()).await?;
    Ok(client.list_resource_links(ListResourceLinksRequest::default()).await?.into_inner().links)
}

#[tokio::test]
async fn an_agent_beside_a_nas_is_one_machine_until_it_leaves() -> anyhow::Result<()> {
    let appliance = Appliance::start(ApplianceConfig::default()).await?;
    let mut pair = Pair::start().await?;
    let nas = pair.add("nas", &appliance).await?.id;
    pair.until_state(&nas, ConnectionState::Live).await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    let has_mac = |host: &Resource| host.identity.as_ref().is_some_and(|id| !id.mac_addresses.is_empty());
    mirror
        .until("the NAS with its disks", |m| {
            of_type(m, ResourceType::Host).iter().any(|host| has_mac(host))
                && !of_type(m, ResourceType::PhysicalDisk).is_empty()
        })
        .await?;
    let before = of_type(&mirror, ResourceType::Host)[0].clone();
    let identity = before.identity.clone().unwrap_or_default();
    let (hostname, mac) = (identity.hostnames[0].clone(), identity.mac_addresses[0].to_uppercase());
    let a_disk = of_type(&mirror, ResourceType::PhysicalDisk)[0].clone();
    let serial = a_disk.physical_disk.clone().unwrap_or_default().serial;

    // The agent comes, by itself one more machine of the same name.
    let mut feeder = Feeder::open(pair.registry.grpc(), "core", &[]).await?;
    feeder.put(told(1, "", &hostname, &serial)).await?;
    mirror.until("a second machine", |m| of_type(m, ResourceType::Host).len() == 2).await?;
    let found = links(&pair).await?;
    assert_eq!((found.len(), found[0].kind(), found[0].confidence), (1, Kind::Candidate, 0.5), "{found:?}");
    assert_eq!(found[0].evidence[0].kind, "hostname");

    // It tells its MAC: now they are one.
    feeder.put(told(2, &mac, &hostname, &serial)).await?;
    mirror.until("one machine", |m| m.resources.get(&before.id).is_some_and(is_shared)).await?;
    let shared = &mirror.resources[&before.id];
    assert_eq!(of_type(&mirror, ResourceType::Host).len(), 1);
    assert_eq!((shared.connection.as_str(), &shared.name), (nas.as_str(), &before.name));
    assert!(shared.source_status.iter().all(|status| status.last_seen.is_some()), "{shared:?}");
    let shared_disk = &mirror.resources[&a_disk.id];
    assert!(is_shared(shared_disk), "{shared_disk:?}");
    let slot = |disk: &Resource| disk.physical_disk.as_ref().and_then(|disk| disk.enclosure_slot);
    assert_eq!((slot(&a_disk), slot(shared_disk)), (None, Some(7)), "filled by the agent");
    assert_eq!(shared_disk.parent_id, a_disk.parent_id);

    // An operator knows better; and that outlives a crash.
    let (left, right) = (
        Some(RecordRef { connection: nas.clone(), source_id: format!("system:{nas}") }),
        Some(RecordRef { connection: "agents".to_owned(), source_id: "host-1".to_owned() }),
    );
    let request = UnlinkResourcesRequest {
        left: left.clone(),
        right: right.clone(),
        who: "ops".to_owned(),
        reason: "a clone".to_owned(),
    };
    let answer = client(pair.registry.grpc()).await?.unlink_resources(request.clone()).await?.into_inner();
    let link = answer.link.expect("the link");
    assert_eq!((link.kind(), link.who.as_str(), link.reason.as_str()), (Kind::Different, "ops", "a clone"));
    mirror.until("two machines", |m| of_type(m, ResourceType::Host).len() == 2).await?;
    pair.registry.kill9().await?;
    pair.registry.up().await?;
    let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
    mirror.until("the list", |m| m.listed).await?;
    assert_eq!(of_type(&mirror, ResourceType::Host).len(), 2);
    let address = format!("http://{}", pair.registry.grpc());
    let shown = run("pulse-registry", &["links", "list", "--address", &address], &[], "").await?;
    for words in ["different", "agents:host-1 (agent)", "two resources", "ops: a clone"] {
        assert!(shown.stdout.contains(words), "{words:?} in {}", shown.stdout);
    }

    let nobody = UnlinkResourcesRequest { who: String::new(), ..request };
    let refused = client(pair.registry.grpc()).await?.unlink_resources(nobody).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let absent = Some(RecordRef { source_id: "host-2".to_owned(), ..right.clone().unwrap_or_default() });
    let request = LinkResourcesRequest {
        left: left.clone(),
        right: absent,
        who: "ops".to_owned(),
        reason: String::new(),
    };
    let refused = client(pair.registry.grpc()).await?.link_resources(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");

    let request = DeleteResourceLinkRequest { left, right };
    client(pair.registry.grpc()).await?.delete_resource_link(request).await?;
    mirror.until("one again", |m| m.resources.get(&before.id).is_some_and(is_shared)).await?;
    assert!(links(&pair).await?.is_empty());

    // The agent's connection is deleted: as if it had never been.
    let mut feeder = Feeder::open(pair.registry.grpc(), "core", &["agents"]).await?;
    let removal = ConnectionRemoval { connection: "agents".to_owned(), epoch: 1, sequence: 3, own_epoch: 0 };
    feeder.send(Message::ConnectionRemoval(removal)).await?;
    assert!(matches!(feeder.next().await?, Said::Ack(_)));
    mirror
        .until("the NAS alone", |m| {
            m.resources.values().all(|resource| sources(resource) == [DataSource::Truenas])
        })
        .await?;
    let left = &mirror.resources[&before.id];
    assert_eq!((&left.identity, &left.agent), (&before.identity, &before.agent));
    assert_eq!(mirror.resources[&a_disk.id].physical_disk, a_disk.physical_disk);
    Ok(())
}
