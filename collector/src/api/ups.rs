//! The power supply, as far as `ups.config` tells: it is configured, not how it is. Its state comes as native alerts.

use pulse_proto::model::Ups;
use serde_json::json;

use super::DecodeError;
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};

pub const SPEC: Spec = Spec {
    token: "ups",
    role: "SYSTEM_GENERAL_READ",
    cadence: 60,
    large: false,
    collections: &["ups.config"],
    plan,
    assemble: |replies| Ok(Data::Ups(decode(replies.required(Tag::Ups)?)?)),
};

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    vec![required(Tag::Ups, "ups.config", "/ups", json!([]))]
}

/// `None` without a driver or a remote host: there is always a configuration, also where there is no UPS.
fn decode(reply: &[u8]) -> Result<Option<Ups>, DecodeError> {
    // Some releases tell null where nothing was ever configured.
    if reply.trim_ascii() == b"null" {
        return Ok(None);
    }
    let value = rows::object(reply)?;
    let fields = Fields::of(&value);
    let ups = Ups {
        identifier: fields.line("identifier"),
        mode: fields.line("mode").to_uppercase(),
        driver: fields.line("driver"),
        description: fields.line("description"),
        ..Ups::default()
    };
    let remote = ups.mode == "SLAVE" && !fields.line("remotehost").is_empty();
    Ok((remote || !ups.driver.is_empty()).then_some(ups))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_without_a_ups_is_no_ups() {
        let read = |reply: &str| decode(reply.as_bytes()).expect("an object").map(|ups| ups.identifier);
        assert_eq!(read(r#"{"identifier":"ups","mode":"MASTER","driver":""}"#), None);
        assert_eq!(read(" null\n"), None);
        assert!(decode(b"7").is_err());
        assert_eq!(
            read(r#"{"identifier":"ups","mode":"MASTER","driver":"usbhid-ups$x"}"#).as_deref(),
            Some("ups")
        );
        assert_eq!(
            read(r#"{"identifier":"u","mode":"SLAVE","remotehost":"192.0.2.1"}"#).as_deref(),
            Some("u")
        );
    }
}
