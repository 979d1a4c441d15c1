//! Simulated appliances, both services and a browser.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::World;
use pulse_proto::pb::collector::v1::Connection;
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::browser::Browser;
use pulse_tests::harness::fleet::{Pair, connection_to};

pub(crate) const LINE: ApiLine = ApiLine::V25_10;
/// What did not change is told to be so soon, so that confirmation needs no patience.
const QUICK: &str = "[ingest]\nheartbeat_interval = \"1s\"\n";

pub(crate) struct Scene {
    pub pair: Pair,
    pub appliances: Vec<Appliance>,
    pub browser: Browser,
    /// Ids of the connections.
    pub ids: Vec<String>,
}

impl Scene {
    /// So many appliances, called `nas-1` and so on, all of them read.
    pub(crate) async fn start(count: usize) -> anyhow::Result<Self> {
        let mut pair = Pair::start_with(QUICK, "").await?;
        // Where the collector answers is known only now.
        pair.registry.set(&format!("{QUICK}[console]\ncollectors = \"http://{}\"\n", pair.collector.grpc()));
        pair.registry.terminate().await?;
        pair.registry.up().await?;
        let (mut appliances, mut ids) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let name = format!("nas-{number}");
            let config = ApplianceConfig { world: World::small(&name), ..ApplianceConfig::of(LINE) };
            let appliance = Appliance::start(config).await?;
            let site = if number % 2 == 1 { "home" } else { "office" };
            let labels = [("site".to_owned(), site.to_owned())].into();
            let connection = Connection { labels, ..connection_to(&name, &appliance) };
            ids.push(pair.create(connection).await?.id);
            appliances.push(appliance);
        }
        for id in &ids {
            pair.until_state(id, ConnectionState::Live).await?;
        }
        let mut browser = Browser::start(pair.registry.http()).await?;
        // Sections come one after the other: two pools, three disks and three datasets of each.
        browser.go("/console/storage").await?;
        let whole = format!("document.querySelectorAll('tbody tr:not(.group)').length === {}", 8 * count);
        browser.until(&whole).await?;
        Ok(Self { pair, appliances, browser, ids })
    }
}
