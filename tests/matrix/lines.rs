//! Every API line: well, ill and well again, then deleted without a trace.

use anyhow::Context as _;
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::DeleteConnectionRequest;
use pulse_tests::harness::fleet::Pair;

use crate::journey::{Journey, Leg};
use crate::shown::{DEGRADED, POOL, WELL};
use crate::ways::{Over, Way};

async fn goes_the_whole_way(line: ApiLine, over: Over) -> anyhow::Result<()> {
    let mut journey = Box::pin(Journey::begin(&[Way { line, over }])).await?;
    Box::pin(journey.all(ill_and_well_again)).await
}

async fn ill_and_well_again(pair: &Pair, leg: &mut Leg) -> anyhow::Result<()> {
    let line = leg.way.line;
    leg.happens(pair, |world, now| world.degrade_pool(line, POOL, now)).await?;
    leg.shows(pair, DEGRADED).await?;
    leg.happens(pair, |world, now| world.online_pool(line, POOL, now)).await?;
    leg.shows(pair, WELL).await?;
    let delete = DeleteConnectionRequest { id: leg.id.clone(), etag: String::new() };
    pair.connections().await?.delete_connection(delete).await.context("stage config")?;
    leg.mirror.until("nothing", |m| m.resources.is_empty()).await.context("stage watch")
}

#[tokio::test]
async fn line_24_04_over_rest() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V24_04, Over::Rest).await
}

#[tokio::test]
async fn line_24_04_over_the_legacy_websocket() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V24_04, Over::LegacyWebsocket).await
}

#[tokio::test]
async fn line_24_10_over_rest() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V24_10, Over::Rest).await
}

#[tokio::test]
async fn line_24_10_over_the_legacy_websocket() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V24_10, Over::LegacyWebsocket).await
}

#[tokio::test]
async fn line_25_04() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V25_04, Over::JsonRpc).await
}

#[tokio::test]
async fn line_25_10() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V25_10, Over::JsonRpc).await
}

#[tokio::test]
async fn line_26_0() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V26_0, Over::JsonRpc).await
}

#[tokio::test]
async fn line_27_0() -> anyhow::Result<()> {
    goes_the_whole_way(ApiLine::V27_0, Over::JsonRpc).await
}
