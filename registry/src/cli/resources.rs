//! `pulse-registry resources`: list, get, watch and summary over gRPC, for
//! people and for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use pulse_proto::pb::registry::v1::resource_event::Kind;
use pulse_proto::pb::registry::v1::resource_service_client::ResourceServiceClient;
use pulse_proto::pb::registry::v1::{
    GetResourceRequest, ListResourcesRequest, ResourceEvent, SummarizeResourcesRequest, WatchResourcesRequest,
};
use pulse_proto::pb::resource::v1::{Capacity, Resource};
use pulse_shell::answer;
use pulse_shell::client::{self, Access, Channel};
use pulse_shell::command::Output;
use pulse_shell::table::{complain, lines, print};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::detail::{self, used};

const PAGE_SIZE: i32 = 1_000;
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(15);

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The registry to ask.
    #[arg(long, default_value = "http://127.0.0.1:7660", env = "PULSE_REGISTRY_ADDRESS", value_name = "URL")]
    pub(super) address: String,
    #[command(flatten)]
    pub(super) access: Access,
    #[arg(long, short, value_enum, default_value = "table")]
    pub(super) output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Selection {
    /// AIP-160, for example: type = storage AND severity >= warning
    #[arg(long, short, default_value = "", value_name = "FILTER")]
    pub(super) filter: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List resources.
    List {
        #[command(flatten)]
        selection: Selection,
        /// For example: severity desc, name
        #[arg(long, default_value = "", value_name = "FIELDS")]
        order_by: String,
        /// At most this many.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        target: Target,
    },
    /// Show one resource with everything known of it.
    Get {
        /// For example storage-f525297316fe02d5
        id: String,
        #[command(flatten)]
        target: Target,
    },
    /// Print every change as it happens, until Ctrl-C.
    Watch {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        target: Target,
    },
    /// Count resources and sum capacity.
    Summary {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(command: Command, stop: CancellationToken) -> anyhow::Result<()> {
    match command {
        Command::List { selection, order_by, limit, target } => {
            let resources = list(&target, &selection.filter, &order_by, limit).await?;
            match target.output {
                Output::Table => Ok(print(&table(&resources))?),
                Output::Json => print_json(&resources),
            }
        }
        Command::Get { id, target } => {
            let request = GetResourceRequest { id, read_mask: None };
            let answer = client(&target).await?.get_resource(request).await.map_err(explained)?.into_inner();
            let resource = answer.resource.context("the registry sent no resource")?;
            match target.output {
                Output::Table => Ok(print(&details(&resource)?)?),
                Output::Json => print_json(&[resource]),
            }
        }
        Command::Watch { selection, target } => watch(&target, &selection.filter, &stop).await,
        Command::Summary { selection, target } => summary(&target, selection.filter).await,
    }
}

pub(super) async fn client(target: &Target) -> anyhow::Result<ResourceServiceClient<Channel>> {
    let channel = channel(target).await?;
    Ok(ResourceServiceClient::new(channel).max_decoding_message_size(64 * 1024 * 1024))
}

pub(super) async fn channel(target: &Target) -> anyhow::Result<Channel> {
    client::connect("registry", &target.address, &target.access).await
}

#[allow(clippy::needless_pass_by_value, reason = "stands in map_err")]
pub(super) fn explained(status: Status) -> anyhow::Error {
    anyhow!("{}", answer::explain(&status))
}

async fn list(
    target: &Target,
    filter: &str,
    order_by: &str,
    limit: Option<usize>,
) -> anyhow::Result<Vec<Resource>> {
    let mut client = client(target).await?;
    let mut resources = Vec::new();
    let mut page_token = String::new();
    loop {
        let wanted = limit.map_or(usize::MAX, |limit| limit.saturating_sub(resources.len()));
        let request = ListResourcesRequest {
            page_size: i32::try_from(wanted).unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE),
            page_token,
            filter: filter.to_owned(),
            order_by: order_by.to_owned(),
            read_mask: None,
        };
        let page = client.list_resources(request).await.map_err(explained)?.into_inner();
        resources.extend(page.resources.into_iter().take(wanted));
        page_token = page.next_page_token;
        if page_token.is_empty() || limit.is_some_and(|limit| resources.len() >= limit) {
            return Ok(resources);
        }
    }
}

/// What a watch has seen so far.
#[derive(Default)]
struct Seen {
    resources: BTreeMap<String, Resource>,
    resume_token: String,
    /// A stream was open once: what breaks now may come back.
    connected: bool,
}

/// Streams changes; a stream that breaks goes on where it was.
async fn watch(target: &Target, filter: &str, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut seen = Seen::default();
    let mut pause = RETRY_MIN;
    while !stop.is_cancelled() {
        let began = tokio::time::Instant::now();
        let Err(error) = follow(target, filter, &mut seen).await else { continue };
        // Nobody reads any more.
        if error.downcast_ref::<std::io::Error>().is_some() {
            return Err(error);
        }
        match error.downcast_ref::<Status>().map(Status::code) {
            Some(
                Code::Unavailable
                | Code::Unknown
                | Code::Cancelled
                | Code::Internal
                | Code::ResourceExhausted,
            ) => {}
            // The registry no longer keeps what we missed: begin anew.
            Some(Code::OutOfRange) => {
                seen.resume_token.clear();
                seen.resources.clear();
            }
            Some(_) => return Err(error.downcast::<Status>().map_or_else(|e| e, explained)),
            None if !seen.connected => return Err(error),
            None => {}
        }
        if began.elapsed() > RETRY_MAX {
            pause = RETRY_MIN;
        }
        complain(&format!("the watch broke ({error:#}); trying again"));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MAX);
    }
    Ok(())
}

