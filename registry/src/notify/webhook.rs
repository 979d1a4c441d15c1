//! Alerts for a webhook: one POST for each piece of news, signed as Standard Webhooks (standardwebhooks.com) says. Pure.
//!
//! The signature is HMAC-SHA256 over `id.timestamp.body`. The id stays the same over retries; timestamp and signature
//! are made anew for each attempt, so that a receiver may refuse what is older than its replay window.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pulse_proto::model::UnixMillis;
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::alertmanager::shown;
use super::event::Phase;
use super::lane::Item;
use super::settings::Secret;
use crate::alert::{Case, Origin};

pub const ID_HEADER: &str = "webhook-id";
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// What an id begins with.
const ID_PREFIX: &str = "msg_";
/// What a secret in its usual form begins with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";

/// The three headers of one attempt. One signature for each secret, so that a receiver can change over.
pub fn headers(id: &str, now: UnixMillis, body: &[u8], secrets: &[Secret]) -> [(&'static str, String); 3] {
    let timestamp = (now.get() / 1_000).to_string();
    let signed: Vec<String> = secrets.iter().map(|secret| signature(secret, id, &timestamp, body)).collect();
    [(ID_HEADER, id.to_owned()), (TIMESTAMP_HEADER, timestamp), (SIGNATURE_HEADER, signed.join(" "))]
}

fn signature(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> String {
    // A key of any length is good.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key(secret.expose())) else { return String::new() };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The bytes behind `whsec_`, or the text itself.
fn key(secret: &str) -> Vec<u8> {
    let decoded = secret.strip_prefix(SECRET_PREFIX).and_then(|text| STANDARD.decode(text).ok());
    decoded.unwrap_or_else(|| secret.as_bytes().to_vec())
}

/// Stable over retries and restarts: what a receiver recognises repetitions by.
pub fn id(item: &Item) -> String {
    format!("{ID_PREFIX}{}", item.event.key)
}

/// `link` makes the address of a case for people.
pub fn body(receiver: &str, item: &Item, link: &dyn Fn(&Case) -> Option<String>) -> Vec<u8> {
    let kind = match item.event.phase {
        Phase::Firing(_) => "alert.firing",
        Phase::Resolved => "alert.resolved",
    };
    let data = json!({ "receiver": receiver, "alert": alert(&item.case, link) });
    envelope(kind, item.event.at, &data)
}

pub fn test_body(receiver: &str, now: UnixMillis) -> Vec<u8> {
    envelope("test", now, &json!({ "receiver": receiver }))
}

fn envelope(kind: &str, at: UnixMillis, data: &Value) -> Vec<u8> {
    json!({ "type": kind, "timestamp": shown(at), "data": data }).to_string().into_bytes()
}

fn alert(case: &Case, link: &dyn Fn(&Case) -> Option<String>) -> Value {
    let subject = &case.subject;
    let mut alert = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() && value != "" {
            alert.insert(key.to_owned(), value);
        }
    };
    put("id", json!(case.id.to_string()));
    put("state", json!(case.state.token()));
    put("severity", json!(case.severity.token()));
    put("summary", json!(case.summary));
    put("remedy", json!(&*case.remedy));
    match &case.origin {
        Origin::Rule(rule) => put("rule_id", json!(rule.as_str())),
        Origin::Native(klass) => put("native_klass", json!(&**klass)),
    }
    put("native_level", json!(case.native.as_ref().map(|native| native.level.token())));
    put("native_ids", json!(case.native.as_ref().map(|native| &native.ids)));
    put(
        "resource",
        json!({
            "id": &*subject.id.text(),
            "name": &*subject.name,
            "type": subject.resource_type.token(),
            "technology": &*subject.technology,
            "pool": &*subject.pool,
            "connection": subject.connection.as_str(),
            "connection_name": &*subject.connection_name,
            "labels": &*subject.labels,
        }),
    );
    put("evidence", json!(case.evidence));
    put("first_seen_at", json!(shown(case.first_seen_at)));
    put("fired_at", json!(case.fired_at.map(shown)));
    put("resolved_at", json!(case.resolved_at.map(shown)));
    put("acknowledged_by", json!(case.acknowledged.as_ref().map(|ack| &ack.who)));
    put("flapping", json!(case.is_flapping()));
    put("url", json!(link(case)));
    Value::Object(alert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The example of the reference libraries of Standard Webhooks.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = br#"{"test": 2432232314}"#;
        let at = UnixMillis::new(1_614_265_330_000);
        let [_, (_, timestamp), (_, signed)] =
            headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body, std::slice::from_ref(&secret));
        assert_eq!(timestamp, "1614265330");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = headers("a", at, body, &[secret, Secret::new("plain")]);
        assert_eq!(both[2].1.split(' ').count(), 2);
    }
}
