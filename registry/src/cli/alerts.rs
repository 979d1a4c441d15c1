//! `pulse-registry alerts`: what is wrong, why, and who knows of it.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use prost::Message;
use pulse_proto::pb::registry::v1::alert_service_client::AlertServiceClient;
use pulse_proto::pb::registry::v1::{
    AcknowledgeAlertRequest, Alert, ExplainAlertRequest, ListAlertsRequest, SummarizeAlertsRequest,
    SummarizeAlertsResponse, UnacknowledgeAlertRequest, WatchAlertsRequest,
};
use pulse_proto::pb::resource::v1::Severity;
use pulse_shell::answer;
use pulse_shell::client::Channel;
use pulse_shell::command::Output;
use pulse_shell::table::{lines, print, printable};

use super::resources::{Target, channel, explained, word};

const PAGE_SIZE: i32 = 1_000;
const ALERT: &str = "pulse.registry.v1.Alert";

#[derive(Debug, Args)]
pub(super) struct Selection {
    /// AIP-160, for example: state = firing AND severity = critical
    #[arg(long, short, default_value = "", value_name = "FILTER")]
    filter: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List alerts that are open, the worst and newest first.
    List {
        #[command(flatten)]
        selection: Selection,
        /// Resolved ones, too.
        #[arg(long)]
        all: bool,
        /// For example: first_seen_at desc
        #[arg(long, default_value = "", value_name = "FIELDS")]
        order_by: String,
        #[command(flatten)]
        target: Target,
    },
    /// Follow alerts as they change.
    Watch {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        target: Target,
    },
    /// Say why an alert is what it is, why it is quiet, and who was told.
    Explain {
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Say that somebody has seen it.
    Ack {
        id: String,
        /// The person or program that says so.
        #[arg(long, env = "USER", value_name = "NAME")]
        who: String,
        #[arg(long, default_value = "", value_name = "TEXT")]
        comment: String,
        #[command(flatten)]
        target: Target,
    },
    /// Take that back.
    Unack {
        id: String,
        #[arg(long, env = "USER", value_name = "NAME")]
        who: String,
        #[command(flatten)]
        target: Target,
    },
    /// Count alerts.
    Summary {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn client(target: &Target) -> anyhow::Result<AlertServiceClient<Channel>> {
    Ok(AlertServiceClient::new(channel(target).await?).max_decoding_message_size(64 * 1024 * 1024))
}

/// One JSON object a line, or what `table` makes of them.
pub(super) fn show<M: Message>(
    target: &Target,
    name: &str,
    messages: &[M],
    table: impl FnOnce(&[M]) -> Vec<String>,
) -> anyhow::Result<()> {
    match target.output {
        Output::Table => {
            let told: Vec<String> = table(messages).iter().map(|line| printable(line)).collect();
            print(&told)?;
        }
        Output::Json => {
            let json = |message| Ok(answer::json(name, message)?.to_string());
            print(&messages.iter().map(json).collect::<anyhow::Result<Vec<String>>>()?)?;
        }
    }
    Ok(())
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { selection, all, order_by, target } => {
            let open = "state != resolved".to_owned();
            let filter = match (selection.filter, all) {
                (filter, true) => filter,
                (filter, false) if filter.trim().is_empty() => open,
                (filter, false) => format!("({filter}) AND {open}"),
            };
            show(&target, ALERT, &list(&target, &filter, &order_by).await?, table)
        }
        Command::Watch { selection, target } => watch(&target, selection.filter).await,
        Command::Explain { id, target } => explain(&target, id).await,
        Command::Ack { id, who, comment, target } => {
            let request = AcknowledgeAlertRequest { id, comment, etag: String::new(), who };
            let answer = client(&target).await?.acknowledge_alert(request).await.map_err(explained)?;
            show(&target, ALERT, &[answer.into_inner().alert.context("the registry sent no alert")?], table)
        }
        Command::Unack { id, who, target } => {
            let request = UnacknowledgeAlertRequest { id, etag: String::new(), who };
            let answer = client(&target).await?.unacknowledge_alert(request).await.map_err(explained)?;
            show(&target, ALERT, &[answer.into_inner().alert.context("the registry sent no alert")?], table)
        }
        Command::Summary { selection, target } => {
            let request = SummarizeAlertsRequest { filter: selection.filter };
            let answer = client(&target).await?.summarize_alerts(request).await.map_err(explained)?;
            let name = "pulse.registry.v1.SummarizeAlertsResponse";
            show(&target, name, &[answer.into_inner()], |all| all.iter().flat_map(summary).collect())
        }
    }
}

async fn list(target: &Target, filter: &str, order_by: &str) -> anyhow::Result<Vec<Alert>> {
    let mut client = client(target).await?;
    let mut alerts = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListAlertsRequest {
            page_size: PAGE_SIZE,
            page_token,
            filter: filter.to_owned(),
            order_by: order_by.to_owned(),
        };
        let page = client.list_alerts(request).await.map_err(explained)?.into_inner();
        alerts.extend(page.alerts);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(alerts);
        }
    }
}

