//! `docs/rest-mapping.md` against both sides: every name that Pulse has stands in a row, and every row leads to what the contract has, or says
//! why there is no such thing.

#![allow(clippy::unwrap_used, reason = "a test that fails here has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};
use pulse_registry::query::filter::Filter;
use pulse_tests::evidence::{Row, quoted, rows};
use pulse_tests::task::root;

/// Names of Pulse, by shape.
const NAMES: &str = "fixtures/pulse/names.txt";
const RESOURCE: &str = "Fields of `pulse.resource.v1.Resource`";
/// Where each shape of Pulse is told: under a heading, in a column.
const TOLD: [(&str, &str, usize); 20] = [
    ("connection", "Fields of `pulse.collector.v1.Connection`", 0),
    ("connection in the plan", "Names of the plan for `pulse.collector.v1.Connection`", 0),
    ("connection ledger states", "States of the list of all connections", 0),
    ("answer to a test", "Fields of `pulse.collector.v1.TestConnectionResponse`", 0),
    ("answer to a delete", "Answer to a delete", 0),
    ("error", "Body of an error", 0),
    ("error codes", "Errors", 2),
    ("list parameters", "Parameters of `pulse.registry.v1.ListResourcesRequest`", 0),
    ("timeline parameters", "Parameters of `pulse.registry.v1.ListResourceChangesRequest`", 0),
    ("list", "Fields of `pulse.registry.v1.ListResourcesResponse`", 0),
    ("resource", RESOURCE, 0),
    ("resource types", "Types of resources", 0),
    ("change", "Fields of `pulse.registry.v1.ResourceChange`", 0),
    ("change kinds", "Kinds of changes", 0),
    ("alert", "Fields of `pulse.registry.v1.Alert`", 0),
    ("operator state", "An operator's state of a resource", 0),
    ("context fact", "Fields of `pulse.registry.v1.ContextFact`", 0),
    ("routes", "Connections", 0),
    ("routes", "Resources", 0),
    ("routes", "Alerts and context", 0),
];
const TOOLS: (&str, &str, usize) = ("tools", "For assistants", 0);

fn document() -> Vec<Row> {
    rows(&fs::read_to_string(root().join("docs/rest-mapping.md")).unwrap())
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(pulse_proto::DESCRIPTOR_SET).unwrap()
}

/// What Pulse calls things, by shape.
fn names() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join(NAMES)).unwrap();
    let mut shapes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut shape = String::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(name) => name.clone_into(&mut shape),
            None => {
                assert!(shapes.entry(shape.clone()).or_default().insert(line.to_owned()), "twice: {line}");
            }
        }
    }
    shapes
}

/// A parameter stands there with an example.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    quoted(cell).flat_map(|told| told.split('&')).filter_map(|told| told.split('=').next())
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

/// `ResourceService.GetResource`, `Alert.remedy`, `FRESHNESS_STALE`.
fn is_elsewhere(pool: &DescriptorPool, name: &str) -> bool {
    let Some((owner, rest)) = name.split_once('.') else {
        return pool.all_enums().any(|list| list.values().any(|value| value.name() == name));
    };
    let method =
        |found: prost_reflect::ServiceDescriptor| found.methods().any(|method| method.name() == rest);
    let field = |found: MessageDescriptor| json_path(&found, rest).is_some();
    pool.services().filter(|service| service.name() == owner).any(method)
        || pool.all_messages().filter(|message| message.name() == owner).any(field)
}

/// What is wrong with a row: it leads to nothing, or says of what it leads to what is not so.
fn wrong(pool: &DescriptorPool, message: Option<&MessageDescriptor>, cells: &[String]) -> Option<String> {
    let [rest, field, how] = cells else { return Some("is no row of three".to_owned()) };
    let Some(path) = quoted(field).next() else {
        let is_told = ["left out: ", "gRPC: "].iter().find_map(|word| how.strip_prefix(word));
        return is_told.is_none_or(str::is_empty).then(|| "leads to nothing and does not say why".to_owned());
    };
    if how.starts_with("elsewhere") || message.is_none() {
        return (!is_elsewhere(pool, path)).then(|| format!("there is no {path}"));
    }
    let Some(json) = json_path(message?, path) else { return Some(format!("there is no {path}")) };
    let is_same = quoted(rest).next() == Some(json.trim_start_matches("status."));
    let says_other = ["renamed", "new"].iter().any(|word| how.starts_with(word));
    (is_same == says_other).then(|| format!("is {json} in JSON"))
}

