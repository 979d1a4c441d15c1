//! Whether newer software is offered. The appliance asks the Internet for it, so it is asked rarely.

use pulse_proto::model::SoftwareUpdate;
use serde_json::{Value, json};

use super::item::percent;
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Line};

pub const SPEC: Spec = Spec {
    token: "update",
    role: "SYSTEM_UPDATE_READ",
    cadence: 360,
    large: true,
    // Its progress is told while somebody downloads; that is no reason to ask the Internet again.
    collections: &[],
    plan,
    assemble: |replies| Ok(Data::Update(decode(replies.required(Tag::Update)?)?)),
};

fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    match ask.dialect.line {
        Line::Core | Line::V24_04 | Line::V24_10 | Line::V25_04 => {
            let check = required(Tag::Update, "update.check_available", "", json!([]));
            vec![check.posted("/update/check_available", json!({}))]
        }
        _ => vec![required(Tag::Update, "update.status", "/update/status", json!([]))],
    }
}

fn decode(reply: &[u8]) -> Result<SoftwareUpdate, DecodeError> {
    let value = rows::object(reply)?;
    let fields = Fields::of(&value);
    if fields.has("code") { Ok(status(fields)) } else { Ok(check(fields)) }
}

/// `update.status`, from 25.10 on.
fn status(fields: Fields<'_>) -> SoftwareUpdate {
    let code = fields.line("code");
    let status = fields.object("status");
    let current = status.and_then(|status| status.object("current_version"));
    let offered = status.and_then(|status| status.object("new_version")).map(|new| new.line("version"));
    let error = fields.object("error").map(|error| error.line("reason"));
    SoftwareUpdate {
        available: (code == "NORMAL").then_some(offered.is_some()),
        version: offered.unwrap_or_default(),
        train: current.map(|current| current.line("train")).unwrap_or_default(),
        download_percent: percent(fields.object("update_download_progress").and_then(|p| p.f64("percent"))),
        error: error.unwrap_or_default(),
        state: code,
    }
}

/// `update.check_available`, until 25.04.
fn check(fields: Fields<'_>) -> SoftwareUpdate {
    let state = fields.line("status");
    SoftwareUpdate {
        available: match state.as_str() {
            "AVAILABLE" | "REBOOT_REQUIRED" => Some(true),
            "UNAVAILABLE" => Some(false),
            _ => None,
        },
        version: fields
            .get("version")
            .filter(|version| !matches!(version, Value::Object(_)))
            .map(|_| fields.line("version"))
            .unwrap_or_default(),
        state,
        ..SoftwareUpdate::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_of_both_generations() {
        for (reply, available, version) in [
            (r#"{"status":"AVAILABLE","version":"25.04.2"}"#, Some(true), "25.04.2"),
            (r#"{"status":"UNAVAILABLE"}"#, Some(false), ""),
            (r#"{"status":"HA_UNAVAILABLE"}"#, None, ""),
            (r#"{"code":"NORMAL","status":{"new_version":null}}"#, Some(false), ""),
            (r#"{"code":"NORMAL","status":{"new_version":{"version":"25.10.6"}}}"#, Some(true), "25.10.6"),
            (r#"{"code":"ERROR","status":null,"error":{"errname":"E","reason":"no network"}}"#, None, ""),
        ] {
            let update = decode(reply.as_bytes()).expect("an object");
            assert_eq!((update.available, update.version.as_str()), (available, version), "{reply}");
        }
    }
}
