//! Which calls bring a section, per dialect. Cheap ones only: none wakes a sleeping disk or lists snapshots. What a section
//! needs is said where the section is.

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
    FailoverNode,
    FailoverLicensed,
    FailoverReasons,
    Pools,
    BootPool,
    Scrubs,
    Datasets,
    Snapshots,
    SnapshotCounts,
    Disks,
    Temperatures,
    TemperatureDays,
    Alerts,
    Services,
    Interfaces,
    Certificates,
    Ups,
    Update,
    Replications,
    SnapshotTasks,
    CloudSyncs,
    RsyncTasks,
    CloudBackups,
    Apps,
    Vms,
    Instances,
    SmbShares,
    NfsShares,
    IscsiTargets,
    IscsiExtents,
    IscsiTargetExtents,
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

/// The calls of a section. Methods in `unavailable` (not there, or not
/// permitted) are replaced by their fallback, or left out when optional. When
/// a required call turns out to be unavailable, plan again: a plan that names
/// it still has no other way.
pub fn requests(section: Section, dialect: Dialect, unavailable: &BTreeSet<String>) -> Vec<Request> {
    let mut plan = (section.spec().plan)(&Ask { dialect, unavailable });
    plan.retain(|request| request.required || !unavailable.contains(request.method));
    plan.into_iter().filter_map(|planned| planned.over(dialect.transport)).collect()
}

/// The cheapest look at pool states, for lines that announce no state change:
/// decode with `pool::decode_pools`, compare with `pool::state_differs`.
pub fn pool_probe(dialect: Dialect) -> Option<Request> {
    let silent = dialect.transport.is_rpc() && dialect.line >= Line::V26_0;
    required(Tag::Pools, "zpool.query", "", json!([{}])).over(dialect.transport).filter(|_| silent)
}

/// What a plan depends on.
pub struct Ask<'a> {
    pub dialect: Dialect,
    /// Methods that are not there, or not permitted.
    pub unavailable: &'a BTreeSet<String>,
}

/// A call before it is known how the appliance is spoken to. Without a path it is not made by REST.
pub struct Planned {
    tag: Tag,
    method: &'static str,
    path: &'static str,
    params: Value,
    required: bool,
}

impl Planned {
    fn over(self, transport: Transport) -> Option<Request> {
        let Self { tag, method, path, params, required } = self;
        let call = match transport {
            Transport::JsonRpc | Transport::LegacyWebsocket => Call::Rpc { method, params },
            Transport::LegacyRest if path.is_empty() => return None,
            Transport::LegacyRest => Call::Rest { path, query: "" },
        };
        Some(Request { tag, method, call, required })
    }
}

pub const fn required(tag: Tag, method: &'static str, path: &'static str, params: Value) -> Planned {
    Planned { tag, method, path, params, required: true }
}

pub fn optional(tag: Tag, method: &'static str, path: &'static str) -> Planned {
    optional_with(tag, method, path, json!([]))
}

pub const fn optional_with(tag: Tag, method: &'static str, path: &'static str, params: Value) -> Planned {
    Planned { tag, method, path, params, required: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dataset::ZFS_RESOURCE_QUERY;

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
    fn nothing_in_a_plan_wakes_disks_or_lists_snapshots() {
        let lines =
            [Line::Core, Line::V24_04, Line::V24_10, Line::V25_04, Line::V25_10, Line::V26_0, Line::V27_0];
        for line in lines {
            for transport in [Transport::JsonRpc, Transport::LegacyWebsocket, Transport::LegacyRest] {
                for section in Section::ALL {
                    let plan = requests(section, Dialect { line, transport }, &BTreeSet::new());
                    assert!(plan.is_empty() || plan.iter().any(|request| request.required), "{section:?}");
                    for request in &plan {
                        let call = format!("{:?}", request.call);
                        for bad in ["smart", "snapshot.query", "disk.details", "passwords", "pools\"", "job"]
                        {
                            assert!(!call.contains(bad), "{call}");
                        }
                        // Until 25.04 it runs smartctl.
                        let wakes = request.method == "disk.temperatures" && line < Line::V25_10;
                        assert!(!wakes || call.contains("only_cached"), "{call}");
                    }
                }
            }
        }
        assert!(pool_probe(dialect(Line::V26_0)).is_some());
        assert!(pool_probe(dialect(Line::V25_10)).is_none());
    }

    #[test]
    fn every_event_belongs_to_one_section() {
        let mut seen = BTreeSet::new();
        for section in Section::ALL {
            for collection in section.spec().collections {
                assert!(seen.insert(*collection), "{collection}");
            }
        }
    }
}