#[test]
fn every_name_of_pulse_stands_in_a_row_and_no_row_invents_one() {
    let names = names();
    let document = document();
    let mut told: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (shape, heading, column) in TOLD.into_iter().chain([TOOLS]) {
        let here: Vec<&Row> = document.iter().filter(|row| row.heading == heading).collect();
        assert!(!here.is_empty(), "nothing stands under {heading}");
        told.entry(shape).or_default().extend(here.iter().flat_map(|row| named(&row.cells[column])));
    }
    let mut wrong = Vec::new();
    for (shape, names) in &names {
        let here = told.remove(shape.as_str()).unwrap_or_default();
        wrong.extend(
            names
                .iter()
                .filter(|name| !here.contains(name.as_str()))
                .map(|name| format!("{shape}: {name} has no row")),
        );
        let strange = here.iter().filter(|name| !names.contains(**name));
        wrong.extend(strange.map(|name| format!("{shape}: Pulse has no {name}")));
    }
    assert!(wrong.is_empty() && told.is_empty(), "{wrong:#?} {told:?}");
}

#[test]
fn every_name_of_the_mapping_is_in_the_contract() {
    let pool = pool();
    let told: BTreeSet<&str> = TOLD.iter().map(|(_, heading, _)| *heading).collect();
    let mut wrongs = Vec::new();
    let mut mapped: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Row { heading, cells } in document() {
        let is_special = ["Parameters of ", "Errors"].iter().any(|word| heading.starts_with(word));
        if is_special || !told.contains(heading.as_str()) || cells[0].contains(" /api/") {
            continue;
        }
        let message = quoted(&heading).next().and_then(|name| pool.get_message_by_name(name));
        assert_eq!(message.is_some(), heading.contains('`'), "there is no message of {heading}");
        if let (Some(message), Some(path)) = (&message, cells.get(1).and_then(|cell| quoted(cell).next())) {
            let first = path.split('.').next().unwrap_or_default();
            mapped.entry(message.full_name().to_owned()).or_default().insert(first.to_owned());
        }
        wrongs.extend(wrong(&pool, message.as_ref(), &cells).map(|what| format!("{cells:?}: {what}")));
    }
    for (name, told) in mapped {
        // Our side is whole, too.
        for field in pool.get_message_by_name(&name).unwrap().fields() {
            if !told.contains(field.name()) {
                wrongs.push(format!("{name}.{} is not in the table", field.name()));
            }
        }
    }
    assert!(wrongs.is_empty(), "{wrongs:#?}");
}

#[test]
fn every_route_and_tool_leads_to_a_method_or_says_why_not() {
    let pool = pool();
    let mut led = 0;
    for row in document() {
        let [name, method, notes] = &row.cells[..] else { continue };
        if !name.contains(" /api/") && row.heading != TOOLS.1 {
            continue;
        }
        let called: Vec<&str> = quoted(method).collect();
        match called[..] {
            [method] => assert!(
                method.contains("Service.") && is_elsewhere(&pool, method),
                "there is no {method}: {row:?}"
            ),
            _ => assert!(notes.strip_prefix("left out: ").is_some_and(|why| !why.is_empty()), "{row:?}"),
        }
        led += 1;
    }
    assert!(led >= 30, "{led}");
}

#[test]
fn every_parameter_becomes_what_a_request_has() {
    let pool = pool();
    let mut asked = 0;
    for row in document() {
        let Some(message) = row.heading.strip_prefix("Parameters of ").and_then(|rest| quoted(rest).next())
        else {
            continue;
        };
        let message = pool.get_message_by_name(message).unwrap();
        let becomes = &row.cells[1];
        if becomes.starts_with("left out: ") {
            continue;
        }
        let fields: Vec<&str> = quoted(becomes).filter_map(|told| told.split(':').next()).collect();
        assert!(!fields.is_empty(), "{row:?}");
        for field in fields {
            assert!(message.get_field_by_name(field).is_some(), "there is no {field}: {row:?}");
            asked += 1;
        }
    }
    assert!(asked >= 12, "{asked}");
}

#[test]
fn every_filter_of_the_mapping_is_one() {
    let mut filters = 0;
    for row in document() {
        // Those of alerts and of changes have fields of their own.
        if row.heading.contains("Change") || row.heading == "Alerts and context" {
            continue;
        }
        for told in row.cells.iter().flat_map(|cell| quoted(cell)) {
            if let Some(filter) = told.strip_prefix("filter: ") {
                Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
                filters += 1;
            }
        }
    }
    assert!(filters >= 12, "{filters}");
}
