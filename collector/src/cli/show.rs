//! Connections and test steps as tables.

use pulse_proto::pb::collector::v1::test_step::Outcome;
use pulse_proto::pb::collector::v1::{Connection, ObservedCertificate, TestConnectionResponse};
use pulse_shell::table::{lines, prose};

/// The table of `list`.
pub(super) fn connections(connections: &[Connection]) -> Vec<String> {
    let rows: Vec<Vec<String>> = connections
        .iter()
        .map(|connection| {
            let status = connection.status.clone().unwrap_or_default();
            let transport = status.transport.clone().unwrap_or_default();
            let observed = status.observed.clone().unwrap_or_default();
            let state = word(status.state().as_str_name(), "CONNECTION_STATE_");
            vec![
                connection.name.clone(),
                format!("{}:{}", connection.host, connection.port),
                state,
                transport.appliance_version,
                transport.mode,
                observed.pools.to_string(),
                observed.disks.to_string(),
                status.reason,
                connection.id.clone(),
            ]
        })
        .collect();
    lines(&["NAME", "ADDRESS", "STATE", "VERSION", "OVER", "POOLS", "DISKS", "REASON", "ID"], &rows)
}

/// One connection in full, for people.
pub(super) fn details(connection: &Connection) -> Vec<String> {
    let mut text = connections(std::slice::from_ref(connection));
    let status = connection.status.clone().unwrap_or_default();
    if !status.remedy.is_empty() {
        text.push(format!("what to do: {}", status.remedy));
    }
    if let Some(cost) = &status.cost {
        let busy = cost.busy_per_minute.and_then(|busy| std::time::Duration::try_from(busy).ok());
        text.push(format!(
            "costs the NAS, per minute: {} calls, {} bytes, {} ms of work",
            cost.calls_per_minute,
            cost.received_bytes_per_minute,
            busy.unwrap_or_default().as_millis()
        ));
    }
    if !connection.disabled_sections.is_empty() {
        text.push(format!("not read: {}", connection.disabled_sections.join(", ")));
    }
    for section in &status.sections {
        let outcome = word(section.outcome().as_str_name(), "SECTION_OUTCOME_");
        text.push(format!("section {}: {outcome} {}", section.section, section.error).trim_end().to_owned());
    }
    text
}

/// The steps of a test, with what to do about those that failed.
pub(super) fn test(answer: &TestConnectionResponse) -> Vec<String> {
    let rows: Vec<Vec<String>> = answer
        .steps
        .iter()
        .map(|step| {
            let latency =
                step.latency.as_ref().and_then(|latency| std::time::Duration::try_from(*latency).ok());
            let told = if step.error.is_empty() { &step.detail } else { &step.error };
            vec![
                mark(step.outcome()).to_owned(),
                step.name.clone(),
                latency.map(|latency| format!("{} ms", latency.as_millis())).unwrap_or_default(),
                told.clone(),
            ]
        })
        .collect();
    let mut text = prose(&["", "STEP", "TIME", "RESULT"], &rows);
    let remedies = answer.steps.iter().filter(|step| !step.remedy.is_empty());
    text.extend(remedies.map(|step| format!("{}: {}", step.name, step.remedy)));
    text.extend(answer.observed_chain.iter().enumerate().flat_map(|(i, seen)| certificate(i + 1, seen)));
    if !answer.observed_fingerprint.is_empty() {
        text.push(format!("fingerprint of the certificate: {}", answer.observed_fingerprint));
    }
    text.push(if answer.success {
        "The connection works.".to_owned()
    } else {
        "The connection does not work.".to_owned()
    });
    text
}

/// What a certificate says of itself, to be compared with what the NAS shows.
fn certificate(number: usize, seen: &ObservedCertificate) -> Vec<String> {
    let by = if seen.subject == seen.issuer { "itself" } else { &seen.issuer };
    let day = |time: Option<&prost_types::Timestamp>| {
        let time = time.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok());
        time.map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
    };
    let (from, until) = (day(seen.not_before.as_ref()), day(seen.not_after.as_ref()));
    let mut text = vec![
        format!("certificate {number}: {}", seen.subject),
        format!("  issued by {by}, good from {from} until {until}"),
    ];
    if !seen.alternative_names.is_empty() {
        text.push(format!("  for {}", seen.alternative_names.join(", ")));
    }
    text.push(format!("  SHA-256 {}", seen.fingerprint));
    text
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Skipped | Outcome::Unspecified => "-",
        Outcome::Forbidden => "forbidden",
        Outcome::Unsupported => "not there",
        Outcome::Warning => "warning",
    }
}

pub(super) fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase().replace('_', " ")
}
