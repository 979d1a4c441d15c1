//! Native alerts as cases: one for each class and resource they concern. The
//! level decides; all seven are kept, and so is what was dismissed at the source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pulse_proto::model::{AlertLevel, Incident, Severity};
use serde_json::Value;

use super::case::{Native, Origin};
use super::life::{Contrary, Finding, Policy};
use crate::state::Resource;

/// One class for what has none.
const NO_CLASS: &str = "Unclassified";
/// Texts quoted in the evidence.
const QUOTED_MAX: usize = 5;
const QUOTE_CHARS_MAX: usize = 500;
/// Under these names the evidence holds arguments, a line of JSON each, and texts.
pub const ARGS: &str = "args";
const TEXTS: &str = "texts";

/// A native alert is believed at once; that it is gone must be seen twice.
pub(super) const POLICY: Policy = Policy { raise: 1, clear: 2, hold: std::time::Duration::ZERO };

/// The section that brings native alerts.
pub(super) const SECTION: &str = "alerts";

const fn severity(level: AlertLevel) -> Severity {
    match level {
        AlertLevel::Info | AlertLevel::Notice => Severity::Monitor,
        AlertLevel::Warning => Severity::Warning,
        AlertLevel::Error | AlertLevel::Critical | AlertLevel::Alert | AlertLevel::Emergency => {
            Severity::Critical
        }
    }
}

/// What the native alerts of a resource say, by class.
pub(super) fn findings(resource: &Resource) -> BTreeMap<Origin, Finding> {
    if resource.document.incident_klasses().next().is_none() {
        return BTreeMap::new();
    }
    let Ok(record) = resource.document.record() else { return BTreeMap::new() };
    let mut classes: BTreeMap<Origin, Vec<&Incident>> = BTreeMap::new();
    for incident in &record.incidents {
        let klass = if incident.klass.is_empty() { NO_CLASS } else { &incident.klass };
        classes.entry(Origin::Native(Arc::from(klass))).or_default().push(incident);
    }
    classes
        .into_iter()
        .filter_map(|(origin, incidents)| Some((origin, finding(resource, incidents)?)))
        .collect()
}

fn finding(resource: &Resource, mut incidents: Vec<&Incident>) -> Option<Finding> {
    // What somebody dismissed has no say while something else is not dismissed.
    incidents.sort_by(|a, b| {
        (a.dismissed, std::cmp::Reverse(a.level), &a.native_id).cmp(&(
            b.dismissed,
            std::cmp::Reverse(b.level),
            &b.native_id,
        ))
    });
    let worst = *incidents.first()?;
    let klass = &worst.klass;
    let quoted = |incident: &Incident| quote(&incident.text);
    let mut evidence = BTreeMap::new();
    let mut tell = |key: &str, value: String| {
        if !value.is_empty() {
            evidence.insert(key.to_owned(), value);
        }
    };
    tell("klass", worst.klass.clone());
    tell("level", worst.level.token().to_owned());
    tell("node", worst.node.clone());
    let args: Vec<&str> = incidents.iter().map(|incident| incident.args_json.as_str()).collect();
    let args = args.into_iter().filter(|args| !args.is_empty()).take(QUOTED_MAX);
    tell(ARGS, args.collect::<Vec<_>>().join("\n"));
    tell("one_shot", if worst.one_shot { "true".to_owned() } else { String::new() });
    if incidents.len() > 1 {
        tell("count", incidents.len().to_string());
    }
    if incidents.len() > 1 || worst.args_json.is_empty() {
        let texts: Vec<String> = incidents.iter().take(QUOTED_MAX).map(|incident| quoted(incident)).collect();
        tell(TEXTS, texts.join("\n"));
    }
    let text = quoted(worst);
    let summary =
        if text.is_empty() { format!("{} of {}", worst.klass, resource.display_name()) } else { text };
    let more = match incidents.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(Finding {
        severity: severity(worst.level),
        summary: format!("{summary}{more}"),
        evidence,
        weight: None,
        min_delta: 0.0,
        native: Some(Native {
            level: worst.level,
            ids: incidents.iter().map(|incident| incident.native_id.clone()).collect(),
            dismissed: worst.dismissed,
        }),
        named: if super::cover::goes_by_words(klass) { words(&incidents) } else { BTreeSet::new() },
    })
}

/// All words among the arguments of native alerts, or in the texts of those that have none. Not only what is quoted:
/// another case is known by them.
fn words(incidents: &[&Incident]) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for incident in incidents {
        match serde_json::from_str(&incident.args_json) {
            Ok(args) => gather(&args, &mut words),
            Err(_) if incident.args_json.is_empty() => {
                words.extend(split(&incident.text).map(str::to_owned));
            }
            Err(_) => drop(words.insert(incident.args_json.clone())),
        }
    }
    words
}

fn gather(args: &Value, words: &mut BTreeSet<String>) {
    match args {
        Value::String(text) => drop(words.insert(text.clone())),
        Value::Array(list) => list.iter().for_each(|value| gather(value, words)),
        Value::Object(map) => map.values().for_each(|value| gather(value, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "'\"`,;:()".contains(c));
    words.map(|word| word.trim_end_matches('.'))
}

/// Whether a native alert names something: among its arguments, or in its text where it has none.
pub(super) fn names(evidence: &BTreeMap<String, String>, name: &str) -> bool {
    if let Some(args) = evidence.get(ARGS) {
        return args.lines().any(|args| match serde_json::from_str(args) {
            Ok(args) => has(&args, name),
            Err(_) => args == name,
        });
    }
    let is_word = |text: &String| split(text).any(|word| word == name);
    evidence.get(TEXTS).is_some_and(is_word)
}

fn has(args: &Value, name: &str) -> bool {
    match args {
        Value::String(text) => text == name,
        Value::Array(list) => list.iter().any(|value| has(value, name)),
        Value::Object(map) => map.values().any(|value| has(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What is seen where a class is no longer listed.
pub(super) fn unlisted(origin: &Origin, system: &str) -> Contrary {
    Contrary {
        text: format!("{system} does not list it any more."),
        evidence: BTreeMap::from([("klass".to_owned(), origin.name().to_owned())]),
    }
}

fn quote(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What an operator can do about any of them.
pub(super) fn remedy() -> Arc<str> {
    static REMEDY: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| {
        Arc::from("See the alert on the system; it clears there when its cause is gone.")
    });
    Arc::clone(&REMEDY)
}
