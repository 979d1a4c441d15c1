//! Alerts in the words of Alertmanager's API v2 (`POST /api/v2/alerts`). Pure.
//!
//! Alertmanager knows an alert by its labels: what names the case and does not move is a label, the rest annotations. It
//! forgets what is not told again before `endsAt`, so an alert that fires is told again and again.

use std::collections::BTreeMap;
use std::time::Duration;

use pulse_proto::model::UnixMillis;
use serde::Serialize;

use super::event::Phase;
use super::lane::Item;
use crate::alert::{Case, Origin};

/// Below the URL of an Alertmanager.
pub const PATH: &str = "/api/v2/alerts";
/// An alert that was not told so many times ends by itself.
const LIFE: u32 = 4;
/// What the labels of a resource are called, so that none takes the place of ours.
const LABEL_PREFIX: &str = "label_";

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: &'a Labels,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

/// What the alert is known by. `extra` are the receiver's own.
pub fn labels(case: &Case, extra: &Labels) -> Labels {
    let subject = &case.subject;
    let mut labels = extra.clone();
    for (key, value) in subject.labels.iter() {
        labels.insert(format!("{LABEL_PREFIX}{}", name(key)), value.clone());
    }
    let own = [
        ("alertname", case.origin.name()),
        ("origin", case.origin.kind()),
        ("severity", case.severity.token()),
        ("resource", &subject.name),
        ("resource_id", &subject.id.text()),
        ("resource_type", subject.resource_type.token()),
        ("technology", &subject.technology),
        ("pool", &subject.pool),
        ("connection", subject.connection.as_str()),
        ("system", &subject.connection_name),
    ];
    // An empty label is no label.
    let own = own.into_iter().filter(|(_, value)| !value.is_empty());
    labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
    labels
}

/// Letters, digits and underscores only.
fn name(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn annotations(case: &Case) -> BTreeMap<&'static str, String> {
    let mut annotations =
        BTreeMap::from([("summary", case.summary.clone()), ("alert_id", case.id.to_string())]);
    let mut say = |key, value: String| {
        if !value.is_empty() {
            annotations.insert(key, value);
        }
    };
    say("description", evidence(case));
    say("remedy", case.remedy.to_string());
    if let Origin::Native(_) = case.origin
        && let Some(native) = &case.native
    {
        say("native_level", native.level.token().to_owned());
    }
    if let Some(ack) = &case.acknowledged {
        say("acknowledged_by", ack.who.clone());
        say("acknowledged_comment", ack.comment.clone());
    }
    if !case.silenced_by.is_empty() {
        say("silenced_by", case.silenced_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    annotations
}

fn evidence(case: &Case) -> String {
    let lines: Vec<String> = case.evidence.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    lines.join("\n")
}

/// The body of one request. `link` makes the address of a case for people.
pub fn body(
    items: &[Item],
    now: UnixMillis,
    resend: Duration,
    link: &dyn Fn(&Case) -> Option<String>,
) -> Vec<u8> {
    let mut all = Vec::with_capacity(items.len());
    for Item { case, event, labels, before } in items {
        let starts_at = shown(case.fired_at.unwrap_or(case.first_seen_at));
        if let Some(before) = before {
            // Under its former labels it is another alert, which is over.
            all.push(Posted {
                labels: before,
                annotations: annotations(case),
                starts_at: starts_at.clone(),
                ends_at: shown(now),
                generator_url: link(case),
            });
        }
        let ends_at = match event.phase {
            Phase::Firing(_) => now + resend.saturating_mul(LIFE),
            Phase::Resolved => event.at,
        };
        all.push(Posted {
            labels,
            annotations: annotations(case),
            starts_at,
            ends_at: shown(ends_at),
            generator_url: link(case),
        });
    }
    // Texts and maps of texts: this cannot fail.
    serde_json::to_vec(&all).unwrap_or_default()
}

/// To see whether it arrives: mild, and over in a minute.
pub fn test_body(now: UnixMillis, receiver: &str, extra: &Labels) -> Vec<u8> {
    let mut labels = extra.clone();
    for (key, value) in
        [("alertname", "PulseTest"), ("origin", "test"), ("severity", "monitor"), ("receiver", receiver)]
    {
        labels.insert(key.to_owned(), value.to_owned());
    }
    let annotations =
        BTreeMap::from([("summary", "Somebody wants to see whether notifications arrive.".to_owned())]);
    let posted = Posted {
        labels: &labels,
        annotations,
        starts_at: shown(now),
        ends_at: shown(now + Duration::from_mins(1)),
        generator_url: None,
    };
    serde_json::to_vec(&[posted]).unwrap_or_default()
}

/// RFC 3339.
pub(super) fn shown(at: UnixMillis) -> String {
    let millis = i64::try_from(at.get()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX).to_string()
}