async fn follow(target: &Target, filter: &str, seen: &mut Seen) -> anyhow::Result<()> {
    let request = WatchResourcesRequest {
        filter: filter.to_owned(),
        resume_token: seen.resume_token.clone(),
        read_mask: None,
    };
    let mut stream = client(target).await?.watch_resources(request).await?.into_inner();
    seen.connected = true;
    while let Some(message) = stream.message().await? {
        let mut told = Vec::new();
        for event in message.events {
            told.push(match target.output {
                Output::Table => {
                    change(&event, event.resource.as_ref().and_then(|r| seen.resources.get(&r.id)))
                }
                Output::Json => answer::json("pulse.registry.v1.ResourceEvent", &event)?.to_string(),
            });
            let kind = event.kind();
            let Some(resource) = event.resource else { continue };
            if kind == Kind::Removed {
                seen.resources.remove(&resource.id);
            } else {
                seen.resources.insert(resource.id.clone(), resource);
            }
        }
        print(&told)?;
        if message.initial_list_end && target.output == Output::Table {
            print(&[format!("-- {} resources; changes follow", seen.resources.len())])?;
        }
        if !message.resume_token.is_empty() {
            seen.resume_token = message.resume_token;
        }
    }
    Err(Status::unavailable("the registry ended the stream").into())
}

/// One line per change: when, what, and from where to where.
pub fn change(event: &ResourceEvent, before: Option<&Resource>) -> String {
    let Some(resource) = &event.resource else { return String::new() };
    let at = resource.updated_at.as_ref().map(time).unwrap_or_default();
    let name = format!("{} {}", resource.technology, resource.name);
    let status = word(resource.status().as_str_name(), "STATUS_");
    let state = if resource.state.is_empty() { String::new() } else { format!(" ({})", resource.state) };
    let reason = resource.reasons.first().map(|reason| format!(": {}", reason.summary)).unwrap_or_default();
    match event.kind() {
        Kind::Removed => format!("{at}  {name}  removed"),
        Kind::Changed => {
            let before = before.map(|before| word(before.status().as_str_name(), "STATUS_"));
            let from = before.filter(|before| *before != status).map(|before| format!("{before} -> "));
            format!("{at}  {name}  {}{status}{state}{reason}", from.unwrap_or_default())
        }
        _ => format!("{at}  {name}  {status}{state}{reason}"),
    }
}

