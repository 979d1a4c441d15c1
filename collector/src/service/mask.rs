//! Which fields an update changes, and the connection that comes of it. Guards the stored secret: it goes nowhere else.

use std::collections::BTreeSet;

use prost_types::FieldMask;
use pulse_proto::model::UnixMillis;
use pulse_proto::pb::collector::v1 as pb;
use tonic::Status;

use super::{error, wire};
use crate::connection::validate::{self, MASK, Raw, Violation, Violations};
use crate::connection::{Settings, address};
use crate::secret::Secret;

const PATHS_MAX: usize = 64;
const SHOWN_CHARS_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Name,
    Host,
    Port,
    UseHttps,
    InsecureSkipVerify,
    Fingerprint,
    CaPem,
    Username,
    ApiKey,
    Password,
    Enabled,
    PollIntervalSeconds,
    Labels,
    DisabledSections,
}

pub(super) const ALL: [Field; 14] = [
    Field::Name,
    Field::Host,
    Field::Port,
    Field::UseHttps,
    Field::InsecureSkipVerify,
    Field::Fingerprint,
    Field::CaPem,
    Field::Username,
    Field::ApiKey,
    Field::Password,
    Field::Enabled,
    Field::PollIntervalSeconds,
    Field::Labels,
    Field::DisabledSections,
];

/// May be named, since clients send back what they read; they change nothing.
const SERVERS_OWN: [&str; 5] = ["id", "etag", "created_at", "updated_at", "status"];

impl Field {
    const fn path(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Host => "host",
            Self::Port => "port",
            Self::UseHttps => "use_https",
            Self::InsecureSkipVerify => "insecure_skip_verify",
            Self::Fingerprint => "fingerprint",
            Self::CaPem => "ca_pem",
            Self::Username => "username",
            Self::ApiKey => "api_key",
            Self::Password => "password",
            Self::Enabled => "enabled",
            Self::PollIntervalSeconds => "poll_interval_seconds",
            Self::Labels => "labels",
            Self::DisabledSections => "disabled_sections",
        }
    }

    fn is_present(self, sent: &pb::Connection) -> bool {
        match self {
            Self::Name => !sent.name.is_empty(),
            Self::Host => !sent.host.is_empty(),
            Self::Port => sent.port != 0,
            Self::UseHttps => sent.use_https.is_some(),
            Self::InsecureSkipVerify => sent.insecure_skip_verify,
            Self::Fingerprint => !sent.fingerprint.is_empty(),
            Self::CaPem => !sent.ca_pem.is_empty(),
            Self::Username => !sent.username.is_empty(),
            Self::ApiKey => !sent.api_key.is_empty(),
            Self::Password => !sent.password.is_empty(),
            Self::Enabled => sent.enabled.is_some(),
            Self::PollIntervalSeconds => sent.poll_interval_seconds != 0,
            Self::Labels => !sent.labels.is_empty(),
            Self::DisabledSections => !sent.disabled_sections.is_empty(),
        }
    }
}

/// Those named; those present when none is named; all for `*`.
pub(super) fn fields(mask: Option<&FieldMask>, sent: &pb::Connection) -> Result<BTreeSet<Field>, Status> {
    let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
    if paths.is_empty() {
        return Ok(ALL.into_iter().filter(|field| field.is_present(sent)).collect());
    }
    if paths.len() > PATHS_MAX {
        return Err(error::invalid_field("update_mask", format!("must have at most {PATHS_MAX} paths")));
    }
    if paths == ["*"] {
        return Ok(ALL.into());
    }
    let mut named = BTreeSet::new();
    for path in paths {
        match ALL.into_iter().find(|field| field.path() == path) {
            Some(field) => {
                named.insert(field);
            }
            None if SERVERS_OWN.contains(&path.as_str()) => {}
            None => {
                let shown: String = path.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
                return Err(error::invalid_field("update_mask", format!("there is no field {shown:?}")));
            }
        }
    }
    Ok(named)
}

/// No secret of its own, so that one would have to be taken from what is stored.
pub(super) fn leans_on_stored(sent: &pb::Connection) -> bool {
    let given = |text: &str| !text.is_empty() && text != MASK;
    !given(&sent.api_key) && !given(&sent.password)
}

