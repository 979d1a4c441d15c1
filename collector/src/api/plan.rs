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
    UpsBattery,
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
    /// `path` is relative to `/api/v2.0`; `query` is what goes behind the question mark, not encoded yet.
    Rest { path: &'static str, query: Vec<(String, String)> },
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
    /// By REST, a method with arguments: all of them by name, or the only one.
    body: Option<Value>,
    required: bool,
}

impl Planned {
    /// By REST it is a POST of this body.
    #[must_use]
    pub fn posted(self, path: &'static str, body: Value) -> Self {
        Self { path, body: Some(body), ..self }
    }

    fn over(self, transport: Transport) -> Option<Request> {
        let Self { tag, method, path, params, body, required } = self;
        let call = match transport {
            Transport::JsonRpc | Transport::LegacyWebsocket => Call::Rpc { method, params },
            Transport::LegacyRest if path.is_empty() => return None,
            Transport::LegacyRest => match body {
                Some(body) => Call::RestPost { path, body },
                None => Call::Rest { path, query: query(&params) },
            },
        };
        Some(Request { tag, method, call, required })
    }
}

/// The `extra` of a query's options, each as `extra.name=JSON`. REST has no `select`.
fn query(params: &Value) -> Vec<(String, String)> {
    let extra = params.get(1).and_then(|options| options.get("extra")).and_then(Value::as_object);
    let pair = |(name, value): (&String, &Value)| (format!("extra.{name}"), value.to_string());
    extra.into_iter().flatten().map(pair).collect()
}

pub const fn required(tag: Tag, method: &'static str, path: &'static str, params: Value) -> Planned {
    Planned { tag, method, path, params, body: None, required: true }
}

pub fn optional(tag: Tag, method: &'static str, path: &'static str) -> Planned {
    optional_with(tag, method, path, json!([]))
}

pub const fn optional_with(tag: Tag, method: &'static str, path: &'static str, params: Value) -> Planned {
    Planned { tag, method, path, params, body: None, required: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
    }

    #[test]
    fn a_rest_read_asks_for_each_dataset_once_and_for_named_properties_only() {
        for line in [Line::Core, Line::V24_04, Line::V24_10, Line::V25_04, Line::V25_10] {
            let rest = Dialect { line, transport: Transport::LegacyRest };
            let read = |section| match requests(section, rest, &BTreeSet::new()).pop()?.call {
                Call::Rest { path: "/pool/dataset", query } => Some(BTreeMap::from_iter(query)),
                other => panic!("{line}: {other:?}"),
            };
            let datasets = read(Section::Datasets).expect("read");
            // The tree once: else every dataset comes again below each of its ancestors.
            assert_eq!(datasets["extra.flat"], "false", "{line}");
            assert_eq!(datasets["extra.retrieve_user_props"], "false");
            let properties: Vec<String> =
                serde_json::from_str(&datasets["extra.properties"]).expect("a list in JSON");
            assert!(properties.contains(&"used".to_owned()) && properties.len() < 30);
            let counted = read(Section::Snapshots);
            assert_eq!(counted.is_none(), line == Line::Core, "CORE would have to list them");
            assert!(counted.is_none_or(|query| query["extra.snapshots_count"] == "true"));
        }
    }

    #[test]
    fn methods_with_arguments_are_posted_over_rest() {
        let body = |line, section| -> Vec<(&str, Value)> {
            let rest = Dialect { line, transport: Transport::LegacyRest };
            let posts =
                requests(section, rest, &BTreeSet::new()).into_iter().map(|request| match request.call {
                    Call::RestPost { path, body } => (path, body),
                    other => panic!("{other:?}"),
                });
            posts.collect()
        };
        for line in [Line::V24_04, Line::V24_10] {
            assert_eq!(
                body(line, Section::Temperatures),
                [
                    ("/disk/temperatures", json!({"names": [], "options": {"only_cached": true}})),
                    ("/disk/temperature_agg", json!({"names": [], "days": 7})),
                ]
            );
        }
        assert_eq!(body(Line::Core, Section::Temperatures), [], "it knows no reading that touches no disk");
        for line in [Line::Core, Line::V24_04, Line::V24_10] {
            assert_eq!(body(line, Section::Update), [("/update/check_available", json!({}))]);
        }
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
