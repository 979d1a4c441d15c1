//! A view that followed its changes is the view built at once. Stands here for
//! the resources that questions are tested with.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use pulse_proto::model::{
    ConnectionId, Freshness, ResourceType, Revision, Severity, Status, StorageTopology,
};

use crate::query::fixture::{Seed, capacity, id};
use crate::state::resource::Resource;
use crate::state::view::rows::Column;
use crate::state::view::tally::Tallies;
use crate::state::view::{Shard, View};

const CONNECTIONS: [&str; 3] = ["nas-a", "nas-b", "nas-c"];
const KINDS: [ResourceType; 4] =
    [ResourceType::Host, ResourceType::Storage, ResourceType::PhysicalDisk, ResourceType::Network];

/// What a batch says of one resource; `None` removes it.
type Told = (usize, u64, Option<Seed>);

fn told() -> impl Strategy<Value = Told> {
    let severity = prop::sample::select(Severity::ALL.to_vec());
    let status = prop::sample::select(Status::ALL.to_vec());
    let freshness = prop::sample::select(Freshness::ALL.to_vec());
    let topology = prop::option::of(prop::sample::select(StorageTopology::ALL.to_vec()));
    let size = prop::option::of(prop_oneof![0_u64..5, Just(u64::MAX)]);
    let facts = (severity, status, freshness, topology, size, 0_u64..4);
    (0..CONNECTIONS.len(), 0_u64..40, prop::option::weighted(0.8, facts)).prop_map(
        |(connection, number, facts)| {
            let seed = facts.map(|(severity, status, freshness, topology, size, name)| {
                let kind = KINDS[usize::try_from(number).expect("small") % KINDS.len()];
                Seed {
                    severity,
                    status,
                    freshness,
                    topology: topology.filter(|_| kind == ResourceType::Storage),
                    capacity: size.map(|size| capacity(size, 0)),
                    name: format!("name-{name}"),
                    ..Seed::new(kind, number + 100 * connection as u64, CONNECTIONS[connection])
                }
            });
            (connection, number, seed)
        },
    )
}

fn key(connection: usize, number: u64) -> String {
    let kind = KINDS[usize::try_from(number).expect("small") % KINDS.len()];
    id(kind, number + 100 * connection as u64).to_string()
}

fn connection(at: usize) -> ConnectionId {
    ConnectionId::parse(CONNECTIONS[at]).expect("an id")
}

fn at_once(world: &[BTreeMap<String, Arc<Resource>>]) -> View {
    let shards = world.iter().enumerate().filter(|(_, held)| !held.is_empty()).map(|(at, held)| {
        Shard::build(None, connection(at), None, BTreeMap::new(), held.values().cloned().collect())
    });
    View::of(Revision(1), shards)
}

proptest! {
    #[test]
    fn following_is_building_anew(batches in prop::collection::vec(prop::collection::vec(told(), 1..30), 1..12)) {
        let mut world = vec![BTreeMap::new(); CONNECTIONS.len()];
        let mut followed = View::of(Revision(1), []);
        let mut kept = Vec::new();
        for batch in batches {
            // Versions before stay as they were, whatever is shared with them.
            kept.push((followed.clone(), at_once(&world)));
            for (at, number, seed) in batch {
                let held = &mut world[at];
                match seed {
                    Some(seed) => held.insert(key(at, number), seed.build()),
                    None => held.remove(&key(at, number)),
                };
                let id = connection(at);
                let resources: Vec<Arc<Resource>> = held.values().cloned().collect();
                if resources.is_empty() {
                    followed.remove(&id);
                } else {
                    let old = followed.shard(&id).cloned();
                    let shard = Shard::build(old.as_deref(), id, None, BTreeMap::new(), resources);
                    followed.put(shard);
                }
            }
            kept.push((followed.clone(), at_once(&world)));
        }
        for (followed, anew) in kept {
            prop_assert_eq!(followed.len(), anew.len());
            prop_assert_eq!(followed.tallies(), anew.tallies());
            let mut counted = Tallies::default();
            for (shard, fresh) in followed.shards().zip(anew.shards()) {
                prop_assert_eq!(&shard.connection, &fresh.connection);
                prop_assert_eq!(&**shard.resources, &**fresh.resources);
                prop_assert_eq!(shard.resources.tallies(), fresh.resources.tallies());
                prop_assert_eq!(shard.resources.common().is_some(), fresh.resources.common().is_some());
                let ids = shard.resources.iter().map(|resource| resource.document.source_id.as_str());
                let rows = shard.resources.of_records(&ids.chain(["system:nobody"]).collect::<Vec<_>>());
                let expected = (0..shard.resources.len()).map(Some).chain([None]);
                prop_assert_eq!(rows, expected.collect::<Vec<_>>());
                for (row, resource) in shard.resources.iter().enumerate() {
                    prop_assert_eq!(shard.resources.profile(row), fresh.resources.profile(row));
                    counted.count(resource, fresh.resources.profile(row));
                    let named = shard.resources.with_text(Column::Name, resource.name());
                    prop_assert!(named.is_some_and(|rows| rows.contains(row)));
                }
            }
            prop_assert_eq!(followed.tallies(), &counted);
            for at in 0..CONNECTIONS.len() {
                for number in 0..40 {
                    let id = pulse_proto::model::ResourceId::parse(&key(at, number)).expect("an id");
                    let found = |view: &View| view.get(&id).map(|found| found.resource);
                    prop_assert_eq!(found(&followed), found(&anew));
                }
            }
        }
    }
}
