//! A pool that fills up over days: what a simulated appliance answers, decoded and mapped as the collector does, over the
//! ingest stream to a registry whose clock is set ahead, to whoever watches its alerts.

use std::time::Duration;

use pulse_collector::api::section::{CallFailure, assemble};
use pulse_collector::api::{Section, Tag};
use pulse_collector::mapping;
use pulse_collector::snapshot::Snapshot;
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::world::World;
use pulse_proto::model::{ConnectionId, UnixMillis};
use pulse_proto::pb::registry::v1::{AlertState, Batch};
use pulse_registry::app::App;
use pulse_registry::config::Config;
use pulse_tests::harness::alerts::AlertMirror;
use pulse_tests::harness::feeder::{Feeder, batch};
use pulse_tests::harness::{http_get, within};

const LINE: ApiLine = ApiLine::V25_04;
const HOUR: Duration = Duration::from_hours(1);
/// As the collector reads while nothing changes.
const INTERVAL: Duration = Duration::from_mins(1);

/// An appliance, and what its collector holds of it.
struct Nas {
    world: World,
    snapshot: Snapshot,
    sequence: u64,
}

impl Nas {
    fn read(&mut self, now: UnixMillis) {
        for (section, tag, method) in [
            (Section::System, Tag::SystemInfo, "system.info"),
            (Section::Pools, Tag::Pools, "pool.query"),
            (Section::Datasets, Tag::Datasets, "pool.dataset.query"),
        ] {
            let reply = self.world.call(LINE, method, &[], now.get()).expect("an answer").to_string();
            let replies: [(Tag, Result<Vec<u8>, CallFailure>); 1] = [(tag, Ok(reply.into_bytes()))];
            self.snapshot.apply(section, assemble(section, &replies), now, INTERVAL);
        }
    }

    /// Everything that is known.
    fn told(&mut self) -> Batch {
        self.sequence += 1;
        let id = ConnectionId::parse("nas").expect("an id");
        let records = mapping::records(&id, "nas", &self.snapshot).records;
        let upserts = records.iter().map(Into::into).collect();
        let sections = self.snapshot.reports().iter().map(Into::into).collect();
        Batch { sections, ..batch("nas", 1, self.sequence, upserts) }
    }
}

/// The rules were asked of all that came: only then may time go on, for what was read long ago says nothing.
async fn evaluated(app: &App) -> anyhow::Result<()> {
    let all = async {
        loop {
            let (_, metrics) = http_get(app.http_addr(), "/metrics").await?;
            if metrics.lines().any(|line| line == "pulse_registry_alert_lag_revisions 0") {
                return anyhow::Ok(());
            }
        }
    };
    within("the rules to be asked", all).await
}

#[tokio::test]
async fn a_pool_that_fills_up_is_told_a_week_ahead() -> anyhow::Result<()> {
    let data = tempfile::tempdir()?;
    let app = App::start(Config::embedded(data.path())).await?;
    let mut feeder = Feeder::open(app.grpc_addr(), "c1", &[]).await?;
    let mut mirror = AlertMirror::open(app.grpc_addr(), "rule = pool-forecast", "").await?;
    let mut nas = Nas { world: World::small("nas"), snapshot: Snapshot::default(), sequence: 0 };
    let mut used = 30;
    // Two percent in three hours: from 50 % on it is full in three days.
    while used <= 50 {
        nas.world.fill_pool(LINE, "tank", used, app.clock().now().get());
        nas.read(app.clock().now());
        feeder.put(nas.told()).await?;
        evaluated(&app).await?;
        used += 2;
        app.clock().advance(3 * HOUR);
    }
    mirror.until("it is told", |m| m.state("pool-forecast", "tank") == Some(AlertState::Firing)).await?;
    let days = mirror.of("pool-forecast", "tank").expect("the alert").evidence["days_left"].parse::<f64>()?;
    assert!((2.0..5.0).contains(&days), "{days}");

    // Somebody deleted data, and nothing comes any more.
    for round in 0..60 {
        nas.world.fill_pool(LINE, "tank", 20 + round % 2, app.clock().now().get());
        nas.read(app.clock().now());
        feeder.put(nas.told()).await?;
        evaluated(&app).await?;
        app.clock().advance(3 * HOUR);
    }
    mirror.until("it is over", |m| m.state("pool-forecast", "tank") == Some(AlertState::Resolved)).await?;
    app.shutdown();
    drop((feeder, mirror));
    app.wait().await
}
