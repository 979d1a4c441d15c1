//! What tools can be asked, as small schemas, and the requests they become.

use pulse_proto::pb::registry::v1::{
    ContextTopic, GetInfrastructureContextRequest, GetResourceContextRequest,
};
use rmcp::schemars;
use schemars::JsonSchema;
use serde::Deserialize;

/// A list of facts on one topic.
const LIST_TOKENS: i32 = 2_000;
const HOUR_SECONDS: i64 = 3_600;

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Fleet {
    /// Only a part of the fleet, in AIP-160, e.g. `connection_name = "nas-1"`, `labels.site = "attic"`,
    /// `type = storage AND severity >= warning`. Leave it out for everything.
    filter: String,
    /// Longest answer, in tokens: 256 to 100000. 4000 when left out.
    max_tokens: i32,
    /// Recent changes of the last so many hours. 24 when left out.
    since_hours: Option<u32>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    /// An id, or `<system>/<name>` with names as a context shows them (without quotes), e.g. `nas-1/tank`,
    /// `nas-1/tank/media`, `nas-1/sda`, `system-0f3k9qd2mx/tank`; `<system>` for a system itself.
    resource: String,
    /// Longest answer, in tokens: 256 to 100000. 4000 when left out.
    #[serde(default)]
    max_tokens: i32,
    /// Recent changes of the last so many hours. 168 when left out.
    #[serde(default)]
    since_hours: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    System,
    Pool,
    Dataset,
    Disk,
    Share,
    App,
    Vm,
    ProtectionTask,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Severity {
    Monitor,
    Warning,
    Critical,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Search {
    /// A part of the name, or a pseudonym.
    text: String,
    kind: Option<Kind>,
    /// This bad or worse.
    severity: Option<Severity>,
    /// Name of a system, or its pseudonym.
    system: String,
    /// Anything else, in AIP-160, e.g. `capacity.used_ratio > 0.8`, `temperature_celsius >= 50`.
    filter: String,
    /// Longest answer, in tokens: 256 to 100000. 2000 when left out.
    max_tokens: i32,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alerts {
    /// Name of a system, or its pseudonym; all when left out.
    system: String,
    severity: Option<Severity>,
    /// Longest answer, in tokens: 256 to 100000. 2000 when left out.
    max_tokens: i32,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Changes {
    /// Of the last so many hours. 24 when left out.
    since_hours: Option<u32>,
    /// Name of a system, or its pseudonym; all when left out.
    system: String,
    /// Longest answer, in tokens: 256 to 100000. 2000 when left out.
    max_tokens: i32,
}

impl Fleet {
    pub(super) fn request(self) -> GetInfrastructureContextRequest {
        let Self { filter, max_tokens, since_hours } = self;
        GetInfrastructureContextRequest {
            filter,
            max_tokens,
            since: since_hours.map(hours_ago),
            ..GetInfrastructureContextRequest::default()
        }
    }
}

impl One {
    pub(super) fn request(self) -> GetResourceContextRequest {
        let Self { resource, max_tokens, since_hours } = self;
        let since = since_hours.map(hours_ago);
        // As a text shows it: quotes are not part of a name.
        let resource_id = resource.replace('"', "");
        GetResourceContextRequest { resource_id, max_tokens, since, ..GetResourceContextRequest::default() }
    }
}

impl Search {
    pub(super) fn request(self) -> GetInfrastructureContextRequest {
        let Self { text, kind, severity, system, filter, max_tokens } = self;
        let mut terms = of_system(&system);
        if !text.is_empty() {
            let text = quoted(unquoted(&text));
            terms.push(format!("(name:{text} OR display_name:{text})"));
        }
        terms.extend(kind.map(|kind| kind.filter().to_owned()));
        terms.extend(severity.map(|severity| severity.filter().to_owned()));
        if !filter.is_empty() {
            terms.push(format!("({filter})"));
        }
        list(&[ContextTopic::Resources], &terms, max_tokens)
    }
}

impl Alerts {
    pub(super) fn request(self) -> GetInfrastructureContextRequest {
        let Self { system, severity, max_tokens } = self;
        let mut terms = of_system(&system);
        terms.extend(severity.map(|severity| severity.filter().to_owned()));
        list(&[ContextTopic::WrongNow, ContextTopic::Alerts, ContextTopic::GettingWorse], &terms, max_tokens)
    }
}

impl Changes {
    pub(super) fn request(self) -> GetInfrastructureContextRequest {
        let Self { since_hours, system, max_tokens } = self;
        let request = list(&[ContextTopic::RecentChanges], &of_system(&system), max_tokens);
        GetInfrastructureContextRequest { since: since_hours.map(hours_ago), ..request }
    }
}

impl Kind {
    const fn filter(self) -> &'static str {
        match self {
            Self::System => "type = host",
            Self::Pool => "topology = pool",
            Self::Dataset => "topology = dataset",
            Self::Disk => "type = physical_disk",
            Self::Share => "type = network_share",
            Self::App => "type = app_container",
            Self::Vm => "type = vm",
            Self::ProtectionTask => "type = protection_task",
        }
    }
}

impl Severity {
    const fn filter(self) -> &'static str {
        match self {
            Self::Monitor => "severity >= monitor",
            Self::Warning => "severity >= warning",
            Self::Critical => "severity >= critical",
        }
    }
}

fn of_system(system: &str) -> Vec<String> {
    let system = unquoted(system);
    if system.is_empty() { Vec::new() } else { vec![format!("connection_name = {}", quoted(system))] }
}

/// As a text shows it: quotes around a name are not part of it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// A text in a filter, whatever is in it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\' | '*') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted.push('"');
    quoted
}

fn list(topics: &[ContextTopic], terms: &[String], max_tokens: i32) -> GetInfrastructureContextRequest {
    GetInfrastructureContextRequest {
        filter: terms.join(" AND "),
        max_tokens: if max_tokens == 0 { LIST_TOKENS } else { max_tokens },
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        ..GetInfrastructureContextRequest::default()
    }
}

/// The service knows what time it is; an age is what it is asked with.
fn hours_ago(hours: u32) -> prost_types::Timestamp {
    let now = crate::clock::Clock::default().now();
    let seconds = i64::try_from(now.get() / 1_000).unwrap_or(i64::MAX);
    prost_types::Timestamp { seconds: (seconds - i64::from(hours) * HOUR_SECONDS).max(0), nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::filter::Filter;

    fn asked<T: for<'a> Deserialize<'a>>(json: &str) -> T {
        serde_json::from_str(json).expect(json)
    }

    #[test]
    fn a_search_becomes_a_filter_that_can_be_read() {
        for (json, expected) in [
            ("{}", ""),
            (r#"{"text": "ta\"nk*"}"#, r#"(name:"ta\"nk\*" OR display_name:"ta\"nk\*")"#),
            (r#"{"kind": "pool", "severity": "warning"}"#, "topology = pool AND severity >= warning"),
            (
                r#"{"system": "nas 1", "kind": "disk"}"#,
                r#"connection_name = "nas 1" AND type = physical_disk"#,
            ),
            (r#"{"filter": "type = vm OR type = host"}"#, "(type = vm OR type = host)"),
        ] {
            let request = asked::<Search>(json).request();
            assert_eq!(request.filter, expected, "{json}");
            assert!(Filter::parse(&request.filter).is_ok(), "{json}");
            assert_eq!((request.max_tokens, request.topics.len()), (LIST_TOKENS, 1));
        }
        for kind in ["system", "pool", "dataset", "disk", "share", "app", "vm", "protection_task"] {
            let request = asked::<Search>(&format!(r#"{{"kind": "{kind}"}}"#)).request();
            assert!(Filter::parse(&request.filter).is_ok(), "{kind}");
        }
    }

    #[test]
    fn names_may_be_given_as_a_context_shows_them() {
        let request = asked::<One>(r#"{"resource": "\"nas-1\"/\"tank\""}"#).request();
        assert_eq!(request.resource_id, "nas-1/tank");
    }
}
