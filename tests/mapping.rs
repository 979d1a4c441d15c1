//! `docs/rest-mapping.md` against the contract: routes name methods, fields name fields, and what is called the same is the same.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::BTreeSet;
use std::fs;

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use pulse_registry::query::filter::Filter;
use pulse_tests::evidence::{Row, quoted, rows};
use pulse_tests::task::root;

/// What the plan and Pulse's clients call.
const ROUTES: [&str; 17] = [
    "GET /api/truenas/connections",
    "POST /api/truenas/connections",
    "PUT /api/truenas/connections/{id}",
    "DELETE /api/truenas/connections/{id}",
    "POST /api/truenas/connections/test",
    "POST /api/truenas/connections/{id}/test",
    "POST /api/truenas/connections/preview",
    "GET /api/v2/resources",
    "GET /api/resources",
    "GET /api/resources/{id}",
    "GET /api/resources/{id}/children",
    "GET /api/resources/{id}/timeline",
    "GET /api/resources/stats",
    "GET /api/alerts/active",
    "GET /api/alerts/history",
    "POST /api/alerts/{id}/acknowledge",
    "POST /api/alerts/{id}/unacknowledge",
];
/// Messages that are mapped field by field, none of their fields left out.
const MAPPED: [&str; 2] = ["pulse.collector.v1.Connection", "pulse.resource.v1.Resource"];

fn document() -> Vec<Row> {
    rows(&fs::read_to_string(root().join("docs/rest-mapping.md")).unwrap())
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(pulse_proto::DESCRIPTOR_SET).unwrap()
}

/// JSON names along a path; `None` where the contract has no such field.
fn json_path(root: &MessageDescriptor, path: &str) -> Option<String> {
    let mut message = Some(root.clone());
    let mut names = Vec::new();
    for name in path.split('.') {
        let field = message?.get_field_by_name(name)?;
        names.push(field.json_name().to_owned());
        message = match field.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        };
    }
    Some(names.join("."))
}

#[test]
fn every_name_of_the_mapping_is_in_the_contract() {
    let pool = pool();
    let mut wrong = Vec::new();
    let mut mapped: BTreeSet<(String, String)> = BTreeSet::new();
    for Row { heading, cells } in document() {
        let Some(name) = heading.strip_prefix("Fields of ").and_then(|rest| quoted(rest).next()) else {
            continue;
        };
        let message = pool.get_message_by_name(name).unwrap_or_else(|| panic!("there is no {name}"));
        let [rest, field, how] = &cells[..] else {
            wrong.push(format!("{cells:?} is no row of three"));
            continue;
        };
        let Some(path) = quoted(field).next() else {
            wrong.push(format!("{rest} maps to nothing"));
            continue;
        };
        mapped.insert((name.to_owned(), path.split('.').next().unwrap_or_default().to_owned()));
        let Some(json) = json_path(&message, path) else {
            wrong.push(format!("{name} has no {path}"));
            continue;
        };
        let is_same = quoted(rest).next() == Some(json.trim_start_matches("status."));
        let says_other = ["renamed", "new"].iter().any(|word| how.starts_with(word));
        if is_same == says_other {
            wrong.push(format!("{rest} is {json} in JSON, and the row says {how:?}"));
        }
    }
    for name in MAPPED {
        for field in pool.get_message_by_name(name).unwrap().fields() {
            if !mapped.contains(&(name.to_owned(), field.name().to_owned())) {
                wrong.push(format!("{name}.{} is not in the table", field.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_route_is_there_and_leads_to_a_method() {
    let pool = pool();
    let methods: BTreeSet<String> = pool
        .services()
        .flat_map(|service| {
            service
                .methods()
                .map(|m| format!("{}.{}", m.parent_service().name(), m.name()))
                .collect::<Vec<_>>()
        })
        .collect();
    let rows = document();
    let mut known = BTreeSet::new();
    for row in &rows {
        let called: Vec<&str> = row.cells.get(1).map(|cell| quoted(cell).collect()).unwrap_or_default();
        if let [method] = called[..]
            && method.contains("Service.")
        {
            assert!(methods.contains(method), "there is no {method}: {row:?}");
            known.extend(quoted(&row.cells[0]).map(str::to_owned));
        }
    }
    let left: Vec<&str> = ROUTES.into_iter().filter(|route| !known.contains(*route)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn every_filter_of_the_mapping_is_one() {
    let mut filters = 0;
    for row in document() {
        for told in row.cells.iter().flat_map(|cell| quoted(cell)) {
            if let Some(filter) = told.strip_prefix("filter: ").filter(|filter| !filter.contains("firing")) {
                Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
                filters += 1;
            }
        }
    }
    assert!(filters >= 6, "{filters}");
}
