//! The simulated appliances, and how a collector gets to know them.

use std::net::SocketAddr;

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

pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) line: &'static str,
    pub(crate) appliance: Appliance,
}

/// Starts appliances of all API lines in turn.
pub(crate) async fn start(count: u16) -> anyhow::Result<Vec<Member>> {
    let mut fleet = Vec::new();
    for (number, (line, word)) in (1..=count).zip(LINES.into_iter().cycle()) {
        let name = format!("nas-{number:02}");
        let config = ApplianceConfig { world: World::small(&name), ..ApplianceConfig::of(line) };
        let appliance = Appliance::start(config).await.with_context(|| format!("start {name}"))?;
        fleet.push(Member { name, line: word, appliance });
    }
    Ok(fleet)
}

/// Adds every appliance, trusted by its fingerprint, as an operator would.
pub(crate) async fn connect(fleet: &[Member], collector: SocketAddr) -> anyhow::Result<()> {
    let mut client = ConnectionServiceClient::connect(format!("http://{collector}")).await?;
    for (member, site) in fleet.iter().zip(SITES.into_iter().cycle()) {
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
