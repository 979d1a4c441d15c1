//! `pulse-registry links`: which records are one thing, by an operator's word.

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use pulse_proto::pb::registry::v1::{
    DeleteResourceLinkRequest, LinkResourcesRequest, ListResourceLinksRequest, RecordRef, ResourceLink,
    UnlinkResourcesRequest,
};
use pulse_proto::pb::resource::v1::DataSource;
use pulse_shell::answer;
use pulse_shell::command::Output;
use pulse_shell::table::{lines, print};

use super::resources::{Target, client, explained, word};

const PAGE_SIZE: i32 = 1_000;

#[derive(Debug, Args)]
pub(super) struct Records {
    /// CONNECTION:SOURCE_ID, as a resource's source_status names it
    #[arg(value_parser = record)]
    left: RecordRef,
    /// CONNECTION:SOURCE_ID of the other
    #[arg(value_parser = record)]
    right: RecordRef,
}

#[derive(Debug, Args)]
pub(super) struct Why {
    /// Who says so.
    #[arg(long, env = "USER", value_name = "NAME")]
    who: String,
    /// Why, for whoever looks at it later.
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List what was said, then hosts that may be the same.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Two records are the same thing.
    Same {
        #[command(flatten)]
        records: Records,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        target: Target,
    },
    /// Two records are not the same thing.
    Different {
        #[command(flatten)]
        records: Records,
        #[command(flatten)]
        why: Why,
        #[command(flatten)]
        target: Target,
    },
    /// Forget what was said of two records: evidence decides again.
    Forget {
        #[command(flatten)]
        records: Records,
        #[command(flatten)]
        target: Target,
    },
}

/// A connection has no colon; a source's id may.
fn record(text: &str) -> anyhow::Result<RecordRef> {
    let (connection, source_id) = text
        .split_once(':')
        .ok_or_else(|| anyhow!("expected CONNECTION:SOURCE_ID, for example nas-1:system:nas-1"))?;
    Ok(RecordRef { connection: connection.to_owned(), source_id: source_id.to_owned() })
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { target } => {
            let links = list(&target).await?;
            show(&target, &links)
        }
        Command::Same { records, why, target } => {
            let (left, right) = (Some(records.left), Some(records.right));
            let request = LinkResourcesRequest { left, right, reason: why.reason, who: why.who };
            let answer = client(&target).await?.link_resources(request).await.map_err(explained)?;
            show(&target, &[answer.into_inner().link.context("the registry sent no link")?])
        }
        Command::Different { records, why, target } => {
            let (left, right) = (Some(records.left), Some(records.right));
            let request = UnlinkResourcesRequest { left, right, reason: why.reason, who: why.who };
            let answer = client(&target).await?.unlink_resources(request).await.map_err(explained)?;
            show(&target, &[answer.into_inner().link.context("the registry sent no link")?])
        }
        Command::Forget { records, target } => {
            let request = DeleteResourceLinkRequest { left: Some(records.left), right: Some(records.right) };
            client(&target).await?.delete_resource_link(request).await.map_err(explained)?;
            Ok(())
        }
    }
}

async fn list(target: &Target) -> anyhow::Result<Vec<ResourceLink>> {
    let mut client = client(target).await?;
    let mut links = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListResourceLinksRequest { page_size: PAGE_SIZE, page_token };
        let page = client.list_resource_links(request).await.map_err(explained)?.into_inner();
        links.extend(page.links);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(links);
        }
    }
}

fn show(target: &Target, links: &[ResourceLink]) -> anyhow::Result<()> {
    match target.output {
        Output::Table => Ok(print(&table(links))?),
        Output::Json => {
            let json = |link| Ok(answer::json("pulse.registry.v1.ResourceLink", link)?.to_string());
            Ok(print(&links.iter().map(json).collect::<anyhow::Result<Vec<String>>>()?)?)
        }
    }
}

fn table(links: &[ResourceLink]) -> Vec<String> {
    let rows: Vec<Vec<String>> = links
        .iter()
        .map(|link| {
            let end = |record: Option<&RecordRef>, source: DataSource| {
                let named = record.map(|record| format!("{}:{}", record.connection, record.source_id));
                format!("{} ({})", named.unwrap_or_default(), word(source.as_str_name(), "DATA_SOURCE_"))
            };
            let merged = !link.left_resource_id.is_empty() && link.left_resource_id == link.right_resource_id;
            vec![
                word(link.kind().as_str_name(), "KIND_"),
                end(link.left.as_ref(), link.left_source()),
                end(link.right.as_ref(), link.right_source()),
                if merged { link.left_resource_id.clone() } else { "two resources".to_owned() },
                because(link),
            ]
        })
        .collect();
    lines(&["LINK", "RECORD", "AND", "SHOWN AS", "BECAUSE"], &rows)
}

fn because(link: &ResourceLink) -> String {
    let Some(surest) = link.evidence.first() else {
        return [link.who.as_str(), link.reason.as_str()].join(": ").trim_end_matches(": ").to_owned();
    };
    let ambiguous = if surest.ambiguous { ", not the only one" } else { "" };
    format!("{} {} ({:.2}{ambiguous})", surest.kind, surest.value, link.confidence)
}

#[cfg(test)]
mod tests {
    use pulse_proto::pb::registry::v1::MatchEvidence;
    use pulse_proto::pb::registry::v1::resource_link::Kind;

    use super::*;

    #[test]
    fn a_record_is_its_connection_and_the_sources_own_id() {
        let named = record("nas-1:system:nas-1/disk:sda").unwrap();
        assert_eq!((named.connection.as_str(), named.source_id.as_str()), ("nas-1", "system:nas-1/disk:sda"));
        assert!(record("nas-1").is_err());
    }

    #[test]
    fn the_table_tells_what_was_said_and_what_may_be() {
        let said = ResourceLink {
            kind: Kind::Same.into(),
            left: record("a:h").ok(),
            right: record("b:system:b").ok(),
            left_source: DataSource::Agent.into(),
            right_source: DataSource::Truenas.into(),
            left_resource_id: "agent-1".to_owned(),
            right_resource_id: "agent-1".to_owned(),
            who: "ops".to_owned(),
            ..ResourceLink::default()
        };
        let evidence = MatchEvidence {
            kind: "hostname".to_owned(),
            value: "nas".to_owned(),
            ..MatchEvidence::default()
        };
        let candidate = ResourceLink {
            kind: Kind::Candidate.into(),
            right_resource_id: "agent-2".to_owned(),
            evidence: vec![evidence],
            confidence: 0.5,
            who: String::new(),
            ..said.clone()
        };
        let table = table(&[said, candidate]).join("\n");
        for words in [
            "same",
            "a:h (agent)",
            "b:system:b (truenas)",
            "agent-1",
            "ops",
            "two resources",
            "hostname nas (0.50)",
        ] {
            assert!(table.contains(words), "{words:?} in\n{table}");
        }
    }
}
