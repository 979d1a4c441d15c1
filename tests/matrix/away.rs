//! An appliance goes away for so long that what is known of it is old, and comes back: nothing recovers by silence, nothing is called
//! offline that is only unreachable, and each step is said and then no longer said.

use anyhow::{Context as _, ensure};
use pulse_proto::pb::registry::v1::AlertState;
use pulse_proto::pb::resource::v1::{ConnectionState, Status};
use pulse_tests::harness::fleet::Pair;

use crate::fault::is_told;
use crate::heard::Heard;
use crate::journey::{Journey, Leg};
use crate::shown::{DEGRADED, POOL, WELL};
use crate::ways::WAYS;

#[tokio::test]
async fn it_goes_away_until_it_is_stale_and_comes_back() -> anyhow::Result<()> {
    let mut journey = Box::pin(Journey::begin_degraded(&WAYS)).await?;
    Box::pin(journey.all(goes_and_comes_back)).await
}

async fn goes_and_comes_back(pair: &Pair, leg: &mut Leg) -> anyhow::Result<()> {
    step(pair, leg, Heard::InTime).await?;
    let before = leg.alert_of(POOL).cloned().context("an alert")?;
    leg.appliance.stop().await;
    is_told(pair, leg, ConnectionState::BackingOff, "unreachable").await?;
    step(pair, leg, Heard::Unreachable).await?;
    step(pair, leg, Heard::Stale).await?;
    leg.appliance.start_again().await;
    leg.look(pair).await?;
    leg.is_live(pair).await?;
    step(pair, leg, Heard::InTime).await.context("back again")?;
    let told = leg.alerts.told.iter().filter(|alert| alert.id == before.id);
    let is_one = told
        .clone()
        .all(|alert| alert.state() != AlertState::Resolved && alert.first_seen_at == before.first_seen_at);
    ensure!(is_one, "stage alert: {:?}", told.collect::<Vec<_>>());
    let line = leg.way.line;
    leg.happens(pair, |world, now| world.online_pool(line, POOL, now)).await?;
    leg.shows(pair, WELL).await?;
    let statuses: Vec<Status> = leg.mirror.statuses.values().flatten().copied().collect();
    ensure!(!statuses.contains(&Status::Offline), "stage watch: {:?}", leg.mirror.statuses);
    Ok(())
}

/// What was wrong with the pool stays so, whether it is heard of or not.
async fn step(pair: &Pair, leg: &mut Leg, heard: Heard) -> anyhow::Result<()> {
    leg.is_heard(pair, heard).await.with_context(|| format!("{heard:?}"))?;
    leg.shows(pair, DEGRADED).await.with_context(|| format!("{heard:?}"))
}
