//! Every state of a pool after every other one, and a rebuild on the way back.

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::ApplianceConfig;
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::GetResourceContextRequest;
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::resource::v1::{Severity, Status};

use crate::journey::{DEGRADED, Journey, POOL, Shown, WELL};

const LINE: ApiLine = ApiLine::V25_10;

/// With the status code that ZFS tells beside it.
const STATES: [(Shown, &str); 8] = [
    (WELL, "OK"),
    (DEGRADED, "FAULTED_DEV_R"),
    (lost("FAULTED"), "FAULTED_DEV_NR"),
    (lost("OFFLINE"), "OK"),
    (lost("REMOVED"), "MISSING_DEV_NR"),
    (lost("UNAVAIL"), "MISSING_DEV_NR"),
    (lost("SUSPENDED"), "IO_FAILURE_WAIT"),
    (lost("SPLIT"), "OK"),
];

const fn lost(state: &'static str) -> Shown {
    Shown { state, status: Status::Offline, severity: Severity::Critical }
}

/// Visits every ordered pair once: 0 1 0 2 0 3, then 1 2 1 3, then 2 3, and back to 0.
fn tour(count: usize) -> Vec<usize> {
    let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| [one, other]));
    pairs.flatten().chain([0]).collect()
}

#[test]
fn the_tour_takes_every_way_once() {
    let tour = tour(STATES.len());
    let mut ways: Vec<_> = tour.windows(2).map(|way| (way[0], way[1])).collect();
    ways.sort_unstable();
    let all = (0..STATES.len()).flat_map(|from| (0..STATES.len()).map(move |to| (from, to)));
    assert_eq!(ways, all.filter(|(from, to)| from != to).collect::<Vec<_>>());
}

#[tokio::test]
async fn every_state_of_a_pool_follows_every_other() -> anyhow::Result<()> {
    let mut journey = Journey::begin(ApplianceConfig::of(LINE)).await?;
    let mut before = WELL.state;
    for at in tour(STATES.len()).into_iter().skip(1) {
        let (shown, code) = STATES[at];
        let state = (shown.state, code);
        journey.happens(|world, now| world.say_pool_state(LINE, POOL, state, now)).await?;
        journey.shows(shown).await.with_context(|| format!("from {before} to {}", shown.state))?;
        before = shown.state;
    }
    Ok(())
}

#[tokio::test]
async fn a_degraded_pool_is_rebuilt() -> anyhow::Result<()> {
    let mut journey = Journey::begin(ApplianceConfig::of(LINE)).await?;
    journey.happens(|world, now| world.degrade_pool(LINE, POOL, now)).await?;
    journey.shows(DEGRADED).await?;
    journey
        .happens(|world, now| {
            let mut events = world.start_resilver(LINE, POOL, now);
            events.extend(world.set_scan_progress(LINE, POOL, 37, now));
            events
        })
        .await?;
    let percent = |m: &pulse_tests::harness::view::Mirror| {
        let pool = m.named("zfs-pool", POOL)?.storage.as_ref()?;
        let Some(pulse_proto::pb::resource::v1::storage_facet::Zfs::ZfsPool(pool)) = &pool.zfs else {
            return None;
        };
        pool.scan.as_ref()?.percentage
    };
    let rebuilt = |m: &pulse_tests::harness::view::Mirror| percent(m).is_some_and(|percent| percent >= 37.0);
    journey.mirror.until("a resilver at 37 %", rebuilt).await.context("stage watch")?;
    let id = journey.mirror.named("zfs-pool", POOL).map(|pool| pool.id.clone()).unwrap_or_default();
    let mut contexts =
        ContextServiceClient::connect(format!("http://{}", journey.pair.registry.grpc())).await?;
    let request = GetResourceContextRequest { resource_id: id, ..Default::default() };
    let text = contexts.get_resource_context(request).await?.into_inner().text;
    ensure!(text.to_lowercase().contains("resilver") && text.contains("37"), "stage context: {text}");
    journey
        .happens(|world, now| {
            let mut events = world.finish_resilver(LINE, POOL, now);
            events.extend(world.online_pool(LINE, POOL, now));
            events
        })
        .await?;
    journey.shows(WELL).await
}
