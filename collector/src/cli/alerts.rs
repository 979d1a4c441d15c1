//! `pulse-collector alerts`: a client of the collector's own service.

use clap::{Args, Subcommand};
use pulse_proto::pb::collector::v1::{DismissAlertRequest, RestoreAlertRequest};
use pulse_shell::answer;
use pulse_shell::command::Output;
use pulse_shell::table::print;

use super::connections::{Target, client, explained, find};

#[derive(Debug, Args)]
pub(super) struct Alert {
    /// Id or name of the connection.
    connection: String,
    /// The alert's uuid on the NAS, as `native_id` of an incident shows it.
    uuid: String,
    /// Who wants it, for the audit log.
    #[arg(long, value_name = "NAME", env = "USER", default_value = "")]
    requested_by: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Mark an alert as dismissed on its NAS.
    Dismiss(Alert),
    /// Take a dismissal back.
    Restore(Alert),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dismiss(Alert { connection, uuid, requested_by, target }) => {
            let mut client = client(&target).await?;
            let connection_id = find(&mut client, &connection).await?.id;
            let request = DismissAlertRequest { connection_id, alert_uuid: uuid.clone(), requested_by };
            let answer = client.dismiss_alert(request).await.map_err(explained)?.into_inner();
            let said = if answer.unchanged { "was dismissed already" } else { "is dismissed" };
            let json = || answer::json("pulse.collector.v1.DismissAlertResponse", &answer);
            told(&target, format!("{uuid} {said}"), json)
        }
        Command::Restore(Alert { connection, uuid, requested_by, target }) => {
            let mut client = client(&target).await?;
            let connection_id = find(&mut client, &connection).await?.id;
            let request = RestoreAlertRequest { connection_id, alert_uuid: uuid.clone(), requested_by };
            let answer = client.restore_alert(request).await.map_err(explained)?.into_inner();
            let said = if answer.unchanged { "was not dismissed" } else { "is restored" };
            let json = || answer::json("pulse.collector.v1.RestoreAlertResponse", &answer);
            told(&target, format!("{uuid} {said}"), json)
        }
    }
}

fn told(
    target: &Target,
    text: String,
    json: impl FnOnce() -> anyhow::Result<serde_json::Value>,
) -> anyhow::Result<()> {
    let line = match target.output {
        Output::Table => text,
        Output::Json => json()?.to_string(),
    };
    Ok(print(&[line])?)
}
