//! An appliance that answers what no appliance should: deep, giant, senseless.

use std::time::Duration;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::RefreshConnectionRequest;
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::fleet::Pair;
use pulse_tests::harness::usage::Usage;
use pulse_tests::harness::view::Mirror;
use serde_json::json;

/// A reply may be held whole, as it came and as it is read.
const GROWTH_MB_MAX: f64 = 320.0;
/// Enough for a reply to be read or given up.
const ROUND: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_nas_that_answers_nonsense_costs_itself() -> anyhow::Result<()> {
    let evil = Appliance::start(ApplianceConfig::of(ApiLine::V25_10)).await?;
    let good = Appliance::start(ApplianceConfig::of(ApiLine::V25_04)).await?;
    // It need not be waited for long.
    let pair = Pair::start_with("", "[poll]\ncall_timeout = \"3s\"\n").await?;
    let mut mirror =
        Mirror::open(pair.registry.grpc(), "type = storage AND topology = pool AND name = tank", "").await?;
    let (bad, fine) = (pair.add("evil", &evil).await?, pair.add("good", &good).await?);
    mirror.until("both pools", |m| m.resources.len() == 2).await?;
    let pid = pair.collector.process().pid()?;
    let before = Usage::of(pid)?;
    let deep =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    let vdev = |depth: usize| {
        (0..depth).fold(json!({"type": "DISK"}), |inner, _| json!({"type": "MIRROR", "children": [inner]}))
    };
    // More than are read of one reply.
    let many: Vec<_> = (0..260_000).map(|number| json!({"name": number, "guid": u64::MAX})).collect();
    let out_of_range = json!([{"name": "tank", "guid": "18446744073709551616", "size": -1, "allocated": 1e300, "free": "NaN"}]);
    let odd = json!([{"name": "ta\u{202e}nk\u{0}\u{1b}[31m<b>", "guid": "1", "status": "ONLINE"}]);
    let tall = json!([{"name": "tank", "topology": {"data": [vdev(100)]}}]);
    for (what, effects) in [
        (
            "deep and giant",
            [("pool.query", Effect::Text(deep)), ("disk.query", Effect::Pad { bytes: 64 << 20 })],
        ),
        (
            "tall and many",
            [("pool.query", Effect::Answer(tall)), ("disk.query", Effect::Answer(json!(many)))],
        ),
        (
            "out of range, and another shape",
            [
                ("pool.query", Effect::Answer(out_of_range)),
                ("disk.query", Effect::Answer(json!({"$ref": "#"}))),
            ],
        ),
        (
            "odd names, and no reply",
            [("pool.query", Effect::Answer(odd)), ("disk.query", Effect::Text("\u{0}\u{1}".repeat(1_000)))],
        ),
    ] {
        for (method, effect) in effects {
            evil.faults().on_method(method, effect);
        }
        let refresh = RefreshConnectionRequest { id: bad.id.clone() };
        // How that round ends is the evil one's own matter, and so is how long it takes.
        let mut client = pair.connections().await?;
        drop(tokio::time::timeout(ROUND, client.refresh_connection(refresh)).await);
        let refresh = RefreshConnectionRequest { id: fine.id.clone() };
        pair.connections().await?.refresh_connection(refresh).await?;
        let grown = Usage::of(pid)?.rss_mb - before.rss_mb;
        assert!(grown < GROWTH_MB_MAX, "{what}: grew by {grown:.0} MB");
        evil.faults().clear_all();
    }
    let refresh = RefreshConnectionRequest { id: bad.id.clone() };
    drop(tokio::time::timeout(ROUND, pair.connections().await?.refresh_connection(refresh)).await);
    pair.until_state(&bad.id, ConnectionState::Live).await?;
    mirror.until("both pools again", |m| m.resources.len() == 2).await?;
    Ok(())
}
