//! `pulse-registry changes`: the timeline, newest first.

use clap::Args;
use pulse_proto::pb::registry::v1::{ListResourceChangesRequest, ResourceChange};
use pulse_shell::answer;
use pulse_shell::command::Output;
use pulse_shell::table::{lines, print};

use super::resources::{Target, client, explained};

const PAGE_SIZE: i32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Only of this one, for example storage-f525297316fe02d5; it may be gone.
    #[arg(long, default_value = "", value_name = "ID")]
    resource: String,
    /// AIP-160, for example: kind = state_transition AND to = offline
    #[arg(long, short, default_value = "", value_name = "FILTER")]
    filter: String,
    /// At most this many.
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let changes = list(&arguments).await?;
    match arguments.target.output {
        Output::Table => print(&table(&changes))?,
        Output::Json => {
            let json = |change| Ok(answer::json("pulse.registry.v1.ResourceChange", change)?.to_string());
            print(&changes.iter().map(json).collect::<anyhow::Result<Vec<_>>>()?)?;
        }
    }
    Ok(())
}

async fn list(arguments: &Arguments) -> anyhow::Result<Vec<ResourceChange>> {
    let Arguments { resource, filter, limit, target } = arguments;
    let mut client = client(target).await?;
    let mut changes = Vec::new();
    let mut page_token = String::new();
    while changes.len() < *limit {
        let request = ListResourceChangesRequest {
            resource_id: resource.clone(),
            page_size: i32::try_from(limit - changes.len()).unwrap_or(PAGE_SIZE).min(PAGE_SIZE),
            page_token,
            filter: filter.clone(),
        };
        let page = client.list_resource_changes(request).await.map_err(explained)?.into_inner();
        changes.extend(page.changes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(changes)
}

/// The table of `changes`.
pub fn table(changes: &[ResourceChange]) -> Vec<String> {
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|change| {
            let steps = change.steps.iter();
            let steps: Vec<String> = steps
                .map(|step| format!("{} {} -> {}", step.field, shown(&step.from), shown(&step.to)))
                .collect();
            vec![
                change.observed_at.as_ref().map(time).unwrap_or_default(),
                change.kind.clone(),
                format!("{} {}", change.technology, change.resource_name),
                steps.join(", "),
                change.reason.clone(),
                change.resource_id.clone(),
            ]
        })
        .collect();
    lines(&["AT", "KIND", "RESOURCE", "CHANGE", "REASON", "ID"], &rows)
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "-" } else { value }
}

fn time(at: &prost_types::Timestamp) -> String {
    let time = jiff::Timestamp::new(at.seconds, 0).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use pulse_proto::pb::registry::v1::ChangeStep;

    use super::*;

    #[test]
    fn a_line_reads_without_its_resource() {
        let step = |field: &str, from: &str, to: &str| ChangeStep {
            field: field.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let change = ResourceChange {
            resource_id: "storage-1".to_owned(),
            kind: "state_transition".to_owned(),
            observed_at: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 5 }),
            reason: "Pool is degraded".to_owned(),
            resource_name: "tank".to_owned(),
            technology: "zfs-pool".to_owned(),
            steps: vec![step("status", "online", "warning"), step("state", "", "DEGRADED")],
            ..ResourceChange::default()
        };
        let table = table(&[change]);
        let words: Vec<&str> = table[1].split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
        assert_eq!(
            words,
            [
                "2027-01-15 08:00:00Z",
                "state_transition",
                "zfs-pool tank",
                "status online -> warning, state - -> DEGRADED",
                "Pool is degraded",
                "storage-1",
            ]
        );
    }
}