async fn watch(target: &Target, filter: String) -> anyhow::Result<()> {
    let request = WatchAlertsRequest { filter, resume_token: String::new() };
    let mut stream = client(target).await?.watch_alerts(request).await.map_err(explained)?.into_inner();
    while let Some(message) = stream.message().await.map_err(explained)? {
        show(target, ALERT, &message.alerts, |alerts| alerts.iter().map(line).collect())?;
    }
    Ok(())
}

async fn explain(target: &Target, id: String) -> anyhow::Result<()> {
    let answer = client(target).await?.explain_alert(ExplainAlertRequest { id }).await.map_err(explained)?;
    let name = "pulse.registry.v1.ExplainAlertResponse";
    show(target, name, &[answer.into_inner()], |answers| {
        let mut out = Vec::new();
        for answer in answers {
            out.extend(answer.alert.as_ref().map(line));
            out.extend(
                answer
                    .alert
                    .iter()
                    .filter(|alert| !alert.remedy.is_empty())
                    .map(|alert| format!("  what to do: {}", alert.remedy)),
            );
            out.extend(answer.explanations.iter().map(|told| {
                let at = told.at.as_ref().map(time).unwrap_or_default();
                format!("  {at:<19}  {}", told.text)
            }));
        }
        out
    })
}

/// The table of `alerts`.
fn table(alerts: &[Alert]) -> Vec<String> {
    let rows: Vec<Vec<String>> = alerts
        .iter()
        .map(|alert| {
            vec![
                word(alert.severity().as_str_name(), "SEVERITY_"),
                word(alert.state().as_str_name(), "ALERT_STATE_"),
                quiet(alert),
                format!("{} {}", alert.technology, alert.resource_name),
                origin(alert).to_owned(),
                alert.summary.lines().next().unwrap_or_default().to_owned(),
                alert.first_seen_at.as_ref().map(time).unwrap_or_default(),
                alert.id.clone(),
            ]
        })
        .collect();
    lines(&["SEVERITY", "STATE", "QUIET", "RESOURCE", "RULE", "SUMMARY", "SINCE", "ID"], &rows)
}

fn line(alert: &Alert) -> String {
    let at = alert.transitions.last().and_then(|last| last.at.as_ref()).map(time).unwrap_or_default();
    let quiet = Some(quiet(alert)).filter(|quiet| quiet != "-").map(|quiet| format!(" ({quiet})"));
    format!(
        "{at}  {} {}{}  {}: {} [{}]",
        word(alert.severity().as_str_name(), "SEVERITY_"),
        word(alert.state().as_str_name(), "ALERT_STATE_"),
        quiet.unwrap_or_default(),
        alert.resource_name,
        alert.summary.lines().next().unwrap_or_default(),
        alert.id,
    )
}

fn origin(alert: &Alert) -> &str {
    if alert.rule_id.is_empty() { &alert.native_klass } else { &alert.rule_id }
}

fn quiet(alert: &Alert) -> String {
    let words = [
        ("acknowledged", alert.acknowledged),
        ("silenced", alert.silenced),
        ("told by another", alert.suppressed),
        ("dismissed", alert.dismissed),
        ("flapping", alert.flapping),
    ];
    let said: Vec<&str> = words.into_iter().filter_map(|(word, so)| so.then_some(word)).collect();
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

fn summary(sum: &SummarizeAlertsResponse) -> Vec<String> {
    let mut rows = Vec::new();
    for row in &sum.by_state {
        rows.push(vec![word(row.state().as_str_name(), "ALERT_STATE_"), row.count.to_string()]);
    }
    for row in &sum.by_severity {
        let severity: Severity = row.severity();
        rows.push(vec![
            format!("firing, {}", word(severity.as_str_name(), "SEVERITY_")),
            row.count.to_string(),
        ]);
    }
    for (what, count) in [
        ("firing, notifying", sum.notifying),
        ("firing, acknowledged", sum.acknowledged),
        ("firing, silenced", sum.silenced),
        ("firing, told by another", sum.suppressed),
        ("firing, flapping", sum.flapping),
    ] {
        rows.push(vec![what.to_owned(), count.to_string()]);
    }
    for row in &sum.by_origin {
        let origin = if row.rule_id.is_empty() { &row.native_klass } else { &row.rule_id };
        rows.push(vec![format!("firing, {origin}"), row.count.to_string()]);
    }
    lines(&["ALERTS", "COUNT"], &rows)
}

pub(super) fn time(at: &prost_types::Timestamp) -> String {
    let time = jiff::Timestamp::new(at.seconds, 0).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_wrong_and_why_nobody_is_told() {
        let alert = Alert {
            id: "01890a5d".to_owned(),
            rule_id: "pool-usage".to_owned(),
            resource_name: "tank".to_owned(),
            technology: "zfs-pool".to_owned(),
            severity: Severity::Critical.into(),
            state: pulse_proto::pb::registry::v1::AlertState::Firing.into(),
            summary: "tank is full\nand more".to_owned(),
            acknowledged: true,
            suppressed: true,
            ..Alert::default()
        };
        let table = table(&[alert]).join("\n");
        for words in [
            "critical",
            "firing",
            "acknowledged, told by another",
            "zfs-pool tank",
            "pool-usage",
            "tank is full",
        ] {
            assert!(table.contains(words), "{words:?} in\n{table}");
        }
        assert!(!table.contains("and more"));
    }
}
