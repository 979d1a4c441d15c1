//! The simulated appliances, and how a collector gets to know them. One is a spare that nobody has connected yet.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::World;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{Connection, CreateConnectionRequest};

const LINES: [(ApiLine, &str); 4] = [
    (ApiLine::V25_10, "25.10"),
    (ApiLine::V26_0, "26.0"),
    (ApiLine::V25_04, "25.04"),
    (ApiLine::V24_10, "24.10"),
];
const SITES: [&str; 2] = ["home", "office"];
/// The fewest that a client accepts: an unoptimized build computes each login, and somebody waits for the first table.
const SCRAM_ITERATIONS: u32 = 50_000;
/// What is plugged in and pulled.
const DISK: &str = "sdc";

pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) line: &'static str,
    pub(crate) appliance: Appliance,
    /// From the beginning.
    pub(crate) is_ill: bool,
}

pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    pub(crate) spare: Arc<Member>,
}

impl Member {
    async fn start(number: u16, line: ApiLine, word: &'static str) -> anyhow::Result<Self> {
        let name = format!("nas-{number:02}");
        let config = ApplianceConfig {
            world: World::small(&name),
            scram_iterations: SCRAM_ITERATIONS,
            ..ApplianceConfig::of(line)
        };
        let appliance = Appliance::start(config).await.with_context(|| format!("start {name}"))?;
        Ok(Self { name, line: word, appliance, is_ill: false })
    }

    /// Plugs a disk in, or pulls it again; which of them it was.
    pub(crate) fn swap_disk(&self) -> String {
        let line = self.appliance.line();
        let has_disk = self.appliance.world(|world| world.disks.iter().any(|disk| disk.name == DISK));
        let change = if has_disk { World::remove_disk } else { World::add_disk };
        self.appliance.mutate(|world, now| change(world, line, DISK, now));
        format!("disk {DISK} of {} is {}", self.name, if has_disk { "pulled" } else { "plugged in" })
    }
}

/// Starts appliances of all API lines in turn, and the spare. A pool of the last one has lost a disk, so that there is an alert to
/// look at; the first one is healthy, since it is what faults happen to.
pub(crate) async fn start(count: u16) -> anyhow::Result<Fleet> {
    let mut members = Vec::new();
    for (number, (line, word)) in (1..=count).zip(LINES.into_iter().cycle()) {
        members.push(Member::start(number, line, word).await?);
    }
    if let [_, .., last] = members.as_mut_slice() {
        last.is_ill = true;
        let line = last.appliance.line();
        last.appliance.mutate(|world, now| world.degrade_pool(line, "tank", now));
    }
    let (line, word) = LINES[0];
    Ok(Fleet { members, spare: Arc::new(Member::start(count + 1, line, word).await?) })
}

/// Adds every appliance but the spare, trusted by its fingerprint, as an operator would.
pub(crate) async fn connect(members: &[Member], collector: SocketAddr) -> anyhow::Result<()> {
    let mut client = ConnectionServiceClient::connect(format!("http://{collector}")).await?;
    for (member, site) in members.iter().zip(SITES.into_iter().cycle()) {
        let connection = Connection {
            name: member.name.clone(),
            host: member.appliance.host(),
            port: u32::from(member.appliance.port()),
            username: member.appliance.user(),
            api_key: member.appliance.api_key(),
            fingerprint: member.appliance.fingerprint_sha256(),
            poll_interval_seconds: 10,
            labels: [("site".to_owned(), site.to_owned())].into(),
            ..Connection::default()
        };
        let request = CreateConnectionRequest { connection: Some(connection), validate_only: false };
        client.create_connection(request).await.with_context(|| format!("add {}", member.name))?;
    }
    Ok(())
}
