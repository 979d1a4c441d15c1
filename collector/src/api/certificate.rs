//! Certificates and when they end, as `certificate.query` words them. Keys are never asked for.

use pulse_proto::model::{Certificate, UnixMillis};
use serde_json::{Value, json};

use super::item::{Row, words};
use super::json::{Fields, rows, text, time, word};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "certificates",
    role: "CERTIFICATE_READ",
    cadence: 60,
    large: false,
    collections: &["certificate.query"],
    plan,
    assemble: |replies| Ok(Data::Certificates(replies.rows(Tag::Certificates, decode)?)),
};

impl Row for Certificate {
    fn key(&self) -> &str {
        &self.name
    }
}

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    let select = ["id", "name", "common", "until", "expired", "san", "issuer", "cert_type_CSR"];
    vec![required(Tag::Certificates, "certificate.query", "/certificate", json!([[], {"select": select}]))]
}

fn decode(reply: &[u8]) -> Result<Decoded<Certificate>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let issuer = fields.object("issuer").map(|issuer| issuer.line("name"));
        Ok(Certificate {
            name: fields.name("name").map(|name| text::line(&name)).ok_or("has no name")?,
            common_name: fields.line("common"),
            issuer: issuer.unwrap_or_else(|| fields.line("issuer")),
            alternative_names: words(fields, "san"),
            not_after: fields.get("until").and_then(until),
            expired: fields.bool("expired"),
        })
    })
}

/// A time, or the text of C's `asctime`, which is UTC here: `Wed Nov 18 10:00:00 2026`.
fn until(value: &Value) -> Option<UnixMillis> {
    time(value).or_else(|| asctime(&word(value)?))
}

fn asctime(text: &str) -> Option<UnixMillis> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_whitespace().skip(1);
    let month = 1 + MONTHS.iter().position(|month| words.clone().next() == Some(*month))?;
    let day: u32 = words.nth(1)?.parse().ok()?;
    let clock = words.next()?;
    let year: u32 = words.next()?.parse().ok()?;
    time(&Value::String(format!("{year:04}-{month:02}-{day:02}T{clock}Z")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_in_both_forms() {
        let at =
            |reply: &str| decode(reply.as_bytes()).expect("a list").rows[0].not_after.map(UnixMillis::get);
        assert_eq!(at(r#"[{"name":"c","until":"Wed Nov 18 10:00:00 2026"}]"#), Some(1_794_996_000_000));
        assert_eq!(at(r#"[{"name":"c","until":{"$date":1794996000000}}]"#), Some(1_794_996_000_000));
        for odd in ["null", "\"\"", "\"soon\"", "\"Wed Foo 18 10:00:00 2026\""] {
            assert_eq!(at(&format!(r#"[{{"name":"c","until":{odd}}}]"#)), None, "{odd}");
        }
    }
}
