//! Network interfaces, as `interface.query` words them.

use pulse_proto::model::NetworkInterface;
use serde_json::json;

use super::instance::with_prefix;
use super::item::{ENTRIES_MAX, Row, words};
use super::json::{Fields, rows};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "interfaces",
    role: "NETWORK_INTERFACE_READ",
    cadence: 10,
    large: false,
    collections: &["interface.query"],
    plan,
    assemble: |replies| Ok(Data::Interfaces(replies.rows(Tag::Interfaces, decode)?)),
};

impl Row for NetworkInterface {
    fn key(&self) -> &str {
        &self.name
    }
}

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    vec![required(Tag::Interfaces, "interface.query", "/interface", json!([[], {}]))]
}

fn decode(reply: &[u8]) -> Result<Decoded<NetworkInterface>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let state = fields.object("state");
        let told = |key: &str| state.map(|state| state.line(key)).unwrap_or_default();
        // What is in use, else what is configured.
        let live = state.map(|state| state.list("aliases")).unwrap_or_default();
        let aliases = if live.is_empty() { fields.list("aliases") } else { live };
        let mut addresses: Vec<String> = aliases
            .iter()
            .map(Fields::of)
            .filter(|alias| alias.line("type") != "LINK")
            .map(|alias| with_prefix(alias.line("address"), alias.u32("netmask")))
            .filter(|address| !address.is_empty())
            .take(ENTRIES_MAX)
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let members = ["bridge_members", "lag_ports"].into_iter().flat_map(|key| words(fields, key));
        Ok(NetworkInterface {
            name: fields
                .name("name")
                .or_else(|| fields.name("id"))
                .map(|name| super::json::text::line(&name))
                .ok_or("has no name")?,
            kind: fields.line("type"),
            link_state: told("link_state"),
            media: told("active_media_subtype"),
            mac_address: told("link_address"),
            addresses,
            mtu: state.and_then(|state| state.u32("mtu")).or_else(|| fields.u32("mtu")),
            description: fields.line("description"),
            members: members.take(ENTRIES_MAX).collect(),
        })
    })
}
