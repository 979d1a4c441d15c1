//! Every plan, order and sum gives what asking each resource gives.

mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use pulse_proto::model::{
    Capacity, ConnectionId, DataSource, Freshness, ResourceType, Revision, SectionName, SectionOutcome,
    SectionReport, Severity, Status, StorageTopology, UnixMillis,
};

use super::filter::Filter;
use super::filter::field::FIELDS;
use super::fixture::{Seed, capacity};
use super::list::Listing;
use super::order::Order;
use super::summary::{Summary, Tally};
use crate::state::origin::Origin;
use crate::state::resource::Resource;
use crate::state::view::{Shard, View};

const CONNECTIONS: [&str; 4] = ["nas-a", "nas-b", "nas-c", "nas-d"];

fn seed() -> impl Strategy<Value = Seed> {
    let kinds =
        [ResourceType::Host, ResourceType::Storage, ResourceType::Network, ResourceType::NetworkShare];
    let facts = (
        prop::sample::select(Severity::ALL.to_vec()),
        prop::sample::select(Status::ALL.to_vec()),
        prop::sample::select(Freshness::ALL.to_vec()),
        prop::option::of(prop::sample::select(StorageTopology::ALL.to_vec())),
        prop::option::of((prop_oneof![1_u64..5, Just(u64::MAX)], 0_u64..2)),
    );
    let name = prop::sample::select(vec!["tank", "tank-of-a-long-name-1", "tank-of-a-long-name-2", ""]);
    let place = (prop::sample::select(kinds.to_vec()), 0_u64..60, prop::sample::select(CONNECTIONS.to_vec()));
    (place, name, 0_u64..5, facts).prop_map(|((kind, number, connection), name, revision, facts)| {
        let (severity, status, freshness, topology, size) = facts;
        Seed {
            severity,
            status,
            freshness,
            topology: topology.filter(|_| kind == ResourceType::Storage),
            capacity: size.map(|(total, used)| capacity(total, used)),
            name: name.to_owned(),
            revision,
            // One number is at one connection only, and spread over the digits of the id.
            ..Seed::new(
                kind,
                (number << 47)
                    + CONNECTIONS.iter().position(|known| *known == connection).map_or(0, |at| at as u64),
                connection,
            )
        }
    })
}

fn view_of(seeds: &[Seed], shared_labels: bool) -> Arc<View> {
    let mut shards: BTreeMap<&str, BTreeMap<String, Arc<Resource>>> = BTreeMap::new();
    for seed in seeds {
        let mut resource = seed.build();
        if shared_labels {
            // As the state makes them: of the connection.
            let labels = BTreeMap::from([("site".to_owned(), format!("dc-{}", seed.connection))]);
            let site = Arc::get_mut(&mut resource).expect("just built").site_mut();
            let (connection, name) = (site.connection.clone(), Arc::clone(&site.connection_name));
            site.origin = Arc::new(Origin::new(connection, name, Arc::new(labels)));
        }
        shards.entry(seed.connection).or_default().insert(seed.id().to_string(), resource);
    }
    let section = SectionName::parse("pools").expect("a section");
    let shards = shards.into_iter().enumerate().map(|(at, (connection, held))| {
        let report = SectionReport {
            section: section.clone(),
            outcome: SectionOutcome::Fresh,
            observed_at: (at > 0).then(|| UnixMillis::new(1_700_000_000_000 + at as u64)),
            since: None,
            interval: std::time::Duration::from_secs(30),
            error: String::new(),
        };
        let connection = ConnectionId::parse(connection).expect("an id");
        let sections = BTreeMap::from([(section.clone(), report)]);
        Shard::build(None, connection, None, sections, held.into_values().collect())
    });
    Arc::new(View::of(Revision(9), shards))
}

fn comparison() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "severity >= warning",
        "severity = critical",
        "severity:*",
        "status = offline",
        "status != online",
        "freshness = stale",
        "freshness > stale",
        "type = storage",
        "type = network",
        "topology = pool",
        "topology != pool",
        "topology:*",
        "source = agent",
        "connection = nas-b",
        "connection = nowhere",
        "connection = 'no id'",
        "connection:nas",
        "connection_name = 'NAS nas-c'",
        "connection_name = 'NAS n*'",
        "labels.site = dc-1",
        "labels.site = dc-nas-a",
        "labels.none = x",
        "labels:site",
        "labels:rack.row",
        "id = storage-0004000000000001",
        "id = 'no id'",
        "id:network",
        "name = tank",
        "name = nothing",
        "name = \"\"",
        "name != tank",
        "display_name = tank",
        "display_name = 'NAS nas-a'",
        "name:long",
        "parent_id = agent-0000000000000000",
        "parent_id = \"\"",
        "parent_id:*",
        "source_id = 'system:nas-a/x:0'",
        "source_id != 'system:nas-b/x:1'",
        "incidents.level >= warning",
        "tags = even",
        "capacity.used_ratio > 0.3",
        "revision >= 2",
        "observed_at > 2023-11-14T22:13:20Z",
    ])
    .prop_map(str::to_owned)
}

