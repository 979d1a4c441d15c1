//! Connections as clients write and see them. The only secrets that go out are masks.

use pulse_proto::convert::timestamp_to_wire;
use pulse_proto::model::{ConnectionState, UnixMillis};
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::resource::v1::SectionReport;
use uuid::Uuid;

use crate::api::Section;
use crate::connection::status::{Cost, Health, Observed, PollHealth, TransportHealth};
use crate::connection::validate::{self, MASK};
use crate::connection::{Raw, Settings, Tls, Violation, Violations};
use crate::secret::{Credential, Secret};

/// A connection that is not stored yet. What only the server sets is ignored.
pub(super) fn new_settings(mut sent: pb::Connection, now: UnixMillis) -> Result<Settings, Violations> {
    let id = match std::mem::take(&mut sent.id) {
        empty if empty.is_empty() => validate::connection_id(&Uuid::new_v4().to_string()),
        chosen => validate::connection_id(&chosen),
    };
    match id {
        Ok(id) => known_sections(validate::validate(raw(sent), id, now)?),
        Err(violation) => Err(with_rest(violation, raw(sent), now)),
    }
}

/// Every section that is switched off is one that could be on. Without the system, nothing would have a parent.
pub(super) fn known_sections(settings: Settings) -> Result<Settings, Violations> {
    let wrong: Vec<Violation> = settings
        .disabled_sections
        .iter()
        .filter_map(|name| match Section::from_token(name.as_str()) {
            None => Some(format!("{name:?} is not the name of a section")),
            Some(Section::System) => Some("\"system\" is always read".to_owned()),
            Some(_) => None,
        })
        .map(|why| Violation::new("disabled_sections", why))
        .collect();
    if wrong.is_empty() { Ok(settings) } else { Err(Violations(wrong)) }
}

/// The other fields are checked under any id, so that all that is wrong is told at once.
fn with_rest(violation: Violation, raw: Raw, now: UnixMillis) -> Violations {
    let mut all = vec![violation];
    if let Ok(any) = validate::connection_id("any")
        && let Err(Violations(rest)) = validate::validate(raw, any, now)
    {
        all.extend(rest);
    }
    Violations(all)
}

pub(super) fn raw(sent: pb::Connection) -> Raw {
    let given = |text: String| (!text.is_empty()).then(|| Secret::new(text));
    Raw {
        name: sent.name,
        host: sent.host,
        port: sent.port,
        use_https: sent.use_https,
        insecure_skip_verify: sent.insecure_skip_verify,
        fingerprint: sent.fingerprint,
        ca_pem: sent.ca_pem,
        username: sent.username,
        api_key: given(sent.api_key),
        password: given(sent.password),
        enabled: sent.enabled,
        poll_interval_seconds: sent.poll_interval_seconds,
        labels: sent.labels.into_iter().collect(),
        disabled_sections: sent.disabled_sections,
    }
}

/// What would be stored.
pub(super) fn draft(settings: &Settings, own_id: bool) -> pb::Connection {
    let mut shown = bare(settings);
    if !own_id {
        shown.id.clear();
    }
    shown
}

/// A stored connection and how it does.
pub(super) fn connection(settings: &Settings, health: Option<&Health>, switched_on: bool) -> pb::Connection {
    // Between a change of the switch and its task's next word, that word is of before.
    let is_of_now = |known: &&Health| (known.state == ConnectionState::Disabled) != settings.enabled;
    pb::Connection {
        etag: settings.etag(),
        created_at: Some(timestamp_to_wire(settings.created_at)),
        updated_at: Some(timestamp_to_wire(settings.updated_at)),
        status: Some(match health.filter(is_of_now) {
            Some(known) if switched_on => status(known, &settings.credential),
            _ => status(&unwatched(settings, switched_on), &settings.credential),
        }),
        ..bare(settings)
    }
}

