//! The view is a function of the latest records alone.

use std::collections::VecDeque;

use DataSource::{Agent, Docker, Proxmox, Truenas};
use proptest::prelude::*;
use pulse_proto::model::{DataSource, IngestRecord};
use pulse_registry::state::{Pair, Stand};

use super::world::{World, disk, host, identity, key, pool, shape};

const CONNECTIONS: [(&str, DataSource); 6] =
    [("ta", Truenas), ("tb", Truenas), ("aa", Agent), ("ab", Agent), ("pa", Proxmox), ("da", Docker)];

const CASES: u32 = 400;

#[derive(Clone, Debug)]
enum Op {
    Host { at: usize, n: u8, machine: u8, name: u8, mac: u8 },
    Pool { at: usize, n: u8, parent: u8 },
    Disk { at: usize, n: u8, parent: u8, serial: u8, well: bool },
    Gone { at: usize, what: u8, n: u8 },
    Disconnect { at: usize },
    Say { left: (usize, u8, u8), right: (usize, u8, u8), same: bool },
    Forget(usize),
    Label { at: usize, customer: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0..CONNECTIONS.len();
    let record = || (0..CONNECTIONS.len(), 0u8..3, 0u8..2);
    prop_oneof![
        6 => (at.clone(), 0u8..2, 0u8..3, 0u8..3, 0u8..3)
            .prop_map(|(at, n, machine, name, mac)| Op::Host { at, n, machine, name, mac }),
        2 => (at.clone(), 0u8..2, 0u8..3).prop_map(|(at, n, parent)| Op::Pool { at, n, parent }),
        8 => (at.clone(), 0u8..2, 0u8..5, 0u8..4, any::<bool>())
            .prop_map(|(at, n, parent, serial, well)| Op::Disk { at, n, parent, serial, well }),
        3 => (at.clone(), 0u8..3, 0u8..2).prop_map(|(at, what, n)| Op::Gone { at, what, n }),
        1 => at.clone().prop_map(|at| Op::Disconnect { at }),
        3 => (at, 0u8..3).prop_map(|(at, customer)| Op::Label { at, customer }),
        2 => (record(), record(), any::<bool>())
            .prop_map(|(left, right, same)| Op::Say { left, right, same }),
        1 => (0usize..4).prop_map(Op::Forget),
    ]
}

/// The id of a record: a host, a pool or a disk of a connection.
fn source_id(at: usize, what: u8, n: u8) -> String {
    let (connection, source) = CONNECTIONS[at];
    match (what, source) {
        (0, Truenas) if n == 0 => format!("system:{connection}"),
        (_, Truenas) => format!("system:{connection}/{what}:{n}"),
        _ => format!("{connection}/{what}:{n}"),
    }
}

fn parent(at: usize, number: u8) -> Option<String> {
    match number {
        0 | 1 => Some(source_id(at, 0, number)),
        2 | 3 => Some(source_id(at, 1, number - 2)),
        _ => None,
    }
}

fn record(op: &Op) -> Option<(usize, IngestRecord)> {
    let word = |n: u8, prefix: &str| if n == 0 { String::new() } else { format!("{prefix}{n}") };
    Some(match *op {
        Op::Host { at, n, machine, name, mac } => {
            let mac = word(mac, "3c:ec:ef:00:11:0");
            (at, host(&source_id(at, 0, n), identity(&word(machine, "m-1234"), &word(name, "h"), &mac)))
        }
        Op::Pool { at, n, parent: of } => (at, pool(&source_id(at, 1, n), parent(at, of % 2).as_deref())),
        Op::Disk { at, n, parent: of, serial, well } => {
            let state = if well { "ONLINE" } else { "FAULTED" };
            let serial = word(serial, "WD-123456");
            (at, disk(&source_id(at, 2, n), parent(at, of).as_deref(), &serial, state))
        }
        _ => return None,
    })
}

fn run(world: &mut World, op: &Op) {
    if let Some((at, record)) = record(op) {
        let (connection, source) = CONNECTIONS[at];
        world.put(connection, source, vec![record]);
        return;
    }
    match *op {
        Op::Gone { at, what, n } => {
            let (connection, source) = CONNECTIONS[at];
            world.remove(connection, source, &[&source_id(at, what, n)]);
        }
        Op::Disconnect { at } => world.disconnect(CONNECTIONS[at].0),
        Op::Say { left, right, same } => {
            let end = |(at, what, n): (usize, u8, u8)| key(CONNECTIONS[at].0, &source_id(at, what, n));
            let stand = if same { Stand::Same } else { Stand::Different };
            // Refused where it makes no sense: then nothing is said.
            let _refused = world.say(stand, Pair::of(end(left), end(right)));
        }
        Op::Forget(n) => {
            let pair = world.state.view().links.iter().nth(n).map(|link| link.pair.clone());
            if let Some(pair) = pair {
                world.forget(&pair).unwrap();
            }
        }
        Op::Label { at, customer } => {
            let (connection, source) = CONNECTIONS[at];
            world.label(connection, ["", "acme", "globex"][usize::from(customer)]);
            world.put(connection, source, Vec::new());
        }
        Op::Host { .. } | Op::Pool { .. } | Op::Disk { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn every_history_of_the_same_latest_records_gives_the_same_view(
        ops in prop::collection::vec(op(), 1..40),
    ) {
        let mut world = World::new();
        for op in &ops {
            run(&mut world, op);
            // From what is stored alone: no history.
            prop_assert_eq!(shape(&world.restarted()), shape(&world.state), "after {:?}", op);
            for resource in world.resources() {
                let mut sides = resource.records().map(|(connection, ..)| world.labels(connection.as_str()));
                let side = sides.next();
                prop_assert!(sides.all(|other| Some(other) == side), "{:?} is of two customers", resource.id);
            }
        }
        let restarted = world.restarted();
        let stamps = |state: &pulse_registry::state::State| -> Vec<_> {
            let all = state.view().iter();
            all.map(|(_, r)| (r.id, r.created_at, r.updated_at, r.revision)).collect()
        };
        prop_assert_eq!(stamps(&restarted), stamps(&world.state));
        // What watchers were told adds up to what is there.
        let mut told = std::collections::BTreeMap::new();
        for change in world.changes.iter().flat_map(|changes| &changes.items) {
            use pulse_registry::state::Change;
            match change {
                Change::Added(new) => prop_assert!(told.insert(new.id, new.clone()).is_none()),
                Change::Changed { before, after } => {
                    prop_assert_eq!(told.insert(after.id, after.clone()), Some(before.clone()));
                }
                Change::Removed(old) => prop_assert_eq!(told.remove(&old.id), Some(old.clone())),
            }
        }
        let shown: std::collections::BTreeMap<_, _> =
            world.resources().into_iter().map(|resource| (resource.id, resource)).collect();
        prop_assert_eq!(told, shown);
    }

    #[test]
    fn every_interleaving_of_collectors_gives_the_same_view(
        (ops, shuffled) in prop::collection::vec(op(), 1..40).prop_flat_map(|ops| {
            // Without links: those are checked against what is there when they are said.
            let ops: Vec<Op> = ops.into_iter().filter(|op| !matches!(op, Op::Say { .. } | Op::Forget(_))).collect();
            let order: Vec<usize> = (0..ops.len()).collect();
            (Just(ops), Just(order).prop_shuffle())
        }),
    ) {
        let at = |op: &Op| match *op {
            Op::Host { at, .. } | Op::Pool { at, .. } | Op::Disk { at, .. } | Op::Gone { at, .. }
            | Op::Disconnect { at } | Op::Label { at, .. } => at,
            Op::Say { .. } | Op::Forget(_) => 0,
        };
        let (mut one, mut other) = (World::new(), World::new());
        for op in &ops {
            run(&mut one, op);
        }
        // Each connection's own order stays; between them it is another.
        let mut own: Vec<VecDeque<&Op>> = vec![VecDeque::new(); CONNECTIONS.len()];
        for op in &ops {
            own[at(op)].push_back(op);
        }
        for n in shuffled {
            if let Some(op) = own[at(&ops[n])].pop_front() {
                run(&mut other, op);
            }
        }
        prop_assert_eq!(shape(&one.state), shape(&other.state));
    }
}
