//! Every state of a pool on every API line, each after each other, and the way from ill to well again.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use pulse_fixtures::world::{Event, World};
use pulse_proto::pb::registry::v1::alert_transition::Kind;
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::{AlertState, GetResourceContextRequest};
use pulse_proto::pb::resource::v1::Severity;
use pulse_tests::harness::fleet::Pair;

use crate::journey::{Journey, Leg};
use crate::shown::{DEGRADED, FAULTED, POOL, Shown, WELL};
use crate::ways::{Over, WAYS, Way};

/// All that a pool can be, with the status code that ZFS tells beside it. What is read are moments: whatever lies between two of
/// them (an import, an export, a reboot) is not seen, so any state may come after any other.
const STATES: [(Shown, &str); 8] = [
    (WELL, "OK"),
    (DEGRADED, "FAULTED_DEV_R"),
    (FAULTED, "FAULTED_DEV_NR"),
    (Shown::lost("OFFLINE"), "OK"),
    (Shown::lost("REMOVED"), "MISSING_DEV_NR"),
    (Shown::lost("UNAVAIL"), "MISSING_DEV_NR"),
    (Shown::lost("SUSPENDED"), "IO_FAILURE_WAIT"),
    (Shown::lost("SPLIT"), "OK"),
];
/// One for each state: each is well once only, since coming and going is flapping, which is another matter.
const POOLS: [&str; STATES.len()] =
    [POOL, "pool-b", "pool-c", "pool-d", "pool-e", "pool-f", "pool-g", "pool-h"];

/// What each pool is in a round. Seen as a ring, pools go 0, 1, -1, 2, -2 ... steps from where they began: no two steps that follow each
/// other are as far apart, so that in as many rounds as states each state comes after each other exactly once.
fn states(round: usize) -> [(Shown, &'static str); POOLS.len()] {
    let steps = if round % 2 == 1 { round.div_ceil(2) } else { STATES.len() - round / 2 };
    std::array::from_fn(|pool| {
        let (shown, code) = STATES[(pool + steps) % STATES.len()];
        (shown.of(POOLS[pool]), code)
    })
}

fn shown(round: usize) -> [Shown; POOLS.len()] {
    states(round).map(|(shown, _)| shown)
}

fn say(way: Way, round: usize, world: &mut World, now: u64) -> Vec<Event> {
    let told =
        |(shown, code): (Shown, _)| world.say_pool_state(way.line, shown.pool, (shown.state, code), now);
    states(round).into_iter().flat_map(told).collect()
}

/// Pools in every state from the start.
async fn begin() -> anyhow::Result<Journey> {
    let begins = |way: Way, world: &mut World, now| {
        let mut events: Vec<Event> =
            POOLS.iter().flat_map(|pool| world.add_pool(way.line, pool, now)).collect();
        events.extend(say(way, 0, world, now));
        events
    };
    let mut journey = Journey::configured(&WAYS, begins).await?;
    journey.all(async |pair, leg| leg.show(pair, &shown(0)).await).await?;
    Ok(journey)
}

#[tokio::test]
async fn every_state_of_a_pool_goes_the_whole_way() -> anyhow::Result<()> {
    Box::pin(begin()).await.map(drop)
}

#[tokio::test]
async fn every_state_of_a_pool_comes_after_every_other() -> anyhow::Result<()> {
    let mut journey = Box::pin(begin()).await?;
    let through_all = async |pair: &Pair, leg: &mut Leg| {
        let mut walked: BTreeSet<(&str, &str)> = BTreeSet::new();
        for round in 1..STATES.len() {
            let way = leg.way;
            leg.appliance.mutate(|world, now| say(way, round, world, now));
            // Everywhere else an event tells of it, and the collector looks by itself.
            if way.over == Over::Rest {
                leg.look(pair).await?;
            }
            let steps =
                shown(round - 1).map(|was| was.state).into_iter().zip(shown(round).map(|is| is.state));
            walked.extend(steps);
            leg.show(pair, &shown(round)).await.with_context(|| format!("round {round}"))?;
        }
        ensure!(walked.len() == STATES.len() * (STATES.len() - 1), "only {walked:?}");
        Ok(())
    };
    Box::pin(journey.all(through_all)).await
}

#[tokio::test]
async fn a_pool_is_degraded_then_faulted_then_well() -> anyhow::Result<()> {
    let mut journey = Box::pin(Journey::begin(&WAYS)).await?;
    Box::pin(journey.all(fails_and_is_replaced)).await
}

/// One case from its beginning to its end: raised, grown worse, resolved.
async fn fails_and_is_replaced(pair: &Pair, leg: &mut Leg) -> anyhow::Result<()> {
    let line = leg.way.line;
    leg.happens(pair, |world, now| world.degrade_pool(line, POOL, now)).await?;
    leg.shows(pair, DEGRADED).await?;
    let raised = leg.alert_of(POOL).cloned().context("an alert")?;
    leg.happens(pair, |world, now| world.fault_pool(line, POOL, now)).await?;
    leg.shows(pair, FAULTED).await?;
    leg.happens(pair, |world, now| world.online_pool(line, POOL, now)).await?;
    leg.shows(pair, WELL).await?;
    let resolved = leg.alert_of(POOL).context("an alert")?;
    let is_one = (&raised.id, raised.first_seen_at) == (&resolved.id, resolved.first_seen_at);
    ensure!(is_one, "stage alert: {raised:?} and {resolved:?}");
    let cleared = resolved.evidence.get("resolution").is_some_and(|how| how == "cleared");
    ensure!(cleared && resolved.state() == AlertState::Resolved, "stage alert: {resolved:?}");
    let life: Vec<(Kind, Severity)> =
        resolved.transitions.iter().map(|step| (step.kind(), step.severity())).collect();
    let expected = [
        (Kind::Pending, Severity::Warning),
        (Kind::Firing, Severity::Warning),
        (Kind::Severity, Severity::Critical),
        (Kind::Resolved, Severity::Critical),
    ];
    ensure!(life == expected, "stage alert: {life:?}");
    Ok(())
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
