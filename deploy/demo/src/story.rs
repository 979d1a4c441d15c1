//! What the demo shows: a first table, where to look, and then what changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use pulse_proto::pb::registry::v1::WatchResourcesRequest;
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::resource::v1::{Freshness, Resource, ResourceType, Status};
use pulse_registry::cli::resources::{change, table};
use pulse_shell::table::print;
use tokio::time::Instant;
use tonic::Streaming;

use crate::fleet::{self, Member};
use crate::{Cli, Fault};

/// The first table comes at the latest after this, complete or not.
const FIRST_TABLE: Duration = Duration::from_secs(9);
/// How long each act of a fault is left on the stage.
const ACT: Duration = Duration::from_secs(3);

/// A mirror of the resources, and what it prints.
struct Stage {
    stream: Streaming<pulse_proto::pb::registry::v1::WatchResourcesResponse>,
    resources: BTreeMap<String, Resource>,
    told: bool,
}

pub(crate) async fn tell(
    cli: &Cli,
    fleet: &[Member],
    registry: SocketAddr,
    registry_http: SocketAddr,
    collector: SocketAddr,
) -> anyhow::Result<()> {
    say(&format!("{} simulated appliances:", fleet.len()));
    for member in fleet {
        say(&format!("  {}  TrueNAS {}  {}", member.name, member.line, member.appliance.addr()));
    }
    let mut stage = Stage::open(registry).await?;
    fleet::connect(fleet, collector).await?;
    stage.first_table(fleet.len()).await?;
    say("");
    say(&format!("console    http://{registry_http}/console"));
    say(&format!("registry   grpc {registry}   metrics and probes http://{registry_http}/metrics"));
    say(&format!("collector  grpc {collector}"));
    say("");
    say("Try, in another terminal:");
    say(&format!(
        "  grpcurl -plaintext -d '{{\"filter\":\"type = storage AND topology = pool\"}}' {registry} pulse.registry.v1.ResourceService/ListResources"
    ));
    say(&format!("  grpcurl -plaintext {registry} pulse.registry.v1.ResourceService/SummarizeResources"));
    say(&format!("  grpcurl -plaintext {collector} pulse.collector.v1.ConnectionService/ListConnections"));
    say("");
    stage.told = true;
    match cli.fault {
        Fault::None => say("Changes follow. Ctrl-C stops; `--fault degrade` shows a disk failing."),
        Fault::Degrade => degrade(&mut stage, &fleet[0]).await?,
        Fault::Unplug => unplug(&mut stage, &fleet[0]).await?,
    }
    if cli.once {
        return Ok(());
    }
    loop {
        stage.step().await?;
    }
}

async fn degrade(stage: &mut Stage, member: &Member) -> anyhow::Result<()> {
    let line = member.appliance.line();
    say(&format!("== a disk of tank on {} fails", member.name));
    member.appliance.mutate(|world, now| world.degrade_pool(line, "tank", now));
    stage.until(|r| is_tank(r, member) && r.status() == Status::Warning).await?;
    stage.play(ACT).await?;
    say("== a new disk resilvers");
    member.appliance.mutate(|world, now| world.start_resilver(line, "tank", now));
    stage.play(ACT).await?;
    say("== the resilver ends");
    member.appliance.mutate(|world, now| {
        let mut events = world.finish_resilver(line, "tank", now);
        events.extend(world.online_pool(line, "tank", now));
        events
    });
    stage.until(|r| is_tank(r, member) && r.status() == Status::Online).await?;
    say(&format!("== tank on {} is online again", member.name));
    Ok(())
}

async fn unplug(stage: &mut Stage, member: &Member) -> anyhow::Result<()> {
    let host = |r: &Resource| r.r#type() == ResourceType::Host && r.connection_name == member.name;
    say(&format!("== {} goes away", member.name));
    member.appliance.stop().await;
    stage.until(|r| host(r) && r.status() == Status::Warning).await?;
    stage.play(ACT).await?;
    say(&format!("== {} comes back", member.name));
    member.appliance.start_again().await;
    stage.until(|r| host(r) && r.status() == Status::Online).await?;
    say(&format!("== {} is online again", member.name));
    Ok(())
}

/// A line of the story. A closed pipe is not the demo's trouble.
fn say(line: &str) {
    drop(print(&[line.to_owned()]));
}

fn is_tank(resource: &Resource, member: &Member) -> bool {
    resource.technology == "zfs-pool" && resource.name == "tank" && resource.connection_name == member.name
}

impl Stage {
    async fn open(registry: SocketAddr) -> anyhow::Result<Self> {
        let mut client = ResourceServiceClient::connect(format!("http://{registry}")).await?;
        let stream = client.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
        Ok(Self { stream, resources: BTreeMap::new(), told: false })
    }

    /// Waits until every appliance has told its disks, or for the time that people wait.
    async fn first_table(&mut self, appliances: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + FIRST_TABLE;
        while !self.is_complete(appliances) {
            tokio::select! {
                step = self.step() => step?,
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        let mut shown: Vec<Resource> = self.resources.values().cloned().collect();
        let key =
            |r: &Resource| (r.connection_name.clone(), r.r#type(), r.technology.clone(), r.name.clone());
        shown.sort_by_key(key);
        say("");
        print(&table(&shown))?;
        Ok(())
    }

    fn is_complete(&self, appliances: usize) -> bool {
        let of = |kind: ResourceType| {
            let told =
                self.resources.values().filter(|r| r.r#type() == kind && r.freshness() == Freshness::Fresh);
            told.map(|r| r.connection.as_str()).collect::<std::collections::BTreeSet<_>>().len()
        };
        [ResourceType::Host, ResourceType::Storage, ResourceType::PhysicalDisk]
            .into_iter()
            .all(|kind| of(kind) == appliances)
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let Some(message) = self.stream.message().await? else { bail!("the registry ended the watch") };
        let mut lines = Vec::new();
        for event in message.events {
            if self.told {
                let before = event.resource.as_ref().and_then(|r| self.resources.get(&r.id));
                lines.push(change(&event, before));
            }
            let kind = event.kind();
            let resource = event.resource.context("an event carries its resource")?;
            if kind == Kind::Removed {
                self.resources.remove(&resource.id);
            } else {
                self.resources.insert(resource.id.clone(), resource);
            }
        }
        Ok(print(&lines)?)
    }

    async fn until(&mut self, holds: impl Fn(&Resource) -> bool) -> anyhow::Result<()> {
        while !self.resources.values().any(&holds) {
            self.step().await?;
        }
        Ok(())
    }

    /// Shows what happens for a while.
    async fn play(&mut self, time: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + time;
        loop {
            tokio::select! {
                step = self.step() => step?,
                () = tokio::time::sleep_until(deadline) => return Ok(()),
            }
        }
    }
}
