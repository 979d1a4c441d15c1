//! Native alerts, as `alert.list` words them.

use pulse_proto::model::{AlertLevel, UnixMillis};
use serde_json::{Value, json};

use super::dialect::Transport;
use super::item::Row;
use super::json::{Fields, rows, text, word};
use super::plan::{Call, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};
use crate::connection::order::Action;

pub const SPEC: Spec = Spec {
    token: "alerts",
    role: "ALERT_LIST_READ",
    cadence: 1,
    large: false,
    collections: &["alert.list"],
    plan: |_| vec![required(Tag::Alerts, "alert.list", "/alert/list", json!([]))],
    assemble: |replies| Ok(Data::Alerts(replies.rows(Tag::Alerts, decode_alerts)?)),
};

/// What marking takes; the read-only administrator does not have it.
pub const WRITE_ROLE: &str = "ALERT_LIST_WRITE";

/// The call that marks an alert as seen, or takes that back. Alike on every line.
pub fn mark(action: Action, uuid: &str, transport: Transport) -> Call {
    let (method, path) = match action {
        Action::Dismiss => ("alert.dismiss", "/alert/dismiss"),
        Action::Restore => ("alert.restore", "/alert/restore"),
    };
    match transport {
        Transport::JsonRpc | Transport::LegacyWebsocket => Call::Rpc { method, params: json!([uuid]) },
        Transport::LegacyRest => Call::RestPost { path, body: json!(uuid) },
    }
}

impl Row for Alert {
    fn key(&self) -> &str {
        &self.uuid
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    pub uuid: String,
    pub klass: String,
    pub source: String,
    pub level: AlertLevel,
    /// The level's own word when it is none of the seven; `level` is then WARNING.
    pub unknown_level: Option<String>,
    /// Any JSON.
    pub args: Value,
    pub node: String,
    /// Plain text, markup removed.
    pub text: String,
    pub dismissed: bool,
    pub one_shot: bool,
    /// When it was raised.
    pub datetime: Option<UnixMillis>,
}

pub fn decode_alerts(reply: &[u8]) -> Result<Decoded<Alert>, DecodeError> {
    rows::list(reply, decode_alert)
}

fn decode_alert(row: &Value) -> Result<Alert, String> {
    let fields = Fields::require(row)?;
    let klass = fields.line("klass");
    let uuid = ["uuid", "id", "key"]
        .into_iter()
        .map(|key| fields.line(key))
        .find(|id| !id.is_empty())
        .or_else(|| Some(klass.clone()).filter(|klass| !klass.is_empty()))
        .ok_or("has neither uuid nor klass")?;
    let told = ["formatted", "text", "message"]
        .into_iter()
        .filter_map(|key| fields.get(key).and_then(word))
        .map(|html| text::plain(&html))
        .find(|text| !text.is_empty());
    let level_told = fields.line("level");
    let level = AlertLevel::from_token(&level_told.to_ascii_lowercase());
    Ok(Alert {
        uuid,
        source: fields.line("source"),
        level: level.unwrap_or(AlertLevel::Warning),
        unknown_level: level.is_none().then_some(level_told),
        args: fields.get("args").cloned().unwrap_or(Value::Null),
        node: fields.line("node"),
        text: told.unwrap_or_else(|| klass.clone()),
        dismissed: fields.bool("dismissed").unwrap_or(false),
        one_shot: fields.bool("one_shot").unwrap_or(false),
        datetime: fields.time("datetime"),
        klass,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_and_any_args() {
        for (word, level, known) in [
            ("INFO", AlertLevel::Info, true),
            ("NOTICE", AlertLevel::Notice, true),
            ("WARNING", AlertLevel::Warning, true),
            ("ERROR", AlertLevel::Error, true),
            ("CRITICAL", AlertLevel::Critical, true),
            ("ALERT", AlertLevel::Alert, true),
            ("EMERGENCY", AlertLevel::Emergency, true),
            ("APOCALYPSE", AlertLevel::Warning, false),
            ("", AlertLevel::Warning, false),
        ] {
            for args in [json!(null), json!("tank"), json!(["a", 1]), json!({"volume": "tank"}), json!(3)] {
                let row = json!({"uuid": "u", "klass": "K", "level": word, "args": args, "formatted": null, "text": "a<br>b"});
                let alert = decode_alert(&row).expect("decodes");
                assert_eq!((alert.level, alert.unknown_level.is_none()), (level, known), "{word}");
                assert_eq!((&alert.args, alert.text.as_str()), (&args, "a\nb"));
            }
        }
    }

    #[test]
    fn an_alert_needs_an_id_of_some_sort() {
        let reply = br#"[{"level":"INFO"},{"klass":"K"},{"id":7,"klass":"K","formatted":"t"}]"#;
        let decoded = decode_alerts(reply).expect("a list");
        assert_eq!(decoded.skipped.len(), 1);
        let ids: Vec<_> = decoded.rows.iter().map(|a| (a.uuid.as_str(), a.text.as_str())).collect();
        assert_eq!(ids, [("K", "K"), ("7", "t")]);
    }
}
