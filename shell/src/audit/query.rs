//! `audit`: asks the log on disk who did what.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Map, Value};

use super::file::{beside, read};
use crate::clock::now_unix_ms;
use crate::command::Output;
use crate::settings::duration;
use crate::table;

/// Read at most so many set-aside files, whatever the settings of now.
const FILES_MAX: usize = 1_000;

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Not older than this, such as 1h or 7d.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Whose name holds this text.
    #[arg(long, value_name = "TEXT")]
    who: Option<String>,
    /// Whose action holds this text, such as UpdateConnection or alert.dismiss.
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    /// Whose object holds this text.
    #[arg(long, value_name = "TEXT")]
    object: Option<String>,
    /// With exactly this request id.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// What was refused only.
    #[arg(long)]
    refused: bool,
    /// The newest of what fits.
    #[arg(long, default_value_t = 200, value_name = "N")]
    limit: usize,
    #[arg(long, short, value_enum, default_value = "table")]
    output: Output,
}

pub fn run(arguments: &AuditArgs, path: &Path) -> anyhow::Result<()> {
    let since = arguments
        .since
        .as_deref()
        .map(|text| duration(text).with_context(|| format!("--since {text:?} is no time such as 1h or 7d")));
    let floor = match since.transpose()? {
        Some(since) => {
            let since = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
            let millis = i64::try_from(now_unix_ms().saturating_sub(since)).unwrap_or(0);
            format!("{:.3}", jiff::Timestamp::from_millisecond(millis)?)
        }
        None => String::new(),
    };
    let mut found = Vec::new();
    for path in [path.to_owned(), beside(path)] {
        found.extend(newest(arguments, &floor, &path)?);
    }
    // Each file is in order; of one time, deeds stand first.
    found.sort_by(|a, b| text(a, "at").cmp(text(b, "at")));
    found.drain(..found.len().saturating_sub(arguments.limit));
    if arguments.output == Output::Json {
        let lines: Vec<String> = found.into_iter().map(|line| Value::from(line).to_string()).collect();
        return Ok(table::print(&lines)?);
    }
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    Ok(table::print(&table::prose(&["AT", "WHO", "ACTION", "OBJECT", "RESULT", "FROM", "REQUEST"], &rows))?)
}

/// Of one file and what was set aside of it.
fn newest(arguments: &AuditArgs, floor: &str, path: &Path) -> anyhow::Result<VecDeque<Map<String, Value>>> {
    let mut found = VecDeque::new();
    read(path, FILES_MAX, |line| {
        if fits(arguments, floor, &line) {
            found.push_back(line);
            if found.len() > arguments.limit {
                found.pop_front();
            }
        }
    })
    .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(found)
}

fn text<'a>(line: &'a Map<String, Value>, field: &str) -> &'a str {
    line.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn object(line: &Map<String, Value>) -> String {
    let parts = [text(line, "resource"), text(line, "subject")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Some lines are told by their method, not by an action.
fn action(line: &Map<String, Value>) -> &str {
    let action = text(line, "action");
    if action.is_empty() { text(line, "method") } else { action }
}

fn who(line: &Map<String, Value>) -> &str {
    let who = text(line, "requested_by");
    if who.is_empty() { text(line, "caller") } else { who }
}

fn fits(arguments: &AuditArgs, floor: &str, line: &Map<String, Value>) -> bool {
    let holds =
        |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|part| text.contains(part));
    // Times of one length and zone stand in order as texts.
    text(line, "at") >= floor
        && holds(&arguments.who, who(line))
        && holds(&arguments.action, action(line))
        && holds(&arguments.object, &object(line))
        && arguments.request_id.as_deref().is_none_or(|id| id == text(line, "request_id"))
        && (!arguments.refused || !["done", "unchanged", ""].contains(&text(line, "result")))
}

fn row(line: &Map<String, Value>) -> Vec<String> {
    [
        text(line, "at"),
        who(line),
        action(line),
        &object(line),
        text(line, "result"),
        text(line, "peer"),
        text(line, "request_id"),
    ]
    .map(str::to_owned)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_narrow_what_is_shown() {
        let line = serde_json::json!({
            "at": "2026-11-28T10:00:00.000Z", "requested_by": "token:1/core", "action": "/a.B/UpdateConnection",
            "resource": "nas-1", "subject": "", "result": "PermissionDenied", "request_id": "r1",
        });
        let Value::Object(line) = line else { panic!("an object") };
        let none = || AuditArgs {
            since: None,
            who: None,
            action: None,
            object: None,
            request_id: None,
            refused: false,
            limit: 1,
            output: Output::Table,
        };
        let some = |text: &str| Some(text.to_owned());
        for (arguments, floor, expected) in [
            (none(), "", true),
            (none(), "2026-11-28T10:00:00.001Z", false),
            (
                AuditArgs { who: some("core"), action: some("Update"), object: some("nas"), ..none() },
                "",
                true,
            ),
            (AuditArgs { who: some("other"), ..none() }, "", false),
            (AuditArgs { object: some("nas-2"), ..none() }, "", false),
            (AuditArgs { request_id: some("r"), ..none() }, "", false),
            (AuditArgs { refused: true, ..none() }, "", true),
        ] {
            assert_eq!(fits(&arguments, floor, &line), expected, "{arguments:?}");
        }
    }
}