/// The stored connection with these fields as sent.
pub(super) fn updated(
    old: &Settings,
    sent: pb::Connection,
    fields: &BTreeSet<Field>,
    now: UnixMillis,
) -> Result<Settings, Status> {
    let mut raw = Raw::of(old);
    let sent = wire::raw(sent);
    merge(&mut raw, old, &sent, fields);
    let fresh = secrets(&mut raw, sent, fields).map_err(|wrong| error::invalid(&wrong))?;
    let mut settings = validate::validate(raw, old.id.clone(), now)
        .and_then(wire::known_sections)
        .map_err(|wrong| error::invalid(&wrong))?;
    settings.scram_seen = old.scram_seen && settings.same_address(old);
    if !fresh && !settings.same_destination(old) {
        return Err(error::secret_required(old.id.as_str()));
    }
    Ok(settings)
}

/// All but the secrets.
fn merge(raw: &mut Raw, old: &Settings, sent: &Raw, fields: &BTreeSet<Field>) {
    for field in fields {
        match field {
            Field::Name => raw.name.clone_from(&sent.name),
            Field::Host => raw.host.clone_from(&sent.host),
            Field::Port => raw.port = sent.port,
            Field::UseHttps => raw.use_https = sent.use_https,
            Field::InsecureSkipVerify => raw.insecure_skip_verify = sent.insecure_skip_verify,
            Field::Fingerprint => raw.fingerprint.clone_from(&sent.fingerprint),
            Field::CaPem => raw.ca_pem.clone_from(&sent.ca_pem),
            Field::Username => raw.username.clone_from(&sent.username),
            Field::Enabled => raw.enabled = sent.enabled,
            Field::PollIntervalSeconds => raw.poll_interval_seconds = sent.poll_interval_seconds,
            Field::Labels => raw.labels.clone_from(&sent.labels),
            Field::DisabledSections => raw.disabled_sections.clone_from(&sent.disabled_sections),
            Field::ApiKey | Field::Password => {}
        }
    }
    // A host that brings its own port or scheme, or a new scheme, is not held to what went with the old one.
    let written = fields.contains(&Field::Host).then(|| address::parse(&raw.host).ok()).flatten();
    let (new_port, new_scheme) =
        written.map_or((false, false), |address| (address.port.is_some(), address.https.is_some()));
    if new_scheme && !fields.contains(&Field::UseHttps) {
        raw.use_https = None;
    }
    let usual = old.port == old.tls.default_port();
    if !fields.contains(&Field::Port) && (new_port || usual) {
        raw.port = 0;
    }
}

/// Says whether the secret is a new one. One of the other kind goes when a new one comes.
fn secrets(raw: &mut Raw, sent: Raw, fields: &BTreeSet<Field>) -> Result<bool, Violations> {
    let api_key = Given::of(sent.api_key.filter(|_| fields.contains(&Field::ApiKey)));
    let password = Given::of(sent.password.filter(|_| fields.contains(&Field::Password)));
    let missing = |field: &str| {
        Violations(vec![Violation::new(field, "is masked, but none is stored: give it in full")])
    };
    match (api_key, password) {
        (Given::New(key), Given::New(password)) => {
            raw.api_key = Some(key);
            raw.password = Some(password);
            Ok(true)
        }
        (Given::New(key), _) => {
            raw.api_key = Some(key);
            raw.password = None;
            Ok(true)
        }
        (_, Given::New(password)) => {
            raw.api_key = None;
            raw.password = Some(password);
            Ok(true)
        }
        (Given::Mask, _) if raw.api_key.is_none() => Err(missing("api_key")),
        (_, Given::Mask) if raw.password.is_none() => Err(missing("password")),
        _ => Ok(false),
    }
}

enum Given {
    Absent,
    Mask,
    New(Secret),
}

impl Given {
    fn of(secret: Option<Secret>) -> Self {
        match secret {
            None => Self::Absent,
            Some(secret) if secret.expose() == MASK => Self::Mask,
            Some(secret) => Self::New(secret),
        }
    }
}
