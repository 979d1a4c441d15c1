//! Every state of a pool, one after the other, and a rebuild on the way back.

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

#[tokio::test]
async fn every_state_of_a_pool_goes_the_whole_way() -> anyhow::Result<()> {
    let mut journey = Journey::begin(ApplianceConfig::of(LINE)).await?;
    let mut before = WELL.state;
    for (shown, code) in STATES.into_iter().skip(1).chain([STATES[0]]) {
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