fn bare(settings: &Settings) -> pb::Connection {
    let (api_key, password) = match settings.credential {
        Credential::ApiKey { .. } => (MASK, ""),
        Credential::Password { .. } => ("", MASK),
    };
    pb::Connection {
        id: settings.id.as_str().to_owned(),
        name: settings.name.clone(),
        host: settings.host.clone(),
        port: u32::from(settings.port),
        use_https: Some(settings.tls.is_on()),
        insecure_skip_verify: settings.tls == Tls::Insecure,
        fingerprint: match &settings.tls {
            Tls::Pinned(fingerprint) => fingerprint.to_string(),
            _ => String::new(),
        },
        ca_pem: match &settings.tls {
            Tls::Ca(pem) => pem.clone(),
            _ => String::new(),
        },
        username: settings.credential.username().unwrap_or_default().to_owned(),
        api_key: api_key.to_owned(),
        password: password.to_owned(),
        enabled: Some(settings.enabled),
        poll_interval_seconds: seconds(settings.poll_interval),
        labels: settings.labels.clone().into_iter().collect(),
        disabled_sections: settings.disabled_sections.iter().map(ToString::to_string).collect(),
        etag: String::new(),
        created_at: None,
        updated_at: None,
        status: None,
    }
}

/// What is true of a connection that no task has reported on.
fn unwatched(settings: &Settings, switched_on: bool) -> Health {
    let (state, reason, remedy) = match (switched_on, settings.enabled) {
        (false, _) => (
            ConnectionState::Disabled,
            "TrueNAS is switched off",
            "set PULSE_ENABLE_TRUENAS to true and restart the collector",
        ),
        (true, false) => (ConnectionState::Disabled, "switched off by the operator", "enable the connection"),
        (true, true) => (ConnectionState::Connecting, "not tried yet", ""),
    };
    let mut health = Health::new(state, settings.updated_at);
    reason.clone_into(&mut health.reason);
    remedy.clone_into(&mut health.remedy);
    health.transport.tls = settings.tls.is_on();
    health.transport.insecure = settings.tls == Tls::Insecure;
    health.poll.interval = settings.poll_interval;
    health
}

/// Whoever wrote the texts has redacted them; here it is made sure.
fn status(health: &Health, credential: &Credential) -> pb::ConnectionHealth {
    let Health { state, reason, remedy, since, next_attempt_at, transport, poll, observed, sections, cost } =
        health;
    let clean = |text: &str| if text.is_empty() { String::new() } else { credential.redact(text) };
    pb::ConnectionHealth {
        state: state.to_wire(),
        reason: clean(reason),
        remedy: clean(remedy),
        since: Some(timestamp_to_wire(*since)),
        next_attempt_at: next_attempt_at.map(timestamp_to_wire),
        transport: Some(transport_status(transport, clean)),
        poll: Some(poll_status(poll)),
        observed: Some(observed_inventory(observed)),
        cost: Some(cost_status(cost)),
        sections: sections
            .iter()
            .map(|report| SectionReport { error: clean(&report.error), ..SectionReport::from(report) })
            .collect(),
    }
}

fn transport_status(transport: &TransportHealth, clean: impl Fn(&str) -> String) -> pb::TransportStatus {
    pb::TransportStatus {
        mode: transport.mode.to_owned(),
        endpoint: transport.endpoint.clone(),
        tls: transport.tls,
        connected: transport.connected,
        auth_mechanism: transport.auth_mechanism.to_owned(),
        appliance_version: transport.appliance_version.clone(),
        api_version: transport.api_version.clone(),
        reconnects: transport.reconnects,
        last_error: clean(&transport.last_error),
        last_connected_at: transport.last_connected_at.map(timestamp_to_wire),
        observed_fingerprint: transport.observed_fingerprint.map(|seen| seen.to_string()).unwrap_or_default(),
        insecure: transport.insecure,
    }
}

fn poll_status(poll: &PollHealth) -> pb::PollStatus {
    pb::PollStatus {
        interval_seconds: seconds(poll.interval),
        last_attempt_at: poll.last_attempt_at.map(timestamp_to_wire),
        last_success_at: poll.last_success_at.map(timestamp_to_wire),
        consecutive_failures: poll.consecutive_failures,
    }
}

fn cost_status(cost: &Cost) -> pb::CostStatus {
    pb::CostStatus {
        calls_per_minute: cost.calls,
        received_bytes_per_minute: cost.bytes,
        busy_per_minute: prost_types::Duration::try_from(cost.busy).ok(),
    }
}

fn observed_inventory(observed: &Observed) -> pb::ObservedInventory {
    pb::ObservedInventory {
        hostname: observed.hostname.clone(),
        resource_id: observed.resource_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        pools: observed.pools,
        datasets: observed.datasets,
        disks: observed.disks,
        alerts: observed.alerts,
    }
}

fn seconds(interval: std::time::Duration) -> u32 {
    u32::try_from(interval.as_secs()).unwrap_or(u32::MAX)
}
