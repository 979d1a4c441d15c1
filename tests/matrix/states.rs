//! Every state of a pool on every API line, one after the other, and a rebuild on the way back.

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::GetResourceContextRequest;
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::resource::v1::{Severity, Status};
use pulse_tests::harness::fleet::Pair;

use crate::journey::{DEGRADED, Journey, Leg, POOL, Shown, WELL};
use crate::ways::WAYS;

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
    let mut journey = Box::pin(Journey::begin(&WAYS)).await?;
    let through_all = async |pair: &Pair, leg: &mut Leg| {
        let mut before = WELL.state;
        let line = leg.way.line;
        for (shown, code) in STATES.into_iter().skip(1).chain([STATES[0]]) {
            let state = (shown.state, code);
            leg.happens(pair, |world, now| world.say_pool_state(line, POOL, state, now)).await?;
            leg.shows(pair, shown).await.with_context(|| format!("from {before} to {}", shown.state))?;
            before = shown.state;
        }
        Ok(())
    };
    Box::pin(journey.all(through_all)).await
}

#[tokio::test]
async fn a_degraded_pool_is_rebuilt() -> anyhow::Result<()> {
    let mut journey = Box::pin(Journey::begin_degraded(&WAYS)).await?;
    Box::pin(journey.all(is_rebuilt)).await
}

async fn is_rebuilt(pair: &Pair, leg: &mut Leg) -> anyhow::Result<()> {
    let line = leg.way.line;
    leg.happens(pair, |world, now| {
        let mut events = world.start_resilver(line, POOL, now);
        events.extend(world.set_scan_progress(line, POOL, 37, now));
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
    leg.mirror.until("a resilver at 37 %", rebuilt).await.context("stage watch")?;
    let id = leg.mirror.named("zfs-pool", POOL).map(|pool| pool.id.clone()).unwrap_or_default();
    let mut contexts = ContextServiceClient::connect(format!("http://{}", pair.registry.grpc())).await?;
    let request = GetResourceContextRequest { resource_id: id, ..Default::default() };
    let text = contexts.get_resource_context(request).await?.into_inner().text;
    ensure!(text.to_lowercase().contains("resilver") && text.contains("37"), "stage context: {text}");
    leg.happens(pair, |world, now| {
        let mut events = world.finish_resilver(line, POOL, now);
        events.extend(world.online_pool(line, POOL, now));
        events
    })
    .await?;
    leg.shows(pair, WELL).await
}
