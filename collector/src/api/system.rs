//! The appliance itself. What changes with every look (uptime, load, clock) is
//! not kept, so that an unchanged system reads equal.

use pulse_proto::model::UnixMillis;

use super::json::{Fields, rows, text, word};
use super::{DecodeError, json};

/// Most reboot reasons kept.
const REASONS_MAX: usize = 32;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub extras: Extras,
}

/// What other calls add to `system.info`; each may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    pub product_type: String,
    pub host_id: String,
    pub global_id: String,
    pub state: String,
    pub failover_status: String,
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
        extras: Extras::default(),
    })
}

/// A reply that is one word, e.g. of `system.product_type`.
pub fn decode_word(reply: &[u8]) -> Result<String, DecodeError> {
    let value = rows::one(reply)?;
    match word(&value) {
        Some(word) if !value.is_object() => Ok(text::line(&word)),
        _ => Err(DecodeError::Shape { expected: "a word", found: json::kind(&value) }),
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
