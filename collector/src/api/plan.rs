//! Which calls bring a section, per dialect. Cheap ones only: nothing here can
//! wake a sleeping disk, leave for the Internet or list snapshots.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::dialect::{Dialect, Line, Transport};
use super::section::Section;

/// Which reply is which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tag {
    SystemInfo,
    ProductType,
    HostId,
    GlobalId,
    SystemState,
    RebootInfo,
    FailoverStatus,
    Pools,
    BootPool,
    Datasets,
    Replications,
    Disks,
    Alerts,
}

/// One call, as its transport wants it.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// `params` is the parameter array, over either websocket.
    Rpc { method: &'static str, params: Value },
    /// `path` is relative to `/api/v2.0`; `query` may be empty.
    Rest { path: &'static str, query: &'static str },
    /// A method with arguments: `body` is the only one, or an object of named ones.
    RestPost { path: &'static str, body: Value },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub tag: Tag,
    /// Name of the method, also of a REST call: what "not there" is remembered by.
    pub method: &'static str,
    pub call: Call,
    /// The section fails without it.
    pub required: bool,
}

/// Properties of a dataset that records carry.
const PROPERTIES: [&str; 21] = [
    "used",
    "available",
    "usedbychildren",
    "usedbydataset",
    "usedbysnapshots",
    "usedbyrefreservation",
    "quota",
    "refquota",
    "reservation",
    "refreservation",
    "compression",
    "compressratio",
    "readonly",
    "dedup",
    "sync",
    "recordsize",
    "volsize",
    "encryption",
    "keystatus",
    "encryptionroot",
    "mountpoint",
];

/// The preferred dataset call of 25.10 and later, seven times smaller than the other.
pub const ZFS_RESOURCE_QUERY: &str = "zfs.resource.query";

/// The calls of a section. Methods in `unavailable` (not there, or not
/// permitted) are replaced by their fallback, or left out when optional. When
/// a required call turns out to be unavailable, plan again: a plan that names
/// it still has no other way.
pub fn requests(section: Section, dialect: Dialect, unavailable: &BTreeSet<String>) -> Vec<Request> {
    let mut plan = match section {
        Section::System => system(dialect.line),
        Section::Pools => vec![
            required(Tag::Pools, "pool.query", "/pool", json!([[], {}])),
            optional(Tag::BootPool, "boot.get_state", "/boot/get_state"),
        ],
        Section::Datasets => vec![
            datasets(dialect, unavailable),
            optional_with(Tag::Replications, "replication.query", "/replication", json!([[], {}])),
        ],
        Section::Disks => vec![required(Tag::Disks, "disk.query", "/disk", json!([[], {}]))],
        Section::Alerts => vec![required(Tag::Alerts, "alert.list", "/alert/list", json!([]))],
    };
    plan.retain(|request| request.required || !unavailable.contains(request.method));
    plan.into_iter().map(|planned| planned.over(dialect.transport)).collect()
}

/// The cheapest look at pool states, for lines that announce no state change:
/// decode with `pool::decode_pools`, compare with `pool::state_differs`.
pub fn pool_probe(dialect: Dialect) -> Option<Request> {
    (dialect.transport.is_rpc() && dialect.line >= Line::V26_0)
        .then(|| required(Tag::Pools, "zpool.query", "", json!([{}])).over(dialect.transport))
}

struct Planned {
    tag: Tag,
    method: &'static str,
    path: &'static str,
    params: Value,
    required: bool,
}

impl Planned {
    fn over(self, transport: Transport) -> Request {
        let Self { tag, method, path, params, required } = self;
        let call = match transport {
            Transport::JsonRpc | Transport::LegacyWebsocket => Call::Rpc { method, params },
            Transport::LegacyRest => Call::Rest { path, query: "" },
        };
        Request { tag, method, call, required }
    }
}

const fn required(tag: Tag, method: &'static str, path: &'static str, params: Value) -> Planned {
    Planned { tag, method, path, params, required: true }
}

fn optional(tag: Tag, method: &'static str, path: &'static str) -> Planned {
    optional_with(tag, method, path, json!([]))
}

const fn optional_with(tag: Tag, method: &'static str, path: &'static str, params: Value) -> Planned {
    Planned { tag, method, path, params, required: false }
}

fn system(line: Line) -> Vec<Planned> {
    let mut plan = vec![
        required(Tag::SystemInfo, "system.info", "/system/info", json!([])),
        optional(Tag::ProductType, "system.product_type", "/system/product_type"),
        optional(Tag::HostId, "system.host_id", "/system/host_id"),
        optional(Tag::SystemState, "system.state", "/system/state"),
        optional(Tag::FailoverStatus, "failover.status", "/failover/status"),
    ];
    if line > Line::Core {
        plan.push(optional(Tag::GlobalId, "system.global.id", "/system/global/id"));
    }
    if line >= Line::V25_04 {
        plan.push(optional(Tag::RebootInfo, "system.reboot.info", "/system/reboot/info"));
    }
    plan
}

fn datasets(dialect: Dialect, unavailable: &BTreeSet<String>) -> Planned {
    let modern = dialect.line >= Line::V25_10;
    let dataset_query = |params| required(Tag::Datasets, "pool.dataset.query", "/pool/dataset", params);
    if modern && dialect.transport.is_rpc() && !unavailable.contains(ZFS_RESOURCE_QUERY) {
        let mut properties = PROPERTIES.to_vec();
        properties.push("mounted");
        let query = json!([{"paths": [], "properties": properties, "get_user_properties": false,
            "get_source": false, "nest_results": false, "get_children": true}]);
        return required(Tag::Datasets, ZFS_RESOURCE_QUERY, "", query);
    }
    if modern {
        // Any filter makes it walk all, and without retrieve_children it builds no tree: a flat list.
        let mut properties = PROPERTIES.to_vec();
        properties.push("mounted");
        return dataset_query(json!([[["type", "in", ["FILESYSTEM", "VOLUME"]]], {"extra": {
            "retrieve_children": false, "retrieve_user_props": false, "properties": properties}}]));
    }
    dataset_query(json!([[], {"extra": {
        "flat": false, "retrieve_user_props": false, "properties": PROPERTIES}}]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(line: Line) -> Dialect {
        Dialect { line, transport: Transport::JsonRpc }
    }

    fn methods(plan: &[Request]) -> Vec<&'static str> {
        plan.iter().map(|request| request.method).collect()
    }

    #[test]
    fn datasets_are_read_the_cheap_way_of_each_line() {
        let none = BTreeSet::new();
        let lost = BTreeSet::from([ZFS_RESOURCE_QUERY.to_owned()]);
        let first = |line, unavailable: &BTreeSet<String>| {
            requests(Section::Datasets, dialect(line), unavailable).remove(0)
        };
        assert_eq!(first(Line::V25_10, &none).method, ZFS_RESOURCE_QUERY);
        assert_eq!(first(Line::Newer, &none).method, ZFS_RESOURCE_QUERY);
        let Call::Rpc { params, .. } = first(Line::V26_0, &lost).call else { panic!("over RPC") };
        assert_eq!(params[0][0][0], "type");
        assert_eq!(params[1]["extra"]["retrieve_children"], false);
        let Call::Rpc { params, .. } = first(Line::V25_04, &none).call else { panic!("over RPC") };
        assert_eq!(params[1]["extra"]["flat"], false);
        let rest = Dialect { line: Line::V24_10, transport: Transport::LegacyRest };
        assert_eq!(
            requests(Section::Datasets, rest, &none)[0].call,
            Call::Rest { path: "/pool/dataset", query: "" }
        );
    }

    #[test]
    fn optional_calls_that_are_not_there_are_not_made_again() {
        let gone: BTreeSet<String> = ["failover.status", "system.info"].map(str::to_owned).into();
        let plan = requests(Section::System, dialect(Line::V25_10), &gone);
        assert!(methods(&plan).contains(&"system.info"), "required calls stay");
        assert!(!methods(&plan).contains(&"failover.status"));
    }

    #[test]
    fn nothing_in_a_plan_touches_disks_or_the_internet() {
        for line in
            [Line::Core, Line::V24_04, Line::V24_10, Line::V25_04, Line::V25_10, Line::V26_0, Line::V27_0]
        {
            for transport in [Transport::JsonRpc, Transport::LegacyWebsocket, Transport::LegacyRest] {
                for section in Section::ALL {
                    let plan = requests(section, Dialect { line, transport }, &BTreeSet::new());
                    assert!(plan.iter().any(|request| request.required));
                    for request in &plan {
                        let call = format!("{:?}", request.call);
                        for bad in [
                            "temperature",
                            "smart",
                            "update",
                            "snapshot.",
                            "disk.details",
                            "passwords",
                            "pools\"",
                        ] {
                            assert!(!call.contains(bad), "{call}");
                        }
                    }
                }
            }
        }
        assert!(pool_probe(dialect(Line::V26_0)).is_some());
        assert!(pool_probe(dialect(Line::V25_10)).is_none());
    }
}
