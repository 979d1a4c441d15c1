//! The appliance itself. Its clock is not kept; how busy it is, is kept apart.

use pulse_proto::model::UnixMillis;
use serde_json::json;

use super::item::words;
use super::json::{Fields, float, rows, text, word};
use super::plan::{Ask, Planned, Tag, optional, required};
use super::section::{Data, ExtrasRead, Replies, SectionFailure, Spec};
use super::{DecodeError, Line};

pub const SPEC: Spec = Spec {
    token: "system",
    role: "READONLY_ADMIN",
    cadence: 5,
    large: false,
    collections: &[
        "system.reboot",
        "system.shutdown",
        "system.ready",
        "system.reboot.info",
        "failover.status",
        "failover.disabled.reasons",
    ],
    plan,
    assemble,
};

fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    let line = ask.dialect.line;
    let mut plan = vec![
        required(Tag::SystemInfo, "system.info", "/system/info", json!([])),
        optional(Tag::ProductType, "system.product_type", "/system/product_type"),
        optional(Tag::HostId, "system.host_id", "/system/host_id"),
        optional(Tag::SystemState, "system.state", "/system/state"),
        optional(Tag::FailoverStatus, "failover.status", "/failover/status"),
        optional(Tag::FailoverLicensed, "failover.licensed", "/failover/licensed"),
    ];
    if line > Line::Core {
        plan.push(optional(Tag::GlobalId, "system.global.id", "/system/global/id"));
        plan.push(optional(Tag::FailoverNode, "failover.node", "/failover/node"));
        plan.push(optional(Tag::FailoverReasons, "failover.disabled.reasons", "/failover/disabled/reasons"));
    }
    if line >= Line::V25_04 {
        plan.push(optional(Tag::RebootInfo, "system.reboot.info", "/system/reboot/info"));
    }
    plan
}

fn assemble(replies: &mut Replies<'_>) -> Result<Data, SectionFailure> {
    Ok(Data::System {
        info: Box::new(decode_info(replies.required(Tag::SystemInfo)?)?),
        extras: Box::new(ExtrasRead {
            product_type: replies.optional(Tag::ProductType, decode_word),
            host_id: replies.optional(Tag::HostId, decode_word),
            global_id: replies.optional(Tag::GlobalId, decode_word),
            state: replies.optional(Tag::SystemState, decode_word),
            failover_status: replies.optional(Tag::FailoverStatus, decode_word),
            failover_node: replies.optional(Tag::FailoverNode, decode_word),
            failover_licensed: replies.optional(Tag::FailoverLicensed, decode_flag).map(Some),
            failover_disabled_reasons: replies.optional(Tag::FailoverReasons, decode_words),
            reboot_required_reasons: replies.optional(Tag::RebootInfo, decode_reboot_reasons),
        }),
    })
}

/// Most reboot reasons kept.
const REASONS_MAX: usize = 32;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct System {
    pub hostname: String,
    pub version: String,
    pub cpu_model: String,
    pub cores: Option<u32>,
    pub physical_cores: Option<u32>,
    pub physmem: Option<u64>,
    pub ecc_memory: Option<bool>,
    pub boot_time: Option<UnixMillis>,
    pub timezone: String,
    pub manufacturer: String,
    pub product: String,
    pub serial: String,
    pub load: Load,
    pub extras: Extras,
}

/// How busy it was when it was looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// Over 1, 5 and 15 minutes.
    pub averages: [Option<f64>; 3],
    pub uptime_seconds: Option<u64>,
}

/// What other calls add to `system.info`; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    pub product_type: String,
    pub host_id: String,
    pub global_id: String,
    pub state: String,
    pub failover_status: String,
    pub failover_node: String,
    pub failover_licensed: Option<bool>,
    pub failover_disabled_reasons: Vec<String>,
    pub reboot_required_reasons: Vec<String>,
}

/// `system.info`, without extras.
pub fn decode_info(reply: &[u8]) -> Result<System, DecodeError> {
    let value = rows::object(reply)?;
    let fields = Fields::of(&value);
    if !fields.has("hostname") && !fields.has("version") {
        return Err(DecodeError::Lacks("hostname and version"));
    }
    Ok(System {
        hostname: fields.line("hostname"),
        version: fields.line("version"),
        cpu_model: fields.line("model"),
        cores: fields.u32("cores"),
        physical_cores: fields.u32("physical_cores"),
        physmem: fields.nonzero("physmem"),
        ecc_memory: fields.bool("ecc_memory"),
        boot_time: fields.time("boottime"),
        timezone: fields.line("timezone"),
        manufacturer: fields.line("system_manufacturer"),
        product: fields.line("system_product"),
        serial: fields.line("system_serial"),
        load: load(fields),
        extras: Extras::default(),
    })
}

fn load(fields: Fields<'_>) -> Load {
    let averages = fields.list("loadavg");
    let hundredths = |load: f64| (load * 100.0).round() / 100.0;
    let at = |i: usize| averages.get(i).and_then(float).filter(|load| *load >= 0.0).map(hundredths);
    Load { averages: [0, 1, 2].map(at), uptime_seconds: fields.u64("uptime_seconds") }
}

/// A reply that is true or false.
fn decode_flag(reply: &[u8]) -> Result<bool, DecodeError> {
    let value = rows::one(reply)?;
    super::json::boolean(&value)
        .ok_or_else(|| DecodeError::Shape { expected: "true or false", found: super::json::kind(&value) })
}

/// A reply that is a list of words.
fn decode_words(reply: &[u8]) -> Result<Vec<String>, DecodeError> {
    let value = rows::one(reply)?;
    if !value.is_array() {
        return Err(DecodeError::Shape { expected: "a list", found: super::json::kind(&value) });
    }
    Ok(words(Fields::of(&json!({ "list": value })), "list"))
}

/// A reply that is one word, e.g. of `system.product_type`.
pub fn decode_word(reply: &[u8]) -> Result<String, DecodeError> {
    let value = rows::one(reply)?;
    match word(&value) {
        Some(word) if !value.is_object() => Ok(text::line(&word)),
        _ => Err(DecodeError::Shape { expected: "a word", found: super::json::kind(&value) }),
    }
}

/// The reasons of `system.reboot.info`.
pub fn decode_reboot_reasons(reply: &[u8]) -> Result<Vec<String>, DecodeError> {
    let value = rows::object(reply)?;
    let reasons = Fields::of(&value).list("reboot_required_reasons");
    Ok(reasons
        .iter()
        .take(REASONS_MAX)
        .map(|reason| {
            let fields = Fields::of(reason);
            let told = fields.line("reason");
            if told.is_empty() { fields.line("code") } else { told }
        })
        .filter(|reason| !reason.is_empty())
        .collect())
}
