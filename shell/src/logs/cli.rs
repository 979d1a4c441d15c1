//! `log-level` of either binary.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use pulse_proto::pb::admin::v1::log_service_client::LogServiceClient;
use pulse_proto::pb::admin::v1::{GetLogLevelRequest, LogLevel, SetLogLevelRequest};
use tonic::Status;

use crate::answer;
use crate::client::{Access, connect};
use crate::command::Output;
use crate::health::duration_of;
use crate::table::{lines, print};

/// Show how much a running server logs, or change it for a while.
#[derive(Clone, Debug, Args)]
pub struct LogLevelArgs {
    /// error, warn, info, debug, trace, or a filter such as info,pulse_registry=debug. Without it: only show.
    level: Option<String>,
    /// How long; then it goes back to that of the settings. At most 24h.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration_of)]
    time: Duration,
    /// Go back now.
    #[arg(long, conflicts_with = "level")]
    reset: bool,
    #[command(flatten)]
    access: Access,
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

pub async fn run(server: &str, address: &str, arguments: LogLevelArgs) -> anyhow::Result<()> {
    let LogLevelArgs { level, time, reset, access, output } = arguments;
    let mut client = LogServiceClient::new(connect(server, address, &access).await?);
    let explained = |status: Status| anyhow!("{}", answer::explain(&status));
    let level = match level.or_else(|| reset.then(String::new)) {
        None => {
            let answer = client.get_log_level(GetLogLevelRequest {}).await.map_err(explained)?;
            answer.into_inner().log_level
        }
        Some(level) => {
            let duration = prost_types::Duration::try_from(time).ok();
            let answer = client.set_log_level(SetLogLevelRequest { level, duration }).await;
            answer.map_err(explained)?.into_inner().log_level
        }
    };
    show(&level.context("the server sent no level")?, output)
}

fn show(level: &LogLevel, output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        return Ok(print(&[answer::json("pulse.admin.v1.LogLevel", level)?.to_string()])?);
    }
    let until = level.reverts_at.as_ref().and_then(|at| jiff::Timestamp::from_second(at.seconds).ok());
    let until = until.map_or_else(String::new, |at| at.to_string());
    Ok(print(&lines(
        &["LEVEL", "CONFIGURED", "UNTIL"],
        &[vec![level.level.clone(), level.configured.clone(), until]],
    ))?)
}
