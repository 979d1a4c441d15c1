//! `pulse-registry context`: what a model would be told, as text or as JSON.

use clap::{Args, ValueEnum};
use pulse_proto::pb::registry::v1::context_service_client::ContextServiceClient;
use pulse_proto::pb::registry::v1::{
    GetInfrastructureContextRequest, GetResourceContextRequest, RedactionPolicy,
};
use pulse_shell::answer;
use pulse_shell::command::Output;
use pulse_shell::table::print;

use super::resources::{Selection, Target, channel, explained};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// An id, "<system>/<name>" or "<system>"; without it the whole fleet is described.
    resource: Option<String>,
    #[command(flatten)]
    selection: Selection,
    /// 256 to 100,000; 4,000 when not given.
    #[arg(long, value_name = "TOKENS", default_value = "0", hide_default_value = true)]
    max_tokens: i32,
    /// Tell changes since then, e.g. 2026-01-31T12:00:00Z; the last day when not given, of a resource the last week.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<prost_types::Timestamp>,
    /// What to hide; as the deployment says when not given.
    #[arg(long, value_enum)]
    redaction: Option<Redaction>,
    /// Say what pseudonyms stand for, where the deployment allows it.
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Redaction {
    None,
    Names,
    Strict,
}

impl Redaction {
    const fn to_wire(self) -> RedactionPolicy {
        match self {
            Self::None => RedactionPolicy::None,
            Self::Names => RedactionPolicy::Names,
            Self::Strict => RedactionPolicy::Strict,
        }
    }
}

fn time(text: &str) -> Result<prost_types::Timestamp, String> {
    let at: jiff::Timestamp =
        text.parse().map_err(|error| format!("no time such as 2026-01-31T12:00:00Z: {error}"))?;
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { resource, selection, max_tokens, since, redaction, reveal, target } = arguments;
    let redaction = redaction.map_or(RedactionPolicy::Unspecified, Redaction::to_wire).into();
    let mut client = ContextServiceClient::new(channel(&target).await?);
    let (text, pseudonyms, json) = if let Some(resource_id) = resource {
        anyhow::ensure!(
            selection.filter.is_empty(),
            "--filter selects resources of a fleet, not parts of one"
        );
        let request = GetResourceContextRequest {
            resource_id,
            max_tokens,
            redaction,
            include_pseudonyms: reveal,
            since,
        };
        let answer = client.get_resource_context(request).await.map_err(explained)?.into_inner();
        let json = answer::json("pulse.registry.v1.GetResourceContextResponse", &answer)?;
        (answer.text, answer.pseudonyms, json)
    } else {
        let request = GetInfrastructureContextRequest {
            max_tokens,
            filter: selection.filter,
            since,
            redaction,
            include_pseudonyms: reveal,
            topics: Vec::new(),
        };
        let answer = client.get_infrastructure_context(request).await.map_err(explained)?.into_inner();
        let json = answer::json("pulse.registry.v1.GetInfrastructureContextResponse", &answer)?;
        (answer.text, answer.pseudonyms, json)
    };
    if target.output == Output::Json {
        return Ok(print(&[json.to_string()])?);
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if !pseudonyms.is_empty() {
        lines.push(String::new());
        lines.extend(
            pseudonyms.iter().map(|known| format!("{} is \"{}\"", known.pseudonym, known.stands_for)),
        );
    }
    Ok(print(&lines)?)
}