fn filter() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![9 => comparison(), 1 => Just(String::from("name:*"))];
    leaf.prop_recursive(3, 10, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
            inner.prop_map(|inner| format!("NOT ({inner})")),
        ]
    })
}

fn order() -> impl Strategy<Value = String> {
    let scalar = FIELDS.iter().filter(|(_, field)| field.is_scalar()).map(|(name, _)| (*name).to_owned());
    let mut names: Vec<String> = scalar.collect();
    names.extend(["labels.site".to_owned(), "labels.\"rack.row\"".to_owned()]);
    prop::collection::vec((prop::sample::select(names), any::<bool>()), 0..4).prop_map(|keys| {
        let mut named: Vec<String> = Vec::new();
        for (name, descending) in keys {
            if !named.iter().any(|known| known.starts_with(&name)) {
                named.push(format!("{name}{}", if descending { " desc" } else { "" }));
            }
        }
        // A name may begin another, so what is left may still name one twice.
        named.join(", ")
    })
}

/// Every resource, asked.
fn matching<'a>(view: &'a View, filter: &Filter) -> Vec<(&'a Shard, &'a Resource)> {
    let all = view.iter().map(|(shard, resource)| (&**shard, &**resource));
    all.filter(|(shard, resource)| filter.matches(resource, shard.observed_at(resource))).collect()
}

/// Added up one by one.
fn summed(view: &View, filter: &Filter) -> Summary {
    let mut sum = Summary { revision: view.revision, ..Summary::default() };
    let plus = |sum: &mut Capacity, part: Option<Capacity>| {
        let Some(part) = part else { return };
        for (sum, part) in [
            (&mut sum.total_bytes, part.total_bytes),
            (&mut sum.used_bytes, part.used_bytes),
            (&mut sum.available_bytes, part.available_bytes),
            (&mut sum.raw_total_bytes, part.raw_total_bytes),
            (&mut sum.raw_used_bytes, part.raw_used_bytes),
            (&mut sum.raw_free_bytes, part.raw_free_bytes),
        ] {
            if let Some(part) = part {
                *sum = Some(sum.unwrap_or(0).saturating_add(part));
            }
        }
    };
    let count = |tally: &mut Tally, part: Option<Capacity>| {
        tally.count += 1;
        plus(&mut tally.capacity, part);
    };
    for (_, resource) in matching(view, filter) {
        let capacity = resource.document.capacity();
        let is_storage = resource.resource_type() == ResourceType::Storage;
        let of_pool = capacity.filter(|_| resource.document.topology() == Some(StorageTopology::Pool));
        sum.total += 1;
        count(
            sum.by_type.entry(resource.resource_type()).or_default(),
            if is_storage { of_pool } else { capacity },
        );
        let sources: std::collections::BTreeSet<DataSource> =
            resource.sources().map(|part| part.source).collect();
        for source in sources {
            count(sum.by_source.entry(source).or_default(), of_pool);
        }
        count(sum.by_status.entry(resource.status).or_default(), of_pool);
        count(sum.by_severity.entry(resource.severity).or_default(), of_pool);
        *sum.by_freshness.entry(resource.freshness).or_default() += 1;
        plus(&mut sum.pool_capacity, of_pool);
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn plans_orders_and_sums_are_those_of_a_full_scan(
        seeds in prop::collection::vec(seed(), 0..120),
        shared_labels in any::<bool>(),
        filter in filter(),
        order in order(),
        first in 0_usize..30,
    ) {
        let view = view_of(&seeds, shared_labels);
        let filter = Filter::parse(&filter).map_err(|e| TestCaseError::fail(format!("{filter}: {e}")))?;
        let order = Order::parse(&order).map_err(|e| TestCaseError::fail(format!("{order}: {e}")))?;
        let mut expected = matching(&view, &filter);
        expected.sort_by(|(one, left), (other, right)| {
            order.compare((left, one.observed_at(left)), (right, other.observed_at(right)))
        });
        let expected: Vec<String> = expected.into_iter().map(|(_, resource)| resource.id.to_string()).collect();

        let listing = Listing::find(Arc::clone(&view), &filter, &order, first);
        prop_assert_eq!(listing.len(), expected.len());
        prop_assert!(listing.covers(first));
        let ids = |listing: &Listing| -> Vec<String> {
            listing.from(0).map(|found| found.resource.id.to_string()).collect()
        };
        let shown = ids(&listing);
        prop_assert_eq!(&shown, &expected[..shown.len()]);
        prop_assert!(shown.len() >= first.min(expected.len()));
        prop_assert_eq!(ids(&listing.sort_all(&order)), expected);

        prop_assert_eq!(Summary::of(&view, &filter), summed(&view, &filter));
        if let Some(counted) = Summary::counted(&view, &filter) {
            prop_assert_eq!(counted, Summary::scanned(&view, &filter, filter.scan(&view)));
        }
    }
}
