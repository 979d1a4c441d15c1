//! What the demo shows: a first table, where to look, and then what changes and what receivers hear of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{ResourceEvent, WatchResourcesRequest, WatchResourcesResponse};
use pulse_proto::pb::resource::v1::{Freshness, Resource, ResourceType, Status};
use pulse_registry::cli::resources::{change, table};
use pulse_shell::table::print;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Streaming;

use crate::fleet::{self, Fleet, Member};
use crate::places::Places;
use crate::{Cli, Fault, Output};

/// The first table comes at the latest after this, complete or not.
const FIRST_TABLE: Duration = Duration::from_secs(9);
/// How long each act of a fault is left on the stage.
const ACT: Duration = Duration::from_secs(3);
/// What every appliance has told of when it was read.
const FIRST_KINDS: [ResourceType; 3] =
    [ResourceType::Host, ResourceType::Storage, ResourceType::PhysicalDisk];

/// A mirror of the resources, and what it prints.
struct Stage {
    stream: Streaming<WatchResourcesResponse>,
    news: mpsc::Receiver<String>,
    resources: BTreeMap<String, Resource>,
    /// Off: programs read, and they were told what they want to know.
    speaks: bool,
    /// After the first table.
    told: bool,
}

pub(crate) async fn tell(
    cli: &Cli,
    fleet: &Fleet,
    places: &Places,
    news: mpsc::Receiver<String>,
) -> anyhow::Result<()> {
    let mut stage = Stage::open(places.registry, news, cli.output).await?;
    stage.say(&format!("{} simulated appliances:", fleet.members.len()));
    for member in &fleet.members {
        let is_ill = if member.is_ill { "  a disk of its pool tank has failed" } else { "" };
        let (name, line, addr) = (&member.name, member.line, member.appliance.addr());
        stage.say(&format!("  {name}  TrueNAS {line:<5}  {addr}{is_ill}"));
    }
    fleet::connect(&fleet.members, places.collector).await?;
    let late = stage.first_resources(&fleet.members).await?;
    match cli.output {
        Output::Table => stage.first_table(&late)?,
        Output::Json => drop(print(&[places.json(fleet).to_string()])),
    }
    for line in places.lines(fleet) {
        stage.say(&line);
    }
    stage.told = true;
    match cli.fault {
        Fault::None => stage.say("Changes follow. Ctrl-C stops; `--fault degrade` shows a disk failing."),
        Fault::Degrade => degrade(&mut stage, &fleet.members[0]).await?,
        Fault::Unplug => unplug(&mut stage, &fleet.members[0]).await?,
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
    stage.say(&format!("== a disk of tank on {} fails", member.name));
    member.appliance.mutate(|world, now| world.degrade_pool(line, "tank", now));
    stage.until(|r| is_tank(r, member) && r.status() == Status::Warning).await?;
    stage.play(ACT).await?;
    stage.say("== a new disk resilvers");
    member.appliance.mutate(|world, now| world.start_resilver(line, "tank", now));
    stage.play(ACT).await?;
    stage.say("== the resilver ends");
    member.appliance.mutate(|world, now| {
        let mut events = world.finish_resilver(line, "tank", now);
        events.extend(world.online_pool(line, "tank", now));
        events
    });
    stage.until(|r| is_tank(r, member) && r.status() == Status::Online).await?;
    stage.say(&format!("== tank on {} is online again", member.name));
    Ok(())
}

async fn unplug(stage: &mut Stage, member: &Member) -> anyhow::Result<()> {
    let host = |r: &Resource| r.r#type() == ResourceType::Host && r.connection_name == member.name;
    stage.say(&format!("== {} goes away", member.name));
    member.appliance.stop().await;
    stage.until(|r| host(r) && r.status() == Status::Warning).await?;
    stage.play(ACT).await?;
    stage.say(&format!("== {} comes back", member.name));
    member.appliance.start_again().await;
    stage.until(|r| host(r) && r.status() == Status::Online).await?;
    stage.say(&format!("== {} is online again", member.name));
    Ok(())
}

fn is_tank(resource: &Resource, member: &Member) -> bool {
    resource.technology == "zfs-pool" && resource.name == "tank" && resource.connection_name == member.name
}

/// Something that the line of a change shows; mere figures change all the time.
fn is_worth_a_line(event: &ResourceEvent, before: Option<&Resource>) -> bool {
    let (Some(now), Some(before)) = (&event.resource, before) else { return true };
    event.kind() == Kind::Removed
        || (now.status(), &now.state, &now.reasons) != (before.status(), &before.state, &before.reasons)
}

impl Stage {
    async fn open(
        registry: SocketAddr,
        news: mpsc::Receiver<String>,
        output: Output,
    ) -> anyhow::Result<Self> {
        let mut client = ResourceServiceClient::connect(format!("http://{registry}")).await?;
        let stream = client.watch_resources(WatchResourcesRequest::default()).await?.into_inner();
        let speaks = output == Output::Table;
        Ok(Self { stream, news, resources: BTreeMap::new(), speaks, told: false })
    }

    /// A line of the story. A closed pipe is not the demo's trouble.
    fn say(&self, line: &str) {
        if self.speaks {
            drop(print(&[line.to_owned()]));
        }
    }

    /// Waits until every appliance has told its disks, or for the time that people wait; those that have not.
    async fn first_resources<'a>(&mut self, members: &'a [Member]) -> anyhow::Result<Vec<&'a str>> {
        let deadline = Instant::now() + FIRST_TABLE;
        loop {
            let late: Vec<&str> = members
                .iter()
                .map(|member| member.name.as_str())
                .filter(|name| !self.has_all(name))
                .collect();
            if late.is_empty() {
                return Ok(late);
            }
            tokio::select! {
                step = self.step() => step?,
                () = tokio::time::sleep_until(deadline) => return Ok(late),
            }
        }
    }

    fn has_all(&self, name: &str) -> bool {
        let own = self.resources.values().filter(|r| r.connection_name == name);
        let told: BTreeSet<_> =
            own.filter(|r| r.freshness() == Freshness::Fresh).map(Resource::r#type).collect();
        FIRST_KINDS.iter().all(|kind| told.contains(kind))
    }

    fn first_table(&self, late: &[&str]) -> anyhow::Result<()> {
        let mut shown: Vec<Resource> = self.resources.values().cloned().collect();
        let key =
            |r: &Resource| (r.connection_name.clone(), r.r#type(), r.technology.clone(), r.name.clone());
        shown.sort_by_key(key);
        self.say("");
        print(&table(&shown))?;
        if !late.is_empty() {
            self.say(&format!("not read yet: {}", late.join(", ")));
        }
        self.say("");
        Ok(())
    }

    async fn step(&mut self) -> anyhow::Result<()> {
        let message = tokio::select! {
            message = self.stream.message() => message?,
            Some(line) = self.news.recv(), if self.told => {
                self.say(&line);
                return Ok(());
            }
        };
        let Some(message) = message else { bail!("the registry ended the watch") };
        for event in message.events {
            let before = event.resource.as_ref().and_then(|r| self.resources.get(&r.id));
            if self.told && is_worth_a_line(&event, before) {
                self.say(&change(&event, before));
            }
            let kind = event.kind();
            let resource = event.resource.context("an event carries its resource")?;
            if kind == Kind::Removed {
                self.resources.remove(&resource.id);
            } else {
                self.resources.insert(resource.id.clone(), resource);
            }
        }
        Ok(())
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
