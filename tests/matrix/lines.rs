//! Every API line: well, ill and well again, then deleted without a trace.

use anyhow::Context as _;
use pulse_fixtures::appliance::ApplianceConfig;
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::DeleteConnectionRequest;

use crate::journey::{DEGRADED, Journey, POOL, WELL};

async fn goes_the_whole_way(config: ApplianceConfig) -> anyhow::Result<()> {
    let line = config.line;
    let mut journey = Box::pin(Journey::begin(config)).await?;
    journey.happens(|world, now| world.degrade_pool(line, POOL, now)).await?;
    journey.shows(DEGRADED).await?;
    journey.happens(|world, now| world.online_pool(line, POOL, now)).await?;
    journey.shows(WELL).await?;
    let delete = DeleteConnectionRequest { id: journey.id.clone(), etag: String::new() };
    journey.pair.connections().await?.delete_connection(delete).await.context("stage config")?;
    journey.mirror.until("nothing", |m| m.resources.is_empty()).await.context("stage watch")
}

#[tokio::test]
async fn line_24_04_over_rest() -> anyhow::Result<()> {
    let line = ApplianceConfig::of(ApiLine::V24_04);
    Box::pin(goes_the_whole_way(ApplianceConfig { legacy_websocket: false, ..line })).await
}

#[tokio::test]
async fn line_24_04_over_the_legacy_websocket() -> anyhow::Result<()> {
    Box::pin(goes_the_whole_way(ApplianceConfig::of(ApiLine::V24_04))).await
}

#[tokio::test]
async fn line_24_10_over_rest() -> anyhow::Result<()> {
    let line = ApplianceConfig::of(ApiLine::V24_10);
    Box::pin(goes_the_whole_way(ApplianceConfig { legacy_websocket: false, ..line })).await
}

#[tokio::test]
async fn line_24_10_over_the_legacy_websocket() -> anyhow::Result<()> {
    Box::pin(goes_the_whole_way(ApplianceConfig::of(ApiLine::V24_10))).await
}

#[tokio::test]
async fn line_25_04() -> anyhow::Result<()> {
    Box::pin(goes_the_whole_way(ApplianceConfig::of(ApiLine::V25_04))).await
}

#[tokio::test]
async fn line_25_10() -> anyhow::Result<()> {
    Box::pin(goes_the_whole_way(ApplianceConfig::of(ApiLine::V25_10))).await
}

#[tokio::test]
async fn line_26_0() -> anyhow::Result<()> {
    Box::pin(goes_the_whole_way(ApplianceConfig::of(ApiLine::V26_0))).await
}

#[tokio::test]
async fn line_27_0() -> anyhow::Result<()> {
    Box::pin(goes_the_whole_way(ApplianceConfig::of(ApiLine::V27_0))).await
}
