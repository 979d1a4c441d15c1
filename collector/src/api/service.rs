//! Services of the machine, as `service.query` words them.

use pulse_proto::model::Service;
use serde_json::json;

use super::item::Row;
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "services",
    role: "SERVICE_READ",
    cadence: 5,
    large: false,
    collections: &["service.query"],
    plan,
    assemble: |replies| Ok(Data::Services(replies.rows(Tag::Services, decode)?)),
};

impl Row for Service {
    fn key(&self) -> &str {
        &self.name
    }
}

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    vec![required(Tag::Services, "service.query", "/service", json!([[], {}]))]
}

fn decode(reply: &[u8]) -> Result<Decoded<Service>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let name = ["service", "name"].map(|key| fields.line(key)).into_iter().find(|name| !name.is_empty());
        Ok(Service {
            name: name.ok_or("has no name")?,
            enabled: fields.bool("enable").or_else(|| fields.bool("enabled")),
            state: fields.line("state").to_uppercase(),
        })
    })
}
