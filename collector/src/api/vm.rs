//! Virtual machines, as `vm.query` words them.

use pulse_proto::model::Vm;
use serde_json::json;

use super::item::{Item, id};
use super::json::{Fields, rows, text};
use super::plan::{Ask, Planned, Tag, required};
use super::section::{Data, Spec};
use super::{DecodeError, Decoded};

pub const SPEC: Spec = Spec {
    token: "vms",
    role: "VM_READ",
    cadence: 2,
    large: false,
    collections: &["vm.query"],
    plan,
    assemble: |replies| Ok(Data::Vms(replies.rows(Tag::Vms, decode)?)),
};

const MIB: u64 = 1 << 20;
/// Nobody gives a machine less than that in bytes, nor as many in MiB.
const FIRST_BYTE_COUNT: u64 = 1 << 24;

fn plan(_: &Ask<'_>) -> Vec<Planned> {
    // Whole rows: display devices carry a password, but select cannot leave out a field within a list.
    vec![required(Tag::Vms, "vm.query", "/vm", json!([[], {}]))]
}

fn decode(reply: &[u8]) -> Result<Decoded<Item<Vm>>, DecodeError> {
    rows::list(reply, |row| {
        let fields = Fields::require(row)?;
        let id = id(fields)?;
        let name = fields.name("name").unwrap_or_else(|| id.clone());
        let status = fields.object("status");
        let told = |key: &str| status.map(|status| status.line(key)).unwrap_or_default();
        let state = if status.is_some() { told("state") } else { fields.line("status") };
        let devices = fields.list("devices");
        let known = fields.has("devices");
        let count = |kinds: &[&str]| {
            let is = |device| kinds.contains(&dtype(Fields::of(device)).as_str());
            u32::try_from(devices.iter().filter(|device| is(device)).count()).ok().filter(|_| known)
        };
        let facet = Vm {
            id: text::line(&id),
            uuid: fields.line("uuid"),
            description: fields.line("description"),
            state: state.to_uppercase(),
            domain_state: told("domain_state"),
            vcpus: fields.u32("vcpus"),
            cores: fields.u32("cores"),
            threads: fields.u32("threads"),
            memory_bytes: fields.nonzero("memory").map(bytes),
            min_memory_bytes: fields.nonzero("min_memory").map(bytes),
            autostart: fields.bool("autostart"),
            cpu_mode: fields.line("cpu_mode"),
            cpu_model: fields.line("cpu_model"),
            bootloader: fields.line("bootloader"),
            disk_count: count(&["DISK", "RAW"]),
            nic_count: count(&["NIC"]),
            display_count: count(&["DISPLAY"]),
            cdrom_count: count(&["CDROM"]),
            usb_count: count(&["USB"]),
            pci_count: count(&["PCI"]),
            image: String::new(),
            dataset: String::new(),
            addresses: Vec::new(),
        };
        Ok(Item { id, name, facet })
    })
}

/// Inside the attributes from 25.04 on, beside them before.
fn dtype(device: Fields<'_>) -> String {
    let inner = device.object("attributes").map(|attributes| attributes.line("dtype"));
    inner.filter(|word| !word.is_empty()).unwrap_or_else(|| device.line("dtype")).to_uppercase()
}

/// The API counts MiB; some releases gave bytes.
fn bytes(told: u64) -> u64 {
    if told < FIRST_BYTE_COUNT { told.saturating_mul(MIB) } else { told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_devices_and_states_of_all_lines() {
        let reply = br#"[{"id":7,"name":"a","memory":8192,"status":{"state":"running","domain_state":"RUNNING","pid":1},
            "devices":[{"dtype":"DISK"},{"attributes":{"dtype":"NIC"}},{"attributes":{"dtype":"RAW"}},{}]},
            {"id":8,"name":"b","memory":4294967296,"status":"STOPPED"}]"#;
        let rows = decode(reply).expect("a list").rows;
        let facts =
            |i: usize| (rows[i].id.as_str(), rows[i].facet.state.as_str(), rows[i].facet.memory_bytes);
        assert_eq!(facts(0), ("7", "RUNNING", Some(8 << 30)));
        assert_eq!(facts(1), ("8", "STOPPED", Some(4 << 30)));
        assert_eq!((rows[0].facet.disk_count, rows[0].facet.nic_count), (Some(2), Some(1)));
        assert_eq!(rows[1].facet.disk_count, None, "not told is not none");
    }
}
