//! System containers: `virt.instance.query` of 25.04 and 25.10, whose virtual machines are told too, and `container.query`
//! from 26.0 on.

use pulse_proto::model::Vm;
use serde_json::{Value, json};

use super::item::{ENTRIES_MAX, Item, id};
use super::json::{Fields, rows, text};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded, Line};

pub const SPEC: Spec = Spec {
    token: "instances",
    role: "VIRT_INSTANCE_READ or CONTAINER_READ",
    cadence: 2,
    large: false,
    collections: &["container.query", "virt.instance.query"],
    plan,
    assemble: |replies| Ok(Data::Instances(replies.rows(Tag::Instances, decode)?)),
};

fn plan(ask: &Ask<'_>) -> Vec<Planned> {
    let params = json!([[], {}]);
    match ask.dialect.line {
        Line::Core | Line::V24_04 | Line::V24_10 => Vec::new(),
        Line::V25_04 | Line::V25_10 => {
            vec![required(Tag::Instances, "virt.instance.query", "/virt/instance", params)]
        }
        Line::V26_0 | Line::V27_0 | Line::Newer => {
            vec![required(Tag::Instances, "container.query", "", params)]
        }
    }
}

/// What an instance of 25.x is when it is no container.
pub const VIRTUAL_MACHINE: &str = "VM";

fn decode(reply: &[u8]) -> Result<Decoded<Item<Instance>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let name = fields.name("name").unwrap_or_else(|| id.clone());
        let status = fields.object("status");
        let told = |key: &str| status.map(|status| status.line(key)).unwrap_or_default();
        let state = if status.is_some() { told("state") } else { fields.line("status") };
        let image = fields.object("image");
        let vm = Vm {
            id: text::line(&id),
            uuid: fields.line("uuid"),
            description: fields.line("description"),
            state: state.to_uppercase(),
            domain_state: told("domain_state"),
            vcpus: fields.u32("cpu").or_else(|| fields.u32("vcpus")),
            cores: fields.u32("cores"),
            threads: fields.u32("threads"),
            memory_bytes: fields.nonzero("memory"),
            autostart: fields.bool("autostart"),
            image: image.map(|image| image.line("description")).unwrap_or_default(),
            dataset: fields.line("dataset"),
            addresses: fields.list("aliases").iter().take(ENTRIES_MAX).map(address).collect(),
            ..Vm::default()
        };
        let is_vm = fields.line("type").eq_ignore_ascii_case(VIRTUAL_MACHINE);
        Ok(Item { id, name, facet: Instance { vm, is_vm } })
    })
}

#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    pub vm: Vm,
    /// A virtual machine that 25.x keeps among its instances.
    pub is_vm: bool,
}

fn address(alias: &Value) -> String {
    let fields = Fields::of(alias);
    text::line(&with_prefix(fields.line("address"), fields.u32("netmask")))
}

/// `192.0.2.1/24`; bare when the length is not told.
pub(super) fn with_prefix(address: String, length: Option<u32>) -> String {
    match length.filter(|_| !address.is_empty()) {
        Some(length) => text::line(&format!("{address}/{length}")),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_of_25_04_and_containers_of_26() {
        let reply = br#"[{"id":"web","name":"web","type":"CONTAINER","status":"FROZEN","cpu":"2","memory":1073741824,"autostart":true,
            "image":{"description":"Debian bookworm","os":"Debian"},"aliases":[{"type":"INET","address":"192.0.2.9","netmask":24}]},
            {"id":"win","type":"VM","status":"RUNNING","cpu":"0-3","memory":null},
            {"id":1,"name":"dns","dataset":"tank/c/dns","status":{"state":"RUNNING","pid":5,"domain_state":"RUNNING"}}]"#;
        let rows = decode(reply).expect("a list").rows;
        let facts = |i: usize| (rows[i].facet.vm.state.as_str(), rows[i].facet.is_vm, rows[i].facet.vm.vcpus);
        assert_eq!(facts(0), ("FROZEN", false, Some(2)));
        assert_eq!(facts(1), ("RUNNING", true, None));
        assert_eq!(facts(2), ("RUNNING", false, None));
        assert_eq!(
            (rows[0].facet.vm.addresses[0].as_str(), rows[2].facet.vm.dataset.as_str()),
            ("192.0.2.9/24", "tank/c/dns")
        );
    }
}