async fn summary(target: &Target, filter: String) -> anyhow::Result<()> {
    let request = SummarizeResourcesRequest { filter };
    let answer = client(target).await?.summarize_resources(request).await.map_err(explained)?.into_inner();
    if target.output == Output::Json {
        let json = answer::json("pulse.registry.v1.SummarizeResourcesResponse", &answer)?;
        return Ok(print(&[serde_json::to_string_pretty(&json)?])?);
    }
    let mut rows = vec![vec![
        "total".to_owned(),
        String::new(),
        answer.total.to_string(),
        used(answer.pool_capacity.as_ref()),
    ]];
    let mut row = |group: &str, name: String, count: i64, capacity: Option<&Capacity>| {
        rows.push(vec![group.to_owned(), name, count.to_string(), used(capacity)]);
    };
    for by in &answer.by_type {
        row("type", word(by.r#type().as_str_name(), "RESOURCE_TYPE_"), by.count, by.capacity.as_ref());
    }
    for by in &answer.by_source {
        let label = by.badge.as_ref().map(|badge| badge.label.clone()).unwrap_or_default();
        row("source", label, by.count, by.capacity.as_ref());
    }
    for by in &answer.by_status {
        row("status", word(by.status().as_str_name(), "STATUS_"), by.count, by.capacity.as_ref());
    }
    for by in &answer.by_severity {
        row("severity", word(by.severity().as_str_name(), "SEVERITY_"), by.count, by.capacity.as_ref());
    }
    for by in &answer.by_freshness {
        row("freshness", word(by.freshness().as_str_name(), "FRESHNESS_"), by.count, None);
    }
    Ok(print(&lines(&["BY", "VALUE", "COUNT", "POOL CAPACITY"], &rows))?)
}

/// The table of `list`.
pub fn table(resources: &[Resource]) -> Vec<String> {
    let rows: Vec<Vec<String>> = resources
        .iter()
        .map(|r| {
            vec![
                r.technology.clone(),
                r.name.clone(),
                r.state.clone(),
                word(r.status().as_str_name(), "STATUS_"),
                word(r.severity().as_str_name(), "SEVERITY_"),
                word(r.freshness().as_str_name(), "FRESHNESS_"),
                detail::of(r),
                r.connection_name.clone(),
                r.id.clone(),
            ]
        })
        .collect();
    lines(&["KIND", "NAME", "STATE", "STATUS", "SEVERITY", "FRESHNESS", "DETAIL", "SYSTEM", "ID"], &rows)
}

fn details(resource: &Resource) -> anyhow::Result<Vec<String>> {
    let mut text = table(std::slice::from_ref(resource));
    for reason in &resource.reasons {
        text.push(format!(
            "{}: {} ({})",
            word(reason.severity().as_str_name(), "SEVERITY_"),
            reason.summary,
            reason.code
        ));
    }
    let json = answer::json("pulse.resource.v1.Resource", resource)?;
    text.push(serde_json::to_string_pretty(&json)?);
    Ok(text)
}

fn print_json(resources: &[Resource]) -> anyhow::Result<()> {
    let json = |resource| Ok(answer::json("pulse.resource.v1.Resource", resource)?.to_string());
    let lines: Vec<String> = resources.iter().map(json).collect::<anyhow::Result<_>>()?;
    Ok(print(&lines)?)
}

pub(super) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

fn time(at: &prost_types::Timestamp) -> String {
    let time = jiff::Timestamp::new(at.seconds, at.nanos).unwrap_or_default();
    time.strftime("%H:%M:%S").to_string()
}
